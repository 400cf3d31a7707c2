"""Write an assessment's files: HTML and PDF per language, and one JSON."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import text

from safehands.installation import Installation
from safehands.messages import LANGUAGES
from safehands.organisation import names
from safehands.pipia import page
from safehands.pipia.document import compose, external, stale_now, with_names
from safehands.pipia.records import Case, look
from safehands.report import files

__all__ = ["document_of", "write"]


def document_of(
    inst: Installation, case: Case, day: date, *, outside: bool = False
) -> dict[str, Any]:
    """Return the document to be shown: what was signed, with what moved since marked, or the draft.

    The internal edition has the names whose keys still exist; ``outside`` is the external one.
    """
    seen = look(inst, case, day)
    if case.facts is None:
        document: Mapping[str, Any] = compose(inst, seen, day)
    else:
        document = stale_now(case.facts["document"], seen.answers)
    if outside:
        return external(document, seen.questions)
    return with_names(document, seen.answers, _signer(inst, case))


def write(
    inst: Installation, case: Case, day: date, folder: Path, *, outside: bool = False
) -> list[Path]:
    """Write the five files of an edition and return their paths; the same again changes nothing.

    Raises ``SetupProblem`` when the folder can't be used, or, after HTML and JSON are written, when
    there is no Chinese font for the PDF.
    """
    document = document_of(inst, case, day, outside=outside)
    stem = f"pipia-{str(case.pipia_id)[:8]}-{document['edition']}"
    made = [_one(folder / f"{stem}.json", page.plain(document))]
    made += [_one(folder / f"{stem}.{lang}.html", page.html(document, lang)) for lang in LANGUAGES]
    made += [_one(folder / f"{stem}.{lang}.pdf", page.pdf(document, lang)) for lang in LANGUAGES]
    return made


def _one(path: Path, content: bytes) -> Path:
    if not files.holds(path, files.digest(content)):
        files.write(path, content)
    return path


def _signer(inst: Installation, case: Case) -> str:
    if case.signed is None:
        return ""
    with inst.store.begin(controller=case.controller_id) as connection:
        sealed = connection.execute(text(_SIGNED), {"id": case.pipia_id}).scalar_one()
    return names.reveal(inst.provider, case.owner, case.signed, bytes(sealed))["responsible"]


_SIGNED = "SELECT sealed FROM pipia_event WHERE pipia_id = :id AND kind = 'signed'"
"""The signer's name is sealed under the key of the day of signing."""
