"""``safehands subject``: where one person's data is. No value of it is shown."""

from __future__ import annotations

import json
from dataclasses import asdict
from uuid import UUID

import click

from safehands.commands.call import Call, json_option, leaf
from safehands.commands.request import typed_phone
from safehands.messages import say

__all__ = ["command"]

_KEYS = {
    (True, True): "cli.subject.place",
    (True, False): "cli.subject.open_end",
    (False, True): "cli.subject.maybe",
    (False, False): "cli.subject.unknown",
}


def command(lang: str) -> click.Command:
    """Return the command group ``subject``."""
    group = click.Group("subject", help=say("cli.subject", lang))
    params = (
        click.Option(["--owner"], required=True, help=say("cli.hold.option.owner", lang)),
        click.Option(["--by"], required=True, help=say("cli.vault.option.by", lang)),
        click.Option(["--subject"], type=click.UUID, help=say("cli.vault.option.subject", lang)),
        click.Option(["--phone"], is_flag=True, help=say("cli.vault.option.phone", lang)),
        json_option(lang),
    )
    group.add_command(leaf("locate", lang, "cli.subject.locate", _locate, *params))
    return group


def _locate(
    call: Call, owner: str, by: str, subject: UUID | None, phone: bool, as_json: bool
) -> None:
    from safehands import guard, journal
    from safehands.errors import AccessRefused
    from safehands.rights.locate import Place, locate, locate_number
    from safehands.vault.access import find_owner

    typed = typed_phone(call, phone)
    with call.installation() as inst:
        now = inst.clock()

        def work() -> tuple[list[Place], int]:
            found = find_owner(inst.store, owner)
            if (subject is None) == (not typed):
                raise AccessRefused("vault.token_or_phone")
            if subject is not None:
                return locate(inst, found, subject, by, now), 1
            return locate_number(inst, found, typed, by, now)

        places, holders = guard.guarded("request", work)
        journal.sequence(inst.store, now)
    if as_json:
        click.echo(json.dumps([asdict(one) for one in places], default=str, sort_keys=True))
        return
    for one in places:
        key = _KEYS[one.certain, one.until is not None]
        shown = {
            "place": call.say(f"rights.place.{one.name}"),
            "until": one.until.isoformat() if one.until else "-",
            "clock": call.say(f"rights.clock.{one.name}", days=one.days or 0),
        }
        if one.certain:
            shown |= {"rows": str(one.rows), "first": one.first.isoformat() if one.first else "-"}
        call.line(call.say(key, **shown))
    if holders > 1:
        call.line(call.say("cli.subject.holders", count=holders))
