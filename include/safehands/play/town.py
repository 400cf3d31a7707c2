"""The made-up town of a play: the sample's three stations, an heir to them, one night of exports.

Everything lies in a folder of its own with a marker; nothing else is ever removed, and no setting
of the user's installation is read. Each mode is played on a copy of the town as it was after the
night: database, keys and backups.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import yaml
from psycopg.sql import SQL, Identifier

from safehands import embedded, pipeline
from safehands.errors import SetupProblem
from safehands.installation import DATABASE, Installation
from safehands.sample import write_sample
from safehands.settings import Settings
from safehands.stations import Controller, load_register

__all__ = ["MARKER", "Calendar", "Town", "make_town", "remove_town", "stop_town"]

MARKER = ".safehands-play"
_COPIED = ("keys", "keys-second", "backups")

_HEIRS = {
    # The buyer of the asset deal knows some of the seller's customers already.
    "lihua": [{"code": "HZ801", "name": "澄湖校园驿站（李华接手后）", "folder": "HZ801"}],
    "hengxin": [
        {"code": "HZ901", "name": "澄湖校园驿站（恒信承继后）", "folder": "HZ901"},
        {"code": "SZ901", "name": "海棠路便民驿站（恒信）", "folder": "SZ901"},
    ],
}


@dataclass
class Calendar:
    """The clock of a play: it stands still until somebody says how many days later it is."""

    day: date

    def __call__(self) -> datetime:
        """Return noon of the day in UTC, which is the evening in Shanghai."""
        return datetime(self.day.year, self.day.month, self.day.day, 12, tzinfo=UTC)

    def later(self, days: int) -> date:
        """Go on by ``days`` and return the day."""
        self.day += timedelta(days=days)
        return self.day


@dataclass(frozen=True)
class Town:
    """A town after its first night: where it lies and which day it is."""

    folder: Path
    settings: Settings
    day: date

    @property
    def controllers(self) -> dict[str, Controller]:
        """The owners as ``stations.yaml`` declares them, by code."""
        found = load_register(self.settings.landing, ("parcels", "customers", "preferences"))
        return {one.code: one for one in found.controllers}

    @contextmanager
    def copy(self, name: str, clock: Calendar) -> Iterator[Installation]:
        """Open a copy of the town for one mode; it stays until the town is removed."""
        server = embedded.start(embedded.Place(self.settings.home))
        made = f"play_{name}"
        with psycopg.connect(**server.conninfo("postgres"), autocommit=True) as connection:
            command = SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
            connection.execute(command.format(Identifier(made), Identifier(DATABASE)))
        home = self.folder / name
        home.mkdir(mode=0o700)
        for part in _COPIED:
            shutil.copytree(self.settings.home / part, home / part)
        given: dict[str, Any] = {"home": str(home), "landing": str(self.settings.landing)}
        settings = _settings(self.settings.lang, database_url=server.url(made), **given)
        inst = pipeline.open_installation(settings, clock)
        try:
            yield inst
        finally:
            inst.close()


def make_town(folder: Path, day: date, lang: str, tell: Callable[[str, str, str], None]) -> Town:
    """Remove an earlier play in ``folder``, lay out the sample and do its night.

    Raises ``SetupProblem`` for a folder in which something else lies.
    """
    remove_town(folder)
    folder.mkdir(parents=True, mode=0o700)
    (folder / MARKER).touch()
    settings = _settings(lang, home=str(folder / "town"))
    write_sample(settings.landing, day)
    _add_heirs(settings.landing)
    inst = pipeline.open_installation(settings, Calendar(day))
    try:
        pipeline.nightly(inst, day, tell)
    finally:
        inst.close()
    return Town(folder, settings, day)


def remove_town(folder: Path) -> None:
    """Stop the play's database and remove its folder. Raises ``SetupProblem`` for another's."""
    if folder.exists() and not (folder / MARKER).is_file():
        raise SetupProblem("play.other_folder", folder=str(folder))
    # Root's database lies elsewhere, and is still there when somebody removed the folder alone.
    embedded.remove(embedded.Place(folder / "town"))
    if folder.exists():
        shutil.rmtree(folder)


def stop_town(folder: Path) -> None:
    """Stop the play's database; its files stay, to be looked at."""
    if (folder / MARKER).is_file():
        embedded.stop(embedded.Place(folder / "town"))


def _settings(lang: str, **given: str) -> Settings:
    """Settings from the arguments alone: no variable of the user's environment is read."""
    return Settings.read({}, lang=lang, workers="2", **given)


def _add_heirs(landing: Path) -> None:
    path = landing / "stations.yaml"
    register: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    known = {one["code"]: one for one in register["controllers"]}
    known["lihua"]["stations"] += _HEIRS["lihua"]
    heir = {**known["antai"], "code": "hengxin", "name": "恒信驿站有限公司（虚构）"}
    register["controllers"].append({**heir, "stations": _HEIRS["hengxin"]})
    for one in register["controllers"]:
        for station in one["stations"]:
            (landing / station["folder"]).mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(register, allow_unicode=True, sort_keys=False), "utf-8")
