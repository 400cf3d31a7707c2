"""The columns that rules look at: a dataset's own, and helpers that make one of a relation.

What Great Expectations is shown is this narrow table and nothing else. A helper is null in each row
that its rule is not about, because rules skip nulls. Helpers: parcels get ``distinct_waybill`` (a
code of carrier and number; null in exact repeats of a row), ``newest_arrival`` (in one row per
station), ``status_if_collected`` and ``status_if_not_collected`` (the status of rows with and
without a pick-up time); lists of people get ``person`` (a code of station and phone); the
pseudonymised table gets ``parcel_key`` (a code of controller and token), ``token_bytes`` (a token's
length), ``district_listed`` and ``mobile_like`` (0 or 1) and ``extra_text_columns`` (their number,
in the first row).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from safehands.datasets import REFERENCE
from safehands.errors import StepFailed
from safehands.validate.masks import Ints

__all__ = ["FRAMES", "frame_of", "people_of", "pseudonymised_frame"]

_DIGITS_OF_A_MOBILE = (
    r"(^|[^0-9A-Za-z])(\+?86[- ]?)?1[3-9][0-9]-?[0-9]{4}-?[0-9]{4}($|[^0-9A-Za-z])"
)
_TEXT_ALLOWED = ("waybill", "subject_id")
_CLAIMS_TO_BE_WHOLE = (1, 3, 6)


def frame_of(dataset: str, table: pa.Table, stations: Ints, latest: pa.Scalar) -> pa.Table:
    """Return the columns that the rules of ``dataset`` look at, in the table's row order.

    ``stations`` is the number of each row's station; ``latest`` (a UTC timestamp) is the end of
    the business date: an arrival after it says nothing about how fresh the data is.
    Raises ``StepFailed`` when the table lacks a canonical column.
    """
    return FRAMES[dataset](_checked(table), stations, latest)


def people_of(table: pa.Table, stations: Ints) -> tuple[pa.Table, Ints]:
    """Return the people that a parcels table speaks of, one row each, and their stations' numbers.

    A person is a distinct phone at a station, with a name if any of the parcels has one. Masked,
    tail-only and virtual numbers stand for nobody in particular and are left out.
    """
    columns = _checked(table.select(["receiver_phone", "receiver_name", "phone_kind"]))
    kinds = pa.array(_CLAIMS_TO_BE_WHOLE, pa.int64())
    whole = pc.is_in(columns["phone_kind"], value_set=kinds)
    rows = np.flatnonzero(pc.and_(whole, pc.is_valid(columns["receiver_phone"])).to_numpy())
    narrow = columns.take(rows)
    codes = _pair_code(stations[rows], narrow["receiver_phone"]).to_numpy(zero_copy_only=False)
    distinct, person = np.unique(codes, return_inverse=True)
    chosen = np.zeros(len(distinct), dtype=np.int64)
    chosen[person] = np.arange(len(rows))
    named = np.flatnonzero(pc.is_valid(narrow["receiver_name"]).to_numpy())
    chosen[person[named]] = named
    people = narrow.take(chosen)
    unknown = pa.nulls(people.num_rows, pa.timestamp("us", "UTC"))
    return people.append_column("updated_at", unknown), stations[rows][chosen]


def _parcels(table: pa.Table, stations: Ints, latest: pa.Scalar) -> pa.Table:
    collected = pc.is_valid(table["collected_at"])
    status = pc.fill_null(table["status"], 0)
    nothing = pa.scalar(None, pa.int64())
    return pa.table(
        {
            **_columns(table, "waybill_no", "receiver_name", "receiver_phone", "phone_kind"),
            **_columns(table, "weight", "arrived_at", "collected_at"),
            "carrier": pc.fill_null(table["carrier"], 0),
            "status_if_collected": pc.if_else(collected, status, nothing),
            "status_if_not_collected": pc.if_else(collected, nothing, status),
            "distinct_waybill": _distinct_waybill(table),
            "newest_arrival": _newest_arrival(table["arrived_at"], stations, latest),
        }
    )


def _customers(table: pa.Table, stations: Ints, _latest: pa.Scalar) -> pa.Table:
    return pa.table(
        {
            **_columns(table, "receiver_phone", "receiver_name", "updated_at"),
            "person": _pair_code(stations, table["receiver_phone"]),
        }
    )


def _preferences(table: pa.Table, stations: Ints, _latest: pa.Scalar) -> pa.Table:
    return pa.table(
        {
            **_columns(table, "receiver_phone", "notify_channel", "delivery_choice"),
            **_columns(table, "time_window", "marketing", "updated_at"),
            "person": _pair_code(stations, table["receiver_phone"]),
        }
    )


def pseudonymised_frame(table: pa.Table, districts: pa.Array) -> pa.Table:
    """Return the columns that the pseudonymised suite looks at. No token or id is among them.

    ``districts`` (int64) are the codes that exist: three thousand, which Great Expectations would
    copy a hundred times over as an option of a rule.

    Raises ``StepFailed`` when a column is missing.
    """
    checked = _checked(table)
    present = pa.scalar(1, pa.int64())
    nothing = pa.scalar(None, pa.int64())
    controllers = checked["controller_id"].fill_null(0).to_numpy()
    return pa.table(
        {
            **_columns(checked, "controller_id", "station_id", "arrived_at", "collected_at"),
            **_columns(checked, "carrier", "status", "weight_band", "tags"),
            "district_listed": _listed(checked, "district", districts),
            "subject_id": pc.if_else(pc.is_valid(checked["subject_id"]), present, nothing),
            "token_bytes": _token_bytes(checked["waybill"]),
            "parcel_key": _pair_code(controllers, checked["waybill"]),
            "extra_text_columns": _extra_text_columns(checked),
            "mobile_like": _mobile_like(checked),
        }
    )


def _columns(table: pa.Table, *names: str) -> dict[str, pa.ChunkedArray]:
    for name in names:
        if name not in table.column_names:
            raise StepFailed("validate.column_missing", column=name)
    return {name: table[name] for name in names}


def _checked(table: pa.Table) -> pa.Table:
    """Whole numbers as int64, NaN as null, dictionaries as their values.

    Great Expectations reads the rest row by row in Python, and pandas takes NaN for a null.
    """
    for at, field in enumerate(table.schema):
        plain = _plain(table.column(at))
        if plain is not table.column(at):
            table = table.set_column(at, field.name, plain)
    return table


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return column.cast(kind.value_type)
    if pa.types.is_integer(kind) and kind != pa.int64():
        return column.cast(pa.int64())
    if pa.types.is_floating(kind):
        return pc.if_else(pc.is_nan(column), pa.scalar(None, kind), column)
    return column


def _pair_code(numbers: Ints, texts: pa.ChunkedArray) -> pa.Array:
    """Return one int64 per pair of number and text, equal for equal pairs; null without a text."""
    encoded = texts.combine_chunks().dictionary_encode()
    codes = encoded.indices.cast(pa.int64())
    size = max(len(encoded.dictionary), 1)
    return pc.add(pa.array(numbers.astype(np.int64) * size), codes)


def _distinct_waybill(table: pa.Table) -> pa.Array:
    carriers = pc.fill_null(table["carrier"], 0).to_numpy()
    codes = _pair_code(carriers, table["waybill_no"])
    again = _repeats(codes, table)
    return codes if again is None else pc.if_else(again, pa.scalar(None, pa.int64()), codes)


def _repeats(codes: pa.Array, table: pa.Table) -> pa.Array | None:
    """Say of each row whether all that the file says in it was said in an earlier row; None: no."""
    _, inverse, counts = np.unique(
        codes.fill_null(-1).to_numpy(), return_inverse=True, return_counts=True
    )
    rows = np.flatnonzero((counts[inverse] > 1) & codes.is_valid().to_numpy(zero_copy_only=False))
    if not len(rows):
        return None
    content = [name for name in table.column_names if name not in REFERENCE]
    some = table.select(content).take(rows).append_column("_at", pa.array(rows))
    firsts = some.group_by(content).aggregate([("_at", "min")])["_at_min"].to_numpy()
    again = np.zeros(table.num_rows, dtype=bool)
    again[rows] = True
    again[firsts] = False
    return pa.array(again)


def _newest_arrival(arrived: pa.ChunkedArray, stations: Ints, latest: pa.Scalar) -> pa.Array:
    """Put the newest believable arrival of each station into the first row that has it."""
    believable = pc.fill_null(pc.less_equal(arrived, latest), False)
    rows = np.flatnonzero(believable.to_numpy())
    times = arrived.cast(pa.int64()).take(rows).to_numpy()
    places = stations[rows]
    newest = np.full(places.max(initial=0) + 1, np.iinfo(np.int64).min)
    np.maximum.at(newest, places, times)
    rows = rows[times == newest[places]]
    chosen = rows[np.unique(stations[rows], return_index=True)[1]]
    absent = np.ones(len(arrived), dtype=bool)
    absent[chosen] = False
    return pc.if_else(pa.array(absent), pa.scalar(None, arrived.type), arrived.combine_chunks())


def _listed(table: pa.Table, name: str, codes: pa.Array) -> pa.ChunkedArray:
    """Return 1 where the code is in the list, 0 where it isn't, null where there is none."""
    column = _columns(table, name)[name]
    listed = pc.is_in(column, value_set=codes).cast(pa.int64())
    return pc.if_else(pc.is_valid(column), listed, pa.scalar(None, pa.int64()))


