"""Who owns which station, and in which role: the file ``stations.yaml`` in the landing folder.

A controller is the legal owner. For each record set (dataset) the owner's role is declared:
``handler`` (个人信息处理者, PIPL 73), ``joint`` (PIPL 20) or ``entrusted`` (PIPL 21) by which
courier or platform. An ``unknown`` role lets the night run and stops a hand-over.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from safehands.errors import PolicyError

__all__ = ["Controller", "Database", "RecordSet", "Register", "Station", "load_register"]

_CODE = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RecordSet(_Frozen):
    """The owner's role for one dataset."""

    role: Literal["handler", "joint", "entrusted", "unknown"]
    by: str = ""

    @model_validator(mode="after")
    def _who_entrusts(self) -> RecordSet:
        if self.role in {"joint", "entrusted"} and not self.by:
            raise ValueError("by: name the courier or platform")
        return self


class Database(_Frozen):
    """A station's own database: a query and the column by which what is new is told.

    ``url``: SQLAlchemy URL without a password; one with it belongs into the variable
    ``SAFEHANDS_SOURCE_<NAME>``. ``kind``: what the watermark is. ``overlap``: how far below the
    last
    watermark is read again, in seconds or in numbers, for rows that were committed late.
    """

    name: str = Field(pattern=_CODE)
    query: str
    watermark: str
    kind: Literal["time", "number"] = "time"
    overlap: int = Field(default=0, ge=0)
    url: str = Field(default="", repr=False)


class Station(_Frozen):
    """One shop and the subfolder of the landing folder with its exports.

    ``full_exports``: datasets of which every export is the whole, so that what a later one no
    longer lists is noticed.
    """

    code: str = Field(pattern=_CODE)
    name: str
    folder: str
    databases: tuple[Database, ...] = ()
    full_exports: tuple[str, ...] = ()


class Controller(_Frozen):
    """One legal owner with its stations. ``contact``: what its privacy notice tells people."""

    code: str = Field(pattern=_CODE)
    name: str
    kind: Literal["company", "sole_trader", "unknown"] = "unknown"
    contact: str = ""
    record_sets: dict[str, RecordSet]
    stations: tuple[Station, ...]


class Register(_Frozen):
    """All owners that have exports in one landing folder."""

    controllers: tuple[Controller, ...]

    def undeclared(self) -> list[tuple[str, str]]:
        """Return (controller code, dataset) of every record set whose role is unknown."""
        return [
            (c.code, name)
            for c in self.controllers
            for name, record_set in c.record_sets.items()
            if record_set.role == "unknown"
        ]


def load_register(landing: Path, datasets: tuple[str, ...]) -> Register:
    """Read ``stations.yaml`` in ``landing``, or derive a register for a single station.

    With one folder (or files directly in ``landing``) there is nothing to guess: one owner, one
    station, roles unknown. With several folders the owner must say whose they are.

    Raises ``PolicyError`` with a ready-made template when the file is needed and missing.
    """
    if not landing.is_dir():
        raise PolicyError("policy.no_landing", folder=str(landing))
    declared = landing / "stations.yaml"
    if declared.exists():
        return _parse(declared, datasets)
    folders = sorted(p.name for p in landing.iterdir() if p.is_dir() and p.name[0] not in "._")
    if len(folders) > 1:
        template = _template(folders, datasets)
        raise PolicyError("policy.no_stations", folder=str(landing), template=template)
    return _single(folders[0] if folders else ".", datasets)


def _parse(path: Path, datasets: tuple[str, ...]) -> Register:
    try:
        register = Register.model_validate(
            yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        )
    except (UnicodeDecodeError, yaml.YAMLError):
        raise PolicyError("policy.unreadable", file=path.name) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise PolicyError("policy.bad_stations", where=where, why=first["type"]) from None
    _check(register, path.parent, datasets)
    return Register(controllers=tuple(_complete(c, datasets) for c in register.controllers))


def _check(register: Register, landing: Path, datasets: tuple[str, ...]) -> None:
    codes = [c.code for c in register.controllers]
    stations = [(s.code, s.folder) for c in register.controllers for s in c.stations]
    folders = [str((landing / s[1]).resolve()) for s in stations]
    for seen in (codes, [s[0] for s in stations], folders):
        if len(set(seen)) != len(seen):
            raise PolicyError("policy.bad_stations", where="code/folder", why="used twice")
    for code, folder in stations:
        inside = (landing / folder).resolve().is_relative_to(landing.resolve())
        if not inside or not (landing / folder).is_dir():
            raise PolicyError("policy.bad_stations", where=code, why="folder not found")
    for controller in register.controllers:
        exported = {name for station in controller.stations for name in station.full_exports}
        for name in (controller.record_sets.keys() | exported) - set(datasets):
            raise PolicyError("policy.bad_stations", where=controller.code, why=name)


def _complete(controller: Controller, datasets: tuple[str, ...]) -> Controller:
    sets = {d: controller.record_sets.get(d, RecordSet(role="unknown")) for d in datasets}
    return controller.model_copy(update={"record_sets": sets})


def _single(folder: str, datasets: tuple[str, ...]) -> Register:
    station = Station(code="station", name=folder if folder != "." else "station", folder=folder)
    sets = {d: RecordSet(role="unknown") for d in datasets}
    owner = Controller(code="owner", name="owner", record_sets=sets, stations=(station,))
    return Register(controllers=(owner,))


def _template(folders: list[str], datasets: tuple[str, ...]) -> str:
    sets = {d: {"role": "unknown"} for d in datasets}
    stations = [{"code": f"S{i:03}", "name": f, "folder": f} for i, f in enumerate(folders, 1)]
    owner = {"code": "owner", "name": "owner", "kind": "sole_trader"}
    body = {"controllers": [{**owner, "record_sets": sets, "stations": stations}]}
    return yaml.safe_dump(body, allow_unicode=True, sort_keys=False)
