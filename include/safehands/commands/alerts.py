"""``safehands alerts``: what would be told, send it, test a channel."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from safehands.commands.call import Call, json_option, leaf, now
from safehands.errors import SetupProblem
from safehands.messages import say

if TYPE_CHECKING:
    from safehands.alerts import Address, AlertBook, Found

__all__ = ["command"]


def command(lang: str) -> click.Command:
    """Return the group ``alerts``."""
    group = click.Group("alerts", help=say("cli.alerts.group", lang))
    group.add_command(leaf("show", lang, "cli.alerts.show", _show, json_option(lang)))
    group.add_command(leaf("send", lang, "cli.alerts.send", _send))
    name = click.Argument(["channel"], metavar="NAME")
    group.add_command(leaf("test", lang, "cli.alerts.test", _test, name))
    return group


def _show(call: Call, as_json: bool) -> None:
    from safehands.alerts import find, pending
    from safehands.alerts.queue import unsent

    book, address = _books(call)
    with call.installation() as inst:
        found = find(inst, book, call.day, now())
        with inst.store.begin() as connection:
            waiting = {
                one.name: len(pending(connection, one.name))
                + len(unsent(connection, one, book, found))
                for one in address.channels
            }
    if as_json:
        click.echo(
            json.dumps({"found": [asdict(f) for f in found], "to_send": waiting}, default=dict)
        )
        return
    _print(call, book, address, found)
    if not address.channels:
        call.line(call.say("cli.alerts.none", file=str(call.settings.channels)))
    for one in address.channels:
        count = waiting[one.name]
        told = call.say("cli.alerts.channel", channel=one.name, service=one.service, count=count)
        call.line(told)


def _print(call: Call, book: AlertBook, address: Address, found: list[Found]) -> None:
    from safehands.alerts.compose import paragraph

    if not found:
        call.line(call.say("cli.alerts.quiet"))
    for one in found:
        call.line(paragraph("-", one, book, address, (call.settings.lang,)) + "\n")


def _send(call: Call) -> None:
    from safehands.alerts import tell

    with call.installation() as inst:
        done = tell(inst, call.day, now())
    call.line(call.say("cli.alerts.sent", **done))
    if not done["channels"]:
        call.line(call.say("cli.alerts.none", file=str(call.settings.channels)))


def _test(call: Call, channel: str) -> None:
    from safehands.alerts.channels import send
    from safehands.alerts.compose import tongues

    _, address = _books(call)
    found = [one for one in address.channels if one.name == channel]
    if not found:
        known = ", ".join(one.name for one in address.channels) or "–"
        file = str(call.settings.channels)
        raise SetupProblem("alerts.no_such", channel=channel[:40], known=known, file=file)
    one = found[0]
    title, body = (
        " / ".join(say(f"alerts.test.{part}", lang) for lang in tongues(one))
        for part in ("title", "body")
    )
    send(one, title, body)
    call.line(call.say("cli.alerts.tested", channel=one.name, service=one.service))


def _books(call: Call) -> tuple[AlertBook, Address]:
    from safehands.alerts import load_alert_book, read_channels

    book = load_alert_book(call.settings.policy)
    return book, read_channels(call.settings.channels, book)
