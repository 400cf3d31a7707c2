"""``safehands rules``: list, check and explain the rules in force on a day."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from safehands.commands.call import Call, json_option, leaf
from safehands.messages import say

if TYPE_CHECKING:
    from safehands.rulebook import Books, Occasion, RuleInForce, RuleResult

__all__ = ["command"]

_MARKS = {"met": "✓", "not_met": "✗", "no_evidence": "?", "not_applicable": "–"}


def command(lang: str) -> click.Command:
    """Return the group ``rules``."""
    group = click.Group("rules", help=say("rules.group", lang))
    group.add_command(leaf("list", lang, "rules.list", _list, json_option(lang)))
    group.add_command(leaf("check", lang, "rules.check", _check, *_check_options(lang)))
    rule = click.Argument(["rule"], metavar="ID")
    group.add_command(leaf("explain", lang, "rules.explain", _explain, rule, json_option(lang)))
    return group


def _check_options(lang: str) -> list[click.Parameter]:
    kinds = click.Choice(("handover", "sharing", "incident"))
    return [
        click.Option(["--owner"], default="", help=say("rules.option.owner", lang), metavar="CODE"),
        click.Option(["--occasion"], type=kinds, help=say("rules.option.occasion", lang)),
        click.Option(["--mode"], default="", help=say("rules.option.mode", lang)),
        click.Option(["--scope"], default="", help=say("rules.option.scope", lang)),
        click.Option(["--all", "everything"], is_flag=True, help=say("rules.option.all", lang)),
        json_option(lang),
    ]


def _list(call: Call, as_json: bool) -> None:
    from safehands.rulebook import citation, duty_words, load_rulebook

    book, lang = load_rulebook(call.settings.policy), call.settings.lang
    rules = book.at(call.day)
    if as_json:
        click.echo(json.dumps([_rule_json(r) for r in rules], ensure_ascii=False))
        return
    for rule in rules:
        shown = rule.rule.requirement.say(lang)
        call.line(f"{rule.id}  {shown} · {citation(book, rule, lang)} · {duty_words(rule, lang)}")
    call.line(call.say("rules.listed", count=len(rules), day=call.day.isoformat()))
    late = book.past_review(call.day)
    if late:
        names = ", ".join(rule.id for rule in late)
        call.line(call.say("rules.past_review", count=len(late), rules=names))
    for watched in book.watch:
        what = watched.zh if lang == "zh" else watched.en
        call.line(call.say("rules.watched", what=what, day=watched.seen.isoformat()))


def _check(
    call: Call,
    owner: str,
    occasion: str | None,
    mode: str,
    scope: str,
    everything: bool,
    as_json: bool,
) -> None:
    from safehands import journal
    from safehands.organisation import owner_of
    from safehands.rulebook import Occasion, check, open_books

    given: Any = occasion
    made = Occasion(given, mode, scope) if occasion else None
    with call.installation() as inst:
        books = open_books(inst)
        only = owner_of(inst, owner).code if owner else ""
        results = check(inst, call.day, made, books=books)
        journal.sequence(inst.store, inst.clock())
    shown = [r for r in results if not only or r.owner == only]
    if as_json:
        click.echo(json.dumps([_result_json(r) for r in shown], ensure_ascii=False))
        return
    _show(call, books, shown, made, everything)


def _show(
    call: Call,
    books: Books,
    results: Sequence[RuleResult],
    occasion: Occasion | None,
    everything: bool,
) -> None:
    """Print what needs a person first; what is met or doesn't apply only when asked for."""
    from safehands.rulebook import OUTCOMES

    if not results:
        call.line(call.say("rules.no_owner"))
    for owner in dict.fromkeys(result.owner for result in results):
        mine = [result for result in results if result.owner == owner]
        counts = Counter(result.outcome for result in mine)
        sums = [f"{call.say(f'rulebook.outcome.{o}')} {counts[o]}" for o in OUTCOMES]
        day, what = call.day.isoformat(), str(occasion or "-")
        call.line(
            call.say("rules.owner", owner=owner, day=day, occasion=what, sums=", ".join(sums))
        )
        for outcome in OUTCOMES if everything else OUTCOMES[:2]:
            for result in mine:
                if result.outcome == outcome:
                    for line in _result_lines(call, books, result):
                        call.line(line)
    call.line(call.say("rules.next"))


def _result_lines(call: Call, books: Books, result: RuleResult) -> Iterator[str]:
    from safehands.rulebook import citation

    lang, rule = call.settings.lang, result.in_force
    outcome = call.say(f"rulebook.outcome.{result.outcome}")
    block = call.say("rules.blocks") if result.blocks_handover else ""
    head = f"{_MARKS[result.outcome]} {result.rule} {outcome}{block}"
    yield f"{head} · {rule.rule.requirement.say(lang)}"
    yield f"    {citation(books.rules, rule, lang)}"
    for evidence in result.evidence:
        yield "    " + _evidence_line(call, books, rule, evidence)
    if result.outcome in {"not_met", "no_evidence"}:
        yield f"    → {rule.rule.remedy.say(lang)}"


