"""One row per person: the same as a slow reading of the same parcels, and of one owner only."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from safehands.report.exposure import exposure
from safehands.report.people import (
    HOUR_EDGES,
    MONTHLY_EDGES,
    QUASI,
    SENSITIVE,
    _Grouped,
    people_table,
)
from safehands.store import Store
from safehands.threats import Judged


def _people(store: Store, controller: int = 1) -> list[dict[str, Any]]:
    with store.begin(controller=controller) as connection:
        rows: list[dict[str, Any]] = people_table(connection).to_pylist()
    return rows


def test_no_parcels_give_no_row(store: Store, filled: Any) -> None:
    assert _people(store, controller=2) == []


def test_an_owner_sees_only_their_own_people(store: Store, filled: Any) -> None:
    filled.people("antai", 90)
    filled.parcel("S3", 90, "2026-11-10 10:00")
    assert len(_people(store, controller=1)) == 7
    assert len(_people(store, controller=2)) == 1


def test_the_newest_parcel_gives_district_and_weight(store: Store, fill: Any) -> None:
    fill.owner("o", "O", "company", {"S1": "a"})
    fill.parcel("S1", 1, "2026-11-12 10:00", district=330110, weight=3)
    fill.parcel("S1", 1, "2026-10-12 10:00", district=310115, weight=2)
    row = _people(store)[0]
    assert (row["district"], row["weight_band"]) == (330110, 3)


def test_of_equally_frequent_values_the_lower_stands(store: Store, fill: Any) -> None:
    fill.owner("o", "O", "company", {"S1": "a", "S2": "b"})
    fill.parcel("S2", 1, "2026-11-12 10:00", carrier=7)
    fill.parcel("S1", 1, "2026-11-13 10:00", carrier=5)
    row = _people(store)[0]
    assert (row["station"], row["carrier"]) == (1, 5)


def test_what_is_not_known_is_null(store: Store, fill: Any) -> None:
    fill.owner("o", "O", "company", {"S1": "a"})
    fill.parcel("S1", 1, "2026-11-12 10:00")
    row = _people(store)[0]
    assert (row["hour"], row["notify_channel"], row["delivery_choice"]) == (None, None, None)


def test_a_parcel_on_the_last_evening_belongs_to_its_month_in_shanghai(
    store: Store, fill: Any
) -> None:
    # 31 October 23:30 and 1 November 00:30 in Shanghai are one day in UTC and two months here.
    fill.owner("o", "O", "company", {"S1": "a"})
    fill.parcel("S1", 1, "2026-10-31 23:30")
    fill.parcel("S1", 1, "2026-11-01 00:30")
    assert _people(store)[0]["monthly"] == 0


def test_people_whose_ids_share_a_half_stay_apart(store: Store, fill: Any) -> None:
    # The fixture's ids differ in their second half alone.
    fill.owner("o", "O", "company", {"S1": "a"})
    for who in (1, 2, 3, 3):
        fill.parcel("S1", who, "2026-11-12 10:00")
    assert len(_people(store)) == 3


def test_preferences_reach_their_person(store: Store, filled: Any) -> None:
    known = [row for row in _people(store) if row["notify_channel"] is not None]
    assert [(row["notify_channel"], row["delivery_choice"]) for row in known] == [(2, 1)]


def test_the_same_as_reading_row_by_row(store: Store, fill: Any) -> None:
    fill.owner("o", "O", "company", {"S1": "a", "S2": "b", "S3": "c"})
    _scatter(store, people=60, parcels=600)
    fast = Counter(tuple(row[name] for name in (*QUASI, *SENSITIVE)) for row in _people(store))
    assert fast == Counter(_slowly(store))


def test_exposure_counts_people_by_the_size_of_their_group() -> None:
    sizes = [1, 3, 3, 5, 12, 20]
    groups = np.repeat(np.arange(len(sizes)), sizes).astype(np.int32)
    columns = {name: pa.array(groups) for name in (*QUASI, *SENSITIVE)}
    found = exposure(pa.table(columns), Judged())
    assert (found["people"], found["k"]) == (44, 1)
    assert [count for _, _, count in found["histogram"]] == [1, 6, 5, 12, 20]
    below = {one["release"]: one["below"] for one in found["releases"]}
    assert below == {"public": 24, "controlled": 7}
    assert not any(one["acceptable"] for one in found["releases"])


def test_a_table_of_large_groups_may_be_shared() -> None:
    groups = pa.array(np.repeat(np.arange(3), 40).astype(np.int32))
    found = exposure(pa.table(dict.fromkeys((*QUASI, *SENSITIVE), groups)), Judged())
    assert [(one["level"], one["below"]) for one in found["releases"]] == [(3, 0), (3, 0)]


def test_figures_are_json_and_name_no_value() -> None:
    columns = {name: pa.array([330106, 330110], pa.int32()) for name in (*QUASI, *SENSITIVE)}
    written = json.dumps(exposure(pa.table(columns), Judged()))
    assert "330106" not in written


def _scatter(store: Store, people: int, parcels: int) -> None:
    rng = np.random.default_rng(7)
    rows = [
        {
            "s": int(rng.integers(1, 4)),
            "p": f"{int(rng.integers(people)):08d}-0000-4000-8000-000000000000",
            "m": int(rng.integers(0, 180 * 24 * 60)),
            "w": int(rng.integers(1, 5000)) if rng.random() < 0.8 else None,
            "d": int(rng.choice([330106, 330110, 310115])),
            "c": int(rng.integers(0, 4)),
            "b": int(rng.integers(0, 5)),
        }
        for _ in range(parcels)
    ]
    with store.admin().begin() as connection:
        for month in range(6, 12):
            connection.execute(text(f"SELECT add_month(date '2026-{month:02d}-01')"))
        connection.execute(text(_SCATTER), rows)
        connection.execute(text(_SUBJECTS))


_SCATTER = (
    "INSERT INTO parcel SELECT 1, :s, gen_random_uuid(), CAST(:p AS uuid), t.a,"
    " t.a + make_interval(mins => CAST(:w AS int)), :d, 1, :c, 2, :b, 0 FROM"
    " (SELECT timestamptz '2026-06-01 00:00+08' + make_interval(mins => CAST(:m AS int)) AS a) t"
)
_SUBJECTS = (
    "INSERT INTO subject SELECT 1, subject_id, gen_random_uuid(), 0, 1, '', 1, '', 0,"
    " min(arrived_at), max(arrived_at), false FROM parcel GROUP BY subject_id"
)


def _slowly(store: Store) -> list[tuple[Any, ...]]:
    query = (
        "SELECT subject_id, district, station_id, carrier, weight_band,"
        " arrived_at AT TIME ZONE 'Asia/Shanghai', collected_at AT TIME ZONE 'Asia/Shanghai'"
        " FROM parcel"
    )
    mine = defaultdict(list)
    with store.begin(controller=1) as connection:
        for who, *rest in connection.execute(text(query)):
            mine[who].append(rest)
    return [_one(parcels) for parcels in mine.values()]


def _one(parcels: list[list[Any]]) -> tuple[Any, ...]:
    newest = max(parcels, key=lambda p: (p[4], p[0], p[3]))
    months = [p[4].year * 12 + p[4].month for p in parcels]
    rate = len(parcels) / (max(months) - min(months) + 1)
    monthly = sum(rate > edge for edge in MONTHLY_EDGES)
    hours = [sum(_hour(p[5]) >= e for e in HOUR_EDGES) for p in parcels if p[5] is not None]
    station, carrier = _most([p[1] for p in parcels]), _most([p[2] for p in parcels])
    return (newest[0], station, monthly, _most(hours), carrier, None, None, newest[3])


def _hour(moment: datetime) -> int:
    return moment.hour


def _most(values: list[int]) -> int | None:
    counted = Counter(values)
    return min(counted, key=lambda v: (-counted[v], v)) if counted else None


@given(
    rows=st.lists(st.tuples(st.integers(0, 6), st.integers(-1, 5)), min_size=1, max_size=40),
    apart=st.sampled_from([1, 40_000]),
)
def test_the_most_frequent_value_is_that_of_counting(
    rows: list[tuple[int, int]], apart: int
) -> None:
    person = np.array([who for who, _ in rows])
    values = np.array([value * apart if value >= 0 else value for _, value in rows])
    parcels: Any = None
    found = _Grouped(person, parcels, 7)._most(values)
    for who in range(7):
        mine = Counter(v for p, v in zip(person.tolist(), values.tolist(), strict=True) if p == who)
        del mine[-1]
        assert found[who] == min(mine, key=lambda v: (-mine[v], v), default=-1)
