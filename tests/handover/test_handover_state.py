"""The state machine: complete, idempotent, resumable, and no way around it."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from nights import BUSINESS_DATE, NOW
from safehands.errors import HandoverRefused
from safehands.handover.state import (
    ABORTABLE,
    CLASSES,
    MODES,
    PATHS,
    STATES,
    Mode,
    State,
    abort,
    advance,
    events,
    following,
    load,
    note,
)
from safehands.stations import Controller, RecordSet, Register, Station
from safehands.store import Store
from safehands.store.register import owners, register


@pytest.fixture
def seller(store: Store) -> int:
    handler = {"parcels": RecordSet(role="handler")}
    shop = Station(code="A1", name="一号站", folder="a1")
    owner = Controller(code="A", name="甲", kind="company", record_sets=handler, stations=(shop,))
    register(store, Register(controllers=(owner,)), BUSINESS_DATE)
    return owners(store)["A"].id


def draft(store: Store, seller: int, mode: Mode = "asset_deal") -> UUID:
    number = uuid4()
    values = {"id": number, "seller": seller, "mode": mode, "digest": str(number), "now": NOW}
    with store.begin(controller=seller) as connection:
        connection.execute(
            text(
                "INSERT INTO handover VALUES"
                " (:id, :seller, :mode, 'drafted', '{}', :digest, :now, :now)"
            ),
            values,
        )
    return number


def go(store: Store, number: UUID, to: State, **facts: Any) -> bool:
    with store.begin() as connection:
        return advance(connection, number, to, facts, NOW)


def at(store: Store, number: UUID) -> str:
    with store.begin() as connection:
        return load(connection, number).state


def walk(store: Store, number: UUID, mode: Mode, until: State) -> None:
    for state in PATHS[mode][1 : PATHS[mode].index(until) + 1]:
        assert go(store, number, state, step=state)


def test_every_state_is_on_a_path_and_every_path_ends_certified() -> None:
    assert set(PATHS) == set(MODES)
    on_paths = {state for path in PATHS.values() for state in path}
    assert on_paths | {"aborted"} == set(STATES)
    for mode, path in PATHS.items():
        assert (path[0], path[-1]) == ("drafted", "certified")
        assert len(set(path)) == len(path)
        assert [STATES.index(one) for one in path] == sorted(STATES.index(one) for one in path)
        assert "approved" in path
        assert following(mode, "certified") is None
        assert following(mode, "aborted") is None
    assert set(STATES) - ABORTABLE == {"cut_over", "certified", "aborted"}


def test_the_database_knows_the_same_states_modes_and_classes(store: Store) -> None:
    query = text(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE contype = 'c' AND conrelid = CAST(:name AS regclass)"
    )
    with store.admin().begin() as connection:
        table = " ".join(connection.execute(query, {"name": "handover"}).scalars())
        listing = " ".join(connection.execute(query, {"name": "handover_subject"}).scalars())
    for word in (*STATES, *MODES):
        assert f"'{word}'" in table
    for word in CLASSES:
        assert f"'{word}'" in listing
    assert listing.count("::text") == len(CLASSES)


@pytest.mark.parametrize("mode", MODES)
def test_each_pair_of_states_is_allowed_by_the_table_or_refused(
    store: Store, seller: int, mode: Mode
) -> None:
    for state in PATHS[mode]:
        for to in STATES:
            number = draft(store, seller, mode)
            walk(store, number, mode, state)
            allowed = to == following(mode, state) or (to == "aborted" and state in ABORTABLE)
            known = to in PATHS[mode][1 : PATHS[mode].index(state) + 1]
            if allowed:
                assert go(store, number, to, step="next")
                assert at(store, number) == to
                continue
            if known:
                assert not go(store, number, to, step=to)
            else:
                with pytest.raises(HandoverRefused, match="stands at"):
                    go(store, number, to, step="next")
            assert at(store, number) == state


def test_a_transition_happens_once_and_is_not_rewritten(store: Store, seller: int) -> None:
    number = draft(store, seller)
    assert go(store, number, "assessed", people=3)
    assert not go(store, number, "assessed", people=3)
    with pytest.raises(HandoverRefused, match="other evidence"):
        go(store, number, "assessed", people=4)
    with store.begin() as connection:
        (kept,) = events(connection, number, "state")
        ledger = connection.execute(
            text("SELECT count(*) FROM ledger_entry WHERE body LIKE '%\"handover\"%'")
        ).scalar_one()
    assert (kept["key"], kept["facts"], ledger) == ("assessed", {"people": 3}, 1)


def test_a_transition_that_was_rolled_back_never_was(store: Store, seller: int) -> None:
    number = draft(store, seller)
    with store.engine("safehands_pipeline").connect() as connection:
        advance(connection, number, "assessed", {}, NOW)
        connection.rollback()
    assert at(store, number) == "drafted"
    assert go(store, number, "assessed")


def test_abort_says_whether_the_buyer_owes_a_deletion(store: Store, seller: int) -> None:
    for state, owed in (("assessed", False), ("received", True)):
        number = draft(store, seller)
        walk(store, number, "asset_deal", state)  # type: ignore[arg-type]
        with store.begin() as connection:
            assert abort(connection, number, "seller withdrew", "wang.li", NOW)
            assert not abort(connection, number, "again", "wang.li", NOW)
            assert events(connection, number, "state")[-1]["facts"]["buyer_deletes"] is owed
    number = draft(store, seller)
    walk(store, number, "asset_deal", "cut_over")
    with pytest.raises(HandoverRefused), store.begin() as connection:
        abort(connection, number, "too late", "wang.li", NOW)


def test_other_events_are_kept_once_and_unknown_handovers_refused(
    store: Store, seller: int
) -> None:
    number = draft(store, seller)
    with store.begin() as connection:
        assert note(connection, number, "approval", "seller", {"by": "wang.li"}, NOW)
        assert not note(connection, number, "approval", "seller", {"by": "wang.li"}, NOW)
        with pytest.raises(HandoverRefused):
            note(connection, number, "approval", "seller", {"by": "chen.fang"}, NOW)
    with pytest.raises(HandoverRefused, match="no such"):
        go(store, uuid4(), "assessed")


def test_nobody_rewrites_an_event_and_the_mode_stays(store: Store, seller: int) -> None:
    number = draft(store, seller)
    go(store, number, "assessed")
    for statement in (
        "UPDATE handover_event SET facts = '{}'",
        "DELETE FROM handover_event",
        "UPDATE handover SET mode = 'share_deal'",
        "DELETE FROM handover",
    ):
        with pytest.raises(ProgrammingError), store.begin() as connection:
            connection.execute(text(statement))


def test_an_erased_person_leaves_the_listing(store: Store, seller: int) -> None:
    number, who = draft(store, seller), uuid4()
    with store.admin().begin() as connection:
        connection.execute(
            text("INSERT INTO subject VALUES (:c, :s, :s, 0, 1, '', 1, '', 0, now(), now())"),
            {"c": seller, "s": who},
        )
        connection.execute(
            text("INSERT INTO handover_subject VALUES (:h, :c, :s, 'transferred')"),
            {"h": number, "c": seller, "s": who},
        )
        connection.execute(text("DELETE FROM subject"))
        left = connection.execute(text("SELECT count(*) FROM handover_subject")).scalar_one()
    assert left == 0
