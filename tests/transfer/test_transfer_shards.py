"""Shards of a package: whoever makes them, and whatever happens in between, the package is one."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlalchemy import text
from test_transfer_middle import OUT, who
from transfer_world import BUYER_KEY, CLASSES, PHONES, Deal, deal_of

from minimised import World, at, collected, parcel, preference
from nights import BUSINESS_DATE, NOW
from safehands.errors import HandoverRefused
from safehands.handover.state import abort
from safehands.keys import age
from safehands.keys.pairing import PairKey
from safehands.night import Night
from safehands.store import Store
from safehands.store.register import open_ring
from safehands.transfer.contents import TABLES
from safehands.transfer.cutover import end_keys
from safehands.transfer.opening import open_package
from safehands.transfer.order import Order
from safehands.transfer.package import Packaged, make_package
from safehands.transfer.rows import Seen, gather, read_part
from safehands.transfer.shards import HandoverShard, Ready, end_shards, rekey, run_key, shards_of

PARCELS = 12
"""Parcels of a shard: few, so that the people of these tests fall into several."""

Rows = dict[str, list[str]]


def people(world: World) -> None:
    """Forty people at A1 with parcels and wishes; every third waits for one; some of nobody."""
    rows, wishes = [], []
    for n, phone in enumerate(PHONES[:40]):
        rows += [collected(f"S{n}-{i}", at(2026, 11, 1 + i), receiver_phone=phone) for i in (0, 1)]
        if n % 3 == 0:
            rows.append(parcel(f"W{n}", at(2026, 11, 20), receiver_phone=phone))
        wishes.append(preference(at(2026, 11, 2), receiver_phone=phone))
    rows += [
        parcel(f"N{n}", at(2026, 11, 20), receiver_phone=None, receiver_name=None) for n in range(5)
    ]
    world.load(rows, preferences=wishes)


@pytest.fixture
def many(store: Store, night: Night, tmp_path: Path) -> Deal:
    """A hand-over of forty people, approved; two stay."""
    world = World(store, night, NOW)
    people(world)
    made = deal_of(world, tmp_path / "package.age")
    classes = {**dict.fromkeys(PHONES[:40], "transferred"), PHONES[1]: "refused"}
    made.approved({**classes, PHONES[2]: "silent"})
    return made


def order_of(deal: Deal) -> Order:
    """Return the order of a deal whose shards are small."""
    return replace(deal.order(), part_parcels=PARCELS)


def shards(deal: Deal, folder: Path) -> list[HandoverShard]:
    """Return all shards of a deal, re-keyed."""
    store, seller = deal.world.store, deal.world.owner()
    key = run_key(store.provider, deal.id)
    planned = shards_of(store, order_of(deal), BUSINESS_DATE)
    return [rekey(store, seller, deal.stations, one, folder, key) for one in planned]


def sealed(deal: Deal, made: list[HandoverShard]) -> tuple[Packaged, int]:
    """Seal the package; return it and how many shards were used as they were."""
    ready = Ready(made, run_key(deal.world.store.provider, deal.id))
    return make_package(
        deal.world.store, order_of(deal), deal.path, deal.world.now, ready
    ), ready.used


def in_package(deal: Deal) -> Rows:
    """Return the rows of the sealed package per table, as text, in an order of their own."""
    identity = age.identity(deal.buyer.store.provider, BUYER_KEY)
    found = open_package(deal.path.read_bytes(), identity, deal.verifier, "B")
    return {
        name: sorted(map(str, pq.read_table(io.BytesIO(found.files[name])).to_pylist()))
        for name in TABLES
    }


def in_store(deal: Deal) -> Rows:
    """Return what the store itself gives for a package, read in one piece."""
    store, seller = deal.world.store, deal.world.owner()
    with store.begin(controller=seller.id) as connection:
        ring = open_ring(connection, store.provider, seller)
        stations = {seller.stations[code]: code for code in deal.stations}
        names = PairKey(store.provider, str(deal.id))
        seen = Seen(deal.id, stations, ring, names, asset=True)
        assert gather(connection, seen) == 1
        tables = read_part(connection, seen, 0)
    return {name: sorted(map(str, tables[name].to_pylist())) for name in TABLES}


def test_shards_made_side_by_side_make_the_package(many: Deal, tmp_path: Path) -> None:
    made = shards(many, tmp_path / "work")
    assert len(made) > 5
    wanted = in_store(many)
    package, used = sealed(many, made)
    assert used == len(made)
    assert in_package(many) == wanted
    assert package.counts == {name: len(rows) for name, rows in wanted.items()}
    # Also what hangs on two parts: slips of people, and of nobody.
    assert package.counts["custody"] == 14 + 5
    assert many.receive()["received"]["person"]["new"] == 38
    many.accept()
    assert set(many.reconcile()["gone"].values()) == {0}


def changed_parcel(deal: Deal) -> None:
    change = text("UPDATE parcel SET tags = 1 WHERE subject_id = :who")
    with deal.world.store.admin().begin() as connection:
        assert connection.execute(change, {"who": who(deal, PHONES[0])[0]}).rowcount > 1


def new_parcel(deal: Deal) -> None:
    deal.world.load([collected("NEW-1", at(2026, 11, 21), receiver_phone=PHONES[0])])


def new_preference(deal: Deal) -> None:
    again = preference(at(2026, 11, 22), receiver_phone=PHONES[0], notify_channel=2)
    deal.world.load([], preferences=[again])


def collected_since(deal: Deal) -> None:
    deal.world.load([collected("W0", at(2026, 11, 20), receiver_phone=PHONES[0])])


CHANGES: dict[str, Callable[[Deal], None]] = {
    **{name: change for name, (_, change) in OUT.items()},
    "a parcel changed": changed_parcel,
    "a parcel came": new_parcel,
    "a wish changed": new_preference,
    "a parcel was collected": collected_since,
}


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_what_happened_in_between_is_in_the_package(many: Deal, tmp_path: Path, name: str) -> None:
    made = shards(many, tmp_path / "work")
    CHANGES[name](many)
    package, used = sealed(many, made)
    # The door has put whoever left into their class by now, as for a package made at once.
    assert in_package(many) == in_store(many)
    assert package.counts["person"] in (37, 38)
    assert used < len(made), "nobody noticed the change"


def test_another_cut_uses_no_shard(many: Deal, tmp_path: Path) -> None:
    made = shards(many, tmp_path / "work")
    ready = Ready(made, run_key(many.world.store.provider, many.id))
    package = make_package(many.world.store, many.order(), many.path, many.world.now, ready)
    assert ready.used == 0
    assert package.counts["person"] == 38


def gone(folder: Path, _deal: Deal) -> None:
    for file in folder.iterdir():
        file.unlink()


def broken(folder: Path, _deal: Deal) -> None:
    for file in folder.iterdir():
        file.write_bytes(file.read_bytes()[:-1] + b"?")


def keyless(_folder: Path, deal: Deal) -> None:
    deal.world.store.provider.destroy(f"run/handover-{deal.id}")


@pytest.mark.parametrize("harm", [gone, broken, keyless])
def test_a_lost_shard_is_read_anew(many: Deal, tmp_path: Path, harm: Any) -> None:
    made = shards(many, tmp_path / "work")
    harm(tmp_path / "work", many)
    wanted = in_store(many)
    _, used = sealed(many, made)
    assert used == 0
    assert in_package(many) == wanted


def test_shards_are_ciphertext_and_end_with_their_key(many: Deal, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    made = shards(many, folder)
    written = b"".join(file.read_bytes() for file in folder.iterdir())
    assert not any(phone.encode() in written for phone in PHONES[:40])
    travels = str([one.as_dict() for one in made])
    assert not any(phone in travels for phone in PHONES)
    assert [HandoverShard.from_dict(one.as_dict()) for one in made] == made
    provider = many.world.store.provider
    assert end_shards(provider, many.id, folder)
    assert not folder.exists()
    assert not provider.has(f"run/handover-{many.id}")
    assert not end_shards(provider, many.id, folder)


def test_nothing_is_opened_before_the_approval_or_after_its_end(many: Deal, tmp_path: Path) -> None:
    store, seller = many.world.store, many.world.owner()
    [first, *_] = shards_of(store, order_of(many), BUSINESS_DATE)
    key = run_key(store.provider, many.id)
    with store.begin(controller=seller.id) as connection:
        abort(connection, many.id, "the buyer gave up", "wang.li", many.world.now)
    end_keys(store, many.id)
    assert not store.provider.has(f"run/handover-{many.id}")
    with pytest.raises(HandoverRefused, match="aborted"):
        shards_of(store, order_of(many), BUSINESS_DATE)
    with pytest.raises(HandoverRefused, match="aborted"):
        rekey(store, seller, many.stations, first, tmp_path / "work", key)
    assert not (tmp_path / "work").exists()


def test_what_is_packaged_has_no_shards(deal: Deal) -> None:
    store = deal.world.store
    assert len(shards_of(store, deal.order(), BUSINESS_DATE)) == 1
    deal.package()
    assert shards_of(store, deal.order(), BUSINESS_DATE) == []


def test_a_mode_that_moves_nothing_has_no_package(
    store: Store, night: Night, tmp_path: Path
) -> None:
    world = World(store, night, NOW)
    people(world)
    made = deal_of(world, tmp_path / "package.age")
    made.mode = "closure"
    made.approved(dict.fromkeys(CLASSES, "expired"))
    with pytest.raises(HandoverRefused, match="no data"):
        shards_of(store, made.order(), BUSINESS_DATE)
