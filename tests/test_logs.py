"""Logs: cut once a day, kept for half a year, then gone; nothing of them is lost."""

from __future__ import annotations

import gzip
import os
import stat
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from safehands.errors import PolicyError
from safehands.logs import MINIMUM_DAYS, Kept, keep_logs, oldest_day
from safehands.night import SHANGHAI

TODAY = date(2026, 11, 24)


def aged(path: Path, day: date) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{day}\n")
    moment = datetime(day.year, day.month, day.day, 12, tzinfo=SHANGHAI).timestamp()
    os.utime(path, (moment, moment))
    return path


def test_a_component_goes_on_writing_into_the_file_that_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "api-server.log"
    with path.open("ab") as held:
        held.write(b"yesterday\n")
        held.flush()
        assert keep_logs(tmp_path, TODAY, 184).cut == 1
        held.write(b"today\n")
        held.flush()
    assert path.read_bytes() == b"today\n"
    cut = tmp_path / "api-server-2026-11-23.log.gz"
    assert gzip.decompress(cut.read_bytes()) == b"yesterday\n"
    assert stat.S_IMODE(cut.stat().st_mode) == 0o600


def test_done_twice_a_day_nothing_is_cut_again(tmp_path: Path) -> None:
    (tmp_path / "scheduler.log").write_bytes(b"one\n")
    keep_logs(tmp_path, TODAY, 184)
    (tmp_path / "scheduler.log").write_bytes(b"two\n")
    assert keep_logs(tmp_path, TODAY, 184).cut == 0
    assert (tmp_path / "scheduler.log").read_bytes() == b"two\n"


def test_a_cut_that_was_killed_is_made_again_whole(tmp_path: Path) -> None:
    (tmp_path / "scheduler.log").write_bytes(b"all of it\n")
    (tmp_path / "scheduler-2026-11-23.log.partial").write_bytes(b"half")
    assert keep_logs(tmp_path, TODAY, 184).cut == 1
    cut = tmp_path / "scheduler-2026-11-23.log.gz"
    assert gzip.decompress(cut.read_bytes()) == b"all of it\n"


def test_only_what_is_older_than_the_days_goes(tmp_path: Path) -> None:
    last = TODAY - timedelta(days=184)
    stays = aged(tmp_path / "dag_id=a" / "run_id=1" / "attempt=1.log", last)
    goes = aged(tmp_path / "dag_id=b" / "run_id=1" / "attempt=1.log", last - timedelta(days=1))
    old = aged(tmp_path / f"api-server-{last - timedelta(days=1)}.log.gz", TODAY)
    kept = keep_logs(tmp_path, TODAY, 184)
    assert kept == Kept(cut=0, removed=2, oldest=last)
    assert stays.exists()
    assert not old.exists()
    assert not goes.parents[1].exists()
    assert oldest_day(tmp_path) == last


def test_less_than_the_law_asks_is_refused_before_anything_goes(tmp_path: Path) -> None:
    path = aged(tmp_path / "a.log", date(2020, 1, 1))
    with pytest.raises(PolicyError) as caught:
        keep_logs(tmp_path, TODAY, MINIMUM_DAYS - 1)
    assert caught.value.key == "policy.logs_too_short"
    assert path.exists()


def test_no_folder_is_no_error(tmp_path: Path) -> None:
    assert keep_logs(tmp_path / "none", TODAY, 184) == Kept(0, 0, None)
