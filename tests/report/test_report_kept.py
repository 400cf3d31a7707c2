"""What is kept of people and months shows nothing else than the parcels do, whatever happens."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as how
from hypothesis import strategies as st
from sqlalchemy import text

from nights import NOW
from safehands.keys import FileProvider
from safehands.night import Night
from safehands.report import figures, report
from safehands.report import refresh as refreshing
from safehands.report.kept import CONSUMER, list_unread, months_of, standing
from safehands.report.people import keep_people, people_table, read_people
from safehands.report.refresh import refresh
from safehands.report.retention import overdue, retained
from safehands.store import Store
from safehands.store.register import owners

OWNER = 1
MONTHS = ("2026-08", "2026-09", "2026-10")


def run(store: Store, statement: str, **values: Any) -> None:
    with store.admin().begin() as connection:
        connection.execute(text(statement), values)


def one(store: Store, query: str, controller: int = OWNER) -> Any:
    with store.begin(controller=controller) as connection:
        return connection.execute(text(query)).scalar()


def people(store: Store) -> Counter[tuple[Any, ...]]:
    with store.begin(controller=OWNER, snapshot=True) as connection:
        rows = people_table(connection).to_pylist()
    return Counter(tuple(row.values()) for row in rows)


def shown(store: Store, night: Night) -> tuple[Any, ...]:
    with store.begin(controller=OWNER) as connection:
        months = months_of(connection, OWNER, standing(connection))[0]
    late = [overdue(night, store, owner) for owner in owners(store).values()]
    return people(store), months, retained(night, store), late


def unread(store: Store) -> int:
    with store.begin(controller=OWNER) as connection:
        return list_unread(connection, standing(connection)).people


def forget_all(store: Store) -> None:
    """Let the next look read everything from the parcels."""
    run(store, "DELETE FROM person_figure")
    run(store, "DELETE FROM month_figure")
    run(store, "SELECT note_everything('report')")


@pytest.fixture
def small(store: Store, fill: Any) -> Store:
    fill.owner("o", "O", "company", {"S1": "a", "S2": "b"})
    fill.owner("p", "P", "company", {"P1": "c"})
    for who in range(1, 6):
        fill.parcel("S1", who, f"2026-09-{10 + who} 10:00", collected=f"2026-09-{11 + who} 18:00")
        fill.parcel("S2", who, f"2026-10-{10 + who} 10:00")
    fill.people("o", 6, 7)
    fill.parcel("P1", 9, "2026-10-01 10:00")
    return store


def test_a_second_look_reads_nobody(small: Store, night: Night) -> None:
    before = shown(small, night)
    assert unread(small) == 7
    assert refresh(small) == 0
    assert unread(small) == 0
    assert shown(small, night) == before
    assert one(small, f"SELECT count(*) FROM change_note WHERE consumer = '{CONSUMER}'") == 0


def test_only_whose_parcels_changed_are_read(small: Store, fill: Any) -> None:
    refresh(small)
    fill.parcel("S1", 2, "2026-10-20 10:00")
    assert unread(small) == 1
    run(small, "UPDATE parcel SET district = 1 WHERE subject_id::text LIKE '%3'")
    assert unread(small) == 2
    run(small, "DELETE FROM parcel WHERE subject_id::text LIKE '%4'")
    assert unread(small) == 3
    run(small, "TRUNCATE parcel")
    assert unread(small) == 7
    assert people(small) == Counter()


def test_a_row_never_outlives_its_person(small: Store) -> None:
    refresh(small)
    assert one(small, "SELECT count(*) FROM person_figure") == 7
    run(small, "DELETE FROM subject WHERE subject_id::text LIKE '%7'")
    assert one(small, "SELECT count(*) FROM person_figure") == 6


def test_a_change_that_is_undone_ends_nothing(small: Store) -> None:
    refresh(small)
    with small.admin().connect() as connection:
        connection.execute(text("DELETE FROM parcel"))
        connection.rollback()
    assert unread(small) == 0


def test_a_month_of_the_database_itself_is_seen_as_well(small: Store, night: Night) -> None:
    refresh(small)
    run(small, "UPDATE parcel_202609 SET carrier = 9")
    assert unread(small) == 7
    changed = shown(small, night)
    forget_all(small)
    assert shown(small, night) == changed


def test_a_dropped_month_ends_what_came_from_it(small: Store, night: Night, fill: Any) -> None:
    fill.parcel("S1", 1, "2026-08-05 10:00", collected="2026-08-06 10:00")
    refresh(small)
    run(small, "SELECT drop_old_month(date '2026-08-01', timestamptz '2026-10-01')")
    assert unread(small) == 1
    refresh(small)
    assert one(small, "SELECT count(*) FROM month_figure WHERE month = '202608'") == 0
    after = shown(small, night)
    forget_all(small)
    assert shown(small, night) == after


def test_a_writer_with_an_old_snapshot_leaves_doubt(small: Store) -> None:
    """It does not see the rows that were kept since, so it can't delete them."""
    with small.admin().connect() as old:
        old.execution_options(isolation_level="REPEATABLE READ")
        old.execute(text("SELECT 1 FROM parcel"))
        refresh(small)
        old.execute(text("UPDATE parcel SET carrier = 9 WHERE subject_id::text LIKE '%1'"))
        old.commit()
    assert unread(small) == 7