def _token_bytes(tokens: pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Return each token's length in bytes: half the letters of hexadecimal text, 0 of other."""
    if not _is_text(tokens.type):
        return pc.binary_length(tokens.cast(pa.binary())).cast(pa.int64())
    length = pc.divide(pc.utf8_length(tokens).cast(pa.int64()), 2)
    return pc.if_else(pc.match_substring_regex(tokens, "^([0-9a-f]{2})+$"), length, 0)


def _extra_text_columns(table: pa.Table) -> pa.Array:
    """Put the number of columns that may hold text and should not into the first row."""
    extra = sum(not _is_plain(f.type) and f.name not in _TEXT_ALLOWED for f in table.schema)
    first = [extra] if table.num_rows else []
    return pa.array(first + [None] * (table.num_rows - len(first)), pa.int64())


def _mobile_like(table: pa.Table) -> pa.Array:
    """Return 1 in rows where some text or whole number looks like a mobile number, 0 in others."""
    found = np.zeros(table.num_rows, dtype=np.int64)
    for column in table.columns:
        if _is_text(column.type):
            hit = pc.match_substring_regex(column, _DIGITS_OF_A_MOBILE)
        elif pa.types.is_integer(column.type):
            hit = pc.and_(pc.greater_equal(column, 13 * 10**9), pc.less(column, 20 * 10**9))
        else:
            continue
        found |= pc.fill_null(hit, False).to_numpy()
    return pa.array(found)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_plain(kind: pa.DataType) -> bool:
    numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    return bool(numeric or pa.types.is_temporal(kind))


FRAMES: dict[str, Callable[[pa.Table, Ints, pa.Scalar], pa.Table]] = {
    "parcels": _parcels,
    "customers": _customers,
    "preferences": _preferences,
}
