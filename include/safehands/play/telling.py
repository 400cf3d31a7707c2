"""What a newcomer reads while a hand-over is played, line by line in their language."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from time import monotonic
from typing import Any

from safehands.handover.state import Mode
from safehands.messages import say
from safehands.play.cases import CASES, Case
from safehands.play.course import Course
from safehands.play.town import Calendar, Town, make_town, stop_town
from safehands.store.register import owners

__all__ = ["play"]

Line = Callable[[str], None]


def play(folder: Path, day: date, lang: str, line: Line, modes: Sequence[Mode] = ()) -> None:
    """Play the cases of ``modes`` (default: all) in ``folder`` and tell everything by ``line``.

    ``day``: the first day of the play. Raises ``SetupProblem`` for a folder that is not a play's,
    and what any step raises: a gate that does not open ends the play.
    """
    begun = monotonic()
    line(say("play.begin", lang, day=day.isoformat()))
    line(say("play.town", lang))
    try:
        town = make_town(folder, day, lang, _nobody)
        for case in CASES:
            if not modes or case.mode in modes:
                _play_one(town, case, lang, line)
    finally:
        stop_town(folder)
    seconds = round(monotonic() - begun)
    line(say("play.end", lang, seconds=seconds, folder=str(folder)))


def _play_one(town: Town, case: Case, lang: str, line: Line) -> None:
    mode = say(f"handover.mode.{case.mode}", lang)
    line("")
    line(say("play.title", lang, mode=mode))
    clock = Calendar(town.day)
    with town.copy(case.mode, clock) as inst:
        known = owners(inst.store)
        buyer = known[case.buyer].name if case.buyer else say("play.nobody", lang)
        seller = known[case.seller].name
        line(say("play.who", lang, seller=seller, station=case.station, buyer=buyer))
        Course(inst, clock, case, town.controllers, _teller(lang, line)).play()


def _teller(lang: str, line: Line) -> Callable[..., None]:
    def tell(key: str, **params: Any) -> None:
        for one in _LINES.get(key, _plain)(key, params, lang):
            line(one)

    return tell


def _plain(key: str, params: Mapping[str, Any], lang: str) -> list[str]:
    shown = {n: v for n, v in params.items() if isinstance(v, str | int)}
    return [say(key, lang, **shown)]


def _class(key: str, params: Mapping[str, Any], lang: str) -> list[str]:
    kind = say(f"handover.class.{params['kind']}", lang)
    fate = say(f"handover.fate.{params['fate']}", lang)
    return [say(key, lang, people=params["people"], kind=kind, fate=fate)]


def _rehearsed(key: str, params: Mapping[str, Any], lang: str) -> list[str]:
    # Where the handler stays nobody is in a class; "0 people" would read as if none were told.
    return _plain(key if params["people"] else "play.rehearsed_alone", params, lang)


def _packaged(key: str, params: Mapping[str, Any], lang: str) -> list[str]:
    counts = params["counts"]
    shown = {"people": counts["person"], "parcels": counts["parcel"], "custody": counts["custody"]}
    stopped = [
        say("play.stopped", lang, people=people, kind=say(f"handover.class.{kind}", lang))
        for kind, people in params["stopped"].items()
    ]
    return [say(key, lang, digest=params["digest"], **shown), *stopped]


def _identity(key: str, params: Mapping[str, Any], lang: str) -> list[str]:
    if not params["held"]:
        return []
    parts = " + ".join(
        f"{number} {say(f'handover.class.{name}', lang)}"
        for name, number in sorted(params["classes"].items(), key=lambda one: -one[1])
    )
    table = say(f"handover.table.{params['table']}", lang)
    return [say(key, lang, table=table, held=params["held"], parts=parts)]


def _signed(key: str, params: Mapping[str, Any], lang: str) -> list[str]:
    files = ", ".join(params["files"])
    return [
        say(key, lang, files=files),
        say("play.folder", lang, folder=params["folder"]),
        say("play.pages", lang),
    ]


def _nobody(*_: str) -> None:
    """Tell nothing of the night's single steps."""


_LINES: dict[str, Callable[[str, Mapping[str, Any], str], list[str]]] = {
    "play.class": _class,
    "play.rehearsed": _rehearsed,
    "play.packaged": _packaged,
    "play.identity": _identity,
    "play.signed": _signed,
}
