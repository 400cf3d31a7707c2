"""``safehands handover``: a station changes hands, step by step."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from safehands.commands import handover_between as between
from safehands.commands.call import Call, json_option, leaf
from safehands.messages import say

if TYPE_CHECKING:
    from safehands.handover.opening import Asked
    from safehands.installation import Installation

__all__ = ["command"]

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_ENGINE = "safehands.commands.transfer"
"""Gives the commands that move data: package, receive, reconcile, cutover, certify."""


def command(lang: str) -> click.Command:
    """Return the command group ``handover``."""
    from safehands.handover.state import MODES

    group = click.Group("handover", help=say("cli.handover", lang))
    by = click.Option(["--by"], required=True, help=say("cli.vault.option.by", lang))
    file = click.Argument(["file"], type=_FILE)
    number = click.Argument(["handover"], type=click.UUID)
    some = click.Argument(["handover"], type=click.UUID, required=False)
    channel = _option(lang, "channel", default="paper", show_default=True)
    delivery = _flag(lang, "delivery")
    close = _flag(lang, "close")
    answers = click.Argument(["file"], type=_FILE, required=False)
    party = _option(lang, "party", required=True, type=click.Choice(["seller", "buyer"]))
    refuse, withdraw = _flag(lang, "refuse"), _flag(lang, "withdraw")
    reason = _option(lang, "reason", required=True)
    maybe_by = click.Option(["--by"], default="", help=say("cli.vault.option.by", lang))
    answer = _option(lang, "answer", type=_FILE)
    signer = _option(lang, "signer", default="")
    as_json = json_option(lang)
    members: dict[str, tuple[Callable[..., None], tuple[click.Parameter, ...]]] = {
        "plan": (_plan, (file, by, as_json)),
        "calendar": (_calendar, (file, as_json)),
        "notify": (_notify, (number, by, as_json)),
        "answers": (_answers, (number, answers, by, channel, delivery, close)),
        "approve": (_approve, (number, party, maybe_by, refuse, withdraw, answer, signer)),
        "status": (_status, (some, as_json)),
        "report": (_report, (number, as_json)),
        "abort": (_abort, (number, by, reason)),
        "tick": (_tick, (as_json,)),
        "play": (_play, (_option(lang, "mode", type=click.Choice(MODES)), _option(lang, "folder"))),
    }
    for name, (work, params) in members.items():
        group.add_command(leaf(name, lang, f"cli.handover.{name}", work, *params))
    for name, made in between.members(lang).items():
        group.add_command(made, name)
    if find_spec(_ENGINE) is not None:
        for name, made in import_module(_ENGINE).members(lang).items():
            group.add_command(made, name)
    return group


def _option(lang: str, name: str, **rest: Any) -> click.Parameter:
    return click.Option([f"--{name}"], help=say(f"cli.handover.option.{name}", lang), **rest)


def _flag(lang: str, name: str) -> click.Parameter:
    return _option(lang, name, is_flag=True)


def _asked(inst: Installation, file: Path) -> Asked:
    from safehands.handover.opening import ask
    from safehands.handover.request import load_request

    return ask(inst, load_request(file))


def _show(call: Call, facts: Any, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(facts, ensure_ascii=False, sort_keys=True))
        return
    for name, value in facts.items():
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        call.line(f"{name}: {shown}")


def _plan(call: Call, file: Path, by: str, as_json: bool) -> None:
    from safehands import guard
    from safehands.handover.pages import folder_of, keep
    from safehands.handover.plan import assess, keep_diligence, plan
    from safehands.handover.planpage import plan_page

    with call.installation() as inst:

        def work() -> tuple[dict[str, Any], Path]:
            asked = _asked(inst, file)
            folder = folder_of(inst, asked.id)
            if asked.request.dry_run:
                made = plan(inst, asked, call.day)
                keep_diligence(folder, made)
                return made, keep(folder / "plan.html", plan_page(made))
            return assess(inst, asked, by, call.day, inst.clock()), folder / "plan.html"

        made, path = guard.guarded("handover", work)
    if as_json:
        click.echo(json.dumps(made, ensure_ascii=False, sort_keys=True))
        return
    lang = call.settings.lang
    call.line(call.say("cli.handover.planned", handover=made["handover"]))
    call.line(f"{say('handover.mode.' + made['mode'], lang)} ({made['article']})")
    for one in made["classes"]:
        name, fate = (
            say(f"handover.{kind}.{one[key]}", lang)
            for kind, key in (("class", "class"), ("fate", "fate"))
        )
        call.line(f"{one['people']:>9,}  {name} → {fate}")
    for name in made["missing"]:
        call.line(call.say("cli.handover.lacks", what=say(f"handover.missing.{name}", lang)))
    if made["blocked_by"]:
        call.line(call.say("cli.handover.blocked", rules=", ".join(made["blocked_by"])))
    call.line(call.say("cli.handover.page", path=str(path)))


def _calendar(call: Call, file: Path, as_json: bool) -> None:
    from safehands import guard
    from safehands.handover.pages import folder_of, keep
    from safehands.handover.plan import plan
    from safehands.handover.planpage import calendar_page

    with call.installation() as inst:

        def work() -> tuple[dict[str, Any], Path]:
            asked = _asked(inst, file)
            made: dict[str, Any] = plan(inst, asked, call.day)["calendar"]
            page = calendar_page(made, ", ".join(asked.request.stations))
            return made, keep(folder_of(inst, asked.id) / "calendar.html", page)

        made, path = guard.guarded("handover", work)
    if as_json:
        click.echo(json.dumps(made, ensure_ascii=False, sort_keys=True))
        return
    key = "handover.page.possible" if made["possible"] else "handover.page.too_early"
    call.line(call.say(key, asked=made["asked"], earliest=made["earliest"]))
    for one in made["duties"]:
        party = call.say(f"handover.party.{one['party']}")
        call.line(f"{one['date']}  {party}  {one[call.settings.lang]}")
    call.line(call.say("cli.handover.page", path=str(path)))


def _notify(call: Call, handover: UUID, by: str, as_json: bool) -> None:
    from safehands import guard
    from safehands.handover.notify import notify

    with call.installation() as inst:
        now = inst.clock()
        done = guard.guarded("handover", lambda: notify(inst, handover, by, call.day, now))
    _show(call, done, as_json)
    if not as_json:
        call.line(call.say("cli.handover.hang", handover=str(handover)))


def _answers(
    call: Call,
    handover: UUID,
    file: Path | None,
    by: str,
    channel: str,
    delivery: bool,
    close: bool,
) -> None:
    from safehands import guard
    from safehands.handover.answers import close_window, read_answers, read_delivery

    if file is None and not close:
        raise click.UsageError("FILE | --close")
    with call.installation() as inst:
        now = inst.clock()
        if file is not None and delivery:
            read = guard.guarded("handover", lambda: read_delivery(inst, handover, file, now))
            call.line(call.say("cli.handover.delivery", unreachable=read))
        elif file is not None:
            found = guard.guarded(
                "handover", lambda: read_answers(inst, handover, file, channel, by, now)
            )
            call.line(
                call.say(
                    "cli.handover.answered", recorded=found["recorded"], unknown=found["unknown"]
                )
            )
        if close:
            guard.guarded("handover", lambda: close_window(inst, handover, call.day, now))
            call.line(call.say("cli.handover.closed"))


def _approve(
    call: Call,
    handover: UUID,
    party: Any,
    by: str,
    refuse: bool,
    withdraw: bool,
    answer: Path | None,
    signer: str,
) -> None:
    from safehands import guard
    from safehands.handover.approvals import Decision, decide

    if answer is not None:
        if party != "buyer" or not signer:
            raise click.UsageError("--party buyer --answer FILE --signer KEY")
        done = between.read_answer(call, handover, answer, signer)
        call.line(call.say("cli.handover.approved" if done else "cli.handover.decided"))
        return
    if not by:
        raise click.UsageError("--by | --answer FILE --signer KEY")
    decision: Decision = "refuse" if refuse else "withdraw" if withdraw else "approve"
    with call.installation() as inst:
        now = inst.clock()
        done = guard.guarded(
            "handover", lambda: decide(inst, handover, party, decision, by, call.day, now)
        )
    call.line(call.say("cli.handover.approved" if done else "cli.handover.decided"))


def _status(call: Call, handover: UUID | None, as_json: bool) -> None:
    from safehands import guard
    from safehands.handover.status import status

    with call.installation() as inst:
        found = guard.guarded("handover", lambda: status(inst, handover))
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, sort_keys=True))
        return
    for one in found:
        call.line(
            call.say(
                "cli.handover.line",
                handover=one["handover"],
                stations=", ".join(one["stations"]),
                mode=call.say(f"handover.mode.{one['mode']}"),
                state=call.say(f"handover.state.{one['state']}"),
                next=call.say(f"handover.state.{one['next']}") if one["next"] else "–",
            )
        )
    if not found:
        call.line(call.say("cli.handover.none"))


def _report(call: Call, handover: UUID, as_json: bool) -> None:
    from safehands import guard
    from safehands.handover.pages import folder_of
    from safehands.handover.report import write_report

    with call.installation() as inst:
        now = inst.clock()
        made = guard.guarded("handover", lambda: write_report(inst, handover, now))
        folder = folder_of(inst, handover)
    if as_json:
        click.echo(json.dumps(made, ensure_ascii=False, sort_keys=True))
        return
    for table, one in made["identity"].items():
        parts = " + ".join(f"{number:,} {name}" for name, number in one["classes"].items())
        call.line(f"{table}: {one['held']:,} = {parts or 0}")
    call.line(call.say("cli.handover.page", path=str(folder / "report.html")))


def _abort(call: Call, handover: UUID, by: str, reason: str) -> None:
    from safehands import guard, journal
    from safehands.handover.state import abort
    from safehands.transfer.cutover import end_keys
    from safehands.vault.access import check_staff

    with call.installation() as inst:
        now = inst.clock()

        def work() -> bool:
            check_staff(by)
            with inst.store.begin() as connection:
                done = abort(connection, handover, reason, by, now)
            end_keys(inst.store, handover)
            return done

        guard.guarded("handover", work)
        journal.sequence(inst.store, now)
    call.line(call.say("cli.handover.aborted"))


def _tick(call: Call, as_json: bool) -> None:
    from safehands import guard
    from safehands.handover.tick import tick
    from safehands.transfer.expiry import expire

    with call.installation() as inst:
        now = inst.clock()
        found = guard.guarded("handover", lambda: tick(inst, call.day, now))
        found["expired"] = guard.guarded("handover", lambda: expire(inst, call.day, now))
    _show(call, found, as_json)


def _play(call: Call, mode: Any, folder: str | None) -> None:
    from safehands.play.telling import play
    from safehands.settings import PROJECT

    where = Path(folder).expanduser().absolute() if folder else PROJECT / ".safehands-play"
    # The play begins so many days ago that it ends today.
    first = call.day - timedelta(days=19)
    play(where, first, call.settings.lang, call.line, (mode,) if mode else ())
