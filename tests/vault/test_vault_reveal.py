"""One door, with a staff id, a purpose and a ledger entry; nothing without them."""

from __future__ import annotations

import json
import pickle
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from minimised import PHONE, World, at, collected, parcel
from nights import NOW
from safehands.errors import AccessRefused, KeyProblem
from safehands.night import Night
from safehands.store import Store
from safehands.vault import reveal as door
from safehands.vault.access import Access, covered
from safehands.vault.reveal import Revealed, reveal

OTHER = "13900000002"
ARRIVED = at(2026, 11, 20)


@pytest.fixture
def world(store: Store, night: Night) -> World:
    made = World(store, night, NOW)
    made.load([parcel("W1", ARRIVED, receiver_address="科技路1号")])
    return made


def ask(world: World, purpose: str = "rights", **who: object) -> Revealed:
    access = world.access(purpose)
    return reveal(world.store, world.night.policy, access, NOW, **who)  # type: ignore[arg-type]


def subject(world: World) -> UUID:
    found: UUID = world.people()[0]["subject_id"]
    return found


def entries(world: World) -> list[str]:
    with world.store.begin("safehands_backup") as connection:
        rows = connection.execute(text("SELECT body FROM ledger_entry ORDER BY id"))
        return [str(row[0]) for row in rows if '"vault"' in row[0]]


def log(world: World) -> list[dict[str, object]]:
    return world.rows("SELECT * FROM access_log ORDER BY id")


def refused(world: World, key: str, access: Access | None = None, **who: object) -> None:
    before = world.census()
    access = access or world.access()
    with pytest.raises(AccessRefused) as caught:
        reveal(world.store, world.night.policy, access, NOW, **who)  # type: ignore[arg-type]
    assert caught.value.key == key
    assert PHONE not in str(caught.value)
    assert (world.census(), log(world)) == (before, [])


def test_by_token_and_by_phone_the_same_person_is_found(world: World) -> None:
    found = ask(world, subject=subject(world))
    assert found == ask(world, phone=PHONE)
    assert found.fields == {"name": "张伟", "phone": PHONE, "address": "科技路1号"}
    assert (found.generation, found.holders, found.masked) == (0, 1, False)
    assert found.first_seen == ARRIVED.date()


def test_each_access_is_in_the_log_and_in_the_ledger_without_values(world: World) -> None:
    ask(world, phone=PHONE)
    ask(world, "proof", subject=subject(world))
    facts = [json.loads(entry)["facts"] for entry in entries(world)]
    assert [(f["by"], f["purpose"], f["role"], f["fields"]) for f in facts] == [
        ("wang.li", "rights", "safehands_officer", "name,phone,address"),
        ("wang.li", "proof", "safehands_officer", "name,phone"),
    ]
    assert [row["subject_id"] for row in log(world)] == [subject(world)] * 2
    for entry in entries(world):
        for value in ("张", PHONE, "科技", str(subject(world))):
            assert value not in entry


@pytest.mark.parametrize(
    ("purpose", "fields"),
    [
        ("custody", ("name", "phone", "address")),
        ("proof", ("name", "phone")),
        ("operations", ("address",)),
        ("service", ("name", "phone")),
        ("rights", ("name", "phone", "address")),
    ],
)
def test_a_purpose_opens_the_fields_that_policy_gives_it(
    world: World, purpose: str, fields: tuple[str, ...]
) -> None:
    assert tuple(ask(world, purpose, phone=PHONE).fields) == fields
    assert covered(world.night.policy, world.access(purpose)) == fields


def test_without_purpose_staff_or_person_nothing_opens(world: World) -> None:
    code = "A"
    refused(world, "vault.unknown_purpose", Access(code, "wang.li", ""), phone=PHONE)
    refused(world, "vault.unknown_purpose", Access(code, "wang.li", "fun"), phone=PHONE)
    refused(
        world, "vault.purpose_covers_nothing", Access(code, "wang.li", "marketing"), phone=PHONE
    )
    for by in ("", " ", "王力", "1", "w13800000001", "a b", "x" * 80):
        refused(world, "vault.staff_id", Access(code, by, "rights"), phone=PHONE)
    refused(world, "vault.unknown_owner", Access("Z", "wang.li", "rights"), phone=PHONE)
    refused(world, "vault.token_or_phone")
    refused(world, "vault.token_or_phone", phone=PHONE, subject=uuid4())
    for phone in ("1380000", "138000000011", "23800000001", "138****0001"):
        refused(world, "vault.not_a_mobile", phone=phone)
    refused(world, "vault.nobody", subject=uuid4())
    refused(world, "vault.nobody", phone=OTHER)


def test_one_owner_does_not_reach_anothers_person(world: World) -> None:
    refused(world, "vault.nobody", world.access(code="B"), subject=subject(world))
    refused(world, "vault.nobody", world.access(code="B"), phone=PHONE)


def test_a_restricted_person_is_refused_by_token_and_by_phone(world: World) -> None:
    who = subject(world)
    world.restrict(who)
    before = len(log(world))
    for asked in ({"subject": who}, {"phone": PHONE}):
        with pytest.raises(AccessRefused) as caught:
            ask(world, **asked)
        assert caught.value.key == "vault.restricted"
        assert caught.value.params["since"] == "2026-11-24"
    assert len(log(world)) == before


def test_a_number_that_changed_hands_shows_its_newest_holder_alone(world: World) -> None:
    later = ARRIVED + timedelta(days=200)
    world.load([collected("W2", later, receiver_name="李四")])
    found = ask(world, phone=PHONE)
    assert (found.fields["name"], found.generation, found.holders) == ("李四", 1, 2)
    assert ask(world, subject=_first(world)).fields["name"] == "张伟"


def _first(world: World) -> UUID:
    found: UUID = next(p["subject_id"] for p in world.people() if p["generation"] == 0)
    return found


def test_nothing_is_shown_when_the_ledger_cannot_be_written(world: World) -> None:
    with world.store.admin().begin() as connection:
        connection.execute(text("REVOKE INSERT ON ledger_entry FROM safehands_officer"))
        connection.execute(text("REVOKE INSERT (body) ON ledger_entry FROM safehands_officer"))
    with pytest.raises(DBAPIError):
        ask(world, phone=PHONE)
    assert log(world) == []


def test_a_swapped_ciphertext_does_not_open(world: World) -> None:
    world.load([parcel("W2", ARRIVED, receiver_phone=OTHER, receiver_name="李四")])
    with world.store.admin().begin() as connection:
        swap = (
            "UPDATE subject s SET sealed = o.sealed FROM subject o"
            " WHERE o.subject_id <> s.subject_id"
        )
        connection.execute(text(swap))
    with pytest.raises(KeyProblem):
        ask(world, phone=PHONE)
    assert log(world) == []


def test_what_was_revealed_is_not_shown_by_accident_and_does_not_travel(world: World) -> None:
    found = ask(world, phone=PHONE)
    for value in ("张伟", PHONE, "科技路"):
        assert value not in repr(found)
    with pytest.raises(TypeError):
        pickle.dumps(found)


def test_the_module_offers_one_door() -> None:
    assert door.__all__ == ["Revealed", "reveal"]


def test_an_erased_person_leaves_the_access_and_no_id(world: World) -> None:
    ask(world, phone=PHONE)
    with world.store.begin(controller=world.owner().id) as connection:
        connection.execute(text("DELETE FROM parcel"))
        connection.execute(text("DELETE FROM custody"))
        connection.execute(text("DELETE FROM subject"))
    assert [(row["subject_id"], row["action"]) for row in log(world)] == [(None, "reveal")]
