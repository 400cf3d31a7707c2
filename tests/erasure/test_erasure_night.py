"""Erasures as part of whole nights, from files to report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from erasure_world import after
from sqlalchemy import text

from nights import BUSINESS_DATE
from safehands import erasure, pipeline
from safehands.installation import Installation
from safehands.store.register import owners

PHONES = [f"1380000{n:04}" for n in range(8)]
GONE = PHONES[0]
FIRST, SECOND = BUSINESS_DATE - timedelta(days=1), BUSINESS_DATE
HEADER = "运单号,快递公司,收件人,收件人手机号,收件地址,状态,入库时间,取件时间"


def lay(landing: Path, day: date, extra: str = "") -> None:
    """Write the station's export of the day: everything up to now, as station software does."""
    folder = landing / "shop"
    folder.mkdir(parents=True, exist_ok=True)
    lines = [HEADER]
    for number, phone in enumerate(PHONES):
        place = f"广东省深圳市南山区试验路{number}号"
        row = f"SF{number:013},顺丰速运,测试{'甲乙丙丁戊己庚辛'[number]},{phone},{place}"
        lines.append(f"{row},已取件,{FIRST} 09:00:00,{FIRST} 18:00:00")
    if extra:
        lines.append(extra)
    (folder / f"{day}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def night(install: Callable[[], Installation]) -> Callable[..., tuple[Installation, list[str]]]:
    """A function that does the night of a day; returns the installation and the steps done."""

    def do(day: date) -> tuple[Installation, list[str]]:
        inst = replace(install(), clock=lambda: after(day))
        steps: list[str] = []
        pipeline.nightly(inst, day, lambda s, _, e: steps.append(s) if e == "done" else None)
        return inst, steps

    return do


def one(inst: Installation, query: str) -> Any:
    with inst.store.begin("safehands_backup") as connection:
        return connection.execute(text(query)).scalar()


def test_a_night_with_an_erasure_from_files_to_certificate(night: Any, settings: Any) -> None:
    lay(settings.landing, FIRST)
    inst, steps = night(FIRST)
    assert "prove" not in steps
    owner = next(iter(owners(inst.store).values()))
    subjects, _ = erasure.find_subjects(inst.store, owner, GONE)
    erasure.register(inst.store, owner, "R-1", subjects, "withdrawn", after(FIRST, 12))

    # The station's software still has the person and exports them again.
    lay(settings.landing, SECOND)
    inst, steps = night(SECOND)
    assert steps[-4:] == ["purge", "backup", "prove", "report"]
    assert one(inst, "SELECT count(*) FROM subject") == len(PHONES) - 1
    assert one(inst, "SELECT state FROM erasure") == "final"
    assert inst.provider.names("epoch") == [f"epoch/{owner.code}/2"]
    assert (settings.reports / "certificates" / "erasure-R-1.json").exists()
    entries = one(inst, "SELECT count(*) FROM ledger_entry")
    manifests = sorted((settings.backups / "manifests").iterdir())

    inst, steps = night(SECOND)
    assert "prove" not in steps
    assert one(inst, "SELECT count(*) FROM ledger_entry") == entries
    assert sorted((settings.backups / "manifests").iterdir()) == manifests


def test_the_next_nights_keep_the_person_out_and_say_so(night: Any, settings: Any) -> None:
    lay(settings.landing, FIRST)
    inst, _ = night(FIRST)
    owner = next(iter(owners(inst.store).values()))
    subjects, _ = erasure.find_subjects(inst.store, owner, GONE)
    erasure.register(inst.store, owner, "R-1", subjects, "withdrawn", after(FIRST, 12))
    policy, day = inst.policy, FIRST
    erasure.erase_due(inst.store, owner, policy, "by day", day, after(FIRST, 13))

    later = f"{SECOND} 20:00:00"
    row = f"SF9999999999999,顺丰速运,测试甲,{GONE},广东省深圳市南山区试验路0号,待取件,{later},"
    lay(settings.landing, SECOND, row)
    inst, steps = night(SECOND)
    assert "prove" in steps
    counts = one(
        inst,
        f"SELECT counts FROM step_result WHERE step = 'pseudonymise'"
        f" AND business_date = '{SECOND}'",
    )
    assert counts["erased_before"] == 1
    assert counts["new_people"] == 1
    kept = counts["new"] + counts["changed"] + counts["unchanged"] + counts["duplicates"]
    assert counts["in"] == kept + counts["erased_before"] == len(PHONES) + 1
    assert one(inst, "SELECT count(*) FROM quarantine") == 0
    assert one(inst, "SELECT count(*) FROM subject") == len(PHONES)
    assert one(inst, "SELECT count(*) FROM parcel") == len(PHONES)
    fresh, _ = erasure.find_subjects(inst.store, owner, GONE)
    assert fresh != subjects
