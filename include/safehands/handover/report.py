"""The report of a hand-over: identity per table to the row, timeline, digests; and for outsiders.

Written from the store's events alone, so that it can be written again in three years. The external
edition shows no count between one and nine, and of what happened only the states by day: nobody is
singled out by it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from safehands import journal
from safehands.certificates import certificate, keep_certificate
from safehands.handover.classify import counts
from safehands.handover.opening import known, people, scope_of
from safehands.handover.pages import folder_of, keep, page
from safehands.handover.reported import (
    answers_of,
    approvals_of,
    digests_of,
    figures_of,
    identity_of,
    kept_of,
    notices_of,
)
from safehands.handover.state import events
from safehands.installation import Installation
from safehands.ledger import body_digest, canonical_json
from safehands.messages import LANGUAGES, catalogue, say
from safehands.night import SHANGHAI

__all__ = ["LEAST", "external", "report", "write_report"]

LEAST = 10
"""Counts below this are not shown to outsiders (our policy)."""


def report(inst: Installation, handover_id: UUID, now: datetime) -> dict[str, Any]:
    """Return the report as JSON.

    The identity is the newest that a step has fixed, or of now when none has or a delta came since.
    In a share deal everything stays where it is.
    """
    handover, asked = known(inst, handover_id)
    with inst.store.begin() as connection:
        happened = events(connection, handover_id)
    tables, day = identity_of(happened), now.astimezone(SHANGHAI).date()
    if tables is None:
        with people(inst, asked) as connection:
            tables = counts(connection, scope_of(asked, inst, day))
    if handover.mode == "share_deal":
        tables = {t: {"unchanged": sum(one.values())} for t, one in tables.items()}
    tables = {t: {n: k for n, k in one.items() if k} for t, one in tables.items()}
    with inst.store.begin(controller=asked.seller.id) as connection:
        answers = answers_of(connection, handover_id)
        figures = figures_of(connection, handover_id)
        kept = kept_of(connection, handover_id, day)
    return {
        "notices": notices_of(happened),
        "answers": answers,
        "approvals": approvals_of(happened),
        "digests": digests_of(happened),
        "figures": figures,
        "forwarded": sum(one["kind"] == "forwarded" for one in happened),
        "handover": str(handover_id),
        "mode": handover.mode,
        "state": handover.state,
        "stations": list(asked.request.stations),
        "request": handover.digest,
        "identity": {
            table: {"held": sum(one.values()), "classes": one} for table, one in tables.items()
        },
        "kept": kept,
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


def external(made: Mapping[str, Any]) -> dict[str, Any]:
    """Return the edition for outsiders: small counts as a bound, sums rounded down to tens.

    Nobody's staff id is in it, and no figure that could be a single person's. Of what happened it
    has the states by day: a request that was passed on or a parcel in a delta is one person's. A
    hash does not hide facts that somebody could guess, as counts are: it names the digests of
    sealed, signed and posted documents alone, and not that of the plan, which is made of counts.
    """
    notices = {
        name: _rough(value) if isinstance(value, int) else value
        for name, value in made["notices"].items()
    }
    return {
        **{name: value for name, value in made.items() if name != "figures"},
        "notices": notices,
        "answers": {name: _rough(number) for name, number in made["answers"].items()},
        "approvals": [
            {name: one[name] for name in ("party", "decision", "day")} for one in made["approvals"]
        ],
        "forwarded": _rough(made["forwarded"]),
        "identity": {
            table: {
                "held": one["held"] // LEAST * LEAST,
                "classes": {name: _rough(number) for name, number in one["classes"].items()},
            }
            for table, one in made["identity"].items()
        },
        "kept": [
            {"class": one["class"], "reason": one["reason"], "people": _rough(one["people"])}
            for one in made["kept"]
        ],
        "digests": {n: digest for n, digest in made["digests"].items() if n != "assessed.plan"},
        "timeline": [
            {"at": one["at"][:10], "kind": one["kind"], "key": one["key"]}
            for one in made["timeline"]
            if one["kind"] == "state"
        ],
    }


def _rough(number: int) -> int | str:
    """Round down to tens; below ten only that it is below ten."""
    if number == 0:
        return 0
    return number // LEAST * LEAST if number >= LEAST else f"<{LEAST}"


def write_report(inst: Installation, handover_id: UUID, now: datetime) -> dict[str, Any]:
    """Write both editions as signed JSON and as pages; return the internal one.

    The JSON verifies offline with ``safehands verify FILE``.
    """
    made = report(inst, handover_id, now)
    folder, head = folder_of(inst, handover_id), {"handover": str(handover_id)}
    editions = {"report": made, "report-external": external(made)}
    reasons = _reasons(inst)
    with inst.store.begin() as connection:
        for name, body in editions.items():
            digest = body_digest("handover_report", body)
            facts = {"kind": "document", "key": name, **head}
            run = f"handover-{handover_id}"
            journal.append(connection, "handover", run, now, facts, document=digest)
    journal.sequence(inst.store, now)
    for name, body in editions.items():
        keep_certificate(folder / f"{name}.json", certificate(inst.store, "handover_report", body))
        keep(folder / f"{name}.html", _page(body, reasons))
    return made


def _reasons(inst: Installation) -> dict[str, Any]:
    """Return policy's words for why something is kept."""
    policy = inst.policy
    return {**{k: one.label for k, one in policy.restrictions.items()}, **policy.holds.reasons}


