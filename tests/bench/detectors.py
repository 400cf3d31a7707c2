"""``make bench``: precision and recall of the detectors, the scrubber and the address splitter.

Everything is measured on the labelled sets of ``tests/labelled_*.py``, with fixed seeds. Columns
come from files with odd or missing headers; texts and look-alikes are those that were held out
when the rules were written; addresses are made from the official divisions.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from labelled_addresses import labelled_addresses
from labelled_columns import labelled_columns
from labelled_texts import HELD_OUT, HELD_OUT_ALIKES, labelled_texts
from measured import addresses_measured, cells_measured, columns_measured, texts_measured, untouched
from safehands.ingest.detect import look, words_of
from safehands.ingest.detect.kinds import PHONES
from safehands.ingest.normalise.addresses import Divisions, load_streets
from safehands.ingest.normalise.scrub import Scrubber
from safehands.policy import load_policy
from safehands.settings import Settings

FILES, EACH, ADDRESSES = 150, 20, 400
SEEDS = {"columns": 1, "texts": 5, "addresses": 4}


def measure() -> dict[str, Any]:
    """Measure everything; a dictionary of figures."""
    folder = Settings.read({}).policy
    policy = load_policy(folder)
    kind_of = kinds(words_of(policy.codes))
    columns = labelled_columns(SEEDS["columns"], FILES)
    scrubber = Scrubber(policy.divisions)
    streets = load_streets(folder / "streets.csv")
    split = Divisions(policy.divisions, streets).split
    places = labelled_addresses(SEEDS["addresses"], policy.divisions, streets, ADDRESSES)
    texts = labelled_texts(SEEDS["texts"], HELD_OUT, EACH)

    def find(text: str) -> list[tuple[int, int, str]]:
        return [(s.start, s.end, s.kind) for s in scrubber.spans(text)]

    return {
        "columns": columns_measured(columns, kind_of).rows(),
        "single_cells": cells_measured(SEEDS["columns"], 200, kind_of).rows(),
        "texts": texts_measured(texts, find).rows(),
        "look_alikes_untouched": round(
            untouched(labelled_texts(SEEDS["texts"], HELD_OUT_ALIKES, 5), find), 3
        ),
        "addresses": addresses_measured(places, split),
    }


def kinds(words: Any) -> Callable[[list[str]], str]:
    """Return what tells a column's kind; all ways of writing a mobile number are one."""

    def kind_of(cells: list[str]) -> str:
        kind = look(cells, words).kind
        return "mobile" if kind in set(PHONES) - {"landline"} else kind

    return kind_of


def main() -> None:
    """Print the figures, as tables or as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    found = measure()
    if parser.parse_args().json:
        print(json.dumps(found, ensure_ascii=False))  # noqa: T201
        return
    for part in ("columns", "single_cells", "texts"):
        print(f"\n{part:<14} precision  recall    of")  # noqa: T201
        for kind, row in found[part].items():
            figures = f"{row['precision']:>9.3f} {row['recall']:>7.3f} {row['of']:>5}"
            print(f"  {kind:<12} {figures}")  # noqa: T201
    print(f"\nlook-alikes left untouched: {found['look_alikes_untouched']:.3f}")  # noqa: T201
    print("\naddresses       right   wrong    of")  # noqa: T201
    for form, row in found["addresses"].items():
        print(f"  {form:<14} {row['right']:>5.3f} {row['wrong']:>7.3f} {row['of']:>5}")  # noqa: T201


if __name__ == "__main__":
    main()
