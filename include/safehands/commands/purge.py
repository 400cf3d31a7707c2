"""``safehands purge``: carry out the retention schedule, or show what it would do and why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Any

import click

from safehands.commands.call import Call

if TYPE_CHECKING:
    from safehands.installation import Installation
    from safehands.purge import Planned

__all__ = ["purge"]


def purge(call: Call, only_plan: bool, confirmed: str | None, as_json: bool) -> None:
    """Purge on the call's date, or with ``only_plan`` show the counts and take nothing.

    ``confirmed`` is the business date once more, when the clock is in doubt.
    """
    stated = _date(confirmed)
    with call.installation() as inst:
        if only_plan:
            _plan(call, inst, as_json, stated)
        else:
            _apply(call, inst, as_json, stated)


def _date(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise click.BadParameter("--confirm-date YYYY-MM-DD") from None


def _apply(call: Call, inst: Installation, as_json: bool, confirmed: date | None) -> None:
    from safehands import pipeline

    head = pipeline.Head.of(call.day)
    outcome = pipeline.purge(inst, head, confirmed)
    if as_json:
        click.echo(json.dumps(outcome.as_dict(), ensure_ascii=False, sort_keys=True))
        return
    shown = ", ".join(f"{name} {number:,}" for name, number in outcome.counts.items())
    call.line(f"{call.say('step.purge')} · {head.run} · {shown}")


def _plan(call: Call, inst: Installation, as_json: bool, confirmed: date | None) -> None:
    from safehands import guard, pipeline
    from safehands.errors import RetentionRefused
    from safehands.purge import check_clock, rehearse

    night = pipeline.night_of(inst, pipeline.Head.of(call.day))
    refused = None
    try:
        # A rehearsal runs every check that the purge runs.
        check_clock(night, inst.store, inst.clock(), confirmed)
    except RetentionRefused as error:
        refused = error
    planned = guard.guarded("purge", lambda: rehearse(night, inst.store))
    if as_json:
        rules = [_record(inst, item) for item in planned]
        told = {"rules": rules, "refused": refused.say(call.settings.lang) if refused else None}
        click.echo(json.dumps(told, ensure_ascii=False, sort_keys=True))
        return
    for line in _lines(call, inst, planned):
        call.line(line)
    if refused is not None:
        call.line(f"✗ {refused.say(call.settings.lang)}")


def _record(inst: Installation, item: Planned) -> dict[str, Any]:
    rule = inst.policy.retention[item.rule]
    told = {"keep_days": rule.keep_days, "kind": rule.kind, "basis": rule.basis}
    return {**asdict(item), **told, "before": item.before.isoformat()}


def _lines(call: Call, inst: Installation, planned: list[Planned]) -> Iterator[str]:
    lang = call.settings.lang
    for item in planned:
        rule = inst.policy.retention[item.rule]
        yield call.say(
            "purge.plan.line",
            label=getattr(rule.label, lang),
            days=rule.keep_days,
            kind=call.say(f"purge.plan.kind.{rule.kind}"),
            basis=rule.basis,
            count=item.due,
            action=call.say(f"report.action.{rule.action}"),
            held=call.say("purge.plan.held", count=item.held) if item.held else "",
        )
    yield ""
    yield call.say("purge.plan.elsewhere")
    for other in inst.policy.elsewhere.values():
        days = other.keep_days
        keep = getattr(other.until, lang) if other.until else ""
        yield call.say(
            "purge.plan.elsewhere.line",
            label=getattr(other.label, lang),
            keep=keep if days is None else call.say("purge.plan.elsewhere.days", days=days),
            kind=call.say(f"purge.plan.kind.{other.kind}"),
            basis=other.basis,
            then=getattr(other.then, lang),
            who=getattr(other.who, lang),
        )
