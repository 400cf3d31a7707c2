"""``safehands share``: what is given to others, under which agreement, and what must come back."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from safehands.commands.call import Call, json_option, leaf
from safehands.messages import say

if TYPE_CHECKING:
    from safehands.installation import Installation
    from safehands.sharing import ShareBook

__all__ = ["command"]


def command(lang: str) -> click.Command:
    """Return the group ``share``."""
    group = click.Group("share", help=say("cli.share", lang))
    owner = click.Option(["--owner"], required=True, help=say("cli.hold.option.owner", lang))
    by = click.Option(["--by"], required=True, help=say("cli.vault.option.by", lang))
    code = click.Argument(["agreement"])
    file = click.Argument(["file"], type=click.Path(exists=True, dir_okay=False, path_type=Path))
    proof = click.Option(["--evidence"], required=True, help=say("cli.share.option.evidence", lang))
    leaves: dict[str, tuple[Any, tuple[click.Parameter, ...]]] = {
        "agreements": (_agreements, (json_option(lang),)),
        "plan": (_plan, (code, owner, *_what(lang))),
        "give": (_give, (code, owner, by, *_what(lang), *_why(lang))),
        "list": (_list, (owner, json_option(lang))),
        "recalls": (_recalls, (owner,)),
        "recall": (_recall, (code, owner, by)),
        "acknowledge": (_acknowledge, (code, owner, by, proof)),
        "trace": (_trace, (file,)),
    }
    for name, (work, params) in leaves.items():
        group.add_command(leaf(name, lang, f"cli.share.{name}", work, *params))
    return group


def _what(lang: str) -> tuple[click.Parameter, ...]:
    day = click.DateTime(["%Y-%m-%d"])
    return (
        click.Option(["--purpose"], default="", help=say("cli.share.option.purpose", lang)),
        click.Option(["--from", "since"], type=day, help=say("cli.share.option.since", lang)),
        click.Option(["--to", "until"], type=day, help=say("cli.share.option.until", lang)),
    )


def _why(lang: str) -> tuple[click.Parameter, ...]:
    return (click.Option(["--reason"], default="", help=say("cli.share.option.reason", lang)),)


def _request(
    call: Call, book: ShareBook, agreement: str, owner: str, purpose: str, since: Any, until: Any
) -> Any:
    from safehands.sharing import in_force
    from safehands.sharing.plan import Request

    known = in_force(book, agreement, owner, call.day)
    last = until.date() if until else call.day
    first = since.date() if since else last - timedelta(days=29)
    return Request(agreement, owner, purpose or known.purposes[0], first, last)


def _book(inst: Installation) -> ShareBook:
    from safehands.sharing import load_share_book

    return load_share_book(inst.settings.policy, inst.policy)


def _agreements(call: Call, as_json: bool) -> None:
    from safehands.sharing import digest_of, ending

    with call.installation() as inst:
        book = _book(inst)
    soon = {code for code, _ in ending(book, call.day)}
    if as_json:
        listed = {
            code: {**one.model_dump(mode="json"), "digest": digest_of(one)}
            for code, one in book.agreements.items()
        }
        click.echo(json.dumps(listed, ensure_ascii=False, sort_keys=True))
        return
    for code, one in book.agreements.items():
        call.line(
            call.say(
                "cli.share.agreement",
                code=code,
                recipient=one.recipient.say(call.settings.lang),
                role=call.say(f"sharing.role.{one.role}"),
                until=one.until.isoformat(),
                mark="!" if code in soon else "",
            )
        )
    call.line(call.say("cli.share.agreed", count=len(book.agreements), soon=len(soon)))


def _plan(call: Call, agreement: str, owner: str, purpose: str, since: Any, until: Any) -> None:
    from safehands import guard
    from safehands.keys.domain import open_domain
    from safehands.organisation import owner_of
    from safehands.sharing import ask_gate, plan
    from safehands.sharing.disclose import sheet
    from safehands.vault.access import OFFICER

    with call.installation() as inst:
        book = _book(inst)
        request = _request(call, book, agreement, owner, purpose, since, until)
        known = owner_of(inst, owner)

        def work() -> dict[str, Any]:
            domain = open_domain(inst.provider, owner, agreement, make=True)
            with inst.store.begin(OFFICER, known.id) as connection:
                made = plan(connection, inst, book, request, known, domain, call.day)
                verdict = ask_gate(connection, inst, made, known, call.day)
            blockers = [asdict(item) for item in verdict.blockers]
            gate = {"open": verdict.is_open, "blockers": blockers}
            return {**sheet(made, book, call.day), "gate": gate}

        facts = guard.guarded("share", work)
    click.echo(json.dumps(facts, ensure_ascii=False, indent=1))


def _give(
    call: Call,
    agreement: str,
    owner: str,
    by: str,
    purpose: str,
    since: Any,
    until: Any,
    reason: str,
) -> None:
    from safehands import guard, journal
    from safehands.sharing import disclose

    with call.installation() as inst:
        book = _book(inst)
        request = _request(call, book, agreement, owner, purpose, since, until)
        made = guard.guarded("share", lambda: disclose(inst, book, request, call.day, by, reason))
        journal.sequence(inst.store, inst.clock())
    call.line(
        call.say(
            "cli.share.given",
            number=made.number,
            people=made.people,
            rows=made.rows,
            file=str(made.file),
        )
    )


def _list(call: Call, owner: str, as_json: bool) -> None:
    from safehands.organisation import owner_of
    from safehands.sharing import disclosures
    from safehands.vault.access import OFFICER

    with call.installation() as inst, inst.store.begin(OFFICER, owner_of(inst, owner).id) as db:
        found = disclosures(db)
    if as_json:
        click.echo(json.dumps([asdict(line) for line in found], default=str))
        return
    for line in found:
        call.line(call.say("cli.share.line", **{**asdict(line), "day": line.day.isoformat()}))
    call.line(call.say("cli.share.listed", count=len(found)))


def _recalls(call: Call, owner: str) -> None:
    from safehands.sharing import recalls

    with call.installation() as inst:
        found = recalls(inst, _book(inst), owner, call.day)
    for one in found:
        call.line(call.say("cli.share.open", **asdict(one)))
    call.line(call.say("cli.share.opened", count=len(found)))


def _recall(call: Call, agreement: str, owner: str, by: str) -> None:
    from safehands import guard, journal
    from safehands.sharing import recall

    with call.installation() as inst:
        book = _book(inst)
        file = guard.guarded("recall", lambda: recall(inst, book, owner, agreement, call.day, by))
        journal.sequence(inst.store, inst.clock())
    call.line(call.say("cli.share.recalled", file=str(file)))


def _acknowledge(call: Call, agreement: str, owner: str, by: str, evidence: str) -> None:
    from safehands import journal
    from safehands.sharing import acknowledge

    with call.installation() as inst:
        people = acknowledge(inst, owner, agreement, by, evidence)
        journal.sequence(inst.store, inst.clock())
    call.line(call.say("cli.share.acknowledged", people=people))


def _trace(call: Call, file: Path) -> None:
    from safehands.sharing import text_of, trace
    from safehands.store.register import owners

    with call.installation() as inst:
        found = trace(inst, text_of(file), owners(inst.store))
    for one in found:
        name = f"{one.owner}/{one.agreement}"
        call.line(call.say(f"cli.share.traced.{one.how}", name=name, count=one.count, of=one.of))
    if not found:
        call.line(call.say("cli.share.untraced"))
