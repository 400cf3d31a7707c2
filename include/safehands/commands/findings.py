"""``safehands findings``: what is to be put right, by whom, until when, before and after."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import TYPE_CHECKING

import click

from safehands.commands.call import Call, json_option, leaf
from safehands.errors import PolicyError
from safehands.messages import say

if TYPE_CHECKING:
    from safehands.installation import Installation
    from safehands.rulebook import Books, RuleResult

__all__ = ["command"]


def command(lang: str) -> click.Command:
    """Return the group ``findings``."""
    group = click.Group("findings", help=say("findings.group", lang))
    rule = click.Argument(["rule"], metavar="RULE")
    group.add_command(leaf("list", lang, "findings.list", _list, json_option(lang)))
    opened = [rule, *_open_options(lang)]
    group.add_command(leaf("open", lang, "findings.open", _open, *opened))
    group.add_command(leaf("propose", lang, "findings.propose", _propose, *_open_options(lang)[:1]))
    accept = say("findings.option.accepted", lang)
    closing = [_owner(lang), click.Option(["--accepted"], is_flag=True, help=accept)]
    group.add_command(leaf("close", lang, "findings.close", _close, rule, *closing))
    return group


def _owner(lang: str) -> click.Parameter:
    text = say("rules.option.owner", lang)
    return click.Option(["--owner"], default="", help=text, metavar="CODE")


def _open_options(lang: str) -> list[click.Parameter]:
    return [
        _owner(lang),
        click.Option(["--due"], help=say("findings.option.due", lang), metavar="YYYY-MM-DD"),
        click.Option(["--duty"], default="owner", help=say("findings.option.duty", lang)),
        # Asked for and not taken from the command line, which others on the machine can read.
        click.Option(
            ["--responsible"], is_flag=True, help=say("findings.option.responsible", lang)
        ),
        click.Option(["--note"], is_flag=True, help=say("findings.option.note", lang)),
    ]


def _list(call: Call, as_json: bool) -> None:
    from dataclasses import asdict

    from safehands.organisation import findings, load_organisation

    organisation = load_organisation(call.settings.policy)
    with call.installation() as inst:
        found = findings(inst)
    if as_json:
        click.echo(json.dumps([asdict(f) for f in found], default=str, ensure_ascii=False))
        return
    for finding in found:
        state = "overdue" if finding.overdue(call.day) else finding.state
        call.line(
            call.say(
                "findings.line",
                rule=finding.rule,
                owner=finding.owner,
                due=finding.due.isoformat(),
                duty=organisation.duties[finding.duty].say(call.settings.lang),
                before=_number(finding.before),
                after=_number(finding.after),
                state=call.say(f"findings.state.{state}"),
            )
        )
    still = sum(finding.state == "open" for finding in found)
    call.line(call.say("findings.listed", count=len(found), open=still))


def _open(
    call: Call, rule: str, owner: str, due: str | None, duty: str, responsible: bool, note: bool
) -> None:
    from safehands.organisation import open_finding, owner_of

    name = click.prompt(call.say("findings.prompt.responsible"), err=True) if responsible else ""
    words = click.prompt(call.say("findings.prompt.note"), err=True) if note else ""
    with call.installation() as inst:
        code = owner_of(inst, owner).code
        books, results = _now(inst, call)
        if duty not in books.organisation.duties:
            known = ", ".join(books.organisation.duties)
            raise PolicyError("findings.no_such_duty", duty=duty, known=known)
        result = _result(results, code, rule)
        new = open_finding(
            inst,
            code,
            rule,
            day=call.day,
            due=_due(call, books, due),
            duty=duty,
            source="person",
            figure=_figure(result),
            responsible=name,
            note=words,
        )
        _sequence(inst)
    call.line(call.say("findings.opened" if new else "findings.already", rule=rule))


def _propose(call: Call, owner: str) -> None:
    """Open a finding for every rule that is not met and has none."""
    from safehands.organisation import open_finding, owner_of

    with call.installation() as inst:
        only = owner_of(inst, owner).code if owner else ""
        books, results = _now(inst, call)
        made = [
            open_finding(
                inst,
                result.owner,
                result.rule,
                day=call.day,
                due=_due(call, books, None),
                duty="owner",
                source="rules",
                figure=_figure(result),
            )
            for result in results
            if result.outcome == "not_met" and (not only or result.owner == only)
        ]
        _sequence(inst)
    call.line(call.say("findings.proposed", count=sum(made)))


def _close(call: Call, rule: str, owner: str, accepted: bool) -> None:
    from safehands.organisation import close, findings, owner_of

    with call.installation() as inst:
        code = owner_of(inst, owner).code
        _, results = _now(inst, call)
        measures = [
            f.measure for f in findings(inst, state="open") if (f.owner, f.rule) == (code, rule)
        ]
        result = _result(results, code, rule)
        if result.outcome not in {"met", "not_applicable"} and not accepted:
            raise PolicyError("findings.still_not_met", rule=rule)
        after = next((e.number for e in result.evidence if e.measure in measures), None)
        close(inst, code, rule, day=call.day, after=after, accepted=accepted)
        _sequence(inst)
    call.line(call.say("findings.closed", rule=rule))


def _now(inst: Installation, call: Call) -> tuple[Books, tuple[RuleResult, ...]]:
    from safehands.rulebook import check, open_books

    books = open_books(inst)
    return books, check(inst, call.day, books=books)


def _result(results: tuple[RuleResult, ...], owner: str, rule: str) -> RuleResult:
    found = next((r for r in results if r.owner == owner and r.rule == rule), None)
    if found is None:
        raise PolicyError("rulebook.no_such_rule", rule=rule)
    return found


def _figure(result: RuleResult) -> tuple[str, float | None]:
    """Return measure and number that decided: the first check that isn't met, else the first."""
    evidence = [e for e in result.evidence if e.wanted != "?"]
    deciding = [e for e in evidence if e.outcome == "not_met"]
    first = next(iter([*deciding, *evidence]), None)
    return (first.measure, first.number) if first else ("", None)


def _due(call: Call, books: Books, given: str | None) -> date:
    if given is None:
        return call.day + timedelta(days=books.organisation.finding_days)
    try:
        return date.fromisoformat(given)
    except ValueError:
        raise click.BadParameter("YYYY-MM-DD") from None


def _number(number: float | None) -> str:
    return "–" if number is None else f"{number:g}"


def _sequence(inst: Installation) -> None:
    from safehands import journal

    journal.sequence(inst.store, inst.clock())
