"""A leaked copy names its recipient, whatever rows, columns and order are left of it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sharing_office import PHONES, Office

from safehands import sharing
from safehands.errors import BadInput
from safehands.keys.domain import DomainKey
from safehands.masking import mask_phone
from safehands.sharing.marks import is_proof, marked, masked_cells, plain

ONE, TWO = (DomainKey(name * 32) for name in (b"1", b"2"))
PHONE = st.integers(13_000_000_000, 19_999_999_999).map(str)
MASKED = {"dataset": "people", "model": "identified", "purposes": ["service"]}


@settings(max_examples=60, deadline=None)
@given(st.sets(PHONE, min_size=60, max_size=90), st.randoms(use_true_random=False))
def test_any_dozen_masked_numbers_prove_one_recipient_and_no_other(
    phones: set[str], chance: random.Random
) -> None:
    cells = {marked(mask_phone(phone), ONE) for phone in phones}
    left = chance.sample(sorted(cells), 12)
    assert is_proof(left, ONE) == (True, 12)
    assert not is_proof(cells, TWO)[0]


@given(PHONE)
def test_a_mark_hides_as_much_as_the_mask(phone: str) -> None:
    cell = marked(mask_phone(phone), ONE)
    assert plain(cell) == mask_phone(phone)
    assert masked_cells(f'"x",{cell}\t|') == {cell}


def test_stars_written_alike_prove_nothing() -> None:
    cells = {mask_phone(f"138{number:08d}") for number in range(400)}
    assert not is_proof(cells, ONE)[0]
    assert not is_proof([], ONE)[0]


def give(office: Office, fields: list[str]) -> list[dict[str, str]]:
    """Give the same people to two recipients and return the rows of the second."""
    book = office.agree(one={**MASKED, "fields": fields}, two={**MASKED, "fields": fields})
    office.give(book, "one")
    return office.opened(office.give(book, "two").file)


def who(found: list[sharing.Traced]) -> list[tuple[str, str]]:
    return [(one.agreement, one.how) for one in found]


def test_a_copy_without_codes_and_with_half_its_rows_is_traced_by_its_stars(
    office: Office, tmp_path: Path
) -> None:
    rows = give(office, ["ref", "name_masked", "phone_masked"])
    # The codes are gone, half the people too, and what is left is mixed up.
    left = [row["phone_masked"] for row in rows][::2][::-1]
    assert who(sharing.trace(office.inst, "\n".join(left), ["A"])) == [("two", "mask")]
    copy = tmp_path / "leak.csv"
    copy.write_bytes(("电话\r\n" + "\r\n".join(left)).encode("gb18030"))
    assert who(sharing.trace(office.inst, sharing.text_of(copy), ["A"])) == [("two", "mask")]
    whole = "\n".join(",".join(row.values()) for row in rows)
    assert who(sharing.trace(office.inst, whole, ["A"])) == [("two", "code"), ("two", "mask")]


def test_whole_numbers_are_looked_up_in_the_register_and_prove_nothing(office: Office) -> None:
    give(office, ["phone"])
    [one, two] = sharing.trace(office.inst, ", ".join((*PHONES[:5], "19900000000")), ["A"])
    assert {one.agreement, two.agreement} == {"one", "two"}
    assert (one.how, one.count, one.of) == ("register", 5, 6)
    assert sharing.trace(office.inst, "19900000000", ["A"]) == []


def test_a_parquet_copy_is_read_and_rubbish_is_refused(office: Office, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = give(office, ["ref", "phone_masked"])
    copy = tmp_path / "leak.parquet"
    pq.write_table(pa.table({"n": [row["phone_masked"] for row in rows]}), copy)
    assert who(sharing.trace(office.inst, sharing.text_of(copy), ["A"])) == [("two", "mask")]
    copy.write_bytes(b"PAR0")
    with pytest.raises(BadInput):
        sharing.text_of(copy)


def test_the_data_sheet_says_which_signs_hide(office: Office) -> None:
    book = office.agree(one={**MASKED, "fields": ["phone_masked"]})
    made = office.give(book, "one")
    import json

    told: dict[str, Any] = json.loads(made.file.with_name(f"{made.file.name}.json").read_text())
    assert told["mask_signs"] == ["*", "∗"]
