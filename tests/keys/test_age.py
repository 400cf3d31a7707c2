"""The backup identity: made once, public recipient given out, files opened with it alone."""

from __future__ import annotations

from pathlib import Path

import pyrage
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safehands.errors import KeyProblem
from safehands.keys import FileProvider, age

IDENTITY = pyrage.x25519.Identity.generate()


@pytest.fixture
def keys(tmp_path: Path) -> FileProvider:
    return FileProvider(tmp_path / "first", tmp_path / "second")


def test_the_identity_is_made_once(keys: FileProvider) -> None:
    recipient = age.make_identity(keys)
    assert recipient.startswith("age1")
    assert age.make_identity(keys) == recipient == age.recipient(keys)
    assert age.identity(keys).startswith("AGE-SECRET-KEY-1")


@given(st.binary(max_size=200))
def test_what_is_encrypted_opens(data: bytes) -> None:
    sealed = age.encrypt(data, [str(IDENTITY.to_public())])
    assert age.decrypt(sealed, str(IDENTITY)) == data
    assert sealed != age.encrypt(data, [str(IDENTITY.to_public())])
    assert sealed.startswith(b"age-encryption.org/v1\n")


def test_any_of_several_recipients_opens_it(keys: FileProvider) -> None:
    both = [age.make_identity(keys), str(IDENTITY.to_public())]
    sealed = age.encrypt(b"part", both)
    assert age.decrypt(sealed, age.identity(keys)) == age.decrypt(sealed, str(IDENTITY)) == b"part"


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:-1] + b"\0", lambda b: b""])
def test_a_damaged_file_or_another_identity_is_refused(keys: FileProvider, damage: object) -> None:
    assert callable(damage)
    sealed = age.encrypt(b"part", [str(IDENTITY.to_public())])
    with pytest.raises(KeyProblem):
        age.decrypt(damage(sealed), str(IDENTITY))
    age.make_identity(keys)
    with pytest.raises(KeyProblem):
        age.decrypt(sealed, age.identity(keys))


def test_without_an_identity_there_is_nothing_to_open_with(keys: FileProvider) -> None:
    with pytest.raises(KeyProblem):
        age.recipient(keys)
