"""The three threats: a number below one has a name and a day, and lapses."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from safehands.errors import PolicyError
from safehands.settings import Settings
from safehands.threats import Judged, load_threats

DAY = date(2026, 11, 23)
NAMED = {"deliberate": 0.3, "inadvertent": 0.2, "breach": 0.1, "assessor": "li.ming", "judged": DAY}


def written(folder: Path, **changes: object) -> Path:
    values = {"version": 1, "review_days": 365, **changes}
    lines = [f"{name}: {value}" for name, value in values.items()]
    (folder / "threats.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_nothing_is_judged_as_shipped_and_the_worst_counts() -> None:
    found = load_threats(Settings.read({}).policy).at(DAY)
    assert found.probabilities() == {"deliberate": 1.0, "inadvertent": 1.0, "breach": 1.0}
    assert found.judged is None


def test_a_named_judgement_counts_from_its_day_for_the_time_of_policy(tmp_path: Path) -> None:
    threats = load_threats(written(tmp_path, **NAMED))
    assert threats.at(DAY).deliberate == 0.3
    assert threats.at(DAY + timedelta(days=365)).assessor == "li.ming"
    for other in (DAY - timedelta(days=1), DAY + timedelta(days=366)):
        assert threats.at(other) == Judged()


def test_what_was_judged_for_an_agreement_goes_first(tmp_path: Path) -> None:
    threats = load_threats(written(tmp_path, **NAMED))
    own = Judged(deliberate=0.5, assessor="wang.li", judged=DAY)
    assert threats.at(DAY, own).assessor == "wang.li"
    old = Judged(deliberate=0.5, assessor="wang.li", judged=DAY - timedelta(days=400))
    assert threats.at(DAY, old).assessor == "li.ming"


@pytest.mark.parametrize(
    "changes",
    [
        {"deliberate": 0.3},
        {"deliberate": 0.3, "assessor": "li.ming"},
        {"judged": DAY},
        {**NAMED, "breach": 1.5},
        {"surprise": 1},
        {"review_days": 0},
    ],
)
def test_a_judgement_without_a_name_or_off_its_scale_is_refused(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    with pytest.raises(PolicyError):
        load_threats(written(tmp_path, **changes))
