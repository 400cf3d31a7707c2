"""Each station's newest verdicts: looking them up says what reading all of them would."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from safehands.store import Store
from safehands.store.verdicts import NEWEST_VERDICTS

FIRST = date(2026, 11, 1)
NIGHTS = 6
VERDICTS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(["", "9", "10", "S1", "S10", "站"]),
        st.integers(0, NIGHTS),
    ),
    max_size=25,
)
ADD = (
    "INSERT INTO quality_result (controller_id, run, business_date, station, dataset, suite, rule,"
    " dimension, severity, evaluated, failed) SELECT c.id, 'r', :day, :station, 'parcels',"
    " 'parcels', 'x', 'completeness', 'warning', 1, 0 FROM controller c WHERE c.code = :owner"
)


@given(verdicts=VERDICTS, shown=st.integers(-1, NIGHTS))
@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_newest_night_of_every_station_up_to_a_day(
    store: Store, verdicts: list[tuple[str, str, int]], shown: int
) -> None:
    rows = [
        {"owner": owner, "station": station, "day": FIRST + timedelta(days=night)}
        for owner, station, night in verdicts
    ]
    day = FIRST + timedelta(days=shown)
    with store.admin().begin() as connection:
        connection.execute(text("TRUNCATE quality_result, controller CASCADE"))
        owners = "INSERT INTO controller (code, name, kind) VALUES (:code, :code, 'sole')"
        connection.execute(text(owners), [{"code": code} for code in "abc"])
        if rows:
            connection.execute(text(ADD), rows)
        query = NEWEST_VERDICTS + (
            "SELECT c.code, n.station, n.business_date FROM newest n"
            " JOIN controller c ON c.id = n.controller_id"
        )
        found = connection.execute(text(query), {"day": day}).all()
    expected: dict[tuple[str, str], date] = {}
    for row in rows:
        if row["day"] <= day:
            key = (str(row["owner"]), str(row["station"]))
            expected[key] = max(expected.get(key, FIRST), row["day"])
    assert len(found) == len(expected)
    assert {(owner, station): night for owner, station, night in found} == expected


def test_a_year_of_nights_is_not_read(store: Store) -> None:
    with store.admin().begin() as connection:
        connection.execute(
            text("INSERT INTO controller (code, name, kind) VALUES ('a', 'a', 'sole')")
        )
        connection.execute(
            text(
                "INSERT INTO quality_result (controller_id, run, business_date, station, dataset,"
                " suite, rule, dimension, severity, evaluated, failed) SELECT c.id, 'r',"
                " date '2026-01-01' + n, 'S' || s, 'parcels', 'parcels', 'x', 'completeness',"
                " 'warning', 1, 0 FROM controller c, generate_series(0, 330) n,"
                " generate_series(1, 20) s"
            )
        )
        connection.execute(text("ANALYZE quality_result"))
        query = f"EXPLAIN (ANALYZE, FORMAT JSON) {NEWEST_VERDICTS}SELECT * FROM newest"
        plan = connection.execute(text(query), {"day": date(2026, 12, 1)}).scalar_one()[0]["Plan"]
    assert plan["Actual Rows"] == 20
    assert _read(plan) <= 2 * 21


def _read(node: dict[str, object]) -> float:
    """Return the rows that reading the table itself gave, in all rounds."""
    own = 0.0
    if node.get("Relation Name") == "quality_result":
        passed = [node["Actual Rows"], node.get("Rows Removed by Filter", 0)]
        own = sum(float(str(rows)) for rows in passed) * float(str(node["Actual Loops"]))
    children = node.get("Plans", [])
    assert isinstance(children, list)
    return own + sum(_read(child) for child in children)
