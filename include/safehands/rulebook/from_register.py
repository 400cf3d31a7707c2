"""Measures from the organisational register, the owner's declarations and recorded figures."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Connection, text

from safehands.errors import PolicyError
from safehands.rulebook.judge import Measured, Occasion
from safehands.rulebook.model import FigureKind
from safehands.store.register import Owner

__all__ = ["FRESH_DAYS", "record_count", "record_figure", "register_measures"]

FRESH_DAYS = 31
"""A figure that nobody recorded for longer is no evidence any more (our policy)."""

Found = dict[str, dict[int | None, Measured]]


def record_figure(
    connection: Connection,
    figures: Mapping[str, FigureKind],
    owner: Owner,
    name: str,
    number: float,
    *,
    day: date,
    run: str,
    source: str,
    scope: str = "",
) -> None:
    """Record a count for the rule book, in the caller's transaction (bound to ``owner``).

    ``name`` stands in ``figures.yaml``; ``source`` names the query or table; ``scope`` is the id of
    the hand-over, release or incident. The same run again replaces its own number.

    Raises ``PolicyError`` for a name that is not in the book, or a scope that is missing or too
    much. Numbers are counts, shares, days or hours; never a person's value.
    """
    if name not in figures or figures[name].each != bool(scope):
        raise PolicyError("rulebook.no_such_figure", name=name)
    record_count(connection, owner, name, number, day=day, run=run, source=source, scope=scope)


def record_count(
    connection: Connection,
    owner: Owner,
    name: str,
    number: float,
    *,
    day: date,
    run: str,
    source: str,
    scope: str,
) -> None:
    """Record as :func:`record_figure` does, where no policy folder is at hand.

    ``name`` is a constant of the caller's; a test compares these with the book.
    """
    values: dict[str, Any] = {
        "owner": owner.id,
        "name": name,
        "day": day,
        "scope": scope,
        "number": number,
        "run": run,
        "source": source,
    }
    connection.execute(text(_RECORD), values)


def register_measures(connection: Connection, day: date, occasion: Occasion | None) -> Found:
    """Return ``register.*``, ``declared.*`` and ``figure.*`` per measure and controller id.

    A kind with evidence that has all expired counts zero; one that never had any is missing. A
    declaration counts until it expires, a figure for ``FRESH_DAYS``, or, when it belongs to one
    hand-over or incident, as long as that.
    """
    found: Found = {}
    for row in connection.execute(text(_EVIDENCE), {"day": day}):
        where = f"control_evidence {row.newest}"
        _put(found, f"register.{row.kind}", row.controller_id, Measured(row.number, "", where))
    for row in connection.execute(text(_DECLARED), {"day": day}):
        fact = Measured(row.number, "", f"control_evidence {row.id}")
        _put(found, f"declared.{row.kind}", row.controller_id, fact)
    scope = occasion.scope if occasion else ""
    values = {"day": day, "since": day - timedelta(days=FRESH_DAYS), "scope": scope}
    for row in connection.execute(text(_FIGURES), values):
        fact = Measured(row.number, row.run, row.source)
        _put(found, f"figure.{row.name}", row.controller_id, fact)
    return found


def _put(found: Found, name: str, controller: int, fact: Measured) -> None:
    found.setdefault(name, {})[controller] = fact


_RECORD = (
    "INSERT INTO rule_figure AS f (controller_id, name, day, scope, number, run, source)"
    " VALUES (:owner, :name, :day, :scope, :number, :run, :source)"
    " ON CONFLICT (controller_id, name, day, scope, run)"
    " DO UPDATE SET number = excluded.number, source = excluded.source"
    " WHERE (f.number, f.source) <> (excluded.number, excluded.source)"
)
_EVIDENCE = (
    "SELECT controller_id, kind, max(id) AS newest,"
    " count(*) FILTER (WHERE valid_until >= :day)::float8 AS number FROM control_evidence"
    " WHERE entry = 'evidence' AND NOT withdrawn AND held_on <= :day GROUP BY 1, 2"
)
_DECLARED = (
    "SELECT * FROM (SELECT DISTINCT ON (controller_id, kind) id, controller_id, kind, number,"
    " valid_until FROM control_evidence WHERE entry = 'declaration' AND NOT withdrawn"
    " AND held_on <= :day ORDER BY controller_id, kind, held_on DESC, id DESC) newest"
    " WHERE valid_until >= :day"
)
_FIGURES = (
    "SELECT DISTINCT ON (controller_id, name) controller_id, name, number, run, source"
    " FROM rule_figure WHERE day <= :day AND"
    " CASE WHEN scope = '' THEN day >= :since ELSE :scope IN ('', scope) END"
    " ORDER BY controller_id, name, day DESC, id DESC"
)
