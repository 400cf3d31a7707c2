"""Every page that the dashboards can draw of an installation, as whoever may see all of them."""

from __future__ import annotations

from sqlalchemy import text

from safehands.dashboards import WHOLE, Books, View, compose, open_page
from safehands.messages import LANGUAGES
from safehands.store import Store

__all__ = ["every_page"]


def every_page(store: Store, books: Books) -> dict[str, str]:
    """Return address → HTML: the pages, one page per rule, and the files of every owner."""
    with store.begin("safehands_auditor") as connection:
        owners = connection.execute(text("SELECT id, code FROM controller")).all()
        details = [(page, "") for page in WHOLE]
        for page, query in _RULES.items():
            found = connection.execute(text(query)).scalars().all()
            details += [(page, str(rule)) for rule in found]
        pages = {
            f"{page}/{detail} {lang}": open_page(
                connection, View(page, lang, books.policy, base="/safehands/"), books, detail
            )
            for page, detail in details
            for lang in LANGUAGES
        }
    for number, code in owners:
        for lang in LANGUAGES:
            pages[f"file of {code} {lang}"] = compose(store, books, number, code, lang)
    return pages


_RULES = {
    "quality": "SELECT rule FROM quality_night UNION SELECT rule FROM quarantine",
    "risk": "SELECT DISTINCT rule FROM rule_result",
}
