"""The key of one hand-over: what a person and a parcel are called inside its package.

The names (128 bits) are HMACs of the seller's own ids under a key that exists for this hand-over
alone, so that a package that was lost can be made again with the same names. It is destroyed at
cut-over: from then on nothing leads from a name in the package to an id at the seller.
"""

from __future__ import annotations

from collections.abc import Sequence

from safehands.keys.provider import KeyProvider
from safehands.keys.ring import Tokens, _Mac
from safehands.keys.secret import Secret

__all__ = ["PairKey", "end_pairing", "pair_name"]


def pair_name(handover: str) -> str:
    """Return the name of a hand-over's key in the provider."""
    return f"handover/{handover}"


class PairKey(Secret):
    """Names for a package; made by the first use, gone after ``end_pairing``."""

    def __init__(self, provider: KeyProvider, handover: str) -> None:
        self.key_id = pair_name(handover)
        self._mac = _Mac(provider.create(self.key_id))

    def names(self, kind: str, ids: Sequence[bytes]) -> Tokens:
        """Return the name of each id, ``V16``, in order; kinds never meet."""
        prefix = kind.encode() + b"\0"
        return self._mac.tokens([prefix + one for one in ids])


def end_pairing(provider: KeyProvider, handover: str) -> bool:
    """Destroy a hand-over's key for good; return whether there was one."""
    return provider.destroy(pair_name(handover))
