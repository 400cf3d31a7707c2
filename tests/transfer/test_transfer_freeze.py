"""A night leaves the files of a station that changes hands where they are, and says so."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from nights import BUSINESS_DATE, NOW
from safehands import pipeline
from safehands.errors import HandoverRefused
from safehands.handover.state import abort
from safehands.installation import Installation
from safehands.sample import write_sample
from safehands.store.register import owners
from safehands.transfer.freeze import freeze, frozen, last_load


def test_a_night_keeps_the_files_of_a_frozen_station_for_the_last_load(
    inst: Installation,
) -> None:
    write_sample(inst.settings.landing, BUSINESS_DATE)
    whole = pipeline.plan(inst, BUSINESS_DATE)
    assert not whole.frozen
    file = whole.shards[0].files[0]
    seller = next(o for o in owners(inst.store).values() if file.station in o.stations)
    number, these = uuid4(), (file.station,)
    values: dict[str, Any] = {"id": number, "seller": seller.id, "digest": "x", "now": NOW}
    with inst.store.admin().begin() as connection:
        connection.execute(text(_APPROVED), values)
    assert freeze(inst.store, seller, number, these, "wang.li", NOW)
    assert not freeze(inst.store, seller, number, these, "wang.li", NOW)
    held = pipeline.plan(inst, BUSINESS_DATE)
    files = [f for shard in held.shards for f in shard.files]
    assert file.station not in {f.station for f in files}
    assert held.frozen == {
        file.station: sum(f.station == file.station for s in whole.shards for f in s.files)
    }
    assert pipeline.Plan.from_dict(held.as_dict()) == held
    # A shard that was planned before the freeze is refused when it would write.
    with pytest.raises(HandoverRefused, match="being handed over"):
        pipeline.pseudonymise(inst, whole.head, handoff_of(whole.shards[0]))
    assert last_load(inst.store, seller, number, these, "wang.li", NOW)
    assert pipeline.plan(inst, BUSINESS_DATE) == whole
    assert freeze(inst.store, seller, number, these, "wang.li", NOW)
    with inst.store.begin() as connection:
        abort(connection, number, "buyer refuses", "wang.li", NOW)
    assert frozen(inst.store) == frozenset()


def handoff_of(shard: Any) -> Any:
    from safehands.datasets import Handoff

    return Handoff(f"nightly-{BUSINESS_DATE}", "minimise", shard)


_APPROVED = (
    "INSERT INTO handover VALUES (:id, :seller, 'asset_deal', 'approved', '{}', :digest, :now,"
    " :now)"
)
