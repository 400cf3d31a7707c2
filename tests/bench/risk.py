"""``make bench-risk``: every risk figure but SUDA2 of 5,000,000 rows × 8 quasi-identifiers.

Two tables: ``fine``, where nearly every row is a class of its own (the worst case for everything
that works on classes), and ``coarse``, with some ten thousand classes. Each is assessed in a
process of its own, whose peak memory counts the table, the libraries and the work.

Beside it, in the same run and on the same rows: pyCANON (its nine figures) and ANJANA (k by
the same hierarchies). Both pin older libraries, so that they live in an interpreter of their own,
which ``--peers`` names; nothing is installed here::

    python3 -m venv peers && peers/bin/pip install pycanon==1.3.5 anjana==1.2.3
    make bench-risk WITH=peers/bin/python

Without one the peers are used if this interpreter has them, else the output says that they were not
run. They loop over classes, so they get few rows; the ratio is of times on those rows.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from safehands.risk import Assumptions, assess, reach_k
from safehands.risk.hierarchy import Hierarchy, from_labels
from safehands.risk.hierarchy_default import texts_of

QUASI = ["province", "district", "sex", "age", "hour", "weekday", "carrier", "size"]
SENSITIVE = "goods"
NOT_RUN = "not run: no interpreter with pycanon and anjana (make bench-risk WITH=peers/bin/python)"
_K = 5

# Runs in the peers' interpreter: sys.argv is the CSV file, then the columns' names.
_PYCANON = """
import json, sys, time, pandas
from pycanon import anonymity as a
frame = pandas.read_csv(sys.argv[1], dtype=str)
quasi, sensitive = sys.argv[2].split(","), [sys.argv[3]]
begun = time.perf_counter()
alpha, k = a.alpha_k_anonymity(frame, quasi, sensitive)
c, l = a.recursive_c_l_diversity(frame, quasi, sensitive)
found = {
    "k": a.k_anonymity(frame, quasi), "alpha": alpha,
    "distinct_l": a.l_diversity(frame, quasi, sensitive),
    "entropy_l": a.entropy_l_diversity(frame, quasi, sensitive), "recursive_c": c,
    "basic_beta": a.basic_beta_likeness(frame, quasi, sensitive),
    "enhanced_beta": a.enhanced_beta_likeness(frame, quasi, sensitive),
    "t": a.t_closeness(frame, quasi, sensitive),
    "delta": a.delta_disclosure(frame, quasi, sensitive),
}
seconds = time.perf_counter() - begun
found = {name: None if value != value else float(value) for name, value in found.items()}
print(json.dumps({"seconds": seconds, "figures": found}))
"""
_ANJANA = """
import json, sys, time, pandas
from anjana.anonymity import k_anonymity
frame = pandas.read_csv(sys.argv[1], dtype=str)
quasi = sys.argv[2].split(",")
made = {
    q: {0: frame[q].values, 1: frame[q].str[:-1].values + "*", 2: ["*"] * len(frame)}
    for q in quasi
}
begun = time.perf_counter()
found = k_anonymity(frame.copy(), [], quasi, int(sys.argv[3]), 5, made)
print(json.dumps({"seconds": time.perf_counter() - begun, "rows": len(found)}))
"""


def main() -> None:
    """Run the bench and print its figures."""
    options = _options()
    if options.one:
        print(json.dumps(_assessed(options.one, options.rows)))  # noqa: T201
        return
    found: dict[str, Any] = {
        "machine": f"{platform.machine()}, {_cores()} cores, Python {platform.python_version()}",
        "rows": options.rows,
        "quasi_identifiers": len(QUASI),
        "tables": {name: _in_own_process(name, options.rows) for name in ("fine", "coarse")},
    }
    with tempfile.TemporaryDirectory(prefix="sh-bench-") as folder:
        python = options.peers or _own_peers()
        found["peers"] = _peers(python, Path(folder), options.peer_rows) if python else NOT_RUN
    print(json.dumps(found, indent=None if options.json else 2, ensure_ascii=False))  # noqa: T201


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--peer-rows", type=int, default=1_500, help="ANJANA gets 20 times as many")
    parser.add_argument("--peers", help="a Python that has pycanon and anjana")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", choices=("fine", "coarse"), help=argparse.SUPPRESS)
    return parser.parse_args()


def make_table(name: str, rows: int) -> pa.Table:
    """Return a made-up table of parcels: eight quasi-identifiers, goods and a sampling weight."""
    dice = np.random.default_rng(20261123)
    fine = name == "fine"
    ages = np.clip(dice.normal(38, 14, rows), 16, 95).astype(np.int64)
    columns = {
        "province": dice.integers(11, 42 if fine else 14, rows),
        "district": 110000 + dice.zipf(1.6, rows) % (340 if fine else 12),
        "sex": np.array(["f", "m", "x"])[dice.choice(3, rows, p=[0.49, 0.5, 0.01])],
        "age": ages if fine else ages // 20 * 20,
        "hour": dice.integers(0, 24, rows) // (1 if fine else 8),
        "weekday": dice.integers(0, 7, rows) // (1 if fine else 4),
        "carrier": np.array(list("ABCDEFGHIJ"))[dice.integers(0, 10 if fine else 4, rows)],
        "size": np.array(["S", "M", "L", "XL"])[dice.integers(0, 4, rows)],
        SENSITIVE: np.array([f"g{i:02d}" for i in range(30)])[dice.integers(0, 30, rows)],
        "weight": dice.uniform(1, 30, rows),
    }
    return pa.table({key: pa.array(values) for key, values in columns.items()})


def _assessed(name: str, rows: int) -> dict[str, Any]:
    table = make_table(name, rows)
    before = _peak()
    wall, cpu = perf_counter(), process_time()
    report = assess(
        table, QUASI, SENSITIVE, "weight", assumptions=Assumptions(population=rows * 20)
    )
    wall, cpu = perf_counter() - wall, process_time() - cpu
    return {
        "seconds": round(wall, 2),
        "cpu_seconds": round(cpu, 2),
        "peak_megabytes": _peak(),
        "of_that_table_and_libraries": before,
        "classes": report.classes,
        "k": report.k,
        "combinations": len(report.keys),
    }


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _in_own_process(name: str, rows: int) -> dict[str, Any]:
    words = [sys.executable, __file__, "--one", name, "--rows", str(rows)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _own_peers() -> str | None:
    """Return this interpreter if it has both peers."""
    have = all(importlib.util.find_spec(name) for name in ("pycanon", "anjana"))
    return sys.executable if have else None


def _peers(python: str, folder: Path, rows: int) -> dict[str, Any]:
    few, more = _written(folder, rows), _written(folder, 20 * rows)
    return {
        "pycanon": {"rows": rows, **_beside_pycanon(python, *few)},
        "anjana": {"rows": 20 * rows, **_beside_anjana(python, *more)},
    }


def _written(folder: Path, rows: int) -> tuple[Path, pd.DataFrame]:
    frame = make_table("coarse", rows).select([*QUASI, SENSITIVE]).to_pandas().astype(str)
    path = folder / f"parcels-{rows}.csv"
    frame.to_csv(path, index=False)
    return path, frame


def _run(python: str, script: str, *words: object) -> dict[str, Any]:
    done = subprocess.run(
        [python, "-W", "ignore", "-c", script, *map(str, words)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _beside_pycanon(python: str, path: Path, frame: pd.DataFrame) -> dict[str, Any]:
    theirs = _run(python, _PYCANON, path, ",".join(QUASI), SENSITIVE)
    begun = perf_counter()
    report = assess(frame, QUASI, SENSITIVE)
    ours = perf_counter() - begun
    assert report.pycanon is not None
    figures = {n: None if v != v else float(v) for n, v in vars(report.pycanon).items()}
    differing = sorted(
        name for name, value in theirs["figures"].items() if not _alike(value, figures[name])
    )
    return {
        "seconds": round(theirs["seconds"], 2),
        "ours_with_all_figures": round(ours, 4),
        "ratio": round(theirs["seconds"] / ours),
        "figures_that_differ_in_nine_digits": differing,
    }


def _alike(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) <= 5e-10 * max(1.0, abs(one))


def _beside_anjana(python: str, path: Path, frame: pd.DataFrame) -> dict[str, Any]:
    theirs = _run(python, _ANJANA, path, ",".join(QUASI), _K)
    begun = perf_counter()
    found = reach_k(frame, QUASI, _K, hierarchies=dict.fromkeys(QUASI, _cut_once), limit=0.05)
    ours = perf_counter() - begun
    return {
        "seconds": round(theirs["seconds"], 2),
        "rows_left": theirs["rows"],
        "ours": round(ours, 3),
        "our_rows_left": found.table.num_rows,
        "our_loss": round(found.loss, 4),
        "ratio": round(theirs["seconds"] / ours, 1),
    }


def _cut_once(values: pa.Array[Any], column: str) -> Hierarchy:
    return from_labels(len(values), [[text[:-1] + "*" for text in texts_of(values)]], column)


def _cores() -> int:
    import os

    return len(os.sched_getaffinity(0))


if __name__ == "__main__":
    main()
