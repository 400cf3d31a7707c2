"""What full exports list, so that whoever a later one no longer lists is noticed.

A station's owner may declare that every export of a dataset is the whole of it (``full_exports``
in ``stations.yaml``). Its rows' tokens are then remembered with the night they were last listed.
Nothing is deleted by that: the report says how many are missing, and a person decides.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, text

from safehands.datasets import Shard
from safehands.night import Night
from safehands.store import driver
from safehands.store.bulk import NOBODY, copy_in
from safehands.store.register import Owner

__all__ = ["full_files", "remember"]

Array = npt.NDArray[Any]


def full_files(connection: Connection, shard: Shard, owner: Owner, dataset: str) -> Array:
    """Return one bool per file of the shard: is every export of ``dataset`` there a full one?"""
    query = text("SELECT id, full_exports FROM station WHERE full_exports <> ''")
    declared = {row[0]: row[1].split(",") for row in connection.execute(query)}
    return np.array(
        [dataset in declared.get(owner.stations[f.station], ()) for f in shard.files], dtype=bool
    )


def remember(
    connection: Connection,
    night: Night,
    owner: Owner,
    dataset: str,
    tokens: Array,
    stations: Array,
    full: Array,
) -> int:
    """Remember ``tokens`` (``V16``) of rows for which ``full`` holds, under their station.

    Rows without a person are passed over. Return how many different ones are listed.
    """
    chosen = full & (tokens != np.void(NOBODY))
    if not chosen.any():
        return 0
    raw = driver(connection)
    raw.execute("CREATE TEMP TABLE IF NOT EXISTS incoming_listing (station int, token uuid)")
    raw.execute("TRUNCATE incoming_listing")
    copy_in(raw, "incoming_listing", [("i4", stations[chosen]), ("uuid", tokens[chosen])])
    values = {"controller": owner.id, "dataset": dataset, "day": night.business_date}
    return int(connection.execute(text(_REMEMBER), values).rowcount)


_REMEMBER = (
    "INSERT INTO listing AS l (controller_id, station_id, dataset, token, seen_on)"
    " SELECT DISTINCT CAST(:controller AS int), station, :dataset, token, CAST(:day AS date)"
    " FROM incoming_listing ON CONFLICT (controller_id, station_id, dataset, token)"
    " DO UPDATE SET seen_on = greatest(l.seen_on, excluded.seen_on)"
)
