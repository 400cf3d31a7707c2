"""A landing of a thousand stations: the bench's rows, dealt out to stations of unequal size."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import yaml

from safehands.sample.bench import write_bench

__all__ = ["write_chain"]

_FILES = 4


def write_chain(
    landing: Path, day: date, stations: int, parcels: int, people: int, *, owners: int = 2
) -> int:
    """Write one export for each of ``stations`` and ``stations.yaml``; return the bytes.

    Each of ``owners`` has equally many stations; ``stations`` is a multiple of it and of 4. Sizes
    fall off like 1 / (rank + 10), so that the largest station has some thirty times the parcels of
    the smallest.
    """
    rows = landing.with_name("rows")
    facts = write_bench(rows, day, parcels=parcels, people=people)
    declared = yaml.safe_load((rows / "stations.yaml").read_text(encoding="utf-8"))
    codes: list[str] = []
    size, each = 0, stations // _FILES
    for number, name in enumerate(facts.files):
        dealt = _dealt(rows / name, each)
        for rank, content in enumerate(dealt):
            codes.append(f"C{number}{rank:04}")
            path = landing / codes[-1] / f"快件台账_{day}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            size += len(content)
        (rows / name).unlink()
    share = len(codes) // owners
    declared["controllers"] = [
        _owner(declared["controllers"], number, codes[number * share : (number + 1) * share])
        for number in range(owners)
    ]
    text = yaml.safe_dump(declared, allow_unicode=True, sort_keys=False)
    (landing / "stations.yaml").write_text(text, encoding="utf-8")
    return size


def _owner(models: list[dict[str, Any]], number: int, codes: list[str]) -> dict[str, Any]:
    stations = [{"code": code, "name": code, "folder": code} for code in codes]
    if number < len(models):
        return {**models[number], "stations": stations}
    code = f"{models[0]['code']}-{number}"
    return {**models[0], "code": code, "name": code, "stations": stations}


def _dealt(source: Path, stations: int) -> Iterator[bytes]:
    header, *lines = source.read_bytes().splitlines(keepends=True)
    weights = [1 / (rank + 10) for rank in range(stations)]
    edges = [round(len(lines) * part / sum(weights)) for part in accumulate(weights, initial=0)]
    for low, high in pairwise(edges):
        yield header + b"".join(lines[low:high])
