"""A landing of a thousand stations: the bench's rows, dealt out to stations of unequal size."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from itertools import accumulate, pairwise
from pathlib import Path

import yaml

from safehands.sample.bench import write_bench

__all__ = ["write_chain"]

_FILES = 4


def write_chain(landing: Path, day: date, stations: int, parcels: int, people: int) -> int:
    """Write one export for each of ``stations`` and ``stations.yaml``; return the bytes.

    Two owners have half of the stations each. Sizes fall off like 1 / (rank + 10), so that the
    largest station has some thirty times the parcels of the smallest.
    """
    rows = landing.with_name("rows")
    facts = write_bench(rows, day, parcels=parcels, people=people)
    declared = yaml.safe_load((rows / "stations.yaml").read_text(encoding="utf-8"))
    owned: dict[int, list[str]] = {}
    size, each = 0, stations // _FILES
    for number, name in enumerate(facts.files):
        codes = [f"C{number}{rank:04}" for rank in range(each)]
        for code, content in zip(codes, _dealt(rows / name, each), strict=True):
            path = landing / code / f"快件台账_{day}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            size += len(content)
        owned.setdefault(number // 2, []).extend(codes)
        (rows / name).unlink()
    for number, codes in owned.items():
        made = [{"code": code, "name": code, "folder": code} for code in codes]
        declared["controllers"][number]["stations"] = made
    text = yaml.safe_dump(declared, allow_unicode=True, sort_keys=False)
    (landing / "stations.yaml").write_text(text, encoding="utf-8")
    return size


def _dealt(source: Path, stations: int) -> Iterator[bytes]:
    header, *lines = source.read_bytes().splitlines(keepends=True)
    weights = [1 / (rank + 10) for rank in range(stations)]
    edges = [round(len(lines) * part / sum(weights)) for part in accumulate(weights, initial=0)]
    for low, high in pairwise(edges):
        yield header + b"".join(lines[low:high])