def _page(made: Mapping[str, Any], reasons: Mapping[str, Any]) -> bytes:
    parts: dict[str, list[dict[str, Any]]] = {}
    for lang in LANGUAGES:
        identity = [
            {
                "title": say(
                    "handover.report.table", lang, table=say(f"handover.table.{table}", lang)
                ),
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
                [one["at"], _named(one["kind"], one["key"], lang), one.get("sha256", "")[:16]]
                for one in made["timeline"]
            ],
        }
        lane = {"text": say(f"handover.mode.{made['mode']}", lang)}
        kept = _kept(made, reasons, lang)
        parts[lang] = [lane, *identity, *kept, *_around(made, lang), timeline]
    return page("handover.page.report", parts, stations=", ".join(made["stations"]))


def _kept(made: Mapping[str, Any], reasons: Mapping[str, Any], lang: str) -> list[dict[str, Any]]:
    """Return why and until when people are kept; nothing where nobody is."""
    rows = [
        [
            say(f"handover.class.{one['class']}", lang),
            _why(one["reason"], reasons, lang),
            *([one["until"] or "–"] if "until" in one else []),
            one["people"],
        ]
        for one in made["kept"]
    ]
    return [{"title": say("handover.report.kept", lang), "rows": rows}] if rows else []


def _why(reason: str, reasons: Mapping[str, Any], lang: str) -> str:
    if reason in reasons:
        return str(getattr(reasons[reason], lang))
    key = f"handover.kept.{reason}"
    return say(key, lang) if key in catalogue() else reason


def _around(made: Mapping[str, Any], lang: str) -> list[dict[str, Any]]:
    """Return the sections beside the identity: what was told, answered, approved and signed."""
    approvals = [
        [
            say(f"handover.party.{one['party']}", lang),
            say(f"handover.decision.{one['decision']}", lang),
            one.get("by", ""),
            one["day"],
        ]
        for one in made["approvals"]
    ]
    found: list[dict[str, Any]] = []
    for name, rows in (
        (
            "notices",
            [
                [say(f"handover.told.{n}", lang), _shown(v, lang)]
                for n, v in made["notices"].items()
            ],
        ),
        ("answers", [[_answer(n, lang), v] for n, v in made["answers"].items()]),
        ("approvals", approvals),
        ("digests", [[n, v] for n, v in made["digests"].items()]),
        ("figures", [[n, v] for n, v in made.get("figures", {}).items()]),
        ("after", [[say("handover.report.forwarded", lang), made["forwarded"]]]),
    ):
        if rows:
            found.append({"title": say(f"handover.report.{name}", lang), "rows": rows})
    return found


def _shown(value: Any, lang: str) -> str:
    """Return a value as it is, the channels in words."""
    if not isinstance(value, list):
        return str(value)
    return ", ".join(say(f"handover.channel.{one}", lang) for one in value)


def _answer(name: str, lang: str) -> str:
    kind, _, channel = name.partition(" ")
    return f"{say(f'handover.answer.{kind}', lang)} · {channel or '–'}"


def _named(kind: str, key: str, lang: str) -> str:
    """Return what happened in words: a state by its name, everything else by kind and key."""
    if kind == "state":
        return say(f"handover.state.{key}", lang)
    name = kind if f"handover.event.{kind}" in catalogue() else "other"
    return f"{say(f'handover.event.{name}', lang)} {key}"
