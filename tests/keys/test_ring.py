"""Tokens are keyed and typed; a sealed record opens for its owner, kind and keys alone."""

from __future__ import annotations

import copy
import hmac
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safehands.errors import KeyProblem
from safehands.keys import FileProvider, KeyRing, RunKey, new_wrapped_keys

DATA, TOMBSTONE, EPOCH = b"d" * 32, b"t" * 32, b"e" * 32
RING = KeyRing("A", 1, 1, DATA, TOMBSTONE, EPOCH)
OTHERS = {
    "controller": KeyRing("B", 1, 1, DATA, TOMBSTONE, EPOCH),
    "version": KeyRing("A", 2, 1, DATA, TOMBSTONE, EPOCH),
    "epoch": KeyRing("A", 1, 2, DATA, TOMBSTONE, EPOCH),
    "data key": KeyRing("A", 1, 1, b"x" * 32, TOMBSTONE, EPOCH),
    "tombstone key": KeyRing("A", 1, 1, DATA, b"x" * 32, EPOCH),
    "epoch key": KeyRing("A", 1, 1, DATA, TOMBSTONE, b"x" * 32),
}
PERSON, SALT, NAME = b"p" * 16, b"s" * 16, '{"name":"张伟"}'.encode()


def numbers(*values: str) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, pa.string())])


def waybill(ring: KeyRing, carrier: int, number: str) -> bytes:
    (token,) = ring.waybills(np.array([carrier], dtype=np.int16), numbers(number)).tolist()
    return bytes(token)


# Tokens.


@given(st.lists(st.text(max_size=20)), st.text(max_size=8))
def test_lookups_are_the_documented_hmac(values: list[str], kind: str) -> None:
    keys = {"tombstone": TOMBSTONE, "lookup": EPOCH}
    tomb, key = (
        hmac.digest(key, b"safehands/1/" + name.encode(), "sha256") for name, key in keys.items()
    )
    parts = [
        b"".join(len(p.encode()).to_bytes(2, "big") + p.encode() for p in (kind, value))
        for value in values
    ]
    graves = [hmac.digest(tomb, part, "sha256")[:16] for part in parts]
    wanted = [hmac.digest(key, grave, "sha256")[:16] for grave in graves]
    assert RING.tombstones(kind, values).tolist() == graves
    assert RING.lookups(kind, values).tolist() == wanted
    assert RING.lookups_of(RING.tombstones(kind, values)).tolist() == wanted


@given(st.lists(st.tuples(st.integers(0, 32_767), st.text(max_size=30)), max_size=20))
def test_waybill_tokens_are_the_documented_hmac(rows: list[tuple[int, str]]) -> None:
    key = hmac.digest(DATA, b"safehands/1/waybill", "sha256")
    wanted = []
    for carrier, number in rows:
        raw = number.encode()
        message = carrier.to_bytes(2, "big") + len(raw).to_bytes(2, "big") + raw
        wanted.append(hmac.digest(key, message, "sha256")[:16])
    carriers = np.array([carrier for carrier, _ in rows], dtype=np.int16)
    found = RING.waybills(carriers, numbers(*(number for _, number in rows)))
    assert found.tolist() == wanted


def test_a_sliced_or_chunked_column_gives_the_same_tokens() -> None:
    carriers = np.array([1, 2, 3], dtype=np.int16)
    whole = RING.waybills(carriers, numbers("W1", "W22", "W333")).tolist()
    pieces = pa.chunked_array([pa.array(["x", "W1", "W22"])[1:], pa.array(["W333", "y"])[:1]])
    assert RING.waybills(carriers, pieces).tolist() == whole


def test_parts_of_a_message_do_not_run_into_each_other() -> None:
    assert RING.lookups("a", ["bc"]).tolist() != RING.lookups("ab", ["c"]).tolist()
    assert waybill(RING, 0x0102, "3") != waybill(RING, 0x01, "23")


def test_a_lookup_a_tombstone_and_a_waybill_of_one_value_differ() -> None:
    value = "13800000001"
    tokens = {
        RING.lookups("mobile", [value]).tolist()[0],
        RING.tombstones("mobile", [value]).tolist()[0],
        RING.lookups("landline", [value]).tolist()[0],
        waybill(RING, 1, value),
        RING.custody_salts([value.encode()])[0],
    }
    assert len(tokens) == 5


def test_each_token_hangs_on_its_own_key_alone() -> None:
    def all_of(ring: KeyRing) -> tuple[bytes, bytes, bytes]:
        lookup, grave = ring.lookups("mobile", ["1"]), ring.tombstones("mobile", ["1"])
        return lookup.tolist()[0], grave.tolist()[0], waybill(ring, 1, "W")

    mine = all_of(RING)
    changed = {
        name: [a != b for a, b in zip(mine, all_of(ring), strict=True)]
        for name, ring in OTHERS.items()
    }
    assert changed["epoch key"] == [True, False, False]
    # A lookup is made from the tombstone token: a new epoch must not need the number.
    assert changed["tombstone key"] == [True, True, False]
    assert changed["data key"] == [False, False, True]


def test_no_values_give_no_tokens() -> None:
    assert len(RING.lookups("mobile", [])) == len(RING.tombstones("mobile", [])) == 0
    assert len(RING.waybills(np.array([], dtype=np.int16), numbers())) == 0


# Sealed records.


@given(st.lists(st.tuples(st.binary(min_size=16, max_size=16), st.text(max_size=200)), max_size=6))
def test_what_is_sealed_opens_in_order(rows: list[tuple[bytes, str]]) -> None:
    people = [person for person, _ in rows]
    salts = [bytes(reversed(person)) for person in people]
    plain = [f'{{"name":"{name}"}}'.encode() for _, name in rows]
    sealed = RING.seal("person", people, salts, plain)
    assert RING.unseal("person", people, salts, sealed) == plain


