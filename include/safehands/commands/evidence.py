"""``safehands evidence``: the organisational register, inventory, record of processing, size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from safehands.commands.call import Call, json_option, leaf
from safehands.messages import say

__all__ = ["command"]


def command(lang: str) -> click.Command:
    """Return the group ``evidence``."""
    group = click.Group("evidence", help=say("evidence.group", lang))
    path = click.Argument(["file"], type=click.Path(dir_okay=False, path_type=Path))
    there = click.Argument(["file"], type=click.Path(exists=True, dir_okay=False, path_type=Path))
    number = click.Argument(["number"], type=int, metavar="ID")
    leaves: dict[str, tuple[Any, list[click.Parameter]]] = {
        "template": (_template, [path]),
        "import": (_import, [there]),
        "list": (_list, [_everything(lang), json_option(lang)]),
        "reminders": (_reminders, [json_option(lang)]),
        "withdraw": (_withdraw, [number, _owner(lang)]),
        "who": (_who, [number, _owner(lang)]),
        "which": (_which, [there]),
        "size": (_size, [json_option(lang)]),
        "inventory": (_inventory, []),
        "processing": (_processing, []),
        "pack": (_pack, _pack_form(lang)),
    }
    for name, (work, params) in leaves.items():
        group.add_command(leaf(name, lang, f"evidence.{name}", work, *params))
    return group


def _pack_form(lang: str) -> list[click.Parameter]:
    day = click.DateTime(["%Y-%m-%d"])
    out = click.Argument(["out"], type=click.Path(dir_okay=False, path_type=Path))
    owner = click.Option(["--owner"], required=True, help=say("rules.option.owner", lang))
    first = click.Option(
        ["--from", "first"], type=day, required=True, help=say("evidence.option.first", lang)
    )
    last = click.Option(
        ["--to", "last"], type=day, required=True, help=say("evidence.option.last", lang)
    )
    part = click.Option(["--part"], multiple=True, help=say("evidence.option.part", lang))
    return [out, owner, first, last, part]


def _owner(lang: str) -> click.Parameter:
    text = say("rules.option.owner", lang)
    return click.Option(["--owner"], default="", help=text, metavar="CODE")


def _everything(lang: str) -> click.Parameter:
    text = say("evidence.option.all", lang)
    return click.Option(["--all", "everything"], is_flag=True, help=text)


def _template(call: Call, file: Path) -> None:
    from safehands.organisation import load_organisation, write_template
    from safehands.store.register import owners

    with call.installation() as inst:
        codes = sorted(owners(inst.store)) or [""]
    write_template(file, load_organisation(call.settings.policy), codes, call.settings.lang)
    call.line(call.say("evidence.template.done", file=file.name))


def _import(call: Call, file: Path) -> None:
    from safehands import journal
    from safehands.organisation import load_organisation, read_sheet, record

    rows = read_sheet(file, load_organisation(call.settings.policy), call.day)
    with call.installation() as inst:
        new = record(inst, rows, call.day)
        journal.sequence(inst.store, inst.clock())
    call.line(call.say("evidence.import.done", rows=len(rows), new=new))


def _list(call: Call, everything: bool, as_json: bool) -> None:
    from dataclasses import asdict

    from safehands.organisation import entries, load_organisation

    organisation = load_organisation(call.settings.policy)
    with call.installation() as inst:
        found = entries(inst, call.day, withdrawn=everything)
    if as_json:
        click.echo(json.dumps([asdict(e) for e in found], default=str, ensure_ascii=False))
        return
    for entry in found:
        state = "withdrawn" if entry.withdrawn else "valid"
        if not entry.withdrawn and entry.valid_until < call.day:
            state = "expired"
        call.line(
            call.say(
                "evidence.line",
                id=entry.id,
                owner=entry.owner,
                what=organisation.label(entry.kind, call.settings.lang),
                number=f"{entry.number:g}" if entry.entry == "declaration" else "–",
                held=entry.held_on.isoformat(),
                until=entry.valid_until.isoformat(),
                duty=organisation.duties[entry.duty].say(call.settings.lang),
                digest=entry.file_digest[:12] or "–",
                state=call.say(f"evidence.state.{state}"),
            )
        )
    call.line(call.say("evidence.listed", count=len(found)))


def _reminders(call: Call, as_json: bool) -> None:
    from dataclasses import asdict

    from safehands.organisation import load_organisation, reminders

    organisation = load_organisation(call.settings.policy)
    with call.installation() as inst:
        found = reminders(inst, organisation, call.day)
    if as_json:
        click.echo(json.dumps([asdict(r) for r in found], default=str, ensure_ascii=False))
        return
    for reminder in found:
        what = organisation.label(reminder.kind, call.settings.lang)
        until = reminder.until.isoformat() if reminder.until else ""
        key = f"evidence.reminder.{reminder.state}"
        call.line(call.say(key, owner=reminder.owner, what=what, until=until))
    call.line(call.say("evidence.reminded", count=len(found)))


def _withdraw(call: Call, number: int, owner: str) -> None:
    from safehands import journal
    from safehands.organisation import withdraw

    with call.installation() as inst:
        withdraw(inst, owner, number)
        journal.sequence(inst.store, inst.clock())
    call.line(call.say("evidence.withdraw.done", id=number))


def _who(call: Call, number: int, owner: str) -> None:
    from safehands import journal
    from safehands.organisation.register import responsible_for

    with call.installation() as inst:
        name = responsible_for(inst, owner, number)
        journal.sequence(inst.store, inst.clock())
    call.line(call.say("evidence.who.done", name=name) if name else call.say("evidence.who.gone"))


def _which(call: Call, file: Path) -> None:
    from safehands.organisation import entries, load_organisation
    from safehands.organisation.sheet import digest_of

    organisation, digest = load_organisation(call.settings.policy), digest_of(file)
    with call.installation() as inst:
        found = [e for e in entries(inst, call.day) if e.file_digest == digest]
    for entry in found:
        what = organisation.label(entry.kind, call.settings.lang)
        held = entry.held_on.isoformat()
        call.line(call.say("evidence.which.one", id=entry.id, what=what, held=held))
    if not found:
        call.line(call.say("evidence.which.none"))


def _size(call: Call, as_json: bool) -> None:
    from safehands.organisation import load_organisation, sizes

    organisation, lang = load_organisation(call.settings.policy), call.settings.lang
    with call.installation() as inst:
        found = sizes(inst, organisation, call.day)
    if as_json:
        rows = [
            {
                "owner": size.owner,
                "here": size.here,
                "elsewhere": size.elsewhere,
                "total": size.total,
                "tiers": [tier.model_dump(mode="json", by_alias=True) for tier in size.tiers],
            }
            for size in found
        ]
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    for size in found:
        elsewhere = "–" if size.elsewhere is None else f"{size.elsewhere:,}"
        call.line(
            call.say("evidence.size.one", owner=size.owner, here=f"{size.here:,}", other=elsewhere)
        )
        for tier in size.tiers:
            mark = "" if tier.confidence == "text" else f" ({call.say('rulebook.kind.unsettled')})"
            call.line(f"  · {tier.label.say(lang)}: {tier.duty.say(lang)}{mark}")


def _inventory(call: Call) -> None:
    from safehands.organisation import inventory

    with call.installation() as inst:
        click.echo(json.dumps(inventory(inst), ensure_ascii=False, indent=1))


def _processing(call: Call) -> None:
    from safehands.organisation import load_organisation, record_of_processing

    organisation = load_organisation(call.settings.policy)
    with call.installation() as inst:
        found = record_of_processing(inst, organisation, call.day)
    click.echo(json.dumps(found, ensure_ascii=False, indent=1))


def _pack(call: Call, out: Path, owner: str, first: Any, last: Any, part: tuple[str, ...]) -> None:
    from safehands import guard
    from safehands.incidents.pack import pack
    from safehands.organisation import owner_of

    with call.installation() as inst:
        known = owner_of(inst, owner)
        days = (first.date(), last.date())
        counts = guard.guarded("evidence", lambda: pack(inst, known, *days, out, part))
    call.line(call.say("evidence.pack.done", file=out.name, rows=sum(counts.values())))
