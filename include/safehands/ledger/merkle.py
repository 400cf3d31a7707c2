"""The Merkle tree of RFC 6962 (section 2.1, the same tree as RFC 9162) over SHA-256.

A *leaf hash* is ``SHA-256(0x00 || data)``, a *node hash* ``SHA-256(0x01 || left || right)``; both
are 32 bytes. A tree of ``n`` leaves splits at the largest power of two below ``n``. The empty tree
has the SHA-256 of the empty string as its root.

The check functions return nothing: they raise ``LedgerBroken`` with the reason.

Not promised: a proof fixes the *path* of a leaf, and different tree sizes can share a path (leaf
0 has the same one in trees of 3 and 4 leaves). A size is only worth something when it comes from
a signed checkpoint together with the root. A leaf hash hides nothing that can be guessed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from safehands.errors import LedgerBroken

__all__ = [
    "EMPTY_ROOT",
    "HASH_BYTES",
    "Frontier",
    "consistency_proof",
    "inclusion_proof",
    "leaf_hash",
    "node_hash",
    "root",
    "verify_consistency",
    "verify_inclusion",
]

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()

_FRONTIER_VERSION = b"\x01"
_SIZE_BYTES = 8


def leaf_hash(data: bytes) -> bytes:
    """Return the 32-byte hash of a leaf that holds ``data``."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the 32-byte hash of the node above ``left`` and ``right``."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(leaf_hashes: Sequence[bytes]) -> bytes:
    """Return the root over ``leaf_hashes``, in order; O(n) hashes."""
    level = list(leaf_hashes)
    _check_hashes(level)
    while len(level) > 1:
        level = _parents(level)
    return level[0] if level else EMPTY_ROOT


def inclusion_proof(leaf_hashes: Sequence[bytes], index: int, size: int) -> tuple[bytes, ...]:
    """Return the audit path of leaf ``index`` in the tree of the first ``size`` leaves.

    From the leaf upwards, as in RFC 6962 section 2.1.1. O(n) hashes. Raises ``LedgerBroken`` when
    there are fewer than ``size`` leaves or the index is outside of the tree.
    """
    _check_enough(leaf_hashes, size)
    _check_index(index, size)
    return _path(list(leaf_hashes[:size]), index)


def consistency_proof(leaf_hashes: Sequence[bytes], old: int, new: int) -> tuple[bytes, ...]:
    """Return the proof that the tree of ``old`` leaves is a prefix of the tree of ``new`` leaves.

    In the order of RFC 6962 section 2.1.2; empty when ``old`` is 0 or equal to ``new``. Raises
    ``LedgerBroken`` when ``old`` is beyond ``new`` or there are fewer than ``new`` leaves.
    """
    _check_enough(leaf_hashes, new)
    _check_order(old, new)
    if old in (0, new):
        return ()
    level, index = list(leaf_hashes[:new]), old - 1
    while index & 1:
        level, index = _parents(level), index >> 1
    # A whole old tree that is one perfect subtree is known to the verifier as the old root.
    seed = (level[index],) if index else ()
    return seed + _path(level, index)


