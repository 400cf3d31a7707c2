"""``safehands vault``: open, correct and restrict one person's record.

Phone numbers and new values are typed in, so that they are in no process list and no history.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from typing import Any
from uuid import UUID

import click

from safehands.commands.call import Call, json_option, leaf
from safehands.messages import say

__all__ = ["command"]


def command(lang: str) -> click.Command:
    """Return the command group ``vault``."""
    group = click.Group("vault", help=say("cli.vault", lang))
    by = (_option(lang, "owner", required=True), _option(lang, "by", required=True))
    purpose = _option(lang, "purpose", required=True)
    subject = _option(lang, "subject", required=True, type=click.UUID)
    either = _option(lang, "subject", type=click.UUID)
    phone = click.Option(["--phone"], is_flag=True, help=say("cli.vault.option.phone", lang))
    field = _option(lang, "field", required=True, type=click.Choice(["name", "address", "phone"]))
    reason = _option(lang, "reason", required=True)
    why = click.Option(["--reason"], default="", help=say("cli.vault.option.many", lang))
    until = _option(lang, "until", type=click.DateTime(["%Y-%m-%d"]))
    members: dict[str, tuple[Callable[..., None], tuple[click.Parameter, ...]]] = {
        "reveal": (_reveal, (*by, purpose, either, phone, why, json_option(lang))),
        "correct": (_correct, (*by, purpose, subject, field)),
        "restrict": (_restrict, (*by, purpose, subject, reason, until)),
        "release": (_release, (*by, purpose, subject)),
    }
    for name, (work, params) in members.items():
        group.add_command(leaf(name, lang, f"cli.vault.{name}", work, *params))
    return group


def _option(lang: str, name: str, **rest: Any) -> click.Parameter:
    return click.Option([f"--{name}"], help=say(f"cli.vault.option.{name}", lang), **rest)


def _reveal(
    call: Call,
    owner: str,
    by: str,
    purpose: str,
    subject: UUID | None,
    phone: bool,
    reason: str,
    as_json: bool,
) -> None:
    from safehands import guard, journal
    from safehands.vault.access import Access
    from safehands.vault.reveal import reveal

    number = _typed(call, "phone") if phone else None
    access = Access(owner, by, purpose)
    with call.installation() as inst:
        now = inst.clock()
        found = guard.guarded(
            "vault",
            lambda: reveal(
                inst.store,
                inst.policy,
                access,
                now,
                subject=subject,
                phone=number,
                reason=reason,
            ),
        )
        journal.sequence(inst.store, now)
    if as_json:
        told = {"subject": str(found.subject), "masked": found.masked, **found.fields}
        click.echo(json.dumps(told, ensure_ascii=False, sort_keys=True))
        return
    call.line(
        call.say(
            "cli.vault.found",
            subject=str(found.subject),
            generation=found.generation + 1,
            holders=found.holders,
            first=found.first_seen.isoformat(),
            last=found.last_seen.isoformat(),
        )
    )
    for name, value in found.fields.items():
        call.line(f"{call.say(f'cli.vault.field.{name}')}: {value}")
    if found.masked:
        call.line(call.say("cli.vault.masked"))


def _correct(call: Call, owner: str, by: str, purpose: str, subject: UUID, field: str) -> None:
    from safehands.vault.access import Access
    from safehands.vault.correct import correct

    asked = "new_phone" if field == "phone" else "value"
    value, access = _typed(call, asked), Access(owner, by, purpose)

    def work(inst: Any, now: Any) -> bool:
        return correct(
            inst.store, inst.policy, access, now, subject=subject, field=field, value=value
        )

    changed = _recorded(call, work)
    call.line(call.say("cli.vault.corrected" if changed else "cli.vault.unchanged"))


def _restrict(
    call: Call, owner: str, by: str, purpose: str, subject: UUID, reason: str, until: Any
) -> None:
    from safehands.vault.access import Access
    from safehands.vault.restrict import restrict

    end: date | None = until.date() if until else None
    access = Access(owner, by, purpose)

    def work(inst: Any, now: Any) -> None:
        restrict(inst.store, inst.policy, access, now, subject=subject, reason=reason, until=end)

    _recorded(call, work)
    call.line(call.say("cli.vault.restricted"))


def _release(call: Call, owner: str, by: str, purpose: str, subject: UUID) -> None:
    from safehands.vault.access import Access
    from safehands.vault.restrict import release

    access = Access(owner, by, purpose)

    def work(inst: Any, now: Any) -> None:
        release(inst.store, inst.policy, access, now, subject=subject)

    _recorded(call, work)
    call.line(call.say("cli.vault.released"))


def _recorded(call: Call, work: Callable[[Any, Any], Any]) -> Any:
    """Do ``work(installation, now)`` behind the guard and number its ledger entry."""
    from safehands import guard, journal

    with call.installation() as inst:
        now = inst.clock()
        result = guard.guarded("vault", lambda: work(inst, now))
        journal.sequence(inst.store, now)
    return result


def _typed(call: Call, what: str) -> str:
    prompt = call.say(f"cli.vault.prompt.{what}")
    return str(click.prompt(prompt, hide_input=what != "value", err=True)).strip()
