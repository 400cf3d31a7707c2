"""The suites in ``expectations/`` as data: complete, readable, explained, and loaded whole."""

from __future__ import annotations

import json
import shutil
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from validate_tables import table

from safehands.errors import PolicyError
from safehands.messages import LANGUAGES, catalogue, say
from safehands.night import Night
from safehands.settings import PROJECT, Settings
from safehands.validate.frames import frame_of, pseudonymised_frame
from safehands.validate.masks import KINDS
from safehands.validate.parameters import parameters_of
from safehands.validate.suites import Gate, load_suite

EXPECTATIONS = Settings.read({}).expectations
NAMES = ("parcels", "customers", "preferences", "pseudonymised")
RULES = [rule for name in NAMES for rule in load_suite(EXPECTATIONS, name).expectations]
Json = dict[str, Any]


def test_rule_ids_are_unique_over_all_suites() -> None:
    ids = [rule.id for rule in RULES]
    assert len(ids) == len(set(ids)) > 40


def test_every_rule_has_a_sentence_and_a_why_in_both_languages() -> None:
    for rule in RULES:
        sentences = {say(f"rule.{rule.id}", lang) for lang in LANGUAGES}
        assert len(sentences) == 2, rule.id
        assert rule.meta.why.zh != rule.meta.why.en


def test_no_sentence_is_left_over_from_a_rule_that_is_gone() -> None:
    prefixes = tuple(f"rule.{name}." for name in NAMES)
    said = {key for key in catalogue() if key.startswith(prefixes)}
    assert said == {f"rule.{rule.id}" for rule in RULES}


def test_both_languages_ask_for_the_same_things() -> None:
    for key, texts in catalogue().items():
        if key.startswith("validate."):
            fields = [{f[1] for f in string.Formatter().parse(texts[lang])} for lang in LANGUAGES]
            assert fields[0] == fields[1], key


@pytest.mark.parametrize("name", NAMES)
def test_chinese_is_written_as_chinese(name: str) -> None:
    assert "\\u" not in (EXPECTATIONS / f"{name}.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_great_expectations_itself_reads_the_file(name: str) -> None:
    from great_expectations import ExpectationSuite

    raw = json.loads((EXPECTATIONS / f"{name}.json").read_text(encoding="utf-8"))
    suite = ExpectationSuite(**raw)
    assert [e.meta["rule"] for e in suite.expectations] == [
        e["meta"]["rule"] for e in raw["expectations"]
    ]


def test_every_rule_is_listed_on_the_page_about_quality() -> None:
    page = (PROJECT / "docs" / "concepts" / "quality.md").read_text(encoding="utf-8")
    for rule in RULES:
        effect = "row quarantined" if rule.meta.quarantine else "counted"
        assert f"| `{rule.id}` | {rule.meta.dimension} | {rule.severity} | {effect} |" in page
    for kind in KINDS:
        assert f"`{kind}`" in page


def test_every_parameter_that_a_night_provides_is_on_the_page(night: Night) -> None:
    page = (PROJECT / "docs" / "concepts" / "quality.md").read_text(encoding="utf-8")
    for name in parameters_of(night):
        assert f"`{name}`" in page


def test_the_years_before_a_leap_day_are_counted_too(night: Night) -> None:
    from dataclasses import replace
    from datetime import date

    earliest = parameters_of(replace(night, business_date=date(2028, 2, 29)))["earliest"]
    assert (earliest.year, earliest.month, earliest.day, earliest.hour) == (2018, 2, 27, 16)


def test_no_rule_reaches_back_beyond_the_year_2000(night: Night) -> None:
    from dataclasses import replace
    from datetime import date

    earliest = parameters_of(replace(night, business_date=date(2003, 5, 1)))["earliest"]
    assert earliest.isoformat() == "1999-12-31T16:00:00+00:00"


@pytest.mark.parametrize(
    ("bad", "rows", "closed"),
    [(19, 19, False), (20, 100, False), (20, 99, True), (21, 100, True), (0, 0, False)],
)
def test_the_gate_closes_above_a_fifth_and_from_twenty_rows(
    bad: int, rows: int, closed: bool
) -> None:
    assert Gate().closed(bad, rows) is closed


@pytest.fixture
def altered(tmp_path: Path) -> Callable[[Callable[[Json], object]], Path]:
    """Return a maker of folders whose parcels suite was changed by a function."""

    def make(change: Callable[[Json], object]) -> Path:
        folder = tmp_path / "expectations"
        shutil.copytree(EXPECTATIONS, folder)
        path = folder / "parcels.json"
        raw = json.loads(path.read_text(encoding="utf-8"))
        change(raw)
        path.write_text(json.dumps(raw, ensure_ascii=False), encoding="utf-8")
        return folder

    return make


def _repeat(raw: Json) -> None:
    raw["expectations"].append(raw["expectations"][0])


def _meta(**values: object) -> Callable[[Json], object]:
    return lambda raw: raw["expectations"][0]["meta"].update(values)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (_repeat, "validate.suite_invalid"),
        (_meta(rule="Not an id"), "validate.suite_invalid"),
        (_meta(dimension="beauty"), "validate.suite_invalid"),
        (_meta(why={"zh": "只有中文"}), "validate.suite_invalid"),
        (lambda raw: raw["expectations"][0].update(severity="info"), "validate.suite_invalid"),
        (lambda raw: raw["meta"]["gate"].update(critical_share=2), "validate.suite_invalid"),
        (lambda raw: raw["expectations"][0].update(type="expect_x"), "validate.unknown_kind"),
        (
            lambda raw: raw["expectations"][0]["kwargs"].update(row_condition="a==1"),
            "validate.unknown_option",
        ),
    ],
)
def test_a_wrong_entry_stops_with_its_place(
    altered: Callable[..., Path], change: Callable[[Json], object], key: str
) -> None:
    with pytest.raises(PolicyError) as caught:
        load_suite(altered(change), "parcels")
    assert caught.value.key == key
    assert caught.value.exit_code == 10
    assert all(caught.value.say(lang) for lang in LANGUAGES)


def test_a_parameter_that_nobody_provides_stops(altered: Callable[..., Path], night: Night) -> None:
    change = {"column": "weight", "min_value": {"$PARAMETER": "lightest"}}
    kind = "expect_column_values_to_be_between"
    folder = altered(lambda raw: raw["expectations"][0].update(type=kind, kwargs=change))
    with pytest.raises(PolicyError, match="lightest"):
        load_suite(folder, "parcels").resolve(parameters_of(night))


@pytest.mark.parametrize("content", [None, b"{", b"\xff\xfe"])
def test_a_suite_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "parcels.json").write_bytes(content)
    with pytest.raises(PolicyError, match=r"parcels\.json"):
        load_suite(tmp_path, "parcels")


def test_each_column_of_a_rule_exists_in_the_prepared_table(night: Night) -> None:
    import numpy as np
    import pyarrow as pa
    from test_validate_pseudonymised import kept

    latest = pa.scalar(parameters_of(night)["latest"], pa.timestamp("us", "UTC"))
    nowhere = np.zeros(0, dtype=np.int64)
    frames = {d: frame_of(d, table(d, []), nowhere, latest) for d in NAMES[:3]}
    frames["pseudonymised"] = pseudonymised_frame(kept([{}]), pa.array([0]))
    for name in NAMES:
        for rule in load_suite(EXPECTATIONS, name).expectations:
            used = {v for k, v in rule.kwargs.items() if k in {"column", "column_A", "column_B"}}
            assert used <= set(frames[name].column_names), rule.id
