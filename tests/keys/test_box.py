"""A day's box opens while its key lives, and never again afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safehands.errors import KeyProblem
from safehands.keys import DayBox, FileProvider

DAY = "2026-11-23"


@pytest.fixture
def keys(tmp_path: Path) -> FileProvider:
    return FileProvider(tmp_path / "first", tmp_path / "second")


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> DayBox:
    place = tmp_path_factory.mktemp("box")
    return DayBox(FileProvider(place / "a", place / "b"), "quarantine", "SZ001", DAY)


@given(st.lists(st.binary(max_size=80), max_size=8))
def test_rows_come_back_in_order(box: DayBox, rows: list[bytes]) -> None:
    sealed = box.seal(rows)
    assert box.unseal(sealed) == rows
    assert len(set(sealed)) == len(rows)


def test_a_box_opens_again_with_the_same_key(keys: FileProvider) -> None:
    sealed = DayBox(keys, "quarantine", "SZ001", DAY).seal([b"row"])
    assert DayBox(keys, "quarantine", "SZ001", DAY).unseal(sealed) == [b"row"]


@pytest.mark.parametrize(
    "other",
    [
        ("archive", "SZ001", DAY),
        ("quarantine", "SZ002", DAY),
        ("quarantine", "SZ001", "2026-11-24"),
    ],
)
def test_a_row_of_another_box_does_not_open(
    keys: FileProvider, other: tuple[str, str, str]
) -> None:
    sealed = DayBox(keys, "quarantine", "SZ001", DAY).seal([b"row"])
    with pytest.raises(KeyProblem):
        DayBox(keys, *other).unseal(sealed)


def test_a_row_under_the_same_key_but_another_name_does_not_open(keys: FileProvider) -> None:
    first = DayBox(keys, "quarantine", "SZ001", DAY)
    sealed = first.seal([b"row"])
    keys.create(f"day/quarantine/SZ002/{DAY}", keys.get(first.key_id))
    with pytest.raises(KeyProblem, match="does not open"):
        DayBox(keys, "quarantine", "SZ002", DAY).unseal(sealed)


def test_a_destroyed_key_ends_the_box_for_good(keys: FileProvider) -> None:
    box = DayBox(keys, "quarantine", "SZ001", DAY)
    sealed = box.seal([b"row"])
    keys.destroy(box.key_id)
    with pytest.raises(KeyProblem):
        DayBox(keys, "quarantine", "SZ001", DAY).unseal(sealed)


def test_every_changed_bit_and_every_cut_is_refused(box: DayBox) -> None:
    (sealed,) = box.seal([b"row"])
    for i in range(len(sealed)):
        changed = bytes(b ^ (n == i) for n, b in enumerate(sealed))
        for bad in (changed, sealed[:i]):
            with pytest.raises(KeyProblem):
                box.unseal([bad])
