"""Night after night the repository is kept as policy says, without Airflow and its weekly drill."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from minimised import World, parcel
from nights import BUSINESS_DATE, NOW
from safehands import pipeline
from safehands.backup import open_repository
from safehands.backup.listing import listing
from safehands.datasets import Outcome
from safehands.installation import Installation
from safehands.keys import FileProvider, RunKey
from safehands.night import Night
from safehands.pipeline import Head
from safehands.restore import drill

EVERY = 3


@pytest.fixture
def kept(install: Callable[[], Installation], tmp_path: Path) -> Installation:
    """An installation whose policy keeps two days and wants a proof every three."""
    inst = install()
    folder = tmp_path / "policy"
    shutil.copytree(inst.settings.policy, folder)
    text = (folder / "backup.yaml").read_text(encoding="utf-8")
    for old, new in (
        ("daily: 14 ", "daily: 2 "),
        ("weekly: 4 ", "weekly: 0 "),
        ("monthly: 1 ", "monthly: 0 "),
        ("every_days: 7 ", f"every_days: {EVERY} "),
    ):
        assert old in text
        text = text.replace(old, new)
    (folder / "backup.yaml").write_text(text, encoding="utf-8")
    made = replace(inst, settings=replace(inst.settings, policy=folder))
    head = Head.of(BUSINESS_DATE)
    night = Night(head.run, BUSINESS_DATE, made.settings, made.policy, RunKey(head.run, b"k" * 32))
    World(made.store, night, NOW).load([parcel("W1", NOW)])
    return made


def night(inst: Installation, number: int) -> tuple[Outcome, Outcome | None]:
    """Do what comes after the shards of the night ``number``; return backup and proof."""
    day = BUSINESS_DATE + timedelta(days=number)
    head = Head.of(day)
    inst.clock = lambda: NOW + timedelta(days=number)
    done = pipeline.backup(inst, head)
    proved = pipeline.prove(inst, head) if pipeline.prove_due(inst) else None
    pipeline.close_night(inst, head)
    return done, proved


def days(inst: Installation) -> list[tuple[int, bool]]:
    """Return the generations that are left: number of their night, whether proved."""
    return sorted(
        ((date.fromisoformat(one["date"]) - BUSINESS_DATE).days, bool(one["proved"]))
        for one in listing(inst.store)
    )


def test_nights_prove_when_it_is_overdue_and_keep_what_policy_says(kept: Installation) -> None:
    proofs = []
    for number in range(10):
        _, proved = night(kept, number)
        if proved is not None:
            proofs.append(number)
            assert proved.counts["generations_proved"] == 1
    assert proofs == [EVERY + 1, 2 * (EVERY + 1)]
    left = days(kept)
    # Two days by policy, and the newest proved one, which is a restore's last resort.
    assert left == [(8, True), (9, False)]
    files = list((kept.settings.backups / "manifests").iterdir())
    assert len(files) == 2
    again, _ = night(kept, 9)
    assert again.already
    assert "pruned" not in again.counts


def test_nothing_goes_while_none_is_proved(kept: Installation) -> None:
    # The identity has been taken off this machine: nobody here can prove anything.
    assert isinstance(kept.provider, FileProvider)
    kept.provider.destroy("backup-identity")
    for number in range(7):
        done, proved = night(kept, number)
        assert proved is None
        assert "pruned" not in done.counts
    assert len(days(kept)) == 7


def test_a_drill_elsewhere_lets_the_nights_prune(kept: Installation) -> None:
    for number in range(4):
        night(kept, number)
    day, now = BUSINESS_DATE + timedelta(days=3), NOW + timedelta(days=3)
    reports, repository = kept.settings.reports, open_repository(kept.settings)
    drill(kept.store, repository, reports, day, now, lambda: 0.0)
    done, proved = night(kept, 4)
    assert proved is None
    # Of nights 0 to 4 the drill proved the newest and one more; the newest two days stay.
    assert done.counts["pruned"] == 3
    assert [number for number, _ in days(kept)] == [3, 4]
