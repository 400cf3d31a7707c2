"""All pages of one owner as one file that needs nothing else: to mail, to keep, to print.

The file holds its style sheet and its charts, no script, and says so in a content security policy
of its own. It is made of the same templates as the pages in Airflow, bound to one owner, and the
same evidence gives the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup
from sqlalchemy import text

from safehands.dashboards.books import Books
from safehands.dashboards.opening import WHOLE, figures
from safehands.dashboards.page import render, style
from safehands.dashboards.view import View
from safehands.messages import LANGUAGES
from safehands.report import files
from safehands.store import Store

__all__ = ["compose", "publish"]

_MAIN = re.compile(r'<main id="content">(.*)</main>', re.DOTALL)
_IDS = re.compile(r'(\bid|aria-labelledby|for)="([^"]+)"')


def publish(store: Store, books: Books, folder: Path) -> dict[str, int]:
    """Write ``<folder>/<owner>/<business date>.<language>.html`` for every owner; return counts.

    ``owners``, ``files`` and ``written`` (those that were not there already, byte for byte). A
    store without a night has nothing to publish. Raises ``SetupProblem`` when the folder cannot be
    written.
    """
    counts = {"owners": 0, "files": 0, "written": 0}
    with store.begin("safehands_auditor") as connection:
        owners = [(int(row[0]), str(row[1])) for row in connection.execute(text(_OWNERS))]
        day = connection.execute(text(_DAY)).scalar_one()
    for number, code in owners if day else ():
        counts["owners"] += 1
        for lang in LANGUAGES:
            content = compose(store, books, number, code, lang).encode()
            path = folder / code / f"{day.isoformat()}.{lang}.html"
            counts["files"] += 1
            if not files.holds(path, files.digest(content)):
                files.write(path, content)
                counts["written"] += 1
    return counts


def compose(store: Store, books: Books, number: int, code: str, lang: str) -> str:
    """Return the file of one owner in one language."""
    parts = []
    for page in WHOLE:
        view = View(page, lang, books.policy, pages=tuple(WHOLE), owner=code)
        with store.begin("safehands_auditor", number) as connection:
            found = figures(connection, view, books)
        parts.append((page, _part(page, render(page, view, found))))
    sheet = style()
    return render(
        "published", View("overview", lang, books.policy, owner=code), _whole(parts, sheet)
    )


def _whole(parts: Sequence[tuple[str, Markup]], sheet: str) -> dict[str, object]:
    digest = base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()
    # Our own file: nothing of evidence is in a style sheet.
    return {"parts": parts, "style": Markup(sheet), "style_digest": digest}  # noqa: S704


def _part(page: str, html: str) -> Markup:
    """Return the content of a page with ids of its own, so that one file holds all of them."""
    found = _MAIN.search(html)
    assert found is not None, "every page extends the frame"
    # Already escaped by the template that drew it.
    return Markup(_IDS.sub(rf'\1="{page}-\2"', found[1]))  # noqa: S704


_OWNERS = "SELECT id, code FROM controller ORDER BY code"
_DAY = "SELECT max(business_date) FROM step_result"
