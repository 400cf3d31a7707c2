"""No file can cost more than the limits: each case is measured, and refused with one message."""

from __future__ import annotations

from pathlib import Path
from time import monotonic

import pytest
from hostile import HOSTILE, damaged_parquet, write

from safehands.datasets import SourceFile
from safehands.errors import BadInput, EmptyFile
from safehands.ingest.child import Reading, Usage, warm_up
from safehands.ingest.limits import Limits
from safehands.messages import LANGUAGES

MEGABYTE = 1024 * 1024


def read(path: Path, limits: Limits | None = None) -> tuple[BadInput | None, Usage, float]:
    """Read all tables of a file to the end; return the problem and what it cost."""
    warm_up()
    begun, problem = monotonic(), None
    with path.open("rb") as handle:
        file = SourceFile("S1", path.name, path.stat().st_size, "")
        reading = Reading(handle, file, limits or Limits())
    try:
        for way in range(reading.look()):
            opened = reading.open(way)
            if not opened.tables:
                raise EmptyFile("ingest.empty", file=path.name)
            for table in opened.tables:
                width = max(len(line.cells) for line in table.head)
                for _ in table.batches(0, width, range(width)):
                    pass
                if table.odd:
                    raise BadInput("ingest.no_rows", file=path.name)
    except BadInput as found:
        problem = found
    reading.close()
    return problem, reading.usage, monotonic() - begun


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_file_is_refused_soon_and_cheaply(case: str, tmp_path: Path) -> None:
    problem, usage, seconds = read(write(tmp_path, case))
    assert problem is not None
    for lang in LANGUAGES:
        assert problem.say(lang).count("\n") == 0
    print(f"{case}: {problem.key}, {seconds:.2f} s, {usage.bytes / MEGABYTE:.0f} MB")  # noqa: T201
    assert seconds <= 5
    assert usage.bytes <= 256 * MEGABYTE


@pytest.mark.parametrize("seed", range(20))
def test_damaged_parquet_never_ends_the_caller(seed: int, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(damaged_parquet(seed))
    _, usage, seconds = read(path)
    assert seconds <= 5
    assert usage.bytes <= 256 * MEGABYTE
