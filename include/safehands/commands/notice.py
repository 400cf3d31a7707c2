"""``safehands notice``: the privacy notice of an owner, its versions and what changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from safehands.commands.call import Call, json_option, leaf
from safehands.messages import say

if TYPE_CHECKING:
    from safehands.installation import Installation
    from safehands.notices import Notice

__all__ = ["command"]


def command(lang: str) -> click.Command:
    """Return the command group ``notice``."""
    group = click.Group("notice", help=say("cli.notice", lang))
    owner = click.Option(["--owner"], required=True, help=say("cli.hold.option.owner", lang))
    by = click.Option(["--by"], required=True, help=say("cli.vault.option.by", lang))
    number = click.Option(["--number"], type=int, help=say("cli.notice.option.number", lang))
    out = click.Option(["--out"], metavar="FILE.html", help=say("cli.notice.option.out", lang))
    where = click.Option(
        ["--where"], default="", metavar="URL", help=say("cli.notice.option.where", lang)
    )
    first = click.Option(
        ["--from", "first"],
        type=click.DateTime(["%Y-%m-%d"]),
        help=say("cli.notice.option.from", lang),
    )
    against = click.Option(["--against"], type=int, help=say("cli.notice.option.against", lang))
    members: dict[str, tuple[Callable[..., None], tuple[click.Parameter, ...]]] = {
        "show": (_show, (owner, number, out, where)),
        "publish": (_publish, (owner, by, first)),
        "diff": (_diff, (owner, against, json_option(lang))),
    }
    for name, (work, params) in members.items():
        group.add_command(leaf(name, lang, f"cli.notice.{name}", work, *params))
    return group


def _draft(inst: Installation, owner: str) -> dict[str, Any]:
    from safehands.errors import PolicyError
    from safehands.notices import compose, load_consent_book, load_notice_book
    from safehands.stations import load_register

    policy, folder = inst.policy, inst.settings.policy
    register = load_register(inst.settings.landing, tuple(policy.datasets))
    for controller in register.controllers:
        if controller.code == owner:
            return compose(
                policy,
                load_consent_book(folder, policy),
                load_notice_book(folder, policy),
                controller,
            )
    raise PolicyError("notices.unknown_owner", owner=owner)


def _published(inst: Installation, owner: str) -> list[Notice]:
    from safehands.notices import versions
    from safehands.vault.access import OFFICER, find_owner

    found = find_owner(inst.store, owner)
    with inst.store.begin(OFFICER, found.id) as connection:
        return versions(connection, found.id)


def _numbered(known: list[Notice], number: int) -> Notice:
    from safehands.errors import PolicyError

    for notice in known:
        if notice.number == number:
            return notice
    raise PolicyError("notices.unknown_number", number=number)


def _show(call: Call, owner: str, number: int | None, out: str | None, where: str) -> None:
    from safehands.notices import html, missing, sms
    from safehands.notices.render import SEGMENT

    with call.installation() as inst:
        if number is None:
            document, since = _draft(inst, owner), call.day
        else:
            notice = _numbered(_published(inst, owner), number)
            document, since = notice.document, notice.valid_from
    if out is not None:
        Path(out).write_bytes(html(document, number, since))
        call.line(call.say("cli.notice.written", file=out))
    message = sms(document, where or "-", call.settings.lang)
    parts = -(-len(message) // SEGMENT)
    call.line(call.say("cli.notice.sms", count=len(message), parts=parts))
    call.line(message)
    if lacking := missing(document):
        call.line(call.say("cli.notice.lacking", items=", ".join(lacking)))


def _publish(call: Call, owner: str, by: str, first: Any) -> None:
    from safehands import guard, journal
    from safehands.notices import publish

    with call.installation() as inst:
        now = inst.clock()
        since = first.date() if first else call.day
        number, fresh = guard.guarded(
            "notice", lambda: publish(inst.store, _draft(inst, owner), since, by, now)
        )
        journal.sequence(inst.store, now)
    key = "cli.notice.published" if fresh else "cli.notice.unchanged"
    shown = {"number": number, "day": since.isoformat()} if fresh else {"number": number}
    call.line(call.say(key, **shown))


def _diff(call: Call, owner: str, against: int | None, as_json: bool) -> None:
    import json

    from safehands.notices import difference

    with call.installation() as inst:
        known = _published(inst, owner)
        draft = _draft(inst, owner)
    if not known:
        call.line(call.say("cli.notice.none"))
        return
    base = known[-1] if against is None else _numbered(known, against)
    changes = difference(base.document, draft)
    if as_json:
        click.echo(json.dumps([change.__dict__ for change in changes], sort_keys=True))
        return
    for change in changes:
        fresh = call.say("cli.notice.fresh") if change.fresh_consent else ""
        call.line(
            call.say(
                "cli.notice.change",
                item=change.item,
                name=change.name,
                what=change.what,
                fresh=fresh,
            )
        )
    if not changes:
        call.line(call.say("cli.notice.same"))