def test_nothing_is_kept_of_what_changed_meanwhile(
    small: Store, night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look and the writing somebody collects a parcel."""
    real = refreshing._write

    def late(*given: Any) -> bool:
        run(small, "UPDATE parcel SET carrier = 8 WHERE subject_id::text LIKE '%1'")
        return real(*given)

    monkeypatch.setattr(refreshing, "_write", late)
    refresh(small)
    monkeypatch.undo()
    assert one(small, "SELECT count(*) FROM person_figure") == 0
    changed = shown(small, night)
    refresh(small)
    assert unread(small) == 0
    assert shown(small, night) == changed


def test_writing_waits_for_a_change_in_flight_and_then_leaves_it(small: Store) -> None:
    """A change that is not committed yet can't be seen; so the writer waits and looks again."""
    with small.admin().connect() as busy:
        busy.execute(text("UPDATE parcel SET carrier = 8 WHERE subject_id::text LIKE '%1'"))
        at_work = threading.Thread(target=refresh, args=(small,))
        at_work.start()
        at_work.join(0.5)
        assert at_work.is_alive()
        busy.commit()
        at_work.join()
    assert one(small, "SELECT count(*) FROM person_figure") == 0
    refresh(small)
    assert unread(small) == 0


def test_two_looks_at_once_take_turns(small: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second would forget the note that keeps the first from writing what is no more."""
    real = refreshing._write
    second = threading.Thread(target=refresh, args=(small,))

    def slow(*given: Any) -> bool:
        if second.ident is None:
            run(small, "DELETE FROM subject WHERE subject_id::text LIKE '%7'")
            second.start()
            second.join(0.5)
            assert second.is_alive()
        return real(*given)

    monkeypatch.setattr(refreshing, "_write", slow)
    refresh(small)
    second.join()
    gone = "SELECT count(*) FROM person_figure WHERE subject_id::text LIKE '%7'"
    assert (one(small, gone), unread(small)) == (0, 0)


@pytest.mark.parametrize("trigger", ["note_figure_update", "note_update"])
def test_without_its_triggers_nothing_is_believed(small: Store, trigger: str) -> None:
    refresh(small)
    run(small, f"ALTER TABLE parcel DISABLE TRIGGER {trigger}")
    assert unread(small) == 7


def test_every_seventh_day_finds_what_passed_the_triggers_by(
    small: Store, night: Night, fill: Any
) -> None:
    refresh(small)
    run(small, "UPDATE person_figure SET hour = hour + 1 WHERE monthly >= 0 AND controller_id = 1")
    # Somebody with a parcel that was kept as having none.
    hidden = "UPDATE person_figure SET monthly = -1 WHERE subject_id::text LIKE '%1'"
    run(small, f"{hidden} AND controller_id = 1")
    run(small, "UPDATE month_figure SET figures = jsonb_set(figures, '{unlinked}', '7')")
    assert refresh(small) == 0
    wrong = refresh(small, whole=True)
    assert wrong == 5 + 2 * len(one(small, "SELECT array_agg(month) FROM month_figure"))
    assert refresh(small, whole=True) == 0
    right = shown(small, night)
    forget_all(small)
    assert shown(small, night) == right


def test_the_ledger_says_that_figures_were_wrong(small: Store, night: Night) -> None:
    sunday = Night(night.run, date(2026, 11, 22), night.settings, night.policy, night.key)
    refresh(small)
    run(small, "UPDATE person_figure SET hour = 0 WHERE monthly >= 0 AND controller_id = 1")
    report(sunday, small, NOW)
    said = "SELECT max(body::jsonb->'facts'->>'figures_wrong') FROM ledger_entry"
    assert one(small, said) == "5"


def test_another_edition_counts_as_nothing(small: Store) -> None:
    refresh(small)
    run(small, "UPDATE person_figure SET edition = edition + 1")
    run(small, "UPDATE month_figure SET edition = edition + 1, figures = '{}'")
    assert unread(small) == 7
    refresh(small)
    assert unread(small) == 0
    assert one(small, "SELECT count(*) FROM person_figure") == 7


def test_what_a_crash_of_the_server_emptied_is_read_again(small: Store, night: Night) -> None:
    before = shown(small, night)
    refresh(small)
    # The tables are unlogged: after a crash they are empty, and no note says so.
    run(small, "TRUNCATE person_figure, month_figure")
    assert one(small, f"SELECT count(*) FROM change_note WHERE consumer = '{CONSUMER}'") == 0
    assert unread(small) == 7
    assert shown(small, night) == before
    refresh(small)
    assert unread(small) == 0
    # One owner's people again, the other's not yet.
    run(small, "TRUNCATE person_figure")
    with small.begin(controller=OWNER + 1) as connection:
        found = list_unread(connection, standing(connection))
        keep_people(connection, OWNER + 1, read_people(connection, found), found)
    assert unread(small) == 7
    assert shown(small, night) == before


def test_the_figures_are_the_same_kept_or_not(small: Store, night: Night) -> None:
    first = figures(night, small)
    assert figures(night, small) == first
    forget_all(small)
    assert figures(night, small) == first


# Any course of changes, looks and kills.


CHANGES: dict[str, str] = {
    "arrive": "INSERT INTO parcel SELECT 1, 1 + {n} % 2, gen_random_uuid(), subject_id, timestamptz"
    " '{month}-1{d} 10:00+08', NULL, {n}, 1, {n} % 3, 1, {n} % 4, 0 FROM subject"
    " WHERE controller_id = 1 AND right(subject_id::text, 1)::int = {who}",
    "collect": "UPDATE parcel SET collected_at = arrived_at + interval '{n} hours', status = 2"
    " WHERE right(subject_id::text, 1)::int = {who} AND collected_at IS NULL",
    "return": "UPDATE parcel SET status = 4 WHERE right(subject_id::text, 1)::int = {who}",
    "purge": "DELETE FROM parcel WHERE arrived_at < timestamptz '{month}-1{d} 00:00+08'",
    "unlink": "UPDATE parcel SET subject_id = NULL WHERE right(subject_id::text, 1)::int = {who}",
    "merge": "UPDATE parcel SET subject_id = (SELECT subject_id FROM subject"
    " WHERE controller_id = 1 ORDER BY 1 LIMIT 1) WHERE right(subject_id::text, 1)::int = {who}",
    "erase": "WITH gone AS (DELETE FROM parcel WHERE right(subject_id::text, 1)::int = {who})"
    " DELETE FROM subject WHERE controller_id = 1 AND right(subject_id::text, 1)::int = {who}",
    "restrict": "UPDATE subject SET restricted = true"
    " WHERE right(subject_id::text, 1)::int = {who}",
    "empty": "SELECT drop_month(date '{month}-01')",
    "add": "SELECT add_month(date '{month}-01')",
    "directly": "DELETE FROM parcel_202610 WHERE right(subject_id::text, 1)::int = {who}",
}
STEP = st.one_of(
    st.tuples(
        st.sampled_from(sorted(CHANGES)),
        st.sampled_from(MONTHS),
        st.integers(0, 9),
        st.integers(1, 7),
        st.integers(1, 40),
    ),
    st.sampled_from(["look", "whole", "killed"]),
)


@given(course=st.lists(STEP, min_size=1, max_size=12))
@how(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    # A store for each example: making a failing one smaller would take longer than reading it.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
def test_whatever_happens_kept_is_as_read(
    cluster: Any,
    night: Night,
    tmp_path_factory: pytest.TempPathFactory,
    course: list[Any],
) -> None:
    with a_store(cluster, tmp_path_factory) as store:
        for step in course:
            if step == "killed":
                killed(store)
            elif isinstance(step, str):
                assert refresh(store, whole=step == "whole") == 0
            else:
                change(store, *step)
        kept = shown(store, night)
        forget_all(store)
        assert shown(store, night) == kept


def change(store: Store, name: str, month: str, d: int, who: int, n: int) -> None:
    if name == "arrive":
        run(store, f"SELECT add_month(date '{month}-01')")
    if name == "directly":
        run(store, "SELECT add_month(date '2026-10-01')")
    held = f"SELECT count(*) FROM parcel WHERE to_char(arrived_at, 'YYYY-MM') = '{month}'"
    if name != "empty" or not one(store, held):
        run(store, CHANGES[name].format(month=month, d=d, who=who, n=n))


def killed(store: Store) -> None:
    """Look, keep the first owner's, and end before the notes are forgotten."""
    owner = owners(store)["o"]
    with store.begin() as connection:
        now = standing(connection)
    refreshing._write(store, owner, now, refreshing._read(store, owner, now, whole=False))


@contextmanager
def a_store(cluster: Any, places: pytest.TempPathFactory) -> Iterator[Store]:
    keys = places.mktemp("keys")
    (keys / "root.key").write_bytes((cluster.keys / "root.key").read_bytes())
    (keys / "root.key").chmod(0o600)
    store = Store(cluster.clone(), FileProvider(keys, places.mktemp("second")))
    try:
        seed(store)
        yield store
    finally:
        store.close()


def seed(store: Store) -> None:
    for code in ("o", "p"):
        owner = "INSERT INTO controller (code, name, kind) VALUES (:code, :code, 'company')"
        run(store, owner, code=code)
    for code in ("S1", "S2"):
        station = "INSERT INTO station (controller_id, code, name) VALUES (1, :code, :code)"
        run(store, station, code=code)
    run(
        store,
        "INSERT INTO subject SELECT 1, ('00000000-0000-4000-8000-00000000000' || n)::uuid,"
        " gen_random_uuid(), 0, 1, '', 1, '', 0, '2026-08-01', '2026-08-01', false"
        " FROM generate_series(1, 7) n",
    )
    looks: list[Callable[[], Any]] = [
        lambda: change(store, "arrive", "2026-08", 1, 1, 3),
        lambda: change(store, "arrive", "2026-10", 1, 2, 5),
        lambda: refresh(store),
    ]
    for look in looks:
        look()


def test_drawing_figures_leaves_nobody_to_be_read_again(small: Store, night: Night) -> None:
    assert unread(small) > 0
    figures(night, small)
    assert unread(small) == 0
