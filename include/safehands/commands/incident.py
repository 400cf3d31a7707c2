"""``safehands incident``: open one, see who is affected, draft, contain, track, drill."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import click

from safehands.commands.call import Call, json_option, leaf
from safehands.messages import say

if TYPE_CHECKING:
    from safehands.incidents import IncidentBook
    from safehands.installation import Installation

__all__ = ["command"]

_MOMENT = click.DateTime(["%Y-%m-%dT%H:%M", "%Y-%m-%d"])


def command(lang: str) -> click.Command:
    """Return the group ``incident``."""
    group = click.Group("incident", help=say("cli.incident", lang))
    owner = click.Option(["--owner"], required=True, help=say("cli.hold.option.owner", lang))
    by = click.Option(["--by"], required=True, help=say("cli.vault.option.by", lang))
    number = click.Argument(["number"], type=int)
    key = click.Option(["--to"], default="", help=say("cli.incident.option.to", lang))
    leaves: dict[str, tuple[Any, tuple[click.Parameter, ...]]] = {
        "open": (_open, (owner, by, *_form(lang))),
        "list": (_list, (owner, json_option(lang))),
        "assess": (_assess, (number, owner, by)),
        "draft": (_draft, (number, owner, by, key)),
        "propose": (_propose, (number, owner, by)),
        "contain": (_contain, (number, owner, by, *_approval(lang))),
        "note": (_note, (number, owner, by, *_event(lang))),
        "show": (_show, (number, owner)),
        "summary": (_summary, (number, owner)),
        "keep": (_keep, (number, owner, by)),
        "unusual": (_unusual, (owner,)),
        "watch": (_watch, (json_option(lang),)),
        "drill": (_drill, (owner, by)),
    }
    for name, (work, params) in leaves.items():
        group.add_command(leaf(name, lang, f"cli.incident.{name}", work, *params))
    group.add_command(_contact_book(lang, by))
    return group


def _contact_book(lang: str, by: click.Parameter) -> click.Group:
    group = click.Group("contacts", help=say("cli.incident.contacts", lang))
    new = click.Argument(["file"], type=click.Path(dir_okay=False, path_type=Path))
    there = click.Argument(["file"], type=click.Path(exists=True, dir_okay=False, path_type=Path))
    leaves: dict[str, tuple[Any, tuple[click.Parameter, ...]]] = {
        "list": (_contacts, ()),
        "template": (_template, (new,)),
        "import": (_import, (there, by)),
    }
    for name, (work, params) in leaves.items():
        group.add_command(leaf(name, lang, f"cli.incident.contacts.{name}", work, *params))
    return group


def _form(lang: str) -> tuple[click.Parameter, ...]:
    def text(name: str, **more: Any) -> click.Option:
        return click.Option([f"--{name}"], help=say(f"cli.incident.option.{name}", lang), **more)

    return (
        text("kind", required=True),
        text("discovered", type=_MOMENT, required=True),
        text("finder", required=True),
        text("began", type=_MOMENT, required=True),
        text("ended", type=_MOMENT, required=True),
        text("system", multiple=True),
        text("station", multiple=True),
        text("batch", type=int, multiple=True),
        text("agreement", multiple=True),
        text("staff", multiple=True),
        text("parcels", is_flag=True),
        text("everybody", is_flag=True),
        text("copied", type=_MOMENT),
    )


def _approval(lang: str) -> tuple[click.Parameter, ...]:
    return (
        click.Option(["--action"], required=True, help=say("cli.incident.option.action", lang)),
        click.Option(["--approver"], required=True, help=say("cli.incident.option.approver", lang)),
        click.Option(["--reference"], default="", help=say("cli.incident.option.reference", lang)),
    )


def _event(lang: str) -> tuple[click.Parameter, ...]:
    return (
        click.Option(["--event"], required=True, help=say("cli.incident.option.event", lang)),
        click.Option(["--reference"], default="", help=say("cli.incident.option.reference", lang)),
    )


def _book(inst: Installation) -> IncidentBook:
    from safehands.incidents import load_incident_book

    return load_incident_book(inst.settings.policy)


def _open(
    call: Call,
    owner: str,
    by: str,
    kind: str,
    discovered: datetime,
    finder: str,
    began: datetime,
    ended: datetime,
    system: tuple[str, ...],
    station: tuple[str, ...],
    batch: tuple[int, ...],
    agreement: tuple[str, ...],
    staff: tuple[str, ...],
    parcels: bool,
    everybody: bool,
    copied: datetime | None,
) -> None:
    from safehands import guard, journal
    from safehands.incidents import Scope, open_case
    from safehands.night import SHANGHAI
    from safehands.organisation import owner_of
    from safehands.vault.access import OFFICER

    when = tuple(moment.replace(tzinfo=SHANGHAI) for moment in (discovered, began, ended))
    times = (when[0], when[1], when[2])
    backup = copied.replace(tzinfo=SHANGHAI).isoformat() if copied else ""
    with call.installation() as inst:
        known, book, now = owner_of(inst, owner), _book(inst), inst.clock()
        unknown = set(station) - known.stations.keys()
        if unknown:
            raise click.UsageError("--station")
        places = tuple(known.stations[code] for code in station)
        scope = Scope(places, batch, agreement, staff, system, parcels, everybody, backup)

        def work() -> int:
            with inst.store.begin(OFFICER, known.id) as connection:
                return open_case(connection, book, known, kind, times, finder, scope, by, now)

        number = guard.guarded("incident", work)
        journal.sequence(inst.store, now)
    call.line(call.say("cli.incident.opened", number=number))


def _list(call: Call, owner: str, as_json: bool) -> None:
    from dataclasses import asdict

    from safehands.incidents import cases, clocks
    from safehands.organisation import owner_of
    from safehands.vault.access import OFFICER

    with call.installation() as inst:
        book, now = _book(inst), inst.clock()
        with inst.store.begin(OFFICER, owner_of(inst, owner).id) as connection:
            found = cases(connection)
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found], default=str, ensure_ascii=False))
        return
    lang = call.settings.lang
    for one in found:
        assessed = one.last("assessed")
        reached = int(assessed.facts["people"]) if assessed else 0
        state = "closed" if one.first("closed") else "open"
        call.line(
            call.say(
                "cli.incident.line",
                number=one.number,
                kind=book.kinds[one.kind].say(lang),
                people=reached,
                state=call.say(f"cli.incident.state.{state}"),
                drill=call.say("incident.drill_mark") if one.drill else "",
            )
        )
        for clock in clocks(book, one, reached):
            kind = call.say(f"incident.clock.{clock.kind}")
            stands = call.say(f"incident.clock.{clock.state(now)}")
            mark = f"{kind} {clock.cites}".rstrip()
            call.line(f"  · {book.clocks[clock.name].say(lang)} [{mark}]: {stands}")
    call.line(call.say("cli.incident.listed", count=len(found)))


def _assess(call: Call, number: int, owner: str, by: str) -> None:
    from safehands import guard, journal
    from safehands.incidents import assess
    from safehands.organisation import owner_of

    with call.installation() as inst:
        book, known = _book(inst), owner_of(inst, owner)
        counts = guard.guarded("incident", lambda: assess(inst, book, known, number, by))
        journal.sequence(inst.store, inst.clock())
    grade = book.grades[book.grade(counts.people)].say(call.settings.lang)
    facts = {k: v for k, v in counts.facts().items() if k != "categories"}
    call.line(call.say("cli.incident.assessed", grade=grade, **facts))


def _draft(call: Call, number: int, owner: str, by: str, to: str) -> None:
    from safehands import guard, journal
    from safehands.incidents import draft
    from safehands.organisation import owner_of

    with call.installation() as inst:
        book, known = _book(inst), owner_of(inst, owner)
        made = guard.guarded("incident", lambda: draft(inst, book, known, number, by, to))
        journal.sequence(inst.store, inst.clock())
    call.line(
        call.say(
            "cli.incident.drafted",
            folder=str(made.folder),
            messages=made.messages,
            others=made.announcement_only,
            channels=", ".join(f"{name} {count}" for name, count in made.channels.items()) or "–",
        )
    )


def _propose(call: Call, number: int, owner: str, by: str) -> None:
    from safehands import journal
    from safehands.incidents import propose
    from safehands.organisation import owner_of

    with call.installation() as inst:
        book = _book(inst)
        actions = propose(inst, book, owner_of(inst, owner), number, by)
        journal.sequence(inst.store, inst.clock())
    for name in actions:
        one = book.actions[name]
        call.line(f"{name}: {one.say(call.settings.lang)} {one.command}".rstrip())


def _contain(
    call: Call, number: int, owner: str, by: str, action: str, approver: str, reference: str
) -> None:
    from safehands import guard, journal
    from safehands.incidents import contain
    from safehands.organisation import owner_of

    with call.installation() as inst:
        known, book = owner_of(inst, owner), _book(inst)

        def work() -> dict[str, Any]:
            return contain(inst, book, known, number, action, by, approver, reference)

        done = guard.guarded("incident", work)
        journal.sequence(inst.store, inst.clock())
    facts = json.dumps(done, ensure_ascii=False) if done else ""
    call.line(call.say("cli.incident.contained", action=action, facts=facts))


def _note(call: Call, number: int, owner: str, by: str, event: str, reference: str) -> None:
    from safehands import incidents, journal
    from safehands.organisation import owner_of

    with call.installation() as inst:
        known = owner_of(inst, owner)
        incidents.event(inst, known, number, event, by, reference)
        journal.sequence(inst.store, inst.clock())
    call.line(call.say("cli.incident.noted", event=event))


def _show(call: Call, number: int, owner: str) -> None:
    from safehands.incidents import case, tasks
    from safehands.incidents.tasks import state_of, words_of
    from safehands.night import SHANGHAI
    from safehands.organisation import owner_of
    from safehands.vault.access import OFFICER

    with call.installation() as inst:
        book, now = _book(inst), inst.clock()
        with inst.store.begin(OFFICER, owner_of(inst, owner).id) as connection:
            found = case(connection, number)
    left = [task for task in tasks(book, found) if task.done is None]
    for task in tasks(book, found):
        what = words_of(book, task, call.settings.lang)
        state = call.say(f"incident.clock.{state_of(book, task, now)}")
        if task.done is not None:
            at = f"{task.done.astimezone(SHANGHAI):%Y-%m-%d %H:%M}"
            state = call.say("incident.task.done", at=at, by=task.by)
        call.line(call.say("cli.incident.task", number=number, what=what, state=state))
    call.line(call.say("cli.incident.to_do", count=len(left)))


def _summary(call: Call, number: int, owner: str) -> None:
    from safehands import guard
    from safehands.incidents import summarise
    from safehands.organisation import owner_of

    with call.installation() as inst:
        book, known = _book(inst), owner_of(inst, owner)
        paths = guard.guarded("incident", lambda: summarise(inst, book, known, number))
    for path in paths:
        call.line(call.say("cli.incident.summarised", file=str(path)))


def _keep(call: Call, number: int, owner: str, by: str) -> None:
    from safehands import guard, journal
    from safehands.incidents.drafts import keep_evidence
    from safehands.organisation import owner_of

    with call.installation() as inst:
        known = owner_of(inst, owner)
        path = guard.guarded("incident", lambda: keep_evidence(inst, known, number, by))
        journal.sequence(inst.store, inst.clock())
    if path is None:
        call.line(call.say("cli.incident.no_evidence"))
    else:
        call.line(call.say("cli.incident.kept", file=str(path)))


def _contacts(call: Call) -> None:
    from safehands.incidents import gaps
    from safehands.store.register import owners

    with call.installation() as inst:
        book, known = _book(inst), sorted(owners(inst.store)) or [""]
    lang, last = call.settings.lang, call.day - timedelta(days=book.contact_days)
    for one in book.contacts:
        mark = call.say("cli.incident.contacts.old") if one.checked < last else ""
        shown = {"kind": book.contact_kinds[one.kind].say(lang), "name": one.name.say(lang)}
        shown |= {"reach": one.reach, "day": one.checked.isoformat(), "mark": mark}
        call.line(call.say("cli.incident.contacts.line", **shown).rstrip())
    old = {gap.kind for code in known for gap in gaps(book, code, call.day)}
    names = ", ".join(words.say(lang) for kind, words in book.contact_kinds.items() if kind in old)
    call.line(call.say("cli.incident.old", count=len(old), names=names))


def _template(call: Call, file: Path) -> None:
    from safehands.incidents.contactbook import write_contacts

    with call.installation() as inst:
        write_contacts(file, _book(inst), call.settings.lang)
    call.line(call.say("cli.incident.contacts.written", file=file.name))


def _import(call: Call, file: Path, by: str) -> None:
    from safehands import journal
    from safehands.incidents import gaps
    from safehands.incidents.contactbook import keep_contacts, read_contacts
    from safehands.store.register import owners

    with call.installation() as inst:
        known = sorted(owners(inst.store))
        found = read_contacts(file, _book(inst), known, call.day)
        keep_contacts(inst, found, by)
        journal.sequence(inst.store, inst.clock())
        left = {gap.kind for code in known or [""] for gap in gaps(_book(inst), code, call.day)}
    call.line(call.say("cli.incident.contacts.imported", count=len(found), gaps=len(left)))


def _unusual(call: Call, owner: str) -> None:
    from safehands import journal
    from safehands.incidents import raise_alerts
    from safehands.organisation import owner_of

    with call.installation() as inst:
        found = raise_alerts(inst, _book(inst), owner_of(inst, owner), call.day)
        journal.sequence(inst.store, inst.clock())
    for one in found:
        rule = call.say(f"incident.unusual.{one.rule}")
        call.line(f"{one.by} {one.what}: {rule} {one.number} > {one.limit}")
    call.line(call.say("cli.incident.alerts", count=len(found)))


def _watch(call: Call, as_json: bool) -> None:
    from safehands import guard, journal
    from safehands.incidents import incident_figures
    from safehands.rulebook.load import load_rulebook

    with call.installation() as inst:
        run = f"watch-{call.day}"
        found = guard.guarded("incident", lambda: incident_figures(inst, call.day, run))
        names = load_rulebook(inst.settings.policy).figures
        journal.sequence(inst.store, inst.clock())
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, sort_keys=True))
        return
    for code, figures in found.items():
        for name, number in figures.items():
            call.line(f"{code}: {names[name].label.say(call.settings.lang)}: {number}")


def _drill(call: Call, owner: str, by: str) -> None:
    from safehands import guard, journal
    from safehands.incidents import drill

    with call.installation() as inst:
        book = _book(inst)
        done = guard.guarded("incident", lambda: drill(inst, book, owner, by, monotonic))
        journal.sequence(inst.store, inst.clock())
    key = "passed" if done.passed else "failed"
    seconds = f"{done.seconds_to_drafts:.1f}"
    call.line(call.say(f"cli.incident.drill.{key}", people=done.people, seconds=seconds))