def verify_inclusion(
    leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Check that ``leaf_hash`` is leaf ``index`` of the tree of ``size`` leaves under ``root``.

    Raises ``LedgerBroken``: index outside of the tree, wrong number of hashes, or another root.
    """
    _check_index(index, size)
    _check_hashes([leaf_hash, root, *proof])
    inner, border = _shape(index, size)
    if len(proof) != inner + border:
        raise LedgerBroken(
            "ledger.proof_length", index=index, size=size, have=len(proof), need=inner + border
        )
    if _climb(leaf_hash, index, proof, inner) != root:
        raise LedgerBroken("ledger.not_included", index=index, size=size)


def verify_consistency(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the old tree is a prefix of the new one: nothing removed, changed or reordered.

    Raises ``LedgerBroken`` with both sizes: the ledger became shorter, two histories have the
    same size, the proof has a wrong length, or the old tree is not a prefix.
    """
    _check_order(old_size, new_size)
    _check_hashes([old_root, new_root, *proof])
    _check_empty(old_size, old_root)
    if old_size == new_size and old_root != new_root:
        raise LedgerBroken("ledger.forked", size=old_size)
    need = _consistency_length(old_size, new_size)
    if len(proof) != need:
        raise LedgerBroken(
            "ledger.consistency_length", old=old_size, new=new_size, have=len(proof), need=need
        )
    if 0 < old_size < new_size:
        _check_prefix(old_size, new_size, old_root, new_root, proof)


@dataclass(frozen=True)
class Frontier:
    """The right edge of a tree: what must be kept to append leaves and to give the root.

    ``nodes`` are the roots of the perfect subtrees that make up the tree, largest first: one for
    each 1 bit of ``size``. Immutable, so that a transaction that rolls back leaves nothing behind.

    Bytes: version 0x01, size as 8 bytes big-endian, then the nodes, 32 bytes each.

    Not promised: a frontier is a cache. Whoever can write it can claim any past; only the leaves
    and a checkpoint that somebody else keeps prove it.
    """

    size: int = 0
    nodes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        _check_hashes(self.nodes)
        if not 0 <= self.size < 1 << 63 or len(self.nodes) != self.size.bit_count():
            raise LedgerBroken("ledger.frontier_malformed", size=self.size, have=len(self.nodes))

    def append(self, leaf_hash: bytes) -> Frontier:
        """Return the frontier with one leaf more; O(log n) hashes."""
        return self.extend([leaf_hash])

    def extend(self, leaf_hashes: Iterable[bytes]) -> Frontier:
        """Return the frontier with ``leaf_hashes`` appended in order."""
        size, nodes = self.size, list(self.nodes)
        for node in leaf_hashes:
            _check_hashes([node])
            _push(nodes, size, node)
            size += 1
        return Frontier(size, tuple(nodes))

    def root(self) -> bytes:
        """Return the root of the tree so far; O(log n) hashes."""
        if not self.nodes:
            return EMPTY_ROOT
        edge = self.nodes[-1]
        for node in reversed(self.nodes[:-1]):
            edge = node_hash(node, edge)
        return edge

    def to_bytes(self) -> bytes:
        """Return the serialised frontier (layout above)."""
        return _FRONTIER_VERSION + self.size.to_bytes(_SIZE_BYTES, "big") + b"".join(self.nodes)

    @classmethod
    def from_bytes(cls, data: bytes) -> Frontier:
        """Read what ``to_bytes`` wrote. Raises ``LedgerBroken`` for anything else."""
        head, body = data[: 1 + _SIZE_BYTES], data[1 + _SIZE_BYTES :]
        if len(head) != 1 + _SIZE_BYTES or head[:1] != _FRONTIER_VERSION:
            raise LedgerBroken("ledger.frontier_bytes", have=len(data))
        nodes = tuple(body[at : at + HASH_BYTES] for at in range(0, len(body), HASH_BYTES))
        return cls(int.from_bytes(head[1:], "big"), nodes)


def _parents(level: list[bytes]) -> list[bytes]:
    above = [node_hash(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
    # A node without a right neighbour is not hashed again; it moves up as it is.
    return above + level[len(level) & ~1 :]


def _path(level: list[bytes], index: int) -> tuple[bytes, ...]:
    _check_hashes(level)
    proof: list[bytes] = []
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            proof.append(level[sibling])
        level, index = _parents(level), index >> 1
    return tuple(proof)


def _push(nodes: list[bytes], size: int, node: bytes) -> None:
    while size & 1:
        node, size = node_hash(nodes.pop(), node), size >> 1
    nodes.append(node)


def _shape(index: int, size: int) -> tuple[int, int]:
    """Return how many hashes of a path lie below and on the right edge of the tree.

    Below the level where the paths of ``index`` and of the last leaf meet, siblings stand left or
    right as the bits of ``index`` say; above it the path is the edge, with left siblings only.
    """
    inner = (index ^ (size - 1)).bit_length()
    return inner, (index >> inner).bit_count()


def _climb(node: bytes, index: int, proof: Sequence[bytes], inner: int) -> bytes:
    for level, sibling in enumerate(proof):
        on_left = level >= inner or (index >> level) & 1
        node = node_hash(sibling, node) if on_left else node_hash(node, sibling)
    return node


def _climb_old(node: bytes, index: int, proof: Sequence[bytes], inner: int) -> bytes:
    # What stands to the right of the old tree's last leaf did not exist in the old tree.
    for level, sibling in enumerate(proof):
        if level >= inner or (index >> level) & 1:
            node = node_hash(sibling, node)
    return node


def _seed_level(old: int) -> int:
    """Return the height of the old tree's last perfect subtree: the trailing zeros of ``old``."""
    return (old & -old).bit_length() - 1


def _consistency_length(old: int, new: int) -> int:
    if old in (0, new):
        return 0
    height = _seed_level(old)
    inner, border = _shape(old - 1, new)
    return inner - height + border + (old != 1 << height)


def _check_prefix(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    height = _seed_level(old_size)
    whole = old_size == 1 << height
    seed, path = (old_root, proof) if whole else (proof[0], proof[1:])
    index, inner = (old_size - 1) >> height, _shape(old_size - 1, new_size)[0] - height
    old_found = _climb_old(seed, index, path, inner)
    if old_found != old_root or _climb(seed, index, path, inner) != new_root:
        raise LedgerBroken("ledger.not_a_prefix", old=old_size, new=new_size)


def _check_hashes(hashes: Iterable[bytes]) -> None:
    # Hashes of other lengths would let one concatenation be read as two different nodes.
    for item in hashes:
        if len(item) != HASH_BYTES:
            raise LedgerBroken("ledger.hash_length", have=len(item), need=HASH_BYTES)


def _check_index(index: int, size: int) -> None:
    if not 0 <= index < size:
        raise LedgerBroken("ledger.index_outside", index=index, size=size)


def _check_enough(leaf_hashes: Sequence[bytes], size: int) -> None:
    if not 0 <= size <= len(leaf_hashes):
        raise LedgerBroken("ledger.too_few_leaves", size=size, have=len(leaf_hashes))


def _check_order(old: int, new: int) -> None:
    if not 0 <= old <= new:
        raise LedgerBroken("ledger.rolled_back", old=old, new=new)


def _check_empty(size: int, root: bytes) -> None:
    if size == 0 and root != EMPTY_ROOT:
        raise LedgerBroken("ledger.empty_root")
