"""``safehands request``: people's requests from registration to answer.

Phone numbers, codes and new values are typed in, so that they are in no process list and no
history. On the command line stands a request's id.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click
from rich.progress import Progress

from safehands.commands.call import Call, json_option, leaf
from safehands.messages import say

if TYPE_CHECKING:
    from safehands.installation import Installation
    from safehands.rights.bulk import Bulk
    from safehands.rights.carry import Done
    from safehands.store.register import Owner

__all__ = ["command", "subject_of", "typed_phone"]

_ANSWERS = "answers"


def command(lang: str) -> click.Command:
    """Return the command group ``request``."""
    group = click.Group("request", help=say("cli.request", lang))
    request = click.Argument(["request"])
    owner = click.Option(["--owner"], required=True, help=say("cli.hold.option.owner", lang))
    by = click.Option(["--by"], required=True, help=say("cli.vault.option.by", lang))
    evidence = _option(lang, "evidence", default="")
    purpose = _option(lang, "purpose", default="")
    about = (
        click.Option(["--subject"], type=click.UUID, help=say("cli.vault.option.subject", lang)),
        click.Option(["--phone"], is_flag=True, help=say("cli.vault.option.phone", lang)),
    )
    asked = (
        _option(lang, "kind", required=True),
        _option(lang, "behalf", default="self"),
        _option(lang, "channel", default="counter"),
        evidence,
        purpose,
    )
    verdict = (
        click.Option(["--grant"], is_flag=True, help=say("cli.request.option.grant", lang)),
        _option(lang, "refuse", default=""),
        _option(lang, "condition", multiple=True),
    )
    file = click.Argument(["file"], type=click.Path(exists=True, dir_okay=False))
    together = (
        click.Option(["--how"], default="reply", help=say("cli.request.option.bulk_how", lang)),
        click.Option(["--grant"], is_flag=True, help=say("cli.request.option.bulk_grant", lang)),
    )
    members: dict[str, tuple[Callable[..., None], tuple[click.Parameter, ...]]] = {
        "register": (_register, (owner, by, *about, *asked)),
        "send-code": (_send, (request, by)),
        "identify": (_identify, (request, by, _option(lang, "how", default=""), evidence)),
        "decide": (_decide, (request, by, *verdict)),
        "carry-out": (
            _carry_out,
            (
                request,
                by,
                _option(lang, "recipient", default=""),
                _option(lang, "field", default=""),
            ),
        ),
        "list": (_list, (click.Option(["--owner"]), json_option(lang))),
        "bulk": (_bulk, (file, owner, by, *together, evidence, purpose)),
    }
    for name, (work, params) in members.items():
        group.add_command(leaf(name, lang, f"cli.request.{name}", work, *params))
    return group


def _option(lang: str, name: str, **rest: Any) -> click.Parameter:
    return click.Option([f"--{name}"], help=say(f"cli.request.option.{name}", lang), **rest)


def typed_phone(call: Call, phone: bool) -> str:
    """Return the number somebody types, unseen; empty unless ``phone``."""
    if not phone:
        return ""
    return str(click.prompt(call.say("cli.vault.prompt.phone"), hide_input=True, err=True))


def subject_of(inst: Installation, owner: Owner, subject: UUID | None, typed: str) -> UUID:
    """Return the subject that was named, or the newest holder of the typed number.

    Raises ``AccessRefused`` when both or neither is given, and for nobody.
    """
    from safehands.erasure import find_subjects
    from safehands.errors import AccessRefused

    if (subject is None) == (not typed):
        raise AccessRefused("vault.token_or_phone")
    if subject is not None:
        return subject
    found, _ = find_subjects(inst.store, owner, typed)
    if not found:
        raise AccessRefused("vault.nobody")
    return found[0]


def _register(
    call: Call,
    owner: str,
    by: str,
    subject: UUID | None,
    phone: bool,
    kind: str,
    behalf: str,
    channel: str,
    evidence: str,
    purpose: str,
) -> None:
    from safehands.rights.book import load_rights_book
    from safehands.rights.requests import Request, find, register
    from safehands.vault.access import find_owner

    typed = typed_phone(call, phone)

    def work(inst: Installation) -> tuple[Request, bool]:
        book = load_rights_book(inst.settings.policy)
        found = find_owner(inst.store, owner)
        who = subject_of(inst, found, subject, typed)
        request, fresh = register(
            inst.store,
            book,
            owner,
            kind,
            who,
            by,
            inst.clock(),
            secrets.token_bytes(4),
            behalf=behalf,
            channel=channel,
            evidence=evidence,
            purpose=purpose,
        )
        return find(inst.store, request), fresh

    found, fresh = _guarded(call, work)
    if not fresh:
        call.line(call.say("cli.request.known", request=found.request))
        return
    call.line(
        call.say(
            "cli.request.registered",
            request=found.request,
            kind=found.kind,
            target=found.target.isoformat(),
            latest=found.latest.isoformat(),
        )
    )


def _send(call: Call, request: str, by: str) -> None:
    from safehands.rights.book import load_rights_book
    from safehands.rights.identity import send_code
    from safehands.rights.senders import code_file, sender_of

    typed = typed_phone(call, True)

    def work(inst: Installation) -> None:
        book = load_rights_book(inst.settings.policy)
        sender = sender_of(inst.settings, request)
        send_code(inst, book, request, typed, sender, by, secrets.randbelow)

    _guarded(call, work)
    if call.settings.sender:
        call.line(call.say("cli.request.code_sent", request=request))
    else:
        call.line(call.say("cli.request.sent", file=str(code_file(call.settings, request))))


def _identify(call: Call, request: str, by: str, how: str, evidence: str) -> None:
    from safehands.rights.book import load_rights_book
    from safehands.rights.identity import confirm, verify_code

    code = "" if how else str(click.prompt(call.say("cli.request.prompt.code"), err=True))

    def work(inst: Installation) -> None:
        book = load_rights_book(inst.settings.policy)
        if how:
            confirm(inst, book, request, how, evidence, by)
        else:
            verify_code(inst, book, request, code, by)

    _guarded(call, work)
    call.line(call.say("cli.request.identified", request=request))


def _decide(
    call: Call, request: str, by: str, grant: bool, refuse: str, condition: tuple[str, ...]
) -> None:
    from safehands.rights.book import load_rights_book
    from safehands.rights.decide import decide
    from safehands.rights.requests import find

    if grant == bool(refuse):
        raise click.UsageError("--grant | --refuse REASON")

    def work(inst: Installation) -> str:
        book = load_rights_book(inst.settings.policy)
        decide(
            inst,
            book,
            request,
            by,
            inst.clock(),
            grant=grant,
            reason=refuse,
            conditions=condition,
        )
        return find(inst.store, request).state

    state = call.say(f"rights.state.{_guarded(call, work)}")
    call.line(call.say("cli.request.decided", request=request, state=state))


def _carry_out(call: Call, request: str, by: str, recipient: str, field: str) -> None:
    from safehands.rights.carry import Given, carry_out

    value = str(click.prompt(call.say("cli.request.prompt.value"), err=True)) if field else ""

    def work(inst: Installation) -> Done:
        folder = inst.settings.home / _ANSWERS
        given = Given(secrets.token_bytes(16), folder, recipient, field, value)
        return carry_out(inst, request, by, inst.clock(), given)

    done = _guarded(call, work)
    counts = ", ".join(f"{name} {number}" for name, number in done.counts.items())
    call.line(call.say("cli.request.done", request=request, counts=counts))
    if done.file is not None:
        call.line(call.say("cli.request.file", file=str(done.file)))
    if done.passphrase:
        call.line(call.say("cli.request.passphrase", passphrase=done.passphrase))


def _list(call: Call, owner: str | None, as_json: bool) -> None:
    from safehands.rights.requests import list_requests

    found = _guarded(call, lambda inst: list_requests(inst.store, owner))
    if as_json:
        shown = [
            {name: value for name, value in one.__dict__.items() if name != "subject"}
            for one in found
        ]
        click.echo(json.dumps(shown, default=str, sort_keys=True))
        return
    for one in found:
        call.line(
            call.say(
                "cli.request.line",
                request=one.request,
                owner=one.controller,
                kind=one.kind,
                state=call.say(f"rights.state.{one.state}"),
                latest=one.latest.isoformat(),
                late=call.say("cli.request.late") if one.late(call.day) else "",
            )
        )
    if not found:
        call.line(call.say("cli.request.none"))


def _bulk(
    call: Call,
    file: str,
    owner: str,
    by: str,
    how: str,
    grant: bool,
    evidence: str,
    purpose: str,
) -> None:
    from safehands.rights.book import load_rights_book
    from safehands.rights.bulk import Run, bulk

    def work(inst: Installation) -> Bulk:
        book = load_rights_book(inst.settings.policy)
        with Progress(console=call.console, transient=True) as bars:
            task = bars.add_task(Path(file).name, total=None)

            def tell(done: int, every: int) -> None:
                bars.update(task, completed=done, total=every)

            run = Run(how, evidence, grant, purpose)
            folder = inst.settings.home / _ANSWERS
            return bulk(inst, book, owner, Path(file), run, by, secrets.token_bytes, folder, tell)

    found = _guarded(call, work)
    call.line(call.say("cli.request.bulked", **found.__dict__))


def _guarded(call: Call, work: Callable[[Installation], Any]) -> Any:
    from safehands import guard, journal

    with call.installation() as inst:
        result = guard.guarded("request", lambda: work(inst))
        journal.sequence(inst.store, inst.clock())
    return result
