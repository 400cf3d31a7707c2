"""Figures that other tools publish or print, from tables that can be rebuilt here."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from safehands.risk import Assumptions, assess, group
from safehands.risk.classes import Classes
from safehands.risk.individual import individual_risk
from safehands.risk.suda import suda2
from safehands.risk.uniqueness import population_uniqueness

NINE = 5e-10

# The UCI census table "Adult" as ARX uses it: 30,162 records, nine quasi-identifiers. Only how
# many classes have each size matters here; the counts are of ARX's own file.
ADULT = {
    1: 15512, 2: 2098, 3: 754, 4: 375, 5: 189, 6: 155, 7: 97, 8: 73, 9: 39, 10: 37, 11: 29, 12: 18,
    13: 23, 14: 14, 15: 15, 16: 9, 17: 11, 18: 10, 19: 10, 20: 5, 21: 3, 22: 4, 23: 3, 24: 2, 25: 1,
    26: 3, 27: 5, 29: 1, 30: 2, 32: 1, 34: 1, 35: 1, 36: 1, 45: 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def adult() -> Classes:
    sizes = np.repeat(np.array(list(ADULT)), list(ADULT.values()))
    return group({"q": np.repeat(np.arange(len(sizes)), sizes)}, ["q"])


def test_arx_sample_risks_of_adult(adult: Classes) -> None:
    found = assess({"q": adult.codes}, ["q"])
    assert found.records == 30_162
    assert found.prosecutor.average == pytest.approx(0.6465751607983555, rel=1e-15)
    assert found.prosecutor.highest == 1.0
    assert found.sample_uniques / found.records == pytest.approx(0.5142895033485844, rel=1e-15)


# (sampling fraction, ARX's model, ARX's share of population uniques) from its test of the decision
# rule. ARX's solver stops at 1e-6, which is why its tenth digit is its own.
ARX_DANKAR = [
    (0.1, "pitman", 0.27684993883653597),
    (0.2, "zayatz", 0.3577099234829125),
    (0.01, "pitman", 0.1446083531167384),
    (1.0, "zayatz", 0.5142895033485844),
]


@pytest.mark.parametrize(("fraction", "model", "share"), ARX_DANKAR)
def test_arx_decision_rule_on_adult(
    adult: Classes, fraction: float, model: str, share: float
) -> None:
    assumed = Assumptions(sampling_fraction=fraction, combinations=False)
    found = assess({"q": adult.codes}, ["q"], assumptions=assumed).uniqueness
    assert found is not None
    assert found.share_arx == pytest.approx(share, rel=NINE)
    if fraction < 1:
        # Of a whole population every model gives what is there, so the name says nothing.
        assert found.model_arx == model


def test_arx_zayatz_on_adult(adult: Classes) -> None:
    found = population_uniqueness(adult, 301_620)
    assert found.zayatz / found.population == pytest.approx(0.3207402393466189, rel=NINE)


def test_where_the_papers_snb_departs_from_arx(adult: Classes) -> None:
    found = population_uniqueness(adult, 150_810)
    # ARX calls a solution of its SNB on this table unexpected; the papers' equations have one.
    assert found.snb_arx is None
    assert found.model == "snb"
    assert found.dankar < found.dankar_arx


def _table(rows: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "q0": [(i * 7) % 5 for i in range(rows)],
            "q1": ["xyz"[(i * i) % 3] for i in range(rows)],
            "s0": ["aaabbcde"[(i // 15 * 3 + i) % 8] for i in range(rows)],
            "s1": [(i * 5 + i // 7) % 9 for i in range(rows)],
        }
    )


# What pyCANON 1.3.5 prints for these tables.
PYCANON: list[tuple[int, list[str], dict[str, float]]] = [
    (150, ["s0"], {
        "k": 10, "alpha": 0.6, "distinct_l": 3, "entropy_l": 2, "recursive_c": 1,
        "basic_beta": 1.5, "enhanced_beta": 1.5, "t": 0.3133333333333333,
        "delta": 0.9162907318741551,
    }),
    (150, ["s1"], {
        "k": 10, "alpha": 0.2, "distinct_l": 7, "entropy_l": 6, "recursive_c": 1,
        "basic_beta": 0.4285714285714285, "enhanced_beta": 0.4285714285714285,
        "t": 0.0711111111111111, "delta": 0.3829922522561057,
    }),
    (217, ["s0", "s1"], {
        "k": 14, "alpha": 0.5333333333333333, "distinct_l": 3, "entropy_l": 2, "recursive_c": 1,
        "basic_beta": 1.3146666666666667, "enhanced_beta": 1.3146666666666667,
        "t": 0.3161290322580645, "delta": 0.8392656886899393,
    }),
    (217, ["s1"], {
        "k": 14, "alpha": 0.2, "distinct_l": 7, "entropy_l": 6, "recursive_c": 2,
        "basic_beta": 0.40000000000000013, "enhanced_beta": 0.40000000000000013,
        "t": 0.033333333333333375, "delta": 0.336472236621213,
    }),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "sensitive", "expected"), PYCANON)
def test_pycanon(rows: int, sensitive: list[str], expected: dict[str, float]) -> None:
    found = assess(_table(rows), ["q0", "q1"], sensitive).pycanon
    assert found is not None
    assert vars(found) == pytest.approx(expected, rel=NINE)


# sdcMicro's own tests of indivRisk: eight records, columns A, B, C and a weight.
SDC = {
    "A": [2, 3, 2, 2, 3, 3, 1, 2],
    "B": [3, 3, 3, 3, 3, 3, 4, 3],
    "C": [1, 3, 1, 2, 1, 1, 1, 1],
}
SDC_MISSING = {
    "A": [2, 3, 2, 2, 3, 3, 1, None],
    "B": [3, 3, 3, 3, 3, 3, 4, 3],
    "C": [1, 3, None, 2, 1, 1, None, 1],
}
SDC_WEIGHT = [18.0, 45.5, 39.0, 17.0, 92.0, 8.0, 123.5, 51.0]
SDC_RISK: list[tuple[dict[str, Any], str, list[float]]] = [
    (SDC, "approx", [0.01369863, 0.08579129, 0.01369863, 0.17707583, 0.01877883, 0.01877883,
                     0.03931625, 0.01369863]),
    (SDC, "exact", [0.01355297, 0.08579129, 0.01355297, 0.17707583, 0.01877883, 0.01877883,
                    0.03931625, 0.01355297]),
    (SDC_MISSING, "approx", [0.013698630, 0.085791288, 0.010554090, 0.032466112, 0.009836066,
                             0.009836066, 0.039316254, 0.005973716]),
    (SDC_MISSING, "exact", [0.013552968, 0.085791288, 0.010504889, 0.032466112, 0.009756889,
                            0.009756889, 0.039316254, 0.005962551]),
]  # fmt: skip


@pytest.mark.parametrize(("table", "method", "expected"), SDC_RISK)
def test_sdcmicro_individual_risk(table: Any, method: Any, expected: list[float]) -> None:
    classes = group(pd.DataFrame(table), ["A", "B", "C"])
    found = individual_risk(classes, np.array(SDC_WEIGHT), missing="wildcard", method=method)
    assert found.risk.tolist() == pytest.approx(expected, abs=5.1e-9)


def test_sdcmicro_wildcards_in_the_report() -> None:
    frame = pd.DataFrame({**SDC_MISSING, "w": SDC_WEIGHT})
    assumed = Assumptions(missing="wildcard")
    plain = assess(frame, ["A", "B", "C"], assumptions=assumed)
    assert plain.wildcard is not None
    # sdcMicro: 1/fk = 1/3, 1, 1/4, 1/2, 1/3, 1/3, 1, 1/5.
    assert plain.wildcard.average == pytest.approx((1 + 2 + 0.25 + 0.5 + 0.2) / 8, rel=1e-14)
    assert (plain.wildcard.k, plain.wildcard.sample_uniques) == (1, 2)
    assert plain.individual.expected == pytest.approx(plain.wildcard.average * 8, rel=1e-14)
    weighted = assess(frame, ["A", "B", "C"], weight="w", assumptions=assumed)
    assert weighted.individual.expected == pytest.approx(sum(SDC_RISK[2][2]), abs=1e-8)
    assert weighted.individual.exact_expected == pytest.approx(sum(SDC_RISK[3][2]), abs=1e-8)


BOOK = pd.DataFrame(
    {
        "age": ["20s"] * 7 + ["60s"],
        "gender": ["male"] * 4 + ["female"] * 3 + ["male"],
        "income": ["50k+"] * 2 + ["50k-"] * 6,
        "education": ["highschool"] * 4 + ["university", "highschool", "middle", "university"],
    }
)
GUIDELINE = pd.DataFrame(
    {
        "residence": ["urban"] * 4 + ["rural"] + ["urban"] * 5,
        "gender": ["f", "f", "f", "m", "f", "m", "f", "m", "f", "f"],
        "education": ["si", "si", "pi", "sc", "sc", "sc", "pc", "ps", "si", "si"],
        "labor": ["e", "e", "n", "e", "u", "e", "n", "u", "n", "n"],
    }
)


def test_sdcmicro_suda_scores() -> None:
    book = suda2(group(BOOK, list(BOOK)))
    assert book.score.tolist()[4:] == [4, 2, 6, 8]
    guideline = suda2(group(GUIDELINE, list(GUIDELINE)))
    assert guideline.score.tolist() == [0, 0, 6, 0, 12, 0, 6, 10, 0, 0]


@pytest.mark.parametrize("order", ["abc", "acb", "cab", "cba"])
def test_sdcmicro_suda_contributions(order: str) -> None:
    cells = {"a": [2, 1, 1], "b": [0, 3, 0], "c": [0, 6, 0]}
    found = suda2(group(pd.DataFrame({name: cells[name] for name in order}), list(order)))
    assert found.contribution == {name: {"a": 0.5, "b": 0.375, "c": 0.375}[name] for name in order}
