"""Whose copy a leaked file is: by its codes, by the stars of its masks, or by the register.

``code``      codes of a recipient's own domain carry that domain's mark: one row is proof
``mask``      the stars of masked cells are the recipient's (:mod:`safehands.sharing.marks`): five
              numbers are proof, in any order, whatever rows and columns are gone
``register``  whole numbers carry no mark; the register says which recipients had how many of them.
              That is no proof: more than one may have had the same people
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from uuid import UUID

import pyarrow.parquet as pq
from sqlalchemy import text as sql

from safehands.errors import BadInput
from safehands.installation import Installation
from safehands.keys.domain import open_domain
from safehands.organisation.sheet import sheet_lines
from safehands.sharing.marks import is_proof, masked_cells
from safehands.store.register import owners as known_owners
from safehands.vault.access import OFFICER, officer_ring

__all__ = ["Traced", "text_of", "trace"]

_CODE = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)
_PHONE = re.compile(r"(?<!\d)1[3-9]\d{9}(?!\d)")


@dataclass(frozen=True)
class Traced:
    """One recipient: how it was found, and how many of the copy's distinct cells speak for it."""

    owner: str
    agreement: str
    how: Literal["code", "mask", "register"]
    count: int
    of: int


def trace(inst: Installation, text: str, owners: Iterable[str]) -> list[Traced]:
    """Return the recipients that the copy ``text`` may come from, proofs first.

    Works on any part of a copy, in any order and with any columns. Nothing of the text is kept.
    """
    codes = {UUID(code) for code in _CODE.findall(text)}
    cells = masked_cells(text)
    found: list[Traced] = []
    for owner in owners:
        for name in inst.provider.names(f"share/{owner}"):
            agreement = name.removeprefix(f"share/{owner}/")
            domain = open_domain(inst.provider, owner, agreement, make=False)
            made = sum(domain.made(one) for one in codes)
            if made:
                found.append(Traced(owner, agreement, "code", made, len(codes)))
            proof, fit = is_proof(cells, domain)
            if proof:
                found.append(Traced(owner, agreement, "mask", fit, len(cells)))
        found += _registered(inst, owner, sorted(set(_PHONE.findall(text))))
    order = ("code", "mask", "register")
    return sorted(found, key=lambda one: (order.index(one.how), -one.count))


def text_of(file: Path) -> str:
    """Return what a leaked file says: Parquet, a workbook, or text (UTF-8 or GB 18030).

    Raises ``BadInput`` when it can't be read.
    """
    kind = file.suffix.lower()
    if kind == ".xlsx":
        return "\n".join(",".join(line) for line in sheet_lines(file))
    try:
        if kind == ".parquet":
            columns = pq.read_table(file).to_pydict().values()
            return "\n".join(str(cell) for column in columns for cell in column)
        content = file.read_bytes()
    except (OSError, ValueError):
        raise BadInput("sharing.unreadable_copy") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("gb18030", errors="replace")


def _registered(inst: Installation, owner: str, phones: list[str]) -> list[Traced]:
    """Return who was given how many of the numbers, after the register of disclosures."""
    known = known_owners(inst.store).get(owner)
    if known is None or not phones:
        return []
    with inst.store.begin(OFFICER, known.id) as connection:
        ring = officer_ring(connection, inst.provider, known)
        lookups = [UUID(bytes=one) for one in ring.lookups("mobile", phones).tolist()]
        rows = connection.execute(sql(_GIVEN), {"lookups": lookups}).all()
    return [Traced(owner, row.agreement, "register", row.people, len(phones)) for row in rows]


_GIVEN = (
    "SELECT d.agreement, count(DISTINCT s.subject_id) AS people FROM disclosure d"
    " JOIN disclosure_subject s ON s.disclosure_id = d.id"
    " JOIN subject p ON p.subject_id = s.subject_id AND p.controller_id = s.controller_id"
    " WHERE jsonb_exists(d.facts -> 'fields', 'phone') AND p.lookup = ANY (:lookups)"
    " GROUP BY 1 ORDER BY 2 DESC, 1"
)