@given(st.integers(0, 300))
def test_the_length_shows_the_next_multiple_of_sixty_four_alone(length: int) -> None:
    (blob,) = RING.seal("person", [PERSON], [SALT], [b"x" * length])
    assert len(blob) == 15 + -(-length // 64) * 64 + 16


def test_one_record_is_never_sealed_twice_alike() -> None:
    sealed = RING.seal("person", [PERSON] * 50, [SALT] * 50, [NAME] * 50)
    assert len({blob[3:15] for blob in sealed}) == 50


@pytest.mark.parametrize(
    ("kind", "person", "salt"),
    [("custody", PERSON, SALT), ("person", b"q" * 16, SALT), ("person", PERSON, b"r" * 16)],
)
def test_a_record_opens_for_its_kind_person_and_salt_alone(
    kind: str, person: bytes, salt: bytes
) -> None:
    (sealed,) = RING.seal("person", [PERSON], [SALT], [NAME])
    with pytest.raises(KeyProblem):
        RING.unseal(kind, [person], [salt], [sealed])


@pytest.mark.parametrize("other", ["controller", "version", "data key"])
def test_a_record_opens_under_its_own_keys_alone(other: str) -> None:
    (sealed,) = RING.seal("person", [PERSON], [SALT], [NAME])
    with pytest.raises(KeyProblem) as caught:
        OTHERS[other].unseal("person", [PERSON], [SALT], [sealed])
    assert "张" not in str(caught.value)


@pytest.mark.parametrize("other", ["controller", "epoch", "epoch key"])
def test_a_salt_opens_for_its_owner_and_epoch_alone(other: str) -> None:
    wrapped = RING.wrap_salts([PERSON], [SALT])
    assert RING.unwrap_salts([PERSON], wrapped) == [SALT]
    with pytest.raises(KeyProblem):
        OTHERS[other].unwrap_salts([PERSON], wrapped)
    with pytest.raises(KeyProblem):
        RING.unwrap_salts([b"q" * 16], wrapped)


def test_every_changed_bit_and_every_cut_is_refused() -> None:
    (sealed,) = RING.seal("person", [PERSON], [SALT], [NAME])
    (wrapped,) = RING.wrap_salts([PERSON], [SALT])
    for i in range(len(sealed)):
        changed = bytes(b ^ (n == i) for n, b in enumerate(sealed))
        for bad in (changed, sealed[:i]):
            with pytest.raises(KeyProblem):
                RING.unseal("person", [PERSON], [SALT], [bad])
    for i in range(len(wrapped)):
        changed = bytes(b ^ (n == i) for n, b in enumerate(wrapped))
        for bad in (changed, wrapped[:i]):
            with pytest.raises(KeyProblem):
                RING.unwrap_salts([PERSON], [bad])


def test_columns_of_unequal_length_are_a_mistake_not_a_key_problem() -> None:
    with pytest.raises(ValueError, match=r"shorter|longer"):
        RING.seal("person", [PERSON, PERSON], [SALT], [NAME])
    with pytest.raises(ValueError, match=r"shorter|longer"):
        RING.unseal("person", [PERSON], [SALT], [])


# Opening, and not getting out.


def test_a_ring_opens_from_wrapped_keys_and_the_epoch_key(tmp_path: Path) -> None:
    provider = FileProvider(tmp_path / "a", tmp_path / "b")
    provider.create("root")
    provider.create("epoch/A/1")
    provider.create("epoch/A/2")
    wrapped = new_wrapped_keys(provider, "A")
    first, again = (KeyRing.open(provider, wrapped, 1) for _ in range(2))
    assert first.lookups("m", ["1"]).tolist() == again.lookups("m", ["1"]).tolist()
    second = KeyRing.open(provider, wrapped, 2)
    assert first.lookups("m", ["1"]).tolist() != second.lookups("m", ["1"]).tolist()
    assert waybill(first, 1, "W") == waybill(second, 1, "W")
    assert second.describe() == {"controller": "A", "data_version": 1, "epoch": 2}
    with pytest.raises(KeyProblem):
        KeyRing.open(provider, wrapped, 3)


@pytest.mark.parametrize("mixed", ["data", "tombstone"])
def test_keys_of_another_owner_or_kind_do_not_unwrap(tmp_path: Path, mixed: str) -> None:
    provider = FileProvider(tmp_path / "a", tmp_path / "b")
    provider.create("root")
    provider.create("epoch/A/1")
    mine, theirs = new_wrapped_keys(provider, "A"), new_wrapped_keys(provider, "B")
    taken = copy.copy(mine)
    object.__setattr__(taken, mixed, getattr(theirs, mixed))
    with pytest.raises(KeyProblem):
        KeyRing.open(provider, taken, 1)
    swapped = copy.copy(mine)
    object.__setattr__(swapped, "data", mine.tombstone)
    with pytest.raises(KeyProblem):
        KeyRing.open(provider, swapped, 1)


@pytest.mark.parametrize("secret", [RING, RunKey("r", b"k" * 32)])
def test_keys_are_neither_pickled_nor_copied_nor_shown(secret: object) -> None:
    for leak in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            leak(secret)
    shown = repr(secret) + str(secret) + f"{secret}"
    for key in (DATA, TOMBSTONE, EPOCH, b"k" * 32):
        assert key.decode() not in shown
        assert key.hex() not in shown


def test_wrapped_keys_do_not_show_their_bytes(tmp_path: Path) -> None:
    provider = FileProvider(tmp_path / "a", tmp_path / "b")
    provider.create("root")
    assert repr(new_wrapped_keys(provider, "A")) == "WrappedKeys(controller='A', data_version=1)"
