"""The sample's files: the same bytes again, replaced by date, nobody else's touched."""

from __future__ import annotations

import json
import shutil
import zipfile
from datetime import date, timedelta
from pathlib import Path

import pytest

from safehands.errors import SetupProblem
from safehands.sample import SampleFacts, landing, write_sample
from safehands.sample.landing import MARKER, find_laid, lay

DAY = date(2026, 11, 23)
STAMP = {"version": 1, "business_date": "2026-11-23", "seed": 1}


def content(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def test_the_same_date_and_seed_give_the_same_bytes(
    sample: tuple[Path, SampleFacts], tmp_path: Path
) -> None:
    folder, facts = sample
    assert write_sample(tmp_path, DAY) == facts
    assert content(tmp_path) == content(folder)


def test_the_workbook_carries_no_time_of_its_making(sample: tuple[Path, SampleFacts]) -> None:
    with zipfile.ZipFile(next((sample[0] / "SZ002").iterdir())) as archive:
        assert {part.date_time for part in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert archive.read("docProps/core.xml").count(b">2026-01-01T00:00:00Z<") == 2


def test_a_second_call_leaves_every_file_untouched(sample: tuple[Path, SampleFacts]) -> None:
    folder, facts = sample
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    assert write_sample(folder, DAY) == facts
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before


def test_a_new_date_replaces_the_files_of_the_old_one_only(
    sample: tuple[Path, SampleFacts], tmp_path: Path
) -> None:
    folder = tmp_path / "landing"
    shutil.copytree(sample[0], folder)
    mine, edited = folder / "SZ001" / "mine.csv", folder / sample[1].files[-1].path
    mine.write_text("mine")
    edited.write_text("edited by somebody")
    facts = write_sample(folder, DAY + timedelta(days=1))
    others = {MARKER, "stations.yaml", "SZ001/mine.csv", sample[1].files[-1].path}
    assert content(folder).keys() == {f.path for f in facts.files} | others
    assert edited.read_text() == "edited by somebody"
    # The next night tells the same story, one day on.
    before, after = waybills(sample[0]), waybills(folder)
    assert len(before & after) > 0.95 * len(before)
    assert after - before


def waybills(folder: Path) -> set[str]:
    text = next((folder / "SZ001").glob("快件*.csv")).read_bytes().decode("gb18030")
    return {line.split(",")[1] for line in text.splitlines()[2:]}


def test_facts_survive_json(sample: tuple[Path, SampleFacts]) -> None:
    assert SampleFacts.from_dict(json.loads(json.dumps(sample[1].as_dict()))) == sample[1]


def test_another_persons_file_of_that_name_is_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    (tmp_path / "stations.yaml").write_text("controllers: []")
    with pytest.raises(SetupProblem, match=r"stations\.yaml"):
        lay(tmp_path, {"a/one.csv": b"1", "stations.yaml": b"ours"}, STAMP, {})
    assert content(tmp_path) == {"stations.yaml": b"controllers: []"}


def test_a_file_of_ours_that_was_changed_stays_changed(tmp_path: Path) -> None:
    lay(tmp_path, {"one.csv": b"1", "two.csv": b"2"}, STAMP, {"n": 1})
    (tmp_path / "one.csv").write_bytes(b"changed")
    assert find_laid(tmp_path, STAMP) == {"n": 1}
    lay(tmp_path, {"one.csv": b"1", "two.csv": b"3"}, {**STAMP, "seed": 2}, {"n": 2})
    assert (tmp_path / "one.csv").read_bytes() == b"changed"
    assert (tmp_path / "two.csv").read_bytes() == b"3"


def test_a_missing_file_is_laid_again(tmp_path: Path) -> None:
    lay(tmp_path, {"one.csv": b"1", "two.csv": b"2"}, STAMP, {})
    (tmp_path / "two.csv").unlink()
    assert find_laid(tmp_path, STAMP) is None
    lay(tmp_path, {"one.csv": b"1", "two.csv": b"2"}, STAMP, {})
    assert content(tmp_path).keys() == {"one.csv", "two.csv", MARKER}


@pytest.mark.parametrize("writes", range(5))
def test_a_kill_at_any_write_is_healed_by_the_next_call(
    writes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(tmp_path, {"old.csv": b"0", "same.csv": b"1"}, STAMP, {"n": 1})
    put, left = landing._put, [writes]

    def dying(path: Path, text: bytes) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        put(path, text)

    later = {**STAMP, "business_date": "2026-11-24"}
    files = {"new.csv": b"2", "same.csv": b"3"}
    with monkeypatch.context() as patch:
        patch.setattr(landing, "_put", dying)
        if writes < 4:
            with pytest.raises(KeyboardInterrupt):
                lay(tmp_path, files, later, {"n": 2})
            assert find_laid(tmp_path, later) is None
    lay(tmp_path, files, later, {"n": 2})
    assert find_laid(tmp_path, later) == {"n": 2}
    assert content(tmp_path).keys() == {"new.csv", "same.csv", MARKER}
    assert (tmp_path / "same.csv").read_bytes() == b"3"
