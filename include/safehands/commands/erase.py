"""``safehands erase``: erase somebody, see how far it is, and get the certificate.

A phone number never stands on the command line, where it would stay in the shell's history: it is
read from a file, from standard input or from a prompt that shows nothing. On the command line
stands a request id or a subject id.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from safehands.commands.call import Call, json_option, leaf
from safehands.errors import PolicyError
from safehands.messages import say

if TYPE_CHECKING:
    from safehands.erasure import Request
    from safehands.installation import Installation
    from safehands.store.register import Owner

__all__ = ["command"]

_NUMBER = re.compile(r"[+\d\s()-]{6,}")


def command(lang: str) -> click.Command:
    """Return the command group ``erase``."""
    group = click.Group("erase", help=say("cli.erase", lang))
    about = _about(lang)
    run = (
        *about,
        click.Option(["--reason"], default="withdrawn", help=say("cli.erase.option.reason", lang)),
        click.Option(["--final"], is_flag=True, help=say("cli.erase.option.final", lang)),
        json_option(lang),
    )
    request = click.Argument(["request"])
    out = click.Option(["--out"], metavar="FILE", help=say("cli.erase.option.out", lang))
    maybe = click.Argument(["request"], required=False)
    members: dict[str, tuple[Callable[..., None], tuple[click.Parameter, ...]]] = {
        "plan": (_plan, (*about, json_option(lang))),
        "run": (_run, run),
        "status": (_status, (maybe, json_option(lang))),
        "certificate": (_certificate, (request, out)),
    }
    for name, (work, params) in members.items():
        group.add_command(leaf(name, lang, f"cli.erase.{name}", work, *params))
    return group


def _about(lang: str) -> tuple[click.Parameter, ...]:
    return (
        click.Argument(["who"], required=False, metavar="[REQUEST|SUBJECT]"),
        click.Option(
            ["--phone-file"], metavar="FILE", help=say("cli.erase.option.phone_file", lang)
        ),
        click.Option(["--owner"], help=say("cli.erase.option.owner", lang)),
        click.Option(
            ["--every-holder"], is_flag=True, help=say("cli.erase.option.every_holder", lang)
        ),
    )


@dataclass(frozen=True)
class _Target:
    """Whom a command is about: an open request, or people of one owner who share a number."""

    owner: Owner
    subjects: list[UUID]
    holders: int
    request: Request | None


def _plan(call: Call, as_json: bool, **about: Any) -> None:
    from safehands import erasure, guard

    with call.installation() as inst:

        def work() -> tuple[_Target, dict[str, int]]:
            target = _target(inst, call, **about)
            subjects = target.subjects or _subjects_of(inst, target)
            return target, erasure.weigh(inst.store, target.owner, subjects, call.day)

        target, weighed = guard.guarded("erase", work)
    if as_json:
        click.echo(json.dumps({"holders": target.holders, **weighed}, sort_keys=True))
        return
    _tell_weight(call, target, weighed)


def _tell_weight(call: Call, target: _Target, weighed: dict[str, int]) -> None:
    from safehands.erasure.tables import FATE

    lang = call.settings.lang
    named = [
        f"{say(f'cli.erase.table.{name}', lang)} {weighed[name]}"
        for name in FATE
        if weighed.get(name)
    ]
    call.line(call.say("cli.erase.would", what=", ".join(named) or "0"))
    if target.holders > 1:
        call.line(call.say("cli.erase.holders", count=target.holders))
    for name in ("waiting", "cut"):
        if weighed[name]:
            call.line(call.say(f"cli.erase.{name}", count=weighed[name]))
    if weighed["under_hold"]:
        call.line(call.say("cli.erase.hold"))


def _run(call: Call, reason: str, final: bool, as_json: bool, **about: Any) -> None:
    from safehands import erasure, guard, pipeline

    with call.installation() as inst:

        def work() -> Request:
            target, now = _target(inst, call, **about), inst.clock()
            request = target.request.request if target.request else ""
            if not request:
                request = erasure.new_request_id(now, secrets.token_bytes(4))
                erasure.register(inst.store, target.owner, request, target.subjects, reason, now)
            erasure.erase_due(
                inst.store, target.owner, inst.policy, request, call.day, now, request
            )
            return _one(inst, request)

        found = guard.guarded("erase", work)
        if final:
            pipeline.finish_erasures(inst, call.day)
            found = guard.guarded("erase", lambda: _one(inst, found.request))
    _tell(call, [found], as_json)


def _status(call: Call, request: str | None, as_json: bool) -> None:
    from safehands import guard

    with call.installation() as inst:

        def work() -> Sequence[Request]:
            return [_one(inst, request)] if request else _all(inst)

        found = guard.guarded("erase", work)
    _tell(call, found, as_json)


def _tell(call: Call, found: Sequence[Request], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([_plain(one) for one in found], sort_keys=True))
        return
    if not found:
        call.line(call.say("cli.erase.none"))
    for one in found:
        state = say(f"erasure.state.{one.state}", call.settings.lang)
        call.line(
            call.say("cli.erase.request", request=one.request, owner=one.controller, state=state)
        )


def _plain(one: Request) -> dict[str, Any]:
    return {
        "request": one.request,
        "controller": one.controller,
        "state": one.state,
        "reason": one.reason,
        "requested_at": one.requested_at.isoformat(),
        "erased_at": one.erased_at.isoformat() if one.erased_at else None,
        "counts": one.counts,
        "epoch": one.epoch,
    }


def _certificate(call: Call, request: str, out: str | None) -> None:
    from safehands import erasure, guard
    from safehands.certificates import keep_certificate

    with call.installation() as inst:

        def work() -> tuple[Request, dict[str, Any]]:
            found = _one(inst, request)
            return found, dict(erasure.issue(inst.store, found))

        found, document = guard.guarded("erase", work)
    if out is None:
        click.echo(json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True))
        return
    keep_certificate(Path(out), document)
    call.line(call.say("cli.erase.reach"))
    for item in erasure.reach_of(found):
        what = call.say(f"erasure.reach.{item['what']}")
        until = item.get("until")
        call.line("  · " + (call.say("cli.erase.until", what=what, until=until) if until else what))


def _target(
    inst: Installation,
    call: Call,
    who: str | None,
    phone_file: str | None,
    owner: str | None,
    every_holder: bool,
) -> _Target:
    from safehands import erasure

    if who is None:
        known = _owner(inst, owner)
        phone = _phone(call, phone_file)
        subjects, holders = erasure.find_subjects(
            inst.store, known, phone, every_holder=every_holder
        )
        if not subjects:
            raise PolicyError("erasure.nobody")
        return _Target(known, subjects, holders, None)
    subject = _as_subject(who)
    if subject is not None:
        return _of_subject(inst, subject, owner)
    if _NUMBER.fullmatch(who):
        raise PolicyError("erasure.number_given")
    found = _one(inst, who)
    return _Target(_owner(inst, found.controller), [], 1, found)


def _as_subject(who: str) -> UUID | None:
    try:
        return UUID(who)
    except ValueError:
        return None


def _of_subject(inst: Installation, subject: UUID, code: str | None) -> _Target:
    from safehands import erasure
    from safehands.store.register import owners

    for known in owners(inst.store).values():
        if code in (None, known.code) and erasure.has_subject(inst.store, known, subject):
            return _Target(known, [subject], 1, None)
    raise PolicyError("erasure.nobody")


def _subjects_of(inst: Installation, target: _Target) -> list[UUID]:
    from safehands import erasure

    assert target.request is not None
    return erasure.subjects_of(inst.store, target.owner, target.request.request)


def _owner(inst: Installation, code: str | None) -> Owner:
    from safehands.store.register import owners

    known = owners(inst.store)
    if code is None:
        if len(known) != 1:
            raise PolicyError("erasure.which_owner", owners=", ".join(known))
        return next(iter(known.values()))
    if code not in known:
        raise PolicyError("erasure.unknown_owner", owner=code)
    return known[code]


def _phone(call: Call, phone_file: str | None) -> str:
    if phone_file is None:
        return str(click.prompt(call.say("cli.erase.ask"), hide_input=True, err=True))
    with click.open_file(phone_file, encoding="utf-8") as file:
        line: str = file.readline().strip()
    return line


def _all(inst: Installation) -> list[Request]:
    from safehands import erasure
    from safehands.store.register import owners

    return erasure.list_requests(inst.store, list(owners(inst.store).values()))


def _one(inst: Installation, request: str) -> Request:
    from safehands.datasets import names_a_person

    found = [one for one in _all(inst) if one.request == request]
    if not found:
        shown = "…" if names_a_person(request) else request
        raise PolicyError("erasure.unknown_request", request=shown)
    return found[0]
