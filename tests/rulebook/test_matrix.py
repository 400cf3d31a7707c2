"""The tables of the standards, cell by cell, and what their levels mean."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from safehands.errors import PolicyError
from safehands.risk.level import LEAST_CLASS
from safehands.rulebook import load_matrices
from safehands.settings import Settings

SHIPPED = Settings.read({}).policy
MATRICES = load_matrices(SHIPPED)
MATRIX = MATRICES.impact_assessment
LEVEL = st.integers(1, 4)
DIMENSIONS = ("self_determination", "differential_treatment", "reputation", "harm")


@pytest.mark.parametrize(
    ("impact", "row"), [(4, "中高严严"), (3, "中中高严"), (2, "低中中高"), (1, "低低中中")]
)
def test_table_d5(impact: int, row: str) -> None:
    found = "".join(MATRIX.risk[MATRIX.overall(impact, n)].zh[0] for n in (1, 2, 3, 4))
    assert found == row


@given(LEVEL, LEVEL, LEVEL, LEVEL)
def test_more_impact_or_likelihood_is_never_less_risk(a: int, b: int, c: int, d: int) -> None:
    low, high = MATRIX.overall(min(a, b), min(c, d)), MATRIX.overall(max(a, b), max(c, d))
    assert low <= high


@given(st.tuples(LEVEL, LEVEL, LEVEL, LEVEL))
def test_the_highest_dimension_counts(levels: tuple[int, ...]) -> None:
    assert MATRIX.impact_of(dict(zip(DIMENSIONS, levels, strict=True))) == max(levels)


def test_what_is_not_of_the_scale_is_refused() -> None:
    for impact, likelihood in ((0, 1), (5, 1), (1, 0), (1, 5)):
        with pytest.raises(PolicyError):
            MATRIX.overall(impact, likelihood)
    with pytest.raises(PolicyError):
        MATRIX.impact_of(dict.fromkeys(DIMENSIONS[:3], 1))
    with pytest.raises(PolicyError):
        MATRIX.impact_of(dict.fromkeys((*DIMENSIONS, "fun"), 1))


def test_our_choices_are_marked_as_policy_and_the_tables_as_standards() -> None:
    assert (MATRIX.combine.kind, MATRIX.unacceptable.kind) == ("P", "P")
    assert [MATRIX.acceptable(risk) for risk in (1, 2, 3, 4)] == [True, True, False, False]
    tables = (MATRIX, MATRICES.deidentification, MATRICES.national_grade, MATRICES.sensitive)
    assert {(table.kind, table.confidence) for table in tables} == {("S", "secondary")}
    assert MATRIX.likelihood_names == "memory"


def test_thresholds_agree_with_the_risk_figures() -> None:
    assert MATRICES.deidentification.least_class == LEAST_CLASS


@pytest.mark.parametrize(
    ("what", "harm", "grade"),
    [
        ("national_security", "ordinary", "important"),
        ("national_security", "grave", "core"),
        ("public_interest", "serious", "important"),
        ("public_interest", "ordinary", "general"),
        ("rights", "grave", "general"),
    ],
)
def test_national_grades(what: str, harm: str, grade: str) -> None:
    assert MATRICES.national_grade.grade(what, harm) == grade
    with pytest.raises(PolicyError):
        MATRICES.national_grade.grade(what, "enormous")


def test_a_matrix_with_a_hole_is_refused(tmp_path: Path) -> None:
    shutil.copytree(SHIPPED, tmp_path / "policy")
    path = tmp_path / "policy" / "matrix.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    del content["impact_assessment"]["cells"][3]
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    with pytest.raises(PolicyError, match=r"matrix\.yaml"):
        load_matrices(tmp_path / "policy")
