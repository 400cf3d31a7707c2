"""``safehands hold``: legal holds, what must not be deleted though its time is over."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from safehands.commands.call import Call, json_option, leaf
from safehands.messages import say

if TYPE_CHECKING:
    from safehands.vault.holds import Hold

__all__ = ["command"]


def command(lang: str) -> click.Command:
    """Return the command group ``hold``."""
    group = click.Group("hold", help=say("cli.hold", lang))
    owner = click.Option(["--owner"], required=True, help=say("cli.hold.option.owner", lang))
    by = click.Option(["--by"], required=True, help=say("cli.vault.option.by", lang))
    number = click.Option(
        ["--number"], required=True, type=int, help=say("cli.hold.option.number", lang)
    )
    ended = click.Option(["--all", "ended"], is_flag=True, help=say("cli.hold.option.all", lang))
    members: dict[str, tuple[Callable[..., None], tuple[click.Parameter, ...]]] = {
        "place": (_place, (owner, by, *_order(lang))),
        "lift": (_lift, (owner, by, number)),
        "list": (_list, (owner, ended, json_option(lang))),
    }
    for name, (work, params) in members.items():
        group.add_command(leaf(name, lang, f"cli.hold.{name}", work, *params))
    return group


def _order(lang: str) -> tuple[click.Parameter, ...]:
    return (
        click.Option(["--reason"], required=True, help=say("cli.vault.option.reason", lang)),
        click.Option(
            ["--responsible"], required=True, help=say("cli.hold.option.responsible", lang)
        ),
        click.Option(
            ["--until"],
            required=True,
            type=click.DateTime(["%Y-%m-%d"]),
            help=say("cli.vault.option.until", lang),
        ),
        click.Option(["--subject"], type=click.UUID, help=say("cli.vault.option.subject", lang)),
        click.Option(["--carrier"], help=say("cli.hold.option.carrier", lang)),
        click.Option(["--reference"], default="", help=say("cli.hold.option.reference", lang)),
    )


def _place(
    call: Call,
    owner: str,
    by: str,
    reason: str,
    responsible: str,
    until: Any,
    subject: UUID | None,
    carrier: str | None,
    reference: str,
) -> None:
    from safehands import guard, journal
    from safehands.vault.holds import Order, place, waybill_token

    if subject is not None and carrier is not None:
        raise click.UsageError("--subject | --carrier")
    typed = click.prompt(call.say("cli.hold.prompt.waybill"), err=True) if carrier else ""
    with call.installation() as inst:
        now = inst.clock()

        def work() -> int:
            waybill = (
                waybill_token(inst.store, inst.policy, owner, carrier, typed) if carrier else None
            )
            order = Order(owner, reason, responsible, until.date(), subject, waybill, reference)
            return place(inst.store, inst.policy, order, by, now)

        number = guard.guarded("hold", work)
        journal.sequence(inst.store, now)
    call.line(call.say("cli.hold.placed", number=number, until=until.date().isoformat()))


def _lift(call: Call, owner: str, by: str, number: int) -> None:
    from safehands import guard, journal
    from safehands.vault.holds import lift

    with call.installation() as inst:
        now = inst.clock()
        guard.guarded("hold", lambda: lift(inst.store, owner, number, by, now))
        journal.sequence(inst.store, now)
    call.line(call.say("cli.hold.lifted", number=number))


def _list(call: Call, owner: str, ended: bool, as_json: bool) -> None:
    from safehands import guard
    from safehands.vault.holds import holds

    with call.installation() as inst:
        found = guard.guarded("hold", lambda: holds(inst.store, owner, ended=ended))
        labels = {
            code: getattr(label, call.settings.lang)
            for code, label in inst.policy.holds.reasons.items()
        }
    if as_json:
        click.echo(json.dumps([asdict(hold) for hold in found], default=str, sort_keys=True))
        return
    for hold in found:
        call.line(_line(call, hold, labels))
    if not found:
        call.line(call.say("cli.hold.none"))


def _line(call: Call, hold: Hold, labels: dict[str, str]) -> str:
    return call.say(
        "cli.hold.line",
        number=hold.id,
        scope=call.say(f"cli.hold.scope.{hold.scope}"),
        reason=labels.get(hold.reason, hold.reason),
        owner=hold.owner,
        until=hold.until.isoformat(),
        reference=hold.reference,
    )
