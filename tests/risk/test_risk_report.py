"""The whole assessment: equal to its parts, JSON-able, counting people, and free of values."""

from __future__ import annotations

import json
from importlib.resources import files

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml

from safehands.errors import PolicyError
from safehands.risk import (
    Assumptions,
    RiskReport,
    anonymity,
    assess,
    attackers,
    group,
    individual,
    suda,
    uniqueness,
)
from safehands.risk.spread import spread

QUASI = ["district", "sex", "hour"]


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    rows = 900
    return pd.DataFrame(
        {
            "district": rng.choice(["Haidian-zzz", "Chaoyang-zzz", None], rows, p=[0.6, 0.3, 0.1]),
            "sex": rng.choice(["f-zzz", "m-zzz"], rows),
            "hour": rng.geometric(0.2, rows),
            "carrier": rng.choice(["SF-zzz", "YTO-zzz", "ZTO-zzz"], rows, p=[0.7, 0.2, 0.1]),
            "age": rng.integers(18, 70, rows).astype(float),
            "weight": rng.uniform(3, 40, rows),
            "person": rng.integers(0, 500, rows),
        }
    )


@pytest.fixture(scope="module")
def report(frame: pd.DataFrame) -> RiskReport:
    assumed = Assumptions(population=18_000, special_uniques=True, deliberate=0.3)
    return assess(frame, QUASI, ["carrier", "age"], "weight", assumptions=assumed)


def test_the_report_is_its_parts(frame: pd.DataFrame, report: RiskReport) -> None:
    classes = group(frame, QUASI)
    weights = frame["weight"].to_numpy()
    carrier = spread(classes, frame, "carrier")
    assert report.k == anonymity.k_anonymity(classes)
    assert report.class_sizes == anonymity.class_sizes(classes)
    assert sum(size * n for size, n in report.class_sizes.items()) == report.records == 900
    assert report.prosecutor == attackers.prosecutor(classes, 0.2)
    sizes = attackers.weighted_sizes(classes, weights)
    assert (report.journalist, report.population_source) == (
        attackers.journalist(classes, sizes, 0.2),
        "weights",
    )
    assert report.marketer == attackers.marketer(classes, sizes)
    assert report.uniqueness == uniqueness.population_uniqueness(classes, 18_000)
    assert report.individual is not None
    assert report.individual.expected == individual.individual_risk(classes, weights).expected
    assert report.sensitive[0].t == anonymity.t_closeness(carrier)
    assert report.sensitive[0].recursive_l == anonymity.recursive_l(carrier, 2.0)
    assert report.sensitive[1].ordered
    assert report.suda is not None
    assert report.suda.by_size == suda.suda2(classes, sampling_fraction=0.05).by_size
    assert report.l == min(one.distinct_l for one in report.sensitive)
    assert len(report.keys) == 7


def test_the_report_survives_json_and_holds_no_value(report: RiskReport) -> None:
    text = json.dumps(report.as_dict(), allow_nan=False)
    assert "zzz" not in text
    assert json.loads(text)["k"] == report.k
    assert json.loads(text)["class_sizes"][str(report.k)] == report.class_sizes[report.k]
    assert "zzz" not in repr(report)


def test_infinite_figures_become_null() -> None:
    found = assess({"q": np.array([1, 1]), "s": np.array([5, 5])}, ["q"], "s")
    assert found.sensitive[0].recursive_c == float("inf")
    plain = found.as_dict()["sensitive"]
    assert isinstance(plain, list)
    assert plain[0]["recursive_c"] is None


def test_every_kind_of_table_gives_the_same_report(frame: pd.DataFrame) -> None:
    by_frame = assess(frame, QUASI, "carrier")
    arrow = pa.Table.from_pandas(frame)
    columns = {name: frame[name].to_numpy(dtype=object) for name in [*QUASI, "carrier"]}
    assert assess(arrow, QUASI, "carrier") == by_frame
    assert assess(columns, QUASI, "carrier") == by_frame
    half = len(frame) // 2
    chunks = pa.concat_tables([arrow.slice(half), arrow.slice(0, half)])
    shuffled = assess(chunks, QUASI, "carrier")
    assert (shuffled.k, shuffled.keys, shuffled.level) == (
        by_frame.k, by_frame.keys, by_frame.level,
    )  # fmt: skip


def test_people_are_counted_instead_of_rows() -> None:
    # Class x: two rows of p1 and one of p2; class y: four rows of p3.
    frame = pd.DataFrame(
        {
            "q": list("xxxyyyy"),
            "p": ["p1", "p1", "p2", "p3", "p3", "p3", "p3"],
            "s": list("abacccc"),
        }
    )
    by_row, by_person = assess(frame, ["q"], "s"), assess(frame, ["q"], "s", person="p")
    assert (by_row.k, by_row.people) == (3, None)
    assert (by_person.k, by_person.rows, by_person.records, by_person.people) == (1, 7, 3, 3)
    # The second row of p1 is not counted, so class x shows one sensitive value, not two.
    assert by_person.sensitive[0].alpha == 1.0
    assert by_row.sensitive[0].alpha == 1.0
    assert by_person.sensitive[0].distinct_l == 1


def test_where_the_population_comes_from(frame: pd.DataFrame) -> None:
    register = pd.concat([frame, frame])
    assumed = Assumptions(population=1800, combinations=False)
    found = assess(frame, QUASI, register=register, assumptions=assumed)
    assert found.population_source == "register"
    assert found.keys == ()
    expanded = assess(frame, QUASI, assumptions=assumed)
    assert expanded.population_source == "fraction"
    # Doubling every class by register or by fraction is the same.
    assert found.journalist == expanded.journalist
    assert found.marketer == pytest.approx(found.prosecutor.average / 2, rel=1e-12)
    assert assess(frame, QUASI).population_source == "sample"


def test_a_sensitive_quasi_identifier_is_refused(frame: pd.DataFrame) -> None:
    with pytest.raises(PolicyError) as caught:
        assess(frame, QUASI, "sex")
    assert caught.value.key == "risk.sensitive_is_quasi"


@pytest.mark.parametrize("bad", [0.0, -1.0, float("inf"), float("nan")])
def test_bad_weights_are_counted_not_quoted(bad: float) -> None:
    frame = pd.DataFrame({"q": ["a", "b"], "w": [1.5, bad]})
    with pytest.raises(Exception, match="weight") as caught:
        assess(frame, ["q"], weight="w")
    assert caught.value.params == {"column": "w", "count": 1}  # type: ignore[attr-defined]


def test_all_messages_have_both_languages_and_the_same_placeholders() -> None:
    text = files("safehands.messages").joinpath("risk.yaml").read_text(encoding="utf-8")
    for key, sentence in yaml.safe_load(text).items():
        assert key.startswith("risk.")
        assert set(sentence) == {"zh", "en"}
        assert set(_placeholders(sentence["zh"])) == set(_placeholders(sentence["en"]))


def _placeholders(sentence: str) -> list[str]:
    return [part.split("}")[0] for part in sentence.split("{")[1:]]
