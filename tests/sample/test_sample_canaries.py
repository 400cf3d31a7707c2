"""Canaries are planted everywhere, and a leak in any common encoding would be found."""

from __future__ import annotations

import base64
import html
import json
import zipfile
from datetime import date
from pathlib import Path
from urllib.parse import quote

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safehands.sample.canaries import CANARIES, search_forms, write_canary_landing

DAY = date(2026, 11, 23)
VALUES = [value for canary in CANARIES for value in canary.values()]


def found(value: str, leak: bytes) -> bool:
    return any(form in leak for form in search_forms(value))


def everything_in(path: Path) -> bytes:
    """Return what a file says, decompressed."""
    if path.suffix == ".xlsx":
        with zipfile.ZipFile(path) as archive:
            return b"".join(archive.read(name) for name in archive.namelist())
    if path.suffix == ".parquet":
        return repr(pq.read_table(path).to_pydict()).encode()
    return path.read_bytes()


@pytest.mark.parametrize("broken", [False, True])
def test_every_value_is_in_every_export_of_parcels(tmp_path: Path, broken: bool) -> None:
    written = write_canary_landing(tmp_path, DAY, broken)
    assert len(written) == (13 if broken else 5)
    assert all(path.exists() for path in written)
    for name in ("CA001/ledger.csv", "CA002/ledger.xlsx", "CB001/parcels.parquet"):
        text = everything_in(tmp_path / name)
        assert [value for value in VALUES if not found(value, text)] == []


def test_the_hidden_sheet_holds_all_of_them(tmp_path: Path) -> None:
    write_canary_landing(tmp_path, DAY)
    with zipfile.ZipFile(tmp_path / "CA002" / "ledger.xlsx") as archive:
        assert b'name="\xe9\x9a\x90\xe8\x97\x8f"' in archive.read("xl/workbook.xml")
        hidden = archive.read("xl/worksheets/sheet4.xml")
    assert [value for value in VALUES if not found(value, hidden)] == []


def test_the_files_are_the_same_again(tmp_path: Path) -> None:
    first = [p.read_bytes() for p in write_canary_landing(tmp_path / "a", DAY, broken=True)]
    assert [p.read_bytes() for p in write_canary_landing(tmp_path / "b", DAY, True)] == first


@given(st.sampled_from(VALUES), st.binary(max_size=7), st.binary(max_size=7))
def test_a_value_is_found_inside_base64_at_any_place(
    value: str, before: bytes, after: bytes
) -> None:
    for encoding in ("utf-8", "utf-16-le", "utf-16-be", "gb18030"):
        leak = before + value.encode(encoding) + after
        assert found(value, base64.b64encode(leak))
        assert found(value, base64.urlsafe_b64encode(leak))


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_a_value_is_found_in_each_encoding(value: str) -> None:
    raw = value.encode("utf-8")
    leaks = [
        *(value.encode(name) for name in ("utf-8", "utf-16-le", "utf-16-be", "gb18030")),
        raw.hex().encode(),
        raw.hex().upper().encode(),
        json.dumps({"x": value}).encode(),
        json.dumps(json.dumps({"x": value})).encode(),
        json.dumps({"x": value}, ensure_ascii=False).encode(),
        quote(value).encode(),
        quote(value, encoding="gb18030").encode(),
        quote(value).lower().encode(),
        repr(raw).encode(),
        ascii(value).encode(),
        value.encode("ascii", "xmlcharrefreplace"),
    ]
    assert [i for i, leak in enumerate(leaks) if not found(value, leak)] == []
    assert html.unescape(leaks[-1].decode()) == value


def test_phones_are_found_in_groups() -> None:
    phone = CANARIES[0].phone
    assert found(phone, f"tel {phone[:3]}-{phone[3:7]}-{phone[7:]}".encode())
    assert found(phone, f"tel {phone[:3]} {phone[3:7]} {phone[7:]}".encode())


@given(st.binary(max_size=4096))
def test_other_bytes_are_not_taken_for_a_canary(noise: bytes) -> None:
    leak = base64.b64encode(noise) + noise.hex().encode() + noise
    assert not any(found(value, leak) for value in VALUES[:4])


def test_a_canary_does_not_show_itself() -> None:
    assert not [value for value in VALUES if found(value, repr(CANARIES).encode())]


def test_every_form_is_long_enough_to_be_no_accident() -> None:
    assert min(len(form) for value in VALUES for form in search_forms(value)) >= 7
