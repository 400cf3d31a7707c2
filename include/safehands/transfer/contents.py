"""What a package holds, format ``safehands-transfer/2``: tables, columns, and the fate of each.

``FATE`` says for every column of the store's tables of people what a hand-over does with it; a
test compares it with the database. Person and parcel are named anew for each hand-over
(:mod:`safehands.keys.pairing`); ids, salts, tokens and ciphertexts of the seller never leave.
"""

from __future__ import annotations

from typing import Literal

import pyarrow as pa

__all__ = ["FATE", "FORMAT", "GONE", "GONE_SCHEMA", "SCHEMAS", "TABLES", "Fate"]

FORMAT = "safehands-transfer/2"

Fate = Literal["as it is", "opened and sealed anew", "named anew", "made by the buyer", "stays"]

_NAME = pa.binary(16)
_TIME = pa.timestamp("us", "UTC")

SCHEMAS: dict[str, pa.Schema] = {
    "person": pa.schema(
        [
            ("person", _NAME),
            ("name", pa.string()),
            ("phone", pa.string()),
            ("address", pa.string()),
            ("first_seen", _TIME),
            ("last_seen", _TIME),
        ]
    ),
    "parcel": pa.schema(
        [
            ("person", _NAME),
            ("waybill", _NAME),
            ("station", pa.dictionary(pa.int32(), pa.string())),
            ("arrived_at", _TIME),
            ("collected_at", _TIME),
            ("district", pa.int32()),
            ("carrier", pa.int16()),
            ("status", pa.int16()),
            ("weight_band", pa.int16()),
            ("tags", pa.int16()),
        ]
    ),
    "custody": pa.schema(
        [
            ("person", _NAME),
            ("waybill", _NAME),
            ("arrived_at", _TIME),
            ("number", pa.string()),
            ("shelf", pa.string()),
            ("code", pa.string()),
            ("name", pa.string()),
            ("tail", pa.string()),
        ]
    ),
    "preference": pa.schema(
        [
            ("person", _NAME),
            ("notify_channel", pa.int16()),
            ("delivery_choice", pa.int16()),
            ("time_window", pa.int16()),
            ("updated_at", _TIME),
        ]
    ),
    "consent": pa.schema(
        [
            ("person", _NAME),
            ("purpose", pa.string()),
            ("separate", pa.bool_()),
            ("notice", pa.int32()),
            ("campaign", pa.string()),
            ("at", _TIME),
        ]
    ),
}
"""``waybill`` of a parcel that waits is only its name in the package: the number stands in
``custody`` and the buyer makes its own token from that. A collected parcel's number is not stored
anywhere, so its name becomes the token: the buyer's own exports will not recognise it. A slip's
``name`` and ``tail`` are masked: with them it is handed out even when its person does not move.
``consent`` names the basis on which somebody moves; the proof of the answer stays with the seller,
whose burden it is (PIPL 69)."""

TABLES = tuple(SCHEMAS)

GONE = "gone"
GONE_SCHEMA = pa.schema([("table", pa.string()), ("name", _NAME), ("arrived_at", _TIME)])
"""A final delta's own table: rows of the package that the seller no longer hands over, by the name
that the buyer knows them under."""

FATE: dict[str, dict[str, Fate]] = {
    "subject": {
        "controller_id": "made by the buyer",
        "subject_id": "named anew",
        "lookup": "made by the buyer",
        "generation": "made by the buyer",
        "epoch": "made by the buyer",
        "wrapped_salt": "made by the buyer",
        "key_version": "made by the buyer",
        "sealed": "opened and sealed anew",
        # Who is masked is dormant: nobody could recognise them by a number any more.
        "detail": "made by the buyer",
        "first_seen": "as it is",
        "last_seen": "as it is",
        # Without them a value counts as said when the person was last seen.
        "name_at": "stays",
        "address_at": "stays",
        "night": "stays",
        "seen_before": "stays",
        "before": "stays",
        "restricted": "stays",
    },
    "parcel": {
        "controller_id": "made by the buyer",
        "station_id": "made by the buyer",
        "waybill": "named anew",
        "subject_id": "named anew",
        "arrived_at": "as it is",
        "collected_at": "as it is",
        "district": "as it is",
        "batch_id": "made by the buyer",
        "carrier": "as it is",
        "status": "as it is",
        "weight_band": "as it is",
        "tags": "as it is",
    },
    "custody": {
        "controller_id": "made by the buyer",
        "waybill": "made by the buyer",
        "subject_id": "named anew",
        "arrived_at": "as it is",
        "sealed": "opened and sealed anew",
        "restricted": "stays",
    },
    "preference": {
        "controller_id": "made by the buyer",
        "subject_id": "named anew",
        "notify_channel": "as it is",
        "delivery_choice": "as it is",
        "time_window": "as it is",
        # Rests on a consent that was given to the seller: the buyer asks for its own (PIPL 14).
        "marketing": "stays",
        "updated_at": "as it is",
        "batch_id": "made by the buyer",
        "before": "stays",
        "restricted": "stays",
    },
}
