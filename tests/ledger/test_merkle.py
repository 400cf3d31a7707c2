"""The tree against the published vectors, against RFC 6962's own definitions, and against damage.

The vectors are those of the Certificate Transparency reference tree. ``_mth``, ``_path`` and
``_proof`` are the recursive definitions of RFC 6962 section 2.1, written down as they stand there;
the package computes the same things level by level.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from safehands.errors import LedgerBroken
from safehands.ledger import merkle
from safehands.ledger.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root,
    verify_consistency,
    verify_inclusion,
)

DATA = [
    bytes.fromhex(item)
    for item in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
LEAVES = [leaf_hash(item) for item in DATA]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
N01 = "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
N23 = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
N45 = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
N67 = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
N03 = "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"
N47 = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
L0 = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
L1 = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
L4 = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
L6 = "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f"

INCLUSION = [
    (0, 1, []),
    (0, 8, [L1, N23, N47]),
    (5, 8, [L4, N67, N03]),
    (2, 3, [N01]),
    (1, 5, [L0, N23, L4]),
]
CONSISTENCY = [
    (1, 1, []),
    (1, 8, [L1, N23, N47]),
    (2, 8, [N23, N47]),
    (6, 8, [N45, N67, N03]),
    (2, 5, [N23, L4]),
    (6, 7, [N45, L6, N03]),
]

MANY = [leaf_hash(f"entry {number}".encode()) for number in range(40)]
sizes = st.integers(1, len(MANY))


def _split(size: int) -> int:
    return 1 << ((size - 1).bit_length() - 1)


def _mth(leaves: list[bytes]) -> bytes:
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    at = _split(len(leaves))
    return hashlib.sha256(b"\x01" + _mth(leaves[:at]) + _mth(leaves[at:])).digest()


def _path(index: int, leaves: list[bytes]) -> tuple[bytes, ...]:
    if len(leaves) == 1:
        return ()
    at = _split(len(leaves))
    if index < at:
        return (*_path(index, leaves[:at]), _mth(leaves[at:]))
    return (*_path(index - at, leaves[at:]), _mth(leaves[:at]))


def _proof(old: int, leaves: list[bytes], whole: bool = True) -> tuple[bytes, ...]:
    if old == len(leaves):
        return () if whole else (_mth(leaves),)
    at = _split(len(leaves))
    if old <= at:
        return (*_proof(old, leaves[:at], whole), _mth(leaves[at:]))
    return (*_proof(old - at, leaves[at:], False), _mth(leaves[:at]))


def _turns(index: int, size: int) -> str:
    """The way down from the root to a leaf: what an inclusion proof fixes, and all it fixes."""
    if size == 1:
        return ""
    at = _split(size)
    return "L" + _turns(index, at) if index < at else "R" + _turns(index - at, size - at)


def _flip(data: bytes, bit: int) -> bytes:
    at = bit % (8 * len(data))
    changed = bytearray(data)
    changed[at // 8] ^= 1 << at % 8
    return bytes(changed)


def _reason(error: pytest.ExceptionInfo[LedgerBroken]) -> str:
    assert error.value.say("zh")
    assert error.value.say("en")
    return error.value.key


# --- known answers


@pytest.mark.parametrize("size", range(9))
def test_roots_of_the_reference_tree(size: int) -> None:
    assert root(LEAVES[:size]).hex() == ROOTS[size]
    assert Frontier().extend(LEAVES[:size]).root().hex() == ROOTS[size]


def test_hashes_carry_their_domain_prefix() -> None:
    assert leaf_hash(b"abc") == hashlib.sha256(b"\x00abc").digest()
    assert (
        node_hash(b"l" * 32, b"r" * 32) == hashlib.sha256(b"\x01" + b"l" * 32 + b"r" * 32).digest()
    )
    assert hashlib.sha256(b"").digest() == EMPTY_ROOT


@pytest.mark.parametrize(("index", "size", "proof"), INCLUSION)
def test_reference_inclusion_proofs(index: int, size: int, proof: list[str]) -> None:
    assert [item.hex() for item in inclusion_proof(LEAVES, index, size)] == proof
    path = [bytes.fromhex(item) for item in proof]
    verify_inclusion(LEAVES[index], index, size, path, bytes.fromhex(ROOTS[size]))


@pytest.mark.parametrize(("old", "new", "proof"), CONSISTENCY)
def test_reference_consistency_proofs(old: int, new: int, proof: list[str]) -> None:
    assert [item.hex() for item in consistency_proof(LEAVES, old, new)] == proof
    path = [bytes.fromhex(item) for item in proof]
    verify_consistency(old, new, bytes.fromhex(ROOTS[old]), bytes.fromhex(ROOTS[new]), path)


# --- every small tree, against the definitions


def test_every_small_tree_agrees_with_the_definitions() -> None:
    for size in range(1, 34):
        leaves = MANY[:size]
        assert root(leaves) == _mth(leaves)
        for index in range(size):
            proof = inclusion_proof(MANY, index, size)
            assert proof == _path(index, leaves)
            verify_inclusion(MANY[index], index, size, proof, _mth(leaves))


def test_every_pair_of_small_sizes_is_consistent() -> None:
    roots = [_mth(MANY[:size]) for size in range(34)]
    for new in range(34):
        for old in range(new + 1):
            proof = consistency_proof(MANY, old, new)
            assert proof == (_proof(old, MANY[:new]) if old else ())
            verify_consistency(old, new, roots[old], roots[new], proof)


@given(st.lists(st.binary(max_size=40), max_size=80))
def test_any_leaves_give_the_defined_root(data: list[bytes]) -> None:
    leaves = [leaf_hash(item) for item in data]
    assert root(leaves) == _mth(leaves)
    assert Frontier().extend(leaves).root() == _mth(leaves)


@settings(max_examples=20)
@given(st.integers(1, 3000), st.data())
def test_large_trees_prove_and_verify(size: int, data: st.DataObject) -> None:
    leaves = [leaf_hash(number.to_bytes(4, "big")) for number in range(size)]
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size))
    whole = root(leaves)
    verify_inclusion(leaves[index], index, size, inclusion_proof(leaves, index, size), whole)
    proof = consistency_proof(leaves, old, size)
    verify_consistency(old, size, root(leaves[:old]), whole, proof)


# --- damage to inclusion proofs


@given(sizes, st.data())
def test_a_flipped_bit_anywhere_is_refused(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    parts = [MANY[index], root(MANY[:size]), *inclusion_proof(MANY, index, size)]
    at = data.draw(st.integers(0, len(parts) - 1))
    parts[at] = _flip(parts[at], data.draw(st.integers(0, 255)))
    with pytest.raises(LedgerBroken) as error:
        verify_inclusion(parts[0], index, size, parts[2:], parts[1])
    assert _reason(error) == "ledger.not_included"
    assert error.value.params == {"index": index, "size": size}


@given(sizes, st.data())
def test_another_index_is_refused(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    other = data.draw(st.integers(-2, size + 2))
    assume(other != index)
    with pytest.raises(LedgerBroken):
        verify_inclusion(
            MANY[index], other, size, inclusion_proof(MANY, index, size), root(MANY[:size])
        )


@given(sizes, st.integers(-1, 80), st.data())
def test_another_size_is_refused_when_the_path_differs(
    size: int, other: int, data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, size - 1))
    assume(not 0 <= index < other or _turns(index, other) != _turns(index, size))
    with pytest.raises(LedgerBroken):
        verify_inclusion(
            MANY[index], index, other, inclusion_proof(MANY, index, size), root(MANY[:size])
        )


def test_a_size_that_shares_the_path_is_only_caught_by_the_signed_checkpoint() -> None:
    # The docstring says that this is not promised; were it to change, the docstring must too.
    verify_inclusion(MANY[0], 0, 4, inclusion_proof(MANY, 0, 3), root(MANY[:3]))


@given(sizes, st.data())
def test_a_longer_or_shorter_proof_is_refused_with_both_lengths(
    size: int, data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(MANY, index, size)
    wrong = data.draw(st.sampled_from([(*proof, MANY[0]), (MANY[0], *proof), proof[1:]]))
    assume(len(wrong) != len(proof))
    with pytest.raises(LedgerBroken) as error:
        verify_inclusion(MANY[index], index, size, wrong, root(MANY[:size]))
    assert _reason(error) == "ledger.proof_length"
    assert (error.value.params["have"], error.value.params["need"]) == (len(wrong), len(proof))


def test_a_node_does_not_pass_as_a_leaf() -> None:
    inner = node_hash(MANY[0], MANY[1])
    with pytest.raises(LedgerBroken):
        verify_inclusion(leaf_hash(MANY[0] + MANY[1]), 0, 2, [MANY[2]], node_hash(inner, MANY[2]))


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_hashes_of_another_length_are_refused(length: int) -> None:
    odd = b"x" * length
    calls: list[Callable[[], object]] = [
        lambda: verify_inclusion(odd, 0, 1, [], MANY[0]),
        lambda: verify_inclusion(MANY[0], 0, 1, [], odd),
        lambda: verify_inclusion(MANY[0], 0, 2, [odd], MANY[0]),
        lambda: verify_consistency(1, 2, odd, MANY[0], [MANY[1]]),
        lambda: verify_consistency(1, 2, MANY[0], odd, [MANY[1]]),
        lambda: verify_consistency(1, 2, MANY[0], MANY[1], [odd]),
        lambda: root([MANY[0], odd]),
        lambda: Frontier().append(odd),
        lambda: Frontier(1, (odd,)),
        lambda: inclusion_proof([MANY[0], odd], 0, 2),
    ]
    for call in calls:
        with pytest.raises(LedgerBroken) as error:
            call()
        assert _reason(error) == "ledger.hash_length"
        assert error.value.params["have"] == length


# --- damage to consistency proofs


@given(st.data())
def test_a_changed_history_is_refused(data: st.DataObject) -> None:
    new = data.draw(st.integers(2, len(MANY)))
    old = data.draw(st.integers(1, new - 1))
    forged = list(MANY[:new])
    at = data.draw(st.integers(0, old - 1))
    forged[at] = _flip(forged[at], data.draw(st.integers(0, 255)))
    with pytest.raises(LedgerBroken) as error:
        verify_consistency(
            old, new, root(MANY[:old]), root(forged), consistency_proof(forged, old, new)
        )
    assert _reason(error) == "ledger.not_a_prefix"
    assert error.value.params == {"old": old, "new": new}


@given(st.data())
def test_a_flipped_bit_in_a_consistency_proof_is_refused(data: st.DataObject) -> None:
    new = data.draw(st.integers(2, len(MANY)))
    old = data.draw(st.integers(1, new - 1))
    parts = [root(MANY[:old]), root(MANY[:new]), *consistency_proof(MANY, old, new)]
    at = data.draw(st.integers(0, len(parts) - 1))
    parts[at] = _flip(parts[at], data.draw(st.integers(0, 255)))
    with pytest.raises(LedgerBroken) as error:
        verify_consistency(old, new, parts[0], parts[1], parts[2:])
    assert _reason(error) == "ledger.not_a_prefix"


@given(st.data())
def test_a_consistency_proof_of_another_length_is_refused(data: st.DataObject) -> None:
    new = data.draw(st.integers(0, len(MANY)))
    old = data.draw(st.integers(0, new))
    proof = (*consistency_proof(MANY, old, new), MANY[0])
    with pytest.raises(LedgerBroken) as error:
        verify_consistency(old, new, root(MANY[:old]), root(MANY[:new]), proof)
    assert _reason(error) == "ledger.consistency_length"
    if len(proof) > 1:
        with pytest.raises(LedgerBroken):
            verify_consistency(old, new, root(MANY[:old]), root(MANY[:new]), proof[2:])


@given(st.data())
def test_another_old_size_is_refused(data: st.DataObject) -> None:
    new = data.draw(st.integers(2, len(MANY)))
    old = data.draw(st.integers(1, new - 1))
    other = data.draw(st.integers(1, new - 1))
    assume(other != old)
    proof = consistency_proof(MANY, old, new)
    with pytest.raises(LedgerBroken):
        verify_consistency(other, new, root(MANY[:old]), root(MANY[:new]), proof)


@given(st.integers(0, 40), st.integers(0, 40))
def test_a_shorter_ledger_is_refused_with_both_sizes(one: int, two: int) -> None:
    old, new = max(one, two), min(one, two)
    assume(old != new)
    with pytest.raises(LedgerBroken) as error:
        verify_consistency(old, new, root(MANY[:old]), root(MANY[:new]), [])
    assert _reason(error) == "ledger.rolled_back"
    assert error.value.params == {"old": old, "new": new}
    assert str(old) in error.value.say("zh")
    assert str(new) in error.value.say("en")


def test_two_roots_of_one_size_are_a_fork() -> None:
    with pytest.raises(LedgerBroken) as error:
        verify_consistency(3, 3, root(MANY[:3]), root(MANY[1:4]), [])
    assert _reason(error) == "ledger.forked"


def test_an_empty_ledger_has_one_root_only() -> None:
    verify_consistency(0, 3, EMPTY_ROOT, root(MANY[:3]), [])
    for old, new, first, second in [
        (0, 3, MANY[0], root(MANY[:3])),
        (0, 0, MANY[0], MANY[0]),
    ]:
        with pytest.raises(LedgerBroken) as error:
            verify_consistency(old, new, first, second, [])
        assert _reason(error) == "ledger.empty_root"


@pytest.mark.parametrize(
    ("call", "key"),
    [
        (lambda: inclusion_proof(MANY, 0, 41), "ledger.too_few_leaves"),
        (lambda: inclusion_proof(MANY, 3, 3), "ledger.index_outside"),
        (lambda: inclusion_proof(MANY, -1, 3), "ledger.index_outside"),
        (lambda: inclusion_proof(MANY, 0, 0), "ledger.index_outside"),
        (lambda: consistency_proof(MANY, 3, 41), "ledger.too_few_leaves"),
        (lambda: consistency_proof(MANY, 4, 3), "ledger.rolled_back"),
        (lambda: consistency_proof(MANY, -1, 3), "ledger.rolled_back"),
    ],
)
def test_impossible_proofs_are_refused(call: Callable[[], object], key: str) -> None:
    with pytest.raises(LedgerBroken) as error:
        call()
    assert _reason(error) == key


@given(st.integers(1, 1 << 200), st.integers(1, 1 << 200))
def test_absurd_sizes_are_refused_at_once(one: int, two: int) -> None:
    old, new = min(one, two), max(one, two) + 1
    with pytest.raises(LedgerBroken):
        verify_consistency(old, new, MANY[0], MANY[1], [])
    with pytest.raises(LedgerBroken):
        verify_inclusion(MANY[0], old - 1, new, [], MANY[1])


# --- the frontier


@given(st.lists(st.integers(0, 12), max_size=6))
def test_a_frontier_may_be_stored_between_any_appends(steps: list[int]) -> None:
    frontier = Frontier()
    leaves: list[bytes] = []
    for step in steps:
        more = MANY[len(leaves) % 20 : len(leaves) % 20 + step]
        frontier = Frontier.from_bytes(frontier.to_bytes()).extend(more)
        leaves += more
        assert (frontier.size, frontier.root()) == (len(leaves), root(leaves))


def test_appending_leaves_the_old_frontier_alone() -> None:
    before = Frontier().extend(MANY[:7])
    after = before.append(MANY[7])
    assert (before.size, after.size) == (7, 8)
    assert (before.root(), after.root()) == (root(MANY[:7]), root(MANY[:8]))
    assert len(after.nodes) == 1


def test_a_frontier_stays_small() -> None:
    grown = Frontier().extend(leaf_hash(number.to_bytes(4, "big")) for number in range(1023))
    assert len(grown.to_bytes()) == 1 + 8 + 10 * 32


@given(st.integers(0, 40), st.data())
def test_damaged_frontier_bytes_are_refused_or_change_the_root(
    size: int, data: st.DataObject
) -> None:
    frontier = Frontier().extend(MANY[:size])
    stored = frontier.to_bytes()
    damaged = _flip(stored, data.draw(st.integers(0, 8 * len(stored) - 1)))
    try:
        read = Frontier.from_bytes(damaged)
    except LedgerBroken:
        return
    assert (read.size, read.root()) != (frontier.size, frontier.root())


@given(st.integers(0, 40), st.integers(0, 400))
def test_cut_frontier_bytes_are_refused(size: int, cut: int) -> None:
    stored = Frontier().extend(MANY[:size]).to_bytes()
    assume(cut < len(stored))
    with pytest.raises(LedgerBroken):
        Frontier.from_bytes(stored[:cut])


@pytest.mark.parametrize("size", [-1, 0, 2, 3, 1 << 63, (1 << 63) + 1])
def test_a_frontier_whose_size_does_not_fit_is_refused(size: int) -> None:
    nodes = (MANY[0],) if size != 2 else (MANY[0], MANY[1])
    with pytest.raises(LedgerBroken) as error:
        Frontier(size, nodes)
    assert _reason(error) == "ledger.frontier_malformed"


def test_everything_public_is_there() -> None:
    assert all(hasattr(merkle, name) for name in merkle.__all__)
