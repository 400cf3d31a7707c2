"""What the rule book wants to know of requests, counted every night."""

from __future__ import annotations

from datetime import date

from sqlalchemy import text

from safehands.installation import Installation
from safehands.rights.requests import OPEN
from safehands.rulebook.from_register import record_figure
from safehands.rulebook.load import load_rulebook
from safehands.store.register import owners

__all__ = ["rights_figures"]


def rights_figures(inst: Installation, day: date, run: str) -> None:
    """Record each owner's figures of requests for ``day``; the same run replaces its own."""
    names = load_rulebook(inst.settings.policy).figures
    values = {"day": day, "open": list(OPEN)}
    for owner in owners(inst.store).values():
        with inst.store.begin(controller=owner.id) as connection:
            overdue, without, unchecked = connection.execute(text(_COUNTS), values).one()
            for name, number in (
                ("requests.overdue", overdue),
                ("requests.refused_without_reason", without),
                ("requests.portability_unchecked", unchecked),
            ):
                record_figure(
                    connection,
                    names,
                    owner,
                    name,
                    number,
                    day=day,
                    run=run,
                    source="subject_request",
                )


_COUNTS = (
    "SELECT count(*) FILTER (WHERE state = ANY (:open) AND latest < :day),"
    " count(*) FILTER (WHERE state = 'refused' AND reason = ''),"
    " count(*) FILTER (WHERE kind = 'copy' AND state IN ('granted', 'done')"
    " AND cardinality(string_to_array(conditions, ',')) <> 4) FROM subject_request"
)
