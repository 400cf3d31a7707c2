"""``safehands consent``: what people answered, and who may be processed for what.

Phone numbers are typed in, so that they are in no process list and no history.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from safehands.commands.call import Call, json_option, leaf
from safehands.messages import say

if TYPE_CHECKING:
    from safehands.installation import Installation
    from safehands.store.register import Owner

__all__ = ["command"]


def command(lang: str) -> click.Command:
    """Return the command group ``consent``."""
    group = click.Group("consent", help=say("cli.consent", lang))
    owner = click.Option(["--owner"], required=True, help=say("cli.hold.option.owner", lang))
    by = click.Option(["--by"], required=True, help=say("cli.vault.option.by", lang))
    subject = click.Option(
        ["--subject"], type=click.UUID, help=say("cli.vault.option.subject", lang)
    )
    phone = click.Option(["--phone"], is_flag=True, help=say("cli.vault.option.phone", lang))
    purpose = _option(lang, "purpose", required=True)
    asked = (
        purpose,
        _option(lang, "channel", required=True),
        _option(lang, "notice", type=int),
        click.Option(["--separate"], is_flag=True, help=say("cli.consent.option.separate", lang)),
        _option(lang, "campaign", default=""),
    )
    kind = _option(
        lang, "kind", required=True, type=click.Choice(["granted", "refused", "withdrawn"])
    )
    evidence = _option(lang, "evidence", default="")
    guardian = _option(lang, "guardian", default="")
    at = _option(lang, "at", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%d %H:%M"]))
    file = click.Argument(["file"], type=click.Path(exists=True, dir_okay=False))
    some = _option(lang, "purpose")
    members: dict[str, tuple[Callable[..., None], tuple[click.Parameter, ...]]] = {
        "record": (_record, (owner, by, subject, phone, kind, *asked, evidence, guardian, at)),
        "import": (_import, (file, owner, by, *asked)),
        "basis": (_basis, (owner, some, json_option(lang))),
        "history": (_history, (owner, by, subject, phone, json_option(lang))),
    }
    for name, (work, params) in members.items():
        group.add_command(leaf(name, lang, f"cli.consent.{name}", work, *params))
    return group


def _option(lang: str, name: str, **rest: Any) -> click.Parameter:
    return click.Option([f"--{name}"], help=say(f"cli.consent.option.{name}", lang), **rest)


def _who(inst: Installation, owner: Owner, subject: UUID | None, typed: str) -> UUID:
    from safehands.erasure import find_subjects
    from safehands.errors import AccessRefused

    if (subject is None) == (not typed):
        raise AccessRefused("vault.token_or_phone")
    if subject is not None:
        return subject
    found, _ = find_subjects(inst.store, owner, typed, every_holder=True)
    if not found:
        raise AccessRefused("vault.nobody")
    if len(found) > 1:
        # The number was given to somebody else: an answer of the one is no answer of the other.
        raise AccessRefused("rights.several_holders")
    return found[0]


def _typed(call: Call, phone: bool) -> str:
    if not phone:
        return ""
    prompt = call.say("cli.vault.prompt.phone")
    return str(click.prompt(prompt, hide_input=True, err=True))


def _record(
    call: Call,
    owner: str,
    by: str,
    subject: UUID | None,
    phone: bool,
    kind: Any,
    purpose: str,
    channel: str,
    notice: int | None,
    separate: bool,
    campaign: str,
    evidence: str,
    guardian: str,
    at: datetime | None,
) -> None:
    from safehands import guard, journal
    from safehands.consent import Answer, record
    from safehands.night import SHANGHAI
    from safehands.notices import load_consent_book, versions
    from safehands.store import lock
    from safehands.vault.access import OFFICER, find_owner

    typed = _typed(call, phone)
    with call.installation() as inst:
        now = inst.clock()

        def work() -> int:
            book = load_consent_book(inst.settings.policy, inst.policy)
            found = find_owner(inst.store, owner)
            with inst.store.begin(OFFICER, found.id) as connection:
                lock(connection, f"safehands.controller.{found.id}")
                who = _who(inst, found, subject, typed)
                known = versions(connection, found.id)
                read = notice if notice is not None else (known[-1].number if known else None)
                moment = at.replace(tzinfo=SHANGHAI) if at else now
                answer = Answer(
                    who,
                    kind,
                    purpose,
                    channel,
                    evidence,
                    moment,
                    read,
                    separate,
                    guardian,
                    campaign,
                )
                return record(
                    connection, inst.policy, book, found, known, [answer], by, now, source=""
                )

        stopped = guard.guarded("consent", work)
        journal.sequence(inst.store, now)
    call.line(call.say("cli.consent.recorded", stopped=stopped))


def _import(
    call: Call,
    file: str,
    owner: str,
    by: str,
    purpose: str,
    channel: str,
    notice: int | None,
    separate: bool,
    campaign: str,
) -> None:
    from safehands import guard, journal
    from safehands.consent import import_sheet
    from safehands.consent.sheet import Asked

    asked = Asked(purpose, channel, notice, campaign, separate)
    with call.installation() as inst:
        now = inst.clock()
        found = guard.guarded(
            "consent", lambda: import_sheet(inst, owner, Path(file), asked, by, now)
        )
        journal.sequence(inst.store, now)
    if found.again:
        call.line(call.say("cli.consent.again"))
        return
    call.line(
        call.say(
            "cli.consent.imported",
            recorded=found.recorded,
            unknown=found.unknown,
            stopped=found.stopped,
            minors=found.minors,
        )
    )


def _basis(call: Call, owner: str, purpose: str | None, as_json: bool) -> None:
    from safehands import guard
    from safehands.consent import basis
    from safehands.notices import load_consent_book
    from safehands.vault.access import OFFICER, find_owner

    with call.installation() as inst:

        def work() -> dict[str, int]:
            book = load_consent_book(inst.settings.policy, inst.policy)
            found = find_owner(inst.store, owner)
            with inst.store.begin(OFFICER, found.id) as connection:
                return {
                    name: len(basis(connection, inst.policy, book, name, call.day))
                    for name in ([purpose] if purpose else list(inst.policy.purposes))
                }

        counts = guard.guarded("consent", work)
        purposes = inst.policy.purposes
    if as_json:
        click.echo(json.dumps(counts, sort_keys=True))
        return
    for name, count in counts.items():
        label = getattr(purposes[name].label, call.settings.lang)
        call.line(
            call.say(
                "cli.consent.basis_line",
                purpose=name,
                label=label,
                count=count,
                article=purposes[name].article,
            )
        )


def _history(
    call: Call, owner: str, by: str, subject: UUID | None, phone: bool, as_json: bool
) -> None:
    from safehands import guard, journal
    from safehands.consent import history
    from safehands.vault.access import OFFICER, check_staff, find_owner

    typed = _typed(call, phone)
    with call.installation() as inst:
        now = inst.clock()

        def work() -> list[dict[str, Any]]:
            check_staff(by)
            found = find_owner(inst.store, owner)
            with inst.store.begin(OFFICER, found.id) as connection:
                who = _who(inst, found, subject, typed)
                facts = {"controller": found.code, "action": "history", "by": by}
                journal.append(connection, "consent", f"consent-{found.code}", now, facts)
                return history(connection, [who])

        answers = guard.guarded("consent", work)
        journal.sequence(inst.store, now)
    if as_json:
        click.echo(json.dumps(answers, default=str, sort_keys=True))
        return
    for one in answers:
        call.line(
            call.say(
                "cli.consent.answer",
                at=(one["at"] + timedelta(hours=8)).strftime("%Y-%m-%d %H:%M"),
                purpose=one["purpose"],
                kind=call.say(f"consent.kind.{one['kind']}"),
                separate=call.say("cli.consent.separate") if one["separate"] else "",
                channel=one["channel"],
                evidence=one["evidence"] or "-",
                notice=one["notice"] or "-",
            )
        )
    if not answers:
        call.line(call.say("cli.consent.none"))
