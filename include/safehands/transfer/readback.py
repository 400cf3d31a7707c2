"""Before the buyer's transaction ends: what was written is read back and compared to the row."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, text

from safehands.errors import HandoverRefused
from safehands.keys import KeyRing
from safehands.transfer.imports import Batch
from safehands.transfer.known import People

__all__ = ["check_people", "check_rows"]


def check_people(connection: Connection, ring: KeyRing, people: People, plain: list[bytes]) -> None:
    """Open every new person's record with the buyer's keys and compare it with the package.

    Raises ``HandoverRefused`` with the number of people that differ.
    """
    wanted = {people.ids[i]: plain[i] for i in people.new}
    rows = connection.execute(text(_PEOPLE)).all()
    ids = [row[0].bytes for row in rows]
    secrets = ring.unwrap_salts(ids, [row[1] for row in rows])
    found = ring.unseal("person", ids, [s[:16] for s in secrets], [row[2] for row in rows])
    same = sum(wanted[one] == text for one, text in zip(ids, found, strict=True))
    if same != len(wanted):
        raise HandoverRefused("transfer.reads_back", table="person", rows=len(wanted) - same)


def check_rows(
    connection: Connection, batch: Batch, counts: Mapping[str, Mapping[str, int]]
) -> None:
    """Compare the written parcels, slips and preferences with what came in.

    Raises ``HandoverRefused`` with the table and how many rows differ.
    """
    values = {"controller": batch.controller, "batch": batch.number}
    for table, query in _SAME.items():
        same = int(connection.execute(text(query), values).scalar_one())
        if same != counts[table]["new"]:
            differ = abs(counts[table]["new"] - same)
            raise HandoverRefused("transfer.reads_back", table=table, rows=differ)


_PEOPLE = (
    "SELECT subject_id, s.wrapped_salt, s.sealed FROM incoming_person JOIN subject s"
    " USING (subject_id) WHERE s.controller_id = bound_controller()"
)
_NIL = "'00000000-0000-0000-0000-000000000000'"
_SAME = {
    "parcel": (
        "SELECT count(*) FROM incoming_parcel i JOIN parcel p ON p.controller_id = :controller"
        " AND p.waybill = i.waybill AND p.arrived_at = i.arrived_at WHERE p.batch_id = :batch"
        f" AND coalesce(p.subject_id, {_NIL}) = i.subject_id"
        " AND coalesce(p.collected_at, 'infinity') = i.collected_at"
        " AND (p.station_id, p.district, p.carrier, p.status, p.weight_band, p.tags)"
        " = (i.station_id, i.district, i.carrier, i.status, i.weight_band, i.tags)"
    ),
    "custody": (
        "SELECT count(*) FROM incoming_custody i JOIN custody c ON c.controller_id = :controller"
        f" AND c.waybill = i.waybill WHERE coalesce(c.subject_id, {_NIL}) = i.subject_id"
        " AND c.sealed = i.sealed AND :batch > 0"
    ),
    "preference": (
        "SELECT count(*) FROM incoming_wish i JOIN preference f"
        " ON f.controller_id = :controller AND f.subject_id = i.subject_id"
        " WHERE f.batch_id = :batch AND f.updated_at = i.updated_at"
        " AND (f.notify_channel, f.delivery_choice, f.time_window)"
        " = (i.notify_channel, i.delivery_choice, i.time_window)"
    ),
}
