"""What every command is given, and the options they share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime

import click
from rich.console import Console

from safehands.installation import Installation
from safehands.messages import LANGUAGES, say
from safehands.night import SHANGHAI
from safehands.settings import Settings

__all__ = ["Call", "json_option", "leaf", "now"]


def now() -> datetime:
    """Return the present moment: the command line's clock."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Call:
    """What every command gets: settings, the night's date and a console."""

    settings: Settings
    day: date
    console: Console

    def say(self, key: str, /, **params: str | int | float) -> str:
        """Return the message ``key`` in the caller's language."""
        return say(key, self.settings.lang, **params)

    def line(self, text: str) -> None:
        """Print one line as it is, neither wrapped nor coloured."""
        self.console.print(text, highlight=False, soft_wrap=True, markup=False)

    @contextmanager
    def installation(self) -> Iterator[Installation]:
        """Open the installation of the settings and close it again."""
        from safehands.installation import open_installation

        inst = open_installation(self.settings, now)
        try:
            yield inst
        finally:
            inst.close()


def leaf(
    name: str, lang: str, summary: str, work: Callable[..., None], *params: click.Parameter
) -> click.Command:
    """Return the command ``name``, which calls ``work(call, **params)``.

    ``summary`` is the key of its help text. Every command takes ``--landing``, ``--home``,
    ``--date`` and ``--lang``.
    """
    options = [*_common(lang), *params]
    return click.Command(name, callback=_wrapped(work), params=options, help=say(summary, lang))


def json_option(lang: str) -> click.Parameter:
    """Return the option ``--json``, which arrives as ``as_json``."""
    return click.Option(["--json", "as_json"], is_flag=True, help=say("cli.option.json", lang))


def _common(lang: str) -> list[click.Parameter]:
    return [
        click.Option(["--landing"], help=say("cli.option.landing", lang), metavar="DIR"),
        click.Option(["--home"], help=say("cli.option.home", lang), metavar="DIR"),
        click.Option(["--date", "day"], help=say("cli.option.date", lang), metavar="YYYY-MM-DD"),
        click.Option(["--lang"], type=click.Choice(LANGUAGES), help=say("cli.option.lang", lang)),
    ]


def _wrapped(work: Callable[..., None]) -> Callable[..., None]:
    def callback(
        landing: str | None, home: str | None, day: str | None, lang: str | None, **rest: object
    ) -> None:
        given = {"landing": landing, "home": home, "lang": lang}
        settings = Settings.read(os.environ, **{k: v for k, v in given.items() if v})
        work(Call(settings, _day(day), Console()), **rest)

    return callback


def _day(text: str | None) -> date:
    if not text:
        return now().astimezone(SHANGHAI).date()
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise click.BadParameter("YYYY-MM-DD") from None
