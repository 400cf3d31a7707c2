"""Rotations: everything opens afterwards, the old key opens nothing, a kill costs nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from keys_scene import KILLED, Home, Scene, files_of, night_of, sampled
from sqlalchemy import text

from minimised import World, collected, declared, parcel
from nights import NOW
from safehands import journal
from safehands.errors import KeyProblem
from safehands.keys import KeyRing
from safehands.keys.places import key_id
from safehands.rotation import data, key_state, rewrap, rotate_data, rotate_root
from safehands.store import Store
from safehands.store.digest import store_digest
from safehands.store.register import (
    Owner,
    check_keys,
    open_ring,
    owners,
    register,
    wrapped_keys,
)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    made = Scene(tmp_path_factory.mktemp("rotation"))
    yield made
    made.end()


@pytest.fixture
def home(scene: Scene) -> Iterator[Home]:
    made = scene.fresh()
    yield made
    scene.drop(made)


def tokens(store: Store) -> list[tuple[str, ...]]:
    """Return what must not change: waybill tokens and lookups."""
    with store.begin("safehands_owner") as connection:
        parcels = connection.execute(text("SELECT waybill::text FROM parcel ORDER BY 1"))
        lookups = connection.execute(text("SELECT lookup::text FROM subject ORDER BY 1"))
        return [tuple(str(r[0]) for r in parcels), tuple(str(r[0]) for r in lookups)]


def events(store: Store) -> list[str]:
    with store.begin("safehands_owner") as connection:
        rows = connection.execute(
            text("SELECT body::jsonb ->> 'event' FROM ledger_entry ORDER BY id")
        )
        return [str(row[0]) for row in rows]


# Root key.


def test_a_new_root_key_opens_everything_and_the_old_one_nothing(home: Home) -> None:
    store = home.store()
    before, old = store_digest(store), files_of(home.folder).get("root")
    done = rotate_root(store, NOW)
    assert (done.old, done.controllers, done.resumed) == (key_id(old), 2, False)
    assert store.provider.key_id == done.new != done.old
    again = home.store()
    check_keys(again)
    assert store_digest(again) == before
    assert events(again).count("keys_rotate") == 1
    files = files_of(home.folder)
    assert not files.has("root-next")
    assert files.root_version == 2
    for path in home.folder.rglob("*.key"):
        assert old not in path.read_bytes()


def test_the_old_root_key_put_back_is_refused_by_name(home: Home) -> None:
    path = home.folder / "keys" / "root.key"
    kept = path.read_bytes()
    done = rotate_root(home.store(), NOW)
    new = path.read_bytes()
    path.write_bytes(kept)
    with pytest.raises(KeyProblem) as caught:
        home.store()
    assert caught.value.key == "keys.older_root"
    assert caught.value.params["found"] == done.old
    assert caught.value.params["wanted"] == done.new
    path.write_bytes(new)
    check_keys(home.store())


def test_a_root_key_newer_than_the_database_is_refused_by_name(scene: Scene) -> None:
    rotated, stale = scene.fresh(), scene.fresh()
    done = rotate_root(rotated.store(), NOW)
    (stale.folder / "keys" / "root.key").write_bytes(
        (rotated.folder / "keys" / "root.key").read_bytes()
    )
    with pytest.raises(KeyProblem) as caught:
        stale.store()
    assert caught.value.key == "keys.newer_root"
    assert caught.value.params["found"] == done.new
    scene.drop(rotated)
    scene.drop(stale)


def test_root_keys_rotate_again_and_again(home: Home) -> None:
    before = store_digest(home.store())
    ids = [rotate_root(home.store(), NOW).new for _ in range(3)]
    store = home.store()
    assert len(set(ids)) == 3
    assert store_digest(store) == before
    assert key_state(store)["root"]["version"] == 4


def test_rewrapping_changes_what_lies_in_the_store_and_nothing_else(home: Home) -> None:
    store = home.store()
    owner = owners(store)["A"]
    with store.begin() as connection:
        old = wrapped_keys(connection, owner)
    before, key = store_digest(store), store.provider.key_id
    rewrap(store, NOW)
    again = home.store()
    with again.begin() as connection:
        new = wrapped_keys(connection, owner)
    assert again.provider.key_id == key
    assert {new.data, new.tombstone, new.suppression}.isdisjoint(
        {old.data, old.tombstone, old.suppression}
    )
    assert store_digest(again) == before


def test_an_owner_is_not_registered_under_a_root_key_that_has_gone(home: Home) -> None:
    late = home.store()
    stale = home.store()
    # The second store keeps a provider that does not see the rotation of the first.
    frozen = files_of(home.folder / "elsewhere")
    frozen.create("root", files_of(home.folder).get("root"))
    rotate_root(late, NOW)
    more = declared()
    third = more.controllers[0].model_copy(update={"code": "C", "stations": ()})
    stale.provider = frozen
    stale.close()
    frozen.create("base", files_of(home.folder).get("base"))
    with pytest.raises(KeyProblem):
        register(stale, type(more)(controllers=(third,)), NOW.date())
    assert "C" not in owners(late)


def test_a_root_rotation_killed_at_any_moment_loses_nothing(scene: Scene) -> None:
    probe = scene.fresh()
    before = store_digest(probe.store())
    code, points = probe.killed(lambda: rotate_root(probe.store(), NOW), None)
    assert code == 0
    assert points > 30
    scene.drop(probe)
    for at in sampled(points, 8):
        home = scene.fresh()
        started = files_of(home.folder).key_id
        code, _ = home.killed(lambda home=home: rotate_root(home.store(), NOW), at)
        assert code == KILLED, at
        store = home.store()
        check_keys(store)
        assert store_digest(store) == before, at
        rotate_root(store, NOW)
        again = home.store()
        assert store_digest(again) == before, at
        assert again.provider.key_id != started, at
        assert key_state(again)["root"]["settled"], at
        assert not list(home.folder.rglob(".*key*")), at
        scene.drop(home)


# Data key.


def test_a_new_data_key_seals_every_record_and_leaves_every_token(home: Home) -> None:
    store = home.store()
    before, same = store_digest(store), tokens(store)
    old = _heads(store)
    assert old == {1}
    done = rotate_data(store, owners(store)["A"], NOW, batch=2)
    assert (done.old, done.new, done.records, done.resumed) == (1, 2, 5, False)
    assert store_digest(store) == before
    assert tokens(store) == same
    assert _heads(store, "A") == {2}
    assert _heads(store, "B") == {1}
    again = home.store()
    check_keys(again)
    assert store_digest(again) == before


def test_below_the_minimum_version_nothing_is_opened(home: Home) -> None:
    store = home.store()
    owner = owners(store)["A"]
    kept = _records(store)
    rotate_data(store, owner, NOW)
    with store.begin(controller=owner.id) as connection:
        ring = open_ring(connection, store.provider, owner)
    for subject, salt, sealed in kept:
        (secret,) = ring.unwrap_salts([subject], [salt])
        with pytest.raises(KeyProblem) as caught:
            ring.unseal("person", [subject], [secret[:16]], [sealed])
        assert caught.value.key == "keys.no_such_version"
        assert caught.value.params["minimum"] == 2


def test_the_former_data_key_goes_and_a_new_lineage_begins(home: Home) -> None:
    store = home.store()
    owner = owners(store)["A"]
    rotate_data(store, owner, NOW)
    with store.begin("safehands_owner") as connection:
        assert connection.execute(text("SELECT count(*) FROM former_key")).scalar() == 0
        lineage = connection.execute(text("SELECT number, reason FROM backup_lineage")).all()
    assert [(row.number, row.reason) for row in lineage] == [(1, "data key of A: version 2")]
    assert key_state(store)["lineage"] == 1
    rotate_data(store, owner, NOW)
    assert key_state(store)["lineage"] == 2
    assert _heads(store, "A") == {3}


def test_a_night_goes_on_while_a_data_key_is_replaced(home: Home, tmp_path: Path) -> None:
    store = home.store()
    owner = owners(store)["A"]
    data._begin(store, owner, NOW)
    world = World(store, night_of(tmp_path), NOW)
    world.shard()
    # A known person comes back under the new key, a slip of before is compared, somebody is new.
    world.load(
        [
            parcel("W1", NOW, shelf="B9"),
            collected("W9", NOW, receiver_phone="13800000009", receiver_name="赵静"),
        ]
    )
    assert _heads(store, "A") == {1, 2}
    assert "B9" in {slip["shelf"] for slip in world.slips()}
    expected = store_digest(store)
    done = rotate_data(store, owner, NOW)
    assert done.resumed
    assert _heads(store, "A") == {2}
    assert store_digest(store) == expected


def test_restricted_people_are_sealed_anew_too(home: Home) -> None:
    store = home.store()
    owner = owners(store)["A"]
    with store.begin("safehands_owner", owner.id) as connection:
        connection.execute(text("UPDATE subject SET restricted = true"))
        connection.execute(text("UPDATE custody SET restricted = true"))
    rotate_data(store, owner, NOW)
    assert _heads(store, "A") == {2}


def test_a_record_that_does_not_open_stops_the_rotation_and_keeps_the_old_key(home: Home) -> None:
    store = home.store()
    owner = owners(store)["A"]
    with store.begin("safehands_owner", owner.id) as connection:
        connection.execute(text("UPDATE custody SET sealed = set_byte(sealed, 20, 0) "))
        connection.execute(
            text("UPDATE custody SET sealed = set_byte(sealed, 21, 255 - get_byte(sealed, 21))")
        )
    with pytest.raises(KeyProblem):
        rotate_data(store, owner, NOW)
    with store.begin(controller=owner.id) as connection:
        assert wrapped_keys(connection, owner).former.keys() == {1}
    assert key_state(store)["controllers"][0]["minimum_version"] == 1


def test_an_undeclared_column_of_bytes_stops_a_rotation(home: Home) -> None:
    store = home.store()
    with store.begin("safehands_owner") as connection:
        connection.execute(text("CREATE TABLE forgotten (id int PRIMARY KEY, secret bytea)"))
    for rotate in (lambda: rotate_root(store, NOW), lambda: rotate_data(store, _a(store), NOW)):
        with pytest.raises(KeyProblem) as caught:
            rotate()
        assert caught.value.params == {"table": "forgotten", "column": "secret"}
    assert _heads(store) == {1}


@pytest.mark.parametrize("how", ["killed", "eio", "full"])
def test_a_data_rotation_killed_at_any_moment_loses_nothing(scene: Scene, how: str) -> None:
    probe = scene.fresh()
    before, same = store_digest(probe.store()), tokens(probe.store())
    code, points = probe.killed(
        lambda: rotate_data(store := probe.store(), _a(store), NOW, batch=2), None
    )
    assert code == 0
    assert points > 60
    scene.drop(probe)
    for at in sampled(points, 8 if how == "killed" else 4):
        home = scene.fresh()
        code, _ = home.killed(
            lambda home=home: rotate_data(store := home.store(), _a(store), NOW, batch=2), at, how
        )
        assert code == (KILLED if how == "killed" else 0), at
        store = home.store()
        check_keys(store)
        assert store_digest(store) == before, at
        state = key_state(store)["controllers"][0]
        if state["data_version"] == 1 or state["minimum_version"] == 1:
            rotate_data(store, _a(store), NOW)
        assert _heads(store, "A") == {2}, at
        assert store_digest(store) == before, at
        assert tokens(store) == same, at
        assert key_state(store)["lineage"] == 1, at
        _verified(store)
        scene.drop(home)


def test_root_and_data_rotate_one_inside_the_other(home: Home) -> None:
    store = home.store()
    before = store_digest(store)
    data._begin(store, _a(store), NOW)
    rotate_root(store, NOW)
    again = home.store()
    check_keys(again)
    assert store_digest(again) == before
    assert rotate_data(again, _a(again), NOW).resumed
    assert store_digest(home.store()) == before


def test_the_kept_branches_are_those_of_the_first_data_key(home: Home) -> None:
    store = home.store()
    with store.begin(controller=_a(store).id) as connection:
        ring = open_ring(connection, store.provider, _a(store))
        kept = wrapped_keys(connection, _a(store))
    rotate_data(store, _a(store), NOW)
    with store.begin(controller=_a(store).id) as connection:
        new = open_ring(connection, store.provider, _a(store))
    assert kept.tokens is None
    assert ring.custody_salts([b"t" * 16]) == new.custody_salts([b"t" * 16])
    assert isinstance(new, KeyRing)
    assert new.version == 2


def _a(store: Store) -> Owner:
    return owners(store)["A"]


def _verified(store: Store) -> None:
    journal.sequence(store, NOW)
    journal.verify(store, journal.signing_key(store.provider).verifier)


def _heads(store: Store, code: str | None = None) -> set[int]:
    """Return the key versions that sealed records state."""
    query = (
        "SELECT controller_id, get_byte(sealed, 1) * 256 + get_byte(sealed, 2) FROM subject"
        " UNION SELECT controller_id, get_byte(sealed, 1) * 256 + get_byte(sealed, 2) FROM custody"
    )
    wanted = {owner.id for owner in owners(store).values() if code in (None, owner.code)}
    with store.begin("safehands_owner") as connection:
        return {int(row[1]) for row in connection.execute(text(query)) if row[0] in wanted}


def _records(store: Store) -> list[tuple[bytes, bytes, bytes]]:
    with store.begin(controller=_a(store).id) as connection:
        rows = connection.execute(text("SELECT subject_id, wrapped_salt, sealed FROM subject"))
        return [(row[0].bytes, bytes(row[1]), bytes(row[2])) for row in rows]
