"""The last look before the store: what was let through by mistake does not get by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from validate_tables import NOON, TIME

from safehands.errors import QualityGateClosed, StepFailed
from safehands.night import Night
from safehands.validate import check_pseudonymised

SCHEMA = pa.schema(
    [
        ("controller_id", pa.int32()),
        ("station_id", pa.int32()),
        ("waybill", pa.binary(16)),
        ("subject_id", pa.binary(16)),
        ("arrived_at", TIME),
        ("collected_at", TIME),
        ("carrier", pa.int16()),
        ("status", pa.int16()),
        ("district", pa.int32()),
        ("weight_band", pa.int16()),
        ("tags", pa.int16()),
    ]
)
CLEAN: dict[str, Any] = {
    "controller_id": 1,
    "station_id": 7,
    "subject_id": bytes(16),
    "arrived_at": NOON,
    "carrier": 1,
    "status": 1,
    "district": 0,
    "weight_band": 1,
    "tags": 0,
}


def kept(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return a pseudonymised table; what a row leaves out is clean, its token from its place."""
    full = [{**CLEAN, "waybill": at.to_bytes(16, "big"), **r} for at, r in enumerate(rows)]
    return pa.Table.from_pylist(full, schema=SCHEMA)


def _hex(table: pa.Table) -> pa.Table:
    tokens = [token.hex() for token in table["waybill"].to_pylist()]
    return table.set_column(2, "waybill", pa.array(tokens, pa.string()))


@pytest.mark.parametrize("written", [lambda table: table, _hex])
def test_a_clean_table_passes_with_counts_per_station(
    written: Callable[[pa.Table], pa.Table], night: Night
) -> None:
    rows = [
        {"station_id": at % 2 + 7, "subject_id": None if at < 2 else bytes(16)} for at in range(6)
    ]
    quality = check_pseudonymised(written(kept(rows)), night)
    assert {entry["dataset"] for entry in quality} == {"pseudonymised"}
    nobody = [e for e in quality if e["rule"] == "pseudonymised.subject_missing"]
    assert [(e["station"], e["evaluated"], e["failed"]) for e in nobody] == [
        ("7", 3, 1),
        ("8", 3, 1),
    ]
    assert sum(e["failed"] for e in quality) == 2


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ({"waybill": None}, "token_missing"),
        ({"waybill": (1).to_bytes(16, "big")}, "token_repeated"),
        ({"arrived_at": None}, "arrived_missing"),
        ({"collected_at": NOON - timedelta(seconds=1)}, "collected_before_arrived"),
        ({"controller_id": None}, "controller_missing"),
        ({"station_id": None}, "station_missing"),
        ({"carrier": 77}, "carrier_unlisted"),
        ({"status": 5}, "status_unlisted"),
        ({"district": 12}, "district_unlisted"),
        ({"weight_band": 9}, "weight_band_unlisted"),
        ({"tags": 128}, "tags_unlisted"),
        ({"tags": -1}, "tags_unlisted"),
    ],
)
def test_one_bad_row_closes_the_gate(row: dict[str, Any], rule: str, night: Night) -> None:
    with pytest.raises(QualityGateClosed) as caught:
        check_pseudonymised(kept([row, {}, {}]), night)
    assert caught.value.params["rule"] == f"pseudonymised.{rule}"
    assert caught.value.exit_code == 30


def test_one_token_may_occur_under_two_controllers(night: Night) -> None:
    token = bytes(16)
    rows = [{"waybill": token}, {"waybill": token, "controller_id": 2}]
    assert sum(e["failed"] for e in check_pseudonymised(kept(rows), night)) == 0


@pytest.mark.parametrize(
    ("column", "rule"),
    [
        (pa.array(["ok", None, ""], pa.string()), "text_column"),
        (pa.array(["a", "a", "b"]).dictionary_encode(), "text_column"),
        (pa.array([b"a", b"b", None]), "text_column"),
        (pa.array([[1], [2], None]), "text_column"),
        (pa.array([0, 13900001111, None], pa.int64()), "mobile_like"),
        (pa.array(["", "电话 +86 139-0000-1111。", None], pa.large_string()), "mobile_like"),
    ],
)
def test_a_further_column_may_not_carry_text_or_numbers_of_people(
    column: pa.Array, rule: str, night: Night
) -> None:
    with pytest.raises(QualityGateClosed) as caught:
        check_pseudonymised(kept([{}, {}, {}]).append_column("extra", column), night)
    assert caught.value.params["rule"] == f"pseudonymised.{rule}"
    assert "1111" not in str(caught.value)


@pytest.mark.parametrize("token", ["13900001111", "SF1234567890", "0" * 31, "0" * 34, "G" * 32])
def test_a_waybill_number_is_no_token(token: str, night: Night) -> None:
    table = _hex(kept([{}, {}]))
    with pytest.raises(QualityGateClosed):
        check_pseudonymised(table.set_column(2, "waybill", pa.array([token, "0" * 32])), night)


@given(tokens=st.lists(st.binary(min_size=16, max_size=16), min_size=1, max_size=40, unique=True))
def test_random_tokens_are_never_taken_for_phones(tokens: list[bytes]) -> None:
    from safehands.validate.frames import pseudonymised_frame

    table = _hex(kept([{"waybill": token} for token in tokens]))
    ids = pa.array(
        [
            f"{t.hex()[:8]}-{t.hex()[8:12]}-4{t.hex()[12:15]}-a{t.hex()[15:18]}-{t.hex()[18:30]}"
            for t in tokens
        ]
    )
    frame = pseudonymised_frame(table.set_column(3, "subject_id", ids), pa.array([0]))
    assert frame["mobile_like"].to_pylist() == [0] * len(tokens)
    assert frame["extra_text_columns"].to_pylist()[0] == 0


def test_a_missing_column_is_named(night: Night) -> None:
    with pytest.raises(StepFailed, match="district"):
        check_pseudonymised(kept([{}]).drop_columns(["district"]), night)


def test_an_empty_table_passes_with_nothing_looked_at(night: Night) -> None:
    assert sum(e["evaluated"] for e in check_pseudonymised(kept([]), night)) == 0
