"""``safehands assess``: impact assessments (PIPL 55, 56), from live evidence to a signed report."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from safehands.commands.call import Call, json_option, leaf
from safehands.messages import LANGUAGES, say

if TYPE_CHECKING:
    from safehands.installation import Installation
    from safehands.pipia import Case

__all__ = ["command"]


def command(lang: str) -> click.Command:
    """Return the command group ``assess``."""
    from safehands.pipia.questions import OccasionName

    group = click.Group("assess", help=say("cli.assess", lang))
    number = click.Argument(["number"], metavar="NUMBER")
    occasion = click.Option(
        ["--occasion"],
        required=True,
        type=click.Choice(get_args(OccasionName)),
        help=say("cli.assess.option.occasion", lang),
    )
    scope = click.Option(["--scope"], default="", help=say("cli.assess.option.scope", lang))
    owner = click.Option(["--owner"], default="", help=say("rules.option.owner", lang))
    start = (owner, occasion, scope)
    group.add_command(leaf("start", lang, "cli.assess.start", _start, *start))
    # Names and reasons are asked for: others on the machine can read a command line.
    note = click.Option(["--note"], is_flag=True, help=say("cli.assess.option.note", lang))
    question = click.Argument(["question"], metavar="QUESTION")
    choice = click.Argument(["choice"], metavar="yes|no|1-4")
    answer = (number, question, choice, note)
    group.add_command(leaf("answer", lang, "cli.assess.answer", _answer, *answer))
    group.add_command(leaf("sign", lang, "cli.assess.sign", _sign, number))
    some = click.Argument(["number"], metavar="NUMBER", required=False, default="")
    outside = click.Option(
        ["--external", "outside"], is_flag=True, help=say("cli.assess.option.external", lang)
    )
    show = (some, outside, json_option(lang))
    group.add_command(leaf("show", lang, "cli.assess.show", _show, *show))
    out = click.Option(["--out"], default="", help=say("cli.assess.option.out", lang))
    group.add_command(leaf("export", lang, "cli.assess.export", _export, number, outside, out))
    return group


def _start(call: Call, owner: str, occasion: str, scope: str) -> None:
    from safehands import guard, pipia

    with call.installation() as inst:
        work = lambda: pipia.start(inst, owner, occasion, call.day, scope)  # type: ignore[arg-type]  # noqa: E731
        case = guard.guarded("assess", work)
        seen = pipia.look(inst, case, call.day)
        _sequence(inst)
    call.line(
        call.say(
            "cli.assess.started",
            number=str(case.pipia_id)[:8],
            form=call.say(f"pipia.page.form.{case.form}"),
            questions=len(seen.answers),
            drafts=sum(a.draft for a in seen.answers.values()),
        )
    )


def _answer(call: Call, number: str, question: str, choice: str, note: bool) -> None:
    from safehands import guard, pipia

    name = click.prompt(call.say("cli.assess.prompt.assessor"), err=True)
    words = click.prompt(call.say("cli.assess.prompt.note"), err=True) if note else ""
    with call.installation() as inst:

        def work() -> pipia.Opened:
            case = pipia.find(inst, number)
            pipia.answer(inst, case, question, _level(choice), name, words, call.day)
            return pipia.look(inst, case, call.day)

        seen = guard.guarded("assess", work)
        _sequence(inst)
    drafts = sum(a.draft for a in seen.answers.values())
    stale = sum(a.stale for a in seen.answers.values())
    call.line(call.say("cli.assess.answered", question=question, drafts=drafts, stale=stale))


def _level(choice: str) -> int:
    """Return 0 for no, 1 for yes, a level as it is; anything else is -1, which nothing takes."""
    words = {
        say(f"pipia.page.{word}", lang): n
        for n, word in enumerate(("no", "yes"))
        for lang in LANGUAGES
    }
    written = choice.strip().lower()
    if written in words:
        return words[written]
    return int(written) if written.isdecimal() else -1


def _sign(call: Call, number: str) -> None:
    from safehands import guard, pipia

    name = click.prompt(call.say("cli.assess.prompt.signer"), err=True)
    with call.installation() as inst:

        def work() -> tuple[str, Case]:
            digest = pipia.sign(inst, pipia.find(inst, number), name, call.day)
            return digest, pipia.find(inst, number)

        digest, case = guard.guarded("assess", work)
        _sequence(inst)
    keep = str((case.facts or {})["keep_until"])
    call.line(call.say("cli.assess.signed", keep=keep, digest=digest[:16]))


def _show(call: Call, number: str, outside: bool, as_json: bool) -> None:
    from safehands import guard, pipia
    from safehands.pipia.export import document_of
    from safehands.pipia.page import view

    with call.installation() as inst:
        if not number:
            _list(call, pipia.cases(inst), as_json)
            return
        work = lambda: document_of(inst, pipia.find(inst, number), call.day, outside=outside)  # noqa: E731
        document = guard.guarded("assess", work)
    if as_json:
        click.echo(json.dumps(document, ensure_ascii=False, sort_keys=True))
        return
    shown = view(document, call.settings.lang)
    for part, kept in zip(shown["parts"], document["parts"], strict=True):
        call.line(part["label"])
        for row, entry in zip(part["rows"], kept["answers"], strict=True):
            marks = [call.say(f"pipia.page.{m}") for m in ("draft", "stale") if row[m]]
            words = {"name": entry["name"], "text": row["text"], "answer": row["answer"]}
            call.line("  " + call.say("cli.assess.question", marks=" ".join(marks), **words))
    call.line(shown["verdict"])
    for line in shown["contradictions"]:
        call.line(f"! {line}")


def _list(call: Call, found: list[Case], as_json: bool) -> None:
    if as_json:
        rows = [{k: v for k, v in asdict(c).items() if k != "facts"} for c in found]
        click.echo(json.dumps(rows, default=str, sort_keys=True))
        return
    for case in found:
        state = "draft" if case.signed is None else "signed"
        call.line(
            call.say(
                "cli.assess.line",
                number=str(case.pipia_id)[:8],
                owner=case.owner,
                occasion=case.occasion,
                scope=case.scope,
                opened=case.opened.isoformat(),
                state=call.say(f"pipia.page.state.{state}"),
            )
        )
    if not found:
        call.line(call.say("cli.assess.none"))


def _export(call: Call, number: str, outside: bool, out: str) -> None:
    from safehands import guard, pipia
    from safehands.pipia.export import write

    with call.installation() as inst:

        def work() -> list[Path]:
            folder = Path(out) if out else inst.settings.reports / "pipia"
            return write(inst, pipia.find(inst, number), call.day, folder, outside=outside)

        made = guard.guarded("assess", work)
    for path in made:
        call.line(call.say("cli.assess.exported", file=str(path)))


def _sequence(inst: Installation) -> None:
    from safehands import journal

    journal.sequence(inst.store, inst.clock())
