"""``safehands risk`` as an officer and a script meet it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from safehands.cli import command
from safehands.errors import PolicyError
from safehands.risk import Assumptions, assess, read_table

QUASI = "district,sex,age"
REACH = ("--reach", "2", "--out", "x.csv", "--quasi")


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    rows = 400
    return pd.DataFrame(
        {
            "district": rng.choice(["haidian-zzz", "chaoyang-zzz", None], rows, p=[0.6, 0.3, 0.1]),
            "sex": rng.choice(["f-zzz", "m-zzz"], rows),
            "age": rng.integers(18, 60, rows),
            "carrier": rng.choice(["sf-zzz", "yto-zzz", "zto-zzz"], rows),
            "weight": rng.uniform(2, 9, rows),
            "person": [f"{one:04d}" for one in rng.integers(0, 300, rows)],
            "name": "wang-zzz",
        }
    )


@pytest.fixture(scope="module", params=["csv", "parquet"])
def path(frame: pd.DataFrame, request: pytest.FixtureRequest, tmp_path_factory: object) -> Path:
    folder = tmp_path_factory.mktemp("risk")  # type: ignore[attr-defined]
    found: Path = folder / f"parcels.{request.param}"
    frame.to_csv(found, index=False) if request.param == "csv" else frame.to_parquet(found)
    return found


def _run(*words: object, lang: str = "en") -> Result:
    arguments = ["risk", *map(str, words), "--lang", lang]
    return CliRunner().invoke(command(lang), arguments, env={"COLUMNS": "160"})


def test_json_is_the_whole_assessment(path: Path, frame: pd.DataFrame) -> None:
    shown = _run(
        path, "--quasi", QUASI, "--sensitive", "carrier", "--weight", "weight", "--json",
        "--population", 8000, "--id", "person", "--threshold", 10,
    )  # fmt: skip
    assert shown.exit_code == 0, shown.output
    found = json.loads(shown.output)
    assumed = Assumptions(population=8000, threshold=0.1, special_uniques=True)
    expected = assess(
        frame, QUASI.split(","), "carrier", "weight", person="person", assumptions=assumed
    )
    assert found == {**json.loads(json.dumps(expected.as_dict())), "skipped": []}
    assert {"prosecutor", "journalist", "marketer", "uniqueness", "keys", "suda"} <= set(found)
    assert len(found["keys"]) == 7
    assert found["people"] == frame["person"].nunique()
    assert "zzz" not in shown.output


@pytest.mark.parametrize(
    ("lang", "words"), [("zh", ["检察官", "区分度"]), ("en", ["prosecutor", "distinction"])]
)
@pytest.mark.parametrize("missing", ["category", "wildcard", "drop"])
def test_the_page_speaks_both_languages_and_shows_no_cell(
    path: Path, lang: str, words: list[str], missing: str
) -> None:
    shown = _run(
        path, "--quasi", QUASI, "--sensitive", "carrier", "--fraction", 0.05, "--missing", missing,
        lang=lang,
    )  # fmt: skip
    assert shown.exit_code == 0, shown.output
    tools = ["pyCANON k", "ARX SNB", "sdcMicro DIS"]
    for word in [*words, *tools, "district", "carrier", "Pitman", "SUDA2", "GB/T 42460"]:
        assert word in shown.output
    assert "zzz" not in shown.output


def test_dropped_rows_and_the_fraction(path: Path, frame: pd.DataFrame) -> None:
    found = json.loads(
        _run(path, "--quasi", QUASI, "--missing", "drop", "--fraction", 0.03, "--json").output
    )
    whole = int(frame["district"].notna().sum())
    assert (found["records"], found["dropped"]) == (whole, 400 - whole)
    # Rounded as ARX rounds it.
    assert found["population"] == round(whole / 0.03)


def test_too_many_columns_for_combinations_say_so(tmp_path: Path) -> None:
    wide = pd.DataFrame({f"c{i}": [0, 1] for i in range(17)})
    wide.to_csv(tmp_path / "wide.csv", index=False)
    words = (tmp_path / "wide.csv", "--quasi", ",".join(wide.columns))
    shown = _run(*words)
    assert shown.exit_code == 0, shown.output
    assert "More than 12" in shown.output
    assert "More than 16" in shown.output
    assert json.loads(_run(*words, "--json").output)["skipped"] == ["combinations", "suda"]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_reach_writes_a_table_of_that_k(path: Path, tmp_path: Path, suffix: str) -> None:
    hierarchy = tmp_path / "any_hierarchy_district.csv"
    hierarchy.write_text("haidian-zzz;north;*\nchaoyang-zzz;east;*\n", encoding="utf-8")
    out = tmp_path / f"share.{suffix}"
    shown = _run(
        path, "--quasi", QUASI, "--id", "person", "--reach", 8, "--hierarchy", hierarchy,
        "--keep", "carrier", "--out", out,
    )  # fmt: skip
    assert shown.exit_code == 0, shown.output
    assert "zzz" not in shown.output
    found = read_table(out, ["district", "sex", "age", "carrier"])
    sizes = found.to_pandas().groupby(["district", "sex", "age"], dropna=False).size()
    assert sizes.min() >= 8
    header = pd.read_csv(out).columns if suffix == "csv" else pd.read_parquet(out).columns
    assert list(header) == ["district", "sex", "age", "carrier"]


def test_reach_in_json(path: Path, tmp_path: Path) -> None:
    words = ("--quasi", QUASI, "--reach", 5, "--no-generalise", "--local", "age,sex", "--json")
    shown = _run(path, *words, "--out", tmp_path / "share.csv")
    found = json.loads(shown.output)
    assert found["k"] >= 5
    assert found["rows"] == 400
    assert set(found["blanked"]) == {"age", "sex"}


def test_the_original_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a\n1\n1\n", encoding="utf-8")
    shown = _run(path, "--quasi", "a", "--reach", 2, "--out", tmp_path / "." / "t.csv")
    assert isinstance(shown.exception, PolicyError)
    assert shown.exception.key == "risk.same_file"
    assert path.read_text(encoding="utf-8") == "a\n1\n1\n"


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["--quasi", "nothing"], "risk.unknown_column"),
        (["--quasi", "a", "--sensitive", "a"], "risk.sensitive_is_quasi"),
        (["--quasi", "a,a"], "risk.repeated_column"),
        (["--quasi", ","], "risk.no_quasi"),
        (["--quasi", "a", "--population", "1"], "risk.population_below_sample"),
        (["--quasi", "a", "--fraction", "2"], "risk.bad_parameter"),
        (["--quasi", "a", "--threshold", "-1"], "risk.bad_parameter"),
        (["--quasi", "a", "--weight", "b"], "risk.bad_weight"),
        (["--quasi", "a", "--reach", "9", "--out", "x.csv"], "risk.too_few"),
        ([*REACH, "b", "--no-generalise"], "risk.empty_result"),
        ([*REACH, "a", "--hierarchy", "h.csv"], "risk.hierarchy_option"),
        ([*REACH, "a", "--hierarchy", "a=no.csv"], "risk.no_file"),
    ],
)  # fmt: skip
def test_every_mistake_has_one_sentence_and_a_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], key: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("a,b\n1,x\n1,y\n2,z\n", encoding="utf-8")
    shown = _run("t.csv", *words)
    error = shown.exception
    assert getattr(error, "key", shown.output) == key
    assert error.exit_code in (10, 20)  # type: ignore[union-attr]
    assert "\n" not in error.say("zh")  # type: ignore[union-attr]
    assert [one.name for one in tmp_path.iterdir()] == ["t.csv"]


def test_reach_and_out_belong_together(path: Path) -> None:
    assert _run(path, "--quasi", QUASI, "--reach", 3).exit_code == 2
