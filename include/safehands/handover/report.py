"""The report of a hand-over: identity per table to the row, timeline, digests; and for outsiders.

Written from the store's events alone, so that it can be written again in three years. The external
edition shows no count between one and nine: nobody is singled out by it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from safehands import journal
from safehands.certificates import certificate, keep_certificate
from safehands.handover.classify import counts
from safehands.handover.opening import known, people, scope_of
from safehands.handover.pages import folder_of, keep, page
from safehands.handover.state import events
from safehands.installation import Installation
from safehands.ledger import body_digest, canonical_json
from safehands.messages import LANGUAGES, say
from safehands.night import SHANGHAI

__all__ = ["LEAST", "external", "report", "write_report"]

LEAST = 10
"""Counts below this are not shown to outsiders (our policy)."""


def report(inst: Installation, handover_id: UUID, now: datetime) -> dict[str, Any]:
    """Return the report as JSON.

    The identity is the one that was last fixed (reconciled, cut over, answered), or of now before
    that. In a share deal everything stays where it is.
    """
    handover, asked = known(inst, handover_id)
    with inst.store.begin() as connection:
        happened = events(connection, handover_id)
    tables = _fixed(happened)
    if tables is None:
        day = now.astimezone(SHANGHAI).date()
        with people(inst, asked) as connection:
            tables = counts(connection, scope_of(asked, inst, day))
    if handover.mode == "share_deal":
        tables = {t: {"unchanged": sum(one.values())} for t, one in tables.items()}
    tables = {t: {n: k for n, k in one.items() if k} for t, one in tables.items()}
    return {
        "handover": str(handover_id),
        "mode": handover.mode,
        "state": handover.state,
        "stations": list(asked.request.stations),
        "request": handover.digest,
        "identity": {
            table: {"held": sum(one.values()), "classes": one} for table, one in tables.items()
        },
        "timeline": [
            {
                "at": one["at"].astimezone(SHANGHAI).isoformat(timespec="seconds"),
                "kind": one["kind"],
                "key": one["key"],
                "sha256": hashlib.sha256(canonical_json(one["facts"])).hexdigest(),
            }
            for one in happened
        ],
    }


def _fixed(happened: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, int]] | None:
    """Return the newest identity that a step has fixed: at reconciliation, cut-over or answers."""
    passed = {one["key"]: one["facts"] for one in happened if one["kind"] == "state"}
    for key, name in (
        ("reconciled", "classes"),
        ("cut_over", "held_before"),
        ("answered", "tables"),
    ):
        found: dict[str, dict[str, int]] | None = passed.get(key, {}).get(name)
        if found:
            return found
    return None


def external(made: Mapping[str, Any]) -> dict[str, Any]:
    """Return the edition for outsiders: small counts as a bound, sums rounded down to tens."""
    return {
        **made,
        "identity": {
            table: {
                "held": one["held"] // LEAST * LEAST,
                "classes": {
                    name: number // LEAST * LEAST if number >= LEAST else f"<{LEAST}"
                    for name, number in one["classes"].items()
                },
            }
            for table, one in made["identity"].items()
        },
    }


def write_report(inst: Installation, handover_id: UUID, now: datetime) -> dict[str, Any]:
    """Write both editions as signed JSON and as pages; return the internal one.

    The JSON verifies offline with ``safehands verify FILE``.
    """
    made = report(inst, handover_id, now)
    folder, head = folder_of(inst, handover_id), {"handover": str(handover_id)}
    editions = {"report": made, "report-external": external(made)}
    with inst.store.begin() as connection:
        for name, body in editions.items():
            digest = body_digest("handover_report", body)
            facts = {"kind": "document", "key": name, **head}
            run = f"handover-{handover_id}"
            journal.append(connection, "handover", run, now, facts, document=digest)
    journal.sequence(inst.store, now)
    for name, body in editions.items():
        keep_certificate(folder / f"{name}.json", certificate(inst.store, "handover_report", body))
        keep(folder / f"{name}.html", _page(body))
    return made


def _page(made: Mapping[str, Any]) -> bytes:
    parts: dict[str, list[dict[str, Any]]] = {}
    for lang in LANGUAGES:
        identity = [
            {
                "title": say("handover.report.table", lang, table=table),
                "head": [
                    say("handover.page.class", lang),
                    say("handover.report.rows", lang),
                ],
                "rows": [
                    *(
                        [say(f"handover.class.{name}", lang), number]
                        for name, number in one["classes"].items()
                    ),
                    [say("handover.report.held", lang), one["held"]],
                ],
            }
            for table, one in made["identity"].items()
        ]
        timeline = {
            "title": say("handover.report.timeline", lang),
            "rows": [
                [one["at"], one["kind"], one["key"], one["sha256"][:16]] for one in made["timeline"]
            ],
        }
        lane = {"text": say(f"handover.mode.{made['mode']}", lang)}
        parts[lang] = [lane, *identity, timeline]
    return page("handover.page.report", parts, stations=", ".join(made["stations"]))
