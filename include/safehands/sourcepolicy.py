"""Source policies: which column of one station's export is which field, confirmed by its owner.

``safehands inspect`` writes one small YAML file per station and kind of header. Only confirmed
ones count: they are part of the policy under which that station's files wait or are read, so that a
file that waited is read again on the next night, and no other is. They hold header wordings of
mapped columns, never a cell.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from safehands.errors import PolicyError

__all__ = [
    "IGNORE",
    "ColumnRule",
    "SourcePolicy",
    "confirmed_digest",
    "earlier",
    "load_sources",
    "write",
]

IGNORE = "ignore"
"""The field of a column that is not read."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ColumnRule(_Frozen):
    """One column. ``field``: a field of the dataset, a part of an address, or ``ignore``.

    ``header`` (cleaned wording), ``seen`` (kind of the cells) and ``confidence`` (0 to 1) say what
    the proposal rested on; they decide nothing.
    """

    field: str
    header: str = ""
    seen: str = ""
    confidence: Annotated[float, Field(ge=0, le=1)] = 0.0


class SourcePolicy(_Frozen):
    """The columns of one station's export, found again by the ``fingerprint`` of its header.

    ``header`` is false for an export without a header row. ``columns``: column letters as
    spreadsheets show them → rule; a column that is not named is not read.
    """

    version: Literal[1] = 1
    station: str
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    dataset: str
    header: bool = True
    confirmed: bool = False
    confirmed_on: str = ""
    columns: dict[Annotated[str, Field(pattern=r"^[A-Z]{1,3}$")], ColumnRule]

    @property
    def file_name(self) -> str:
        """Name of the file that holds it."""
        return f"{self.station}-{self.fingerprint}.yaml"


def load_sources(folder: Path | None) -> tuple[SourcePolicy, ...]:
    """Read the confirmed source policies of ``folder``, in the order of their file names.

    Raises ``PolicyError`` naming the file that is no source policy.
    """
    if folder is None or not folder.is_dir():
        return ()
    every = (_read(path) for path in sorted(folder.glob("*.yaml")))
    return tuple(source for source in every if source.confirmed)


def earlier(source: SourcePolicy, folder: Path) -> SourcePolicy | None:
    """Return what was written before for the same station and header, confirmed or not."""
    path = folder / source.file_name
    return _read(path) if path.exists() else None


def _read(path: Path) -> SourcePolicy:
    try:
        return SourcePolicy.model_validate(
            yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        )
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        raise PolicyError("policy.unreadable", file=path.name) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = f"{path.name}: " + ".".join(str(part) for part in first["loc"])
        raise PolicyError("policy.invalid", where=where, why=first["type"]) from None


def write(source: SourcePolicy, folder: Path) -> Path:
    """Write ``source`` whole or not at all, in place of an earlier one of the same header."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / source.file_name
    partial = path.with_suffix(".partial")
    body = yaml.safe_dump(source.model_dump(), allow_unicode=True, sort_keys=False)
    partial.write_text(_HEAD + body, encoding="utf-8")
    partial.replace(path)
    return path


_HEAD = """\
# 由 safehands inspect 写出。核对每一列后把 confirmed 改为 true（或加 --confirm 再运行一次），
# 下一夜起本站这种表头的文件就按此读取。field: ignore 表示这一列不读。
# Written by `safehands inspect`. Check every column, then set confirmed to true (or run it again
# with --confirm): from the next night this station's files with this header are read like this.
"""


def confirmed_digest(sources: Iterable[SourcePolicy]) -> bytes:
    """Return what the digest of the policy takes in: what the night would do, nothing else."""
    facts = [
        [s.station, s.fingerprint, s.dataset, s.header, {c: r.field for c, r in s.columns.items()}]
        for s in sources
    ]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).digest() if facts else b""
