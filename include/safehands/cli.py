"""The command line: a whole night, each of its steps, and what state things are in.

``safehands --help`` speaks Chinese or English after ``SAFEHANDS_LANG``. This module and
:mod:`safehands.commands` are an edge: they read the clock and the environment, and nothing below
them does. Every other command is a module of :mod:`safehands.commands`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from safehands.commands import Lazy
from safehands.commands.backup import command as backup_group
from safehands.commands.call import Call, json_option, leaf, now
from safehands.errors import BadInput, QualityGateClosed, SafehandsError, StepFailed
from safehands.messages import LANGUAGES, say
from safehands.settings import Settings

__all__ = ["command", "main", "now"]


def main() -> None:
    """Run the command line and end the process with the error's exit code."""
    settings = _settings_or_exit(_lang_of(sys.argv[1:]))
    try:
        command(settings.lang)(standalone_mode=False)
    except SafehandsError as error:
        _explain(error, settings.lang)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except click.exceptions.Abort:
        sys.exit(130)


def _lang_of(words: list[str]) -> dict[str, str]:
    """Return the language of ``--lang``, which holds for help and errors as well."""
    given = [after for word, after in pairwise(words) if word == "--lang"]
    given += [word.partition("=")[2] for word in words if word.startswith("--lang=")]
    return {"lang": given[-1]} if given and given[-1] in LANGUAGES else {}


def _explain(error: SafehandsError, lang: str) -> None:
    console = Console(stderr=True)
    console.print(f"✗ {error.say(lang)}", style="bold red", highlight=False, soft_wrap=True)


def _settings_or_exit(overrides: dict[str, str]) -> Settings:
    try:
        return Settings.read(os.environ, **overrides)
    except SafehandsError as error:
        _explain(error, "zh")
        _explain(error, "en")
        sys.exit(error.exit_code)


def command(lang: str) -> click.Group:
    """Return the command group with its help in ``lang``."""
    group = Lazy("safehands", lang, say("cli.group", lang))
    for name, (work, extra) in _COMMANDS.items():
        params = [make(lang) for make in extra]
        group.add_command(leaf(name, lang, f"cli.{name}", work, *params))
        if name == "purge":
            group.add_command(backup_group(lang), "backup")
    return group


def _plan_option(lang: str) -> click.Parameter:
    return click.Option(["--plan", "only_plan"], is_flag=True, help=say("cli.option.plan", lang))


def _confirm_option(lang: str) -> click.Parameter:
    help_text = say("purge.option.confirm", lang)
    return click.Option(["--confirm-date", "confirmed"], help=help_text, metavar="YYYY-MM-DD")


def _file_argument(lang: str) -> click.Parameter:  # noqa: ARG001 - one shape for all
    return click.Argument(["file"], required=False, type=click.Path(exists=True, dir_okay=False))


def _key_option(lang: str) -> click.Parameter:
    return click.Option(["--key"], help=say("cli.option.key", lang), metavar="KEY|FILE")


def _sample(call: Call) -> None:
    from safehands.sample import write_sample

    landing = call.settings.landing
    write_sample(landing, call.day)
    call.console.print(say("cli.sample.done", call.settings.lang, folder=str(landing)))


def _nightly(call: Call) -> None:
    from safehands import pipeline, show

    inst = pipeline.open_installation(call.settings, now)
    head, lang = pipeline.Head.of(call.day), call.settings.lang
    try:
        before = pipeline.checkpoint(inst)
        with _progress(call) as tell:
            tonight = pipeline.nightly(inst, call.day, tell)
        show.night(inst, head, lang, call.console)
        if not tonight.shards:
            same = pipeline.checkpoint(inst) == before
            call.console.print(say("show.nothing_new" if same else "show.no_files", lang))
        for station, files in sorted(tonight.frozen.items()):
            call.console.print(say("transfer.frozen", lang, station=station, files=files))
    except (BadInput, QualityGateClosed, StepFailed):
        # The other stations' night went on: it is shown before the problem is.
        show.night(inst, head, lang, call.console)
        raise
    finally:
        inst.close()


class _progress:
    """A bar per step while the night runs; nothing when the output is not a terminal."""

    def __init__(self, call: Call) -> None:
        columns = (TextColumn("{task.description:<28}"), BarColumn(), TimeElapsedColumn())
        self.bars = Progress(*columns, console=call.console, transient=True)
        self.lang, self.tasks = call.settings.lang, dict[tuple[str, str], object]()

    def __enter__(self) -> Callable[[str, str, str], None]:
        self.bars.start()
        return self.tell

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def tell(self, step: str, shard: str, event: str) -> None:
        label = f"{say(f'step.{step}', self.lang)} {shard}"
        if event == "start":
            self.tasks[(step, shard)] = self.bars.add_task(label, total=None)
        else:
            task = self.tasks[(step, shard)]
            self.bars.update(task, total=1, completed=1)  # type: ignore[arg-type]


def _step(name: str) -> Callable[[Call], None]:
    def work(call: Call) -> None:
        from safehands import pipeline, steps

        inst = pipeline.open_installation(call.settings, now)
        try:
            for line in steps.do(inst, name, call.day):
                call.console.print(line, highlight=False, soft_wrap=True)
        finally:
            inst.close()

    return work


def _purge(call: Call, only_plan: bool, confirmed: str | None, as_json: bool) -> None:
    from safehands.commands.purge import purge

    purge(call, only_plan, confirmed, as_json)


def _status(call: Call, as_json: bool) -> None:
    from safehands import pipeline
    from safehands.status import status

    inst = pipeline.open_installation(call.settings, now)
    try:
        found = status(inst)
    finally:
        inst.close()
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, sort_keys=True))
        return
    for key, value in found.items():
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        label = say(f"cli.status.{key}", call.settings.lang)
        call.console.print(f"{label}: {str(shown).strip()}", highlight=False, soft_wrap=True)


def _verify(call: Call, file: str | None, key: str | None) -> None:
    from safehands import verification

    lang = call.settings.lang
    if file is not None:
        verifier = verification.verifier_from(key, call.settings.home / "ledger.pub")
        line = verification.verify_file(Path(file), verifier, lang)
    else:
        line = verification.verify_installation(call.settings, now, lang)
    call.console.print(line, highlight=False, soft_wrap=True)


def _remove(call: Call) -> None:
    from safehands import embedded

    for line in embedded.remove(embedded.Place(call.settings.home)):
        call.console.print(line, highlight=False, soft_wrap=True)


_Extra = tuple[Callable[[str], click.Parameter], ...]
_COMMANDS: dict[str, tuple[Callable[..., None], _Extra]] = {
    "nightly": (_nightly, ()),
    "sample": (_sample, ()),
    "ingest": (_step("ingest"), ()),
    "validate": (_step("validate"), ()),
    "minimise": (_step("minimise"), ()),
    "pseudonymise": (_step("pseudonymise"), ()),
    "purge": (_purge, (_plan_option, _confirm_option, json_option)),
    "prove": (_step("prove"), ()),
    "report": (_step("report"), ()),
    "status": (_status, (json_option,)),
    "remove": (_remove, ()),
    "verify": (_verify, (_file_argument, _key_option)),
}
