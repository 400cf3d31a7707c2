"""The plan as a page that a shop's owner understands, and the calendar as one of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from safehands.handover.pages import page
from safehands.handover.state import PATHS
from safehands.messages import LANGUAGES, say

__all__ = ["calendar_page", "diligence_page", "plan_page"]


def plan_page(made: Mapping[str, Any]) -> bytes:
    """Return the page of a plan (JSON of ``plan``)."""
    parts = {lang: [*_plan(made, lang), *_calendar(made["calendar"], lang)] for lang in LANGUAGES}
    return page("handover.page.plan", parts, stations=", ".join(made["stations"]))


def diligence_page(made: Mapping[str, Any]) -> bytes:
    """Return the page for the buyer's eyes: the plan's rounded totals and nothing else."""
    parts = {lang: [_diligence(made, lang)] for lang in LANGUAGES}
    return page("handover.page.for_buyer", parts, stations=", ".join(made["stations"]))


def calendar_page(made: Mapping[str, Any], stations: str) -> bytes:
    """Return the page of a calendar."""
    parts = {lang: _calendar(made, lang) for lang in LANGUAGES}
    return page("handover.page.calendar", parts, stations=stations)


def _plan(made: Mapping[str, Any], lang: str) -> list[dict[str, Any]]:
    why = [say(made["why"], lang)] if made["why"] else []
    found: list[dict[str, Any]] = [
        {
            "title": say("handover.page.lane", lang),
            "lines": [
                f"{say('handover.mode.' + made['mode'], lang)} ({made['article']})",
                *why,
                *(
                    f"{say('handover.dataset.' + one['dataset'], lang)}:"
                    f" {say('handover.role.' + one['role'], lang)}"
                    f" → {say('handover.mode.' + one['lane'], lang)} ({one['article']})"
                    for one in made["lanes"]
                ),
            ],
        },
        {"title": say("handover.page.classes", lang), "text": say("handover.page.stays", lang)}
        if not made["classes"]
        else {
            "title": say("handover.page.classes", lang),
            "head": [say(f"handover.page.{name}", lang) for name in ("class", "people", "fate")],
            "rows": [
                [
                    say("handover.class." + one["class"], lang),
                    one["people"],
                    say("handover.fate." + one["fate"], lang),
                ]
                for one in made["classes"]
            ],
        },
        _diligence(made, lang),
    ]
    lacking = [say(f"handover.missing.{name}", lang) for name in made["missing"]]
    nothing = [say("handover.page.nothing", lang)]
    found.append({"title": say("handover.page.missing", lang), "lines": lacking or nothing})
    blockers = [[one["rule"], one["asks"][lang], one["remedy"][lang]] for one in made["blockers"]]
    found.append(
        {
            "title": say("handover.page.blocked", lang),
            "head": [say(f"handover.page.{n}", lang) for n in ("rule", "asks", "remedy")],
            "rows": blockers,
        }
        if blockers
        else {"title": say("handover.page.blocked", lang), "lines": nothing}
    )
    if "packaged" in PATHS[made["mode"]]:
        found.append(_tables(made, lang))
    else:
        unpacked = say("handover.page.unpacked", lang)
        found.append({"title": say("handover.page.tables", lang), "text": unpacked})
    return found


def _diligence(made: Mapping[str, Any], lang: str) -> dict[str, Any]:
    rows = [
        [say(f"handover.fact.{name}", lang), _value(value, lang)]
        for name, value in made["due_diligence"].items()
    ]
    return {"title": say("handover.page.diligence", lang), "rows": rows}


def _calendar(made: Mapping[str, Any], lang: str) -> list[dict[str, Any]]:
    possible = "handover.page.possible" if made["possible"] else "handover.page.too_early"
    return [
        {
            "title": say("handover.page.when", lang),
            "text": say(possible, lang, asked=made["asked"], earliest=made["earliest"]),
            "lines": [
                say(
                    f"handover.period.{one['name']}",
                    lang,
                    days=one["days"],
                    kind=say(f"handover.kind.{one['kind']}", lang),
                )
                for one in made["periods"]
            ],
        },
        {
            "title": say("handover.page.duties", lang),
            "head": [say(f"handover.page.{n}", lang) for n in ("date", "party", "duty", "source")],
            "rows": [
                [
                    one["date"],
                    say(f"handover.party.{one['party']}", lang),
                    one[lang],
                    f"{one['cites']} {say('handover.kind.' + one['kind'], lang)}".strip(),
                ]
                for one in made["duties"]
            ],
        },
    ]


def _tables(made: Mapping[str, Any], lang: str) -> dict[str, Any]:
    """Return what becomes of each table's columns, and which tables stay and why."""
    rows = []
    comma, semicolon = ("、", "；") if lang == "zh" else (", ", "; ")
    for table, one in made["columns"].items():
        fates: dict[str, list[str]] = {}
        for column, fate in one["columns"].items():
            fates.setdefault(fate, []).append(say(f"handover.field.{column}", lang))
        words = semicolon.join(
            f"{say('handover.column.' + fate, lang)}: {comma.join(names)}"
            for fate, names in fates.items()
        )
        rows.append([say(f"handover.table.{table}", lang), words])
    stays = say("handover.fate.stays", lang)
    rows += [[words[lang], stays] for words in made["stays"].values()]
    return {"title": say("handover.page.tables", lang), "rows": rows}


def _value(value: Any, lang: str) -> Any:
    if isinstance(value, list):
        return ", ".join(str(one[lang]) for one in value)
    return f"{value:,}" if isinstance(value, int) else value
