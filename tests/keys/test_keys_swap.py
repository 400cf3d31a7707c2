"""A ciphertext put where another belongs does not open: any person, owner, kind, version."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safehands.errors import KeyProblem
from safehands.keys import KeyRing

DATA = {1: b"1" * 32, 2: b"2" * 32, 3: b"3" * 32}
TOMBSTONE, EPOCH = b"t" * 32, b"e" * 32
CONTROLLERS, KINDS, VERSIONS = ("A", "B", "AB", "A1"), ("person", "custody", "perso", ""), (1, 2, 3)


def ring(controller: str, version: int) -> KeyRing:
    """Return a ring of the strongest attacker: every owner has the same keys, all versions."""
    former = {v: key for v, key in DATA.items() if v != version}
    return KeyRing(controller, version, 1, DATA[version], TOMBSTONE, EPOCH, former=former)


identity = st.binary(min_size=16, max_size=16)
places = st.tuples(
    st.sampled_from(CONTROLLERS),
    st.sampled_from(KINDS),
    identity,
    identity,
    st.sampled_from(VERSIONS),
)


@given(places, places, st.binary(max_size=200))
def test_a_record_opens_where_it_was_sealed_and_nowhere_else(
    here: tuple[str, str, bytes, bytes, int],
    there: tuple[str, str, bytes, bytes, int],
    plain: bytes,
) -> None:
    plain = plain.rstrip(b" ")
    controller, kind, person, salt, version = here
    (sealed,) = ring(controller, version).seal(kind, [person], [salt], [plain])
    assert ring(controller, version).unseal(kind, [person], [salt], [sealed]) == [plain]
    # Under a younger key of the same owner it opens while the former key is kept.
    assert ring(controller, 3).unseal(kind, [person], [salt], [sealed]) == [plain]
    other_controller, other_kind, other_person, other_salt, _ = there
    moved = (other_controller, other_kind, other_person, other_salt)
    if moved != (controller, kind, person, salt):
        with pytest.raises(KeyProblem):
            ring(other_controller, version).unseal(
                other_kind, [other_person], [other_salt], [sealed]
            )


@given(identity, identity, st.permutations(list(VERSIONS)), st.binary(max_size=80))
def test_a_record_does_not_open_as_another_version(
    person: bytes, salt: bytes, versions: list[int], plain: bytes
) -> None:
    own, other, _ = versions
    (sealed,) = ring("A", own).seal("person", [person], [salt], [plain])
    relabelled = sealed[:1] + other.to_bytes(2, "big") + sealed[3:]
    with pytest.raises(KeyProblem):
        ring("A", 3).unseal("person", [person], [salt], [relabelled])
    # Also not when both versions had the same key: the version is bound to the ciphertext.
    same = KeyRing("A", 2, 1, DATA[1], TOMBSTONE, EPOCH, former={1: DATA[1], 3: DATA[1]})
    (sealed,) = same.seal("person", [person], [salt], [plain])
    for version in (1, 3):
        relabelled = sealed[:1] + version.to_bytes(2, "big") + sealed[3:]
        with pytest.raises(KeyProblem):
            same.unseal("person", [person], [salt], [relabelled])


@given(st.lists(identity, min_size=2, max_size=6, unique=True), st.randoms(use_true_random=False))
def test_records_dealt_out_to_other_people_do_not_open(people: list[bytes], random: object) -> None:
    keys = ring("A", 1)
    salts = [person[::-1] for person in people]
    sealed = keys.seal("person", people, salts, [b"record" for _ in people])
    turned = sealed[1:] + sealed[:1]
    with pytest.raises(KeyProblem):
        keys.unseal("person", people, salts, turned)
    assert keys.unseal("person", people, salts, sealed) == [b"record" for _ in people]


@given(identity, identity, st.sampled_from(CONTROLLERS), st.sampled_from(CONTROLLERS))
def test_a_wrapped_salt_is_one_persons_in_one_epoch(
    person: bytes, other: bytes, mine: str, theirs: str
) -> None:
    (wrapped,) = ring(mine, 1).wrap_salts([person], [b"s" * 32])
    assert ring(mine, 2).unwrap_salts([person], [wrapped]) == [b"s" * 32]
    if (person, mine) != (other, theirs):
        with pytest.raises(KeyProblem):
            ring(theirs, 1).unwrap_salts([other], [wrapped])
    later = KeyRing(mine, 1, 2, DATA[1], TOMBSTONE, EPOCH)
    with pytest.raises(KeyProblem):
        later.unwrap_salts([person], [wrapped])


@given(st.integers(0, 0xFFFF), identity, identity)
def test_below_the_minimum_and_unknown_versions_are_refused_by_name(
    version: int, person: bytes, salt: bytes
) -> None:
    keys = KeyRing("A", 8, 1, DATA[1], TOMBSTONE, EPOCH, former={7: DATA[2]})
    (sealed,) = keys.seal("person", [person], [salt], [b"x"])
    other = sealed[:1] + version.to_bytes(2, "big") + sealed[3:]
    if version == 8:
        assert keys.unseal("person", [person], [salt], [other]) == [b"x"]
        return
    with pytest.raises(KeyProblem) as caught:
        keys.unseal("person", [person], [salt], [other])
    if version != 7:
        assert caught.value.key == "keys.no_such_version"
        assert caught.value.params["minimum"] == 7
