"""``safehands complaint``: the register of complaints and its clock."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from uuid import UUID

import click

from safehands.commands.call import Call, json_option, leaf
from safehands.messages import say

__all__ = ["command"]


def command(lang: str) -> click.Command:
    """Return the group ``complaint``."""
    group = click.Group("complaint", help=say("cli.complaint", lang))
    owner = click.Option(["--owner"], required=True, help=say("cli.hold.option.owner", lang))
    by = click.Option(["--by"], required=True, help=say("cli.vault.option.by", lang))
    number = click.Argument(["number"], type=int)
    outcome = click.Option(["--outcome"], required=True, help=say("cli.complaint.outcome", lang))
    moment = click.DateTime(["%Y-%m-%dT%H:%M", "%Y-%m-%d"])
    form = (
        click.Option(["--topic"], required=True, help=say("cli.complaint.topic", lang)),
        click.Option(["--channel"], required=True, help=say("cli.complaint.channel", lang)),
        click.Option(["--reference"], default="", help=say("cli.complaint.reference", lang)),
        click.Option(["--received"], type=moment, help=say("cli.complaint.received", lang)),
        click.Option(["--subject"], type=click.UUID, help=say("cli.vault.option.subject", lang)),
    )
    leaves: dict[str, tuple[Any, tuple[click.Parameter, ...]]] = {
        "receive": (_receive, (owner, by, *form)),
        "answer": (_answer, (number, owner, by, outcome)),
        "list": (_list, (owner, json_option(lang))),
    }
    for name, (work, params) in leaves.items():
        group.add_command(leaf(name, lang, f"cli.complaint.{name}", work, *params))
    return group


def _receive(
    call: Call,
    owner: str,
    by: str,
    topic: str,
    channel: str,
    reference: str,
    received: datetime | None,
    subject: UUID | None,
) -> None:
    from safehands import guard, journal
    from safehands.incidents import load_incident_book
    from safehands.incidents.complaints import receive
    from safehands.night import SHANGHAI
    from safehands.organisation import owner_of

    with call.installation() as inst:
        book, known = load_incident_book(inst.settings.policy), owner_of(inst, owner)
        at = received.replace(tzinfo=SHANGHAI) if received else inst.clock()
        number = guard.guarded(
            "complaint",
            lambda: receive(inst, book, known, topic, channel, reference, at, by, subject),
        )
        journal.sequence(inst.store, inst.clock())
    call.line(call.say("cli.complaint.received_as", number=number, days=book.complaints.days))


def _answer(call: Call, number: int, owner: str, by: str, outcome: str) -> None:
    from safehands import journal
    from safehands.incidents import load_incident_book
    from safehands.incidents.complaints import answer
    from safehands.organisation import owner_of

    with call.installation() as inst:
        book = load_incident_book(inst.settings.policy)
        answer(inst, book, owner_of(inst, owner), number, outcome, by)
        journal.sequence(inst.store, inst.clock())
    call.line(call.say("cli.complaint.answered", number=number))


def _list(call: Call, owner: str, as_json: bool) -> None:
    from dataclasses import asdict

    from safehands.incidents.complaints import complaints, overdue_figure, statistics
    from safehands.organisation import owner_of
    from safehands.vault.access import OFFICER

    with call.installation() as inst:
        known = owner_of(inst, owner)
        with inst.store.begin(OFFICER, known.id) as connection:
            found = complaints(connection)
        overdue_figure(inst, known, call.day)
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found], default=str, ensure_ascii=False))
        return
    for one in found:
        state = call.say(f"complaint.state.{one.state(call.day)}")
        due = one.due.isoformat()
        call.line(
            call.say("cli.complaint.line", number=one.number, topic=one.topic, due=due, state=state)
        )
    call.line("; ".join(f"{k}: {v}" for k, v in statistics(found, call.day).items()))
