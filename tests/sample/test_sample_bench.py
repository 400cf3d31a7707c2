"""The benchmark's files: exact counts, loadable by a plain COPY, the same again."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path

import pytest

from safehands.sample import BenchFacts, write_bench, write_bench_csv

DAY = date(2026, 11, 23)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, BenchFacts]:
    folder = tmp_path_factory.mktemp("bench")
    return folder, write_bench(folder, DAY, parcels=20_002, people=2_000)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def all_rows(bench: tuple[Path, BenchFacts]) -> list[dict[str, str]]:
    return [row for name in bench[1].files for row in rows_of(bench[0] / name)]


def test_counts_are_exact(bench: tuple[Path, BenchFacts]) -> None:
    rows, facts = all_rows(bench), bench[1]
    assert len(rows) == facts.parcels == 20_002
    assert len({row["运单号"] for row in rows}) == 20_002
    lost = sum(row["收件人手机号"] == "1.38E+10" for row in rows)
    odd = sum(not row["入库时间"].startswith("20") for row in rows)
    late = sum(row["入库时间"] > f"{DAY} 23:59:59" and row["入库时间"][0] == "2" for row in rows)
    early = sum(
        "" < row["取件时间"] < row["入库时间"] and row["入库时间"][0] == "2" for row in rows
    )
    assert facts.expected == {
        "phone_lost_digits": lost,
        "time_unreadable": odd,
        "parcels.arrived_in_future": late,
        "parcels.collected_before_arrived": early,
    }
    assert 0.001 < facts.bad / facts.parcels < 0.003
    assert 0.02 < facts.in_custody / facts.parcels < 0.045


def test_nearly_everybody_has_a_parcel_and_owners_share_nobody(
    bench: tuple[Path, BenchFacts],
) -> None:
    folder, facts = bench
    phones = [
        {row["收件人手机号"].removeprefix("+86") for row in rows_of(folder / name)}
        for name in facts.files
    ]
    whole = [{p for p in each if len(p) == 11 and p.isdigit()} for each in phones]
    assert len(set().union(*whole)) >= facts.people > 1_980
    assert whole[0] & whole[1]
    assert whole[2] & whole[3]
    assert not (whole[0] | whole[1]) & (whole[2] | whole[3])


def test_one_csv_has_the_same_rows_under_one_header(
    bench: tuple[Path, BenchFacts], tmp_path: Path
) -> None:
    one = tmp_path / "one.csv"
    assert write_bench_csv(one, bench[0], bench[1]) == one.stat().st_size
    assert rows_of(one) == all_rows(bench)
    assert '"' not in one.read_text(encoding="utf-8")


def test_the_same_arguments_give_the_same_bytes(
    bench: tuple[Path, BenchFacts], tmp_path: Path
) -> None:
    assert write_bench(tmp_path, DAY, parcels=20_002, people=2_000) == bench[1]
    for name in (*bench[1].files, "stations.yaml"):
        assert (tmp_path / name).read_bytes() == (bench[0] / name).read_bytes()