def _evidence_line(call: Call, books: Books, rule: RuleInForce, evidence: Any) -> str:
    from safehands.rulebook import kind_words
    from safehands.rulebook.names import measure_label

    lang = call.settings.lang
    label = measure_label(evidence.measure, books.organisation, books.rules.figures, lang)
    if evidence.wanted == "?":
        return call.say("rules.evidence.asked", label=label)
    kind = kind_words(evidence.kind, rule, lang)
    if evidence.number is None:
        return call.say("rules.evidence.none", label=label, wanted=evidence.wanted, kind=kind)
    where = " · ".join(part for part in (evidence.run, evidence.source) if part)
    number = f"{evidence.number:g}"
    return call.say(
        "rules.evidence.one",
        label=label,
        number=number,
        wanted=evidence.wanted,
        kind=kind,
        where=where,
    )


def _explain(call: Call, rule: str, as_json: bool) -> None:
    from safehands.errors import PolicyError
    from safehands.organisation import load_organisation
    from safehands.rulebook import load_rulebook

    book = load_rulebook(call.settings.policy)
    if rule not in book.rules:
        raise PolicyError("rulebook.no_such_rule", rule=rule)
    found = next((r for r in book.at(call.day) if r.id == rule), None)
    if found is None:
        raise PolicyError("rulebook.not_in_force", rule=rule, day=call.day.isoformat())
    if as_json:
        click.echo(json.dumps(_rule_json(found), ensure_ascii=False))
        return
    organisation = load_organisation(call.settings.policy)
    for key, value in _explained(call, book, organisation, found):
        call.line(f"{call.say(f'rules.field.{key}')}: {value}")


def _explained(
    call: Call, book: Any, organisation: Any, found: RuleInForce
) -> Iterator[tuple[str, str]]:
    from safehands.rulebook import (
        citation,
        condition_words,
        duty_words,
        kind_words,
        number_words,
        whom,
    )
    from safehands.rulebook.from_store import STATEMENTS
    from safehands.rulebook.names import measure_label

    lang, rule, edition = call.settings.lang, found.rule, found.edition
    yield "id", found.id
    yield "requirement", rule.requirement.say(lang)
    yield "article", citation(book, found, lang)
    until = edition.until.isoformat() if edition.until else call.say("rules.open_end")
    yield "valid", f"{edition.from_.isoformat()} – {until}"
    for other in rule.editions:
        if other is not edition:
            end = other.until.isoformat() if other.until else call.say("rules.open_end")
            cited = citation(book, replace(found, edition=other), lang)
            yield "other_edition", f"{other.from_.isoformat()} – {end}: {cited}"
    yield "binds", whom(found, lang)
    yield "duty", duty_words(found, lang)
    yield "number", number_words(found, lang)
    if rule.interpretation:
        yield "interpretation", rule.interpretation.say(lang)
    yield "confidence", call.say(f"rulebook.confidence.{edition.confidence}")
    yield "step", rule.step
    yield "blocks", call.say("rules.yes" if rule.blocks_handover else "rules.no")
    for condition in rule.applies:
        yield "applies", condition_words(condition, organisation, book.figures, lang)
    for check in found.every_check():
        label = measure_label(check.measure, organisation, book.figures, lang)
        kind = kind_words(check.kind, found, lang)
        only = [condition_words(one, organisation, book.figures, lang) for one in check.when]
        when = call.say("rules.only_when", what="; ".join(only)) if only else ""
        yield "check", f"{label} {check.wanted} ({kind}){when} · {check.measure}"
        if check.measure in STATEMENTS:
            yield "query", STATEMENTS[check.measure]
    yield "remedy", rule.remedy.say(lang)
    yield "review", f"{rule.reviewed.isoformat()} → {found.past_review.isoformat()}"


def _rule_json(found: RuleInForce) -> dict[str, Any]:
    whole = found.rule.model_dump(mode="json", by_alias=True, exclude={"editions"})
    in_force = found.edition.model_dump(mode="json", by_alias=True)
    other = [e.model_dump(mode="json", by_alias=True) for e in found.rule.editions]
    return {"id": found.id, **whole, "in_force": in_force, "editions": other}


def _result_json(result: RuleResult) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "owner": result.owner,
        "day": result.day.isoformat(),
        "rule": result.rule,
        "edition": result.in_force.edition.from_.isoformat(),
        "cites": list(result.in_force.edition.cites),
        "confidence": result.in_force.edition.confidence,
        "duty": result.in_force.rule.duty,
        "number_kind": result.in_force.number.kind,
        "outcome": result.outcome,
        "blocks_handover": result.blocks_handover,
        "evidence": [asdict(e) for e in result.evidence],
    }
