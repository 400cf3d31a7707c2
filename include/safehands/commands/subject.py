"""``safehands subject``: where one person's data is. No value of it is shown."""

from __future__ import annotations

import json
from dataclasses import asdict
from uuid import UUID

import click

from safehands.commands.call import Call, json_option, leaf
from safehands.commands.request import subject_of, typed_phone
from safehands.messages import say

__all__ = ["command"]


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
    from safehands.rights.locate import Place, locate
    from safehands.vault.access import find_owner

    typed = typed_phone(call, phone)
    with call.installation() as inst:
        now = inst.clock()

        def work() -> list[Place]:
            found = find_owner(inst.store, owner)
            return locate(inst, found, subject_of(inst, found, subject, typed), by, now)

        places = guard.guarded("request", work)
        journal.sequence(inst.store, now)
    if as_json:
        click.echo(json.dumps([asdict(one) for one in places], default=str, sort_keys=True))
        return
    for one in places:
        key = "cli.subject.place" if one.certain else "cli.subject.maybe"
        shown = {
            "place": call.say(f"rights.place.{one.name}"),
            "until": one.until.isoformat() if one.until else "-",
        }
        if one.certain:
            shown |= {"rows": str(one.rows), "first": one.first.isoformat() if one.first else "-"}
        call.line(call.say(key, **shown))
