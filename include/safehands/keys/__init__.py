"""Keys, tokens and sealed records: the only package that touches key material.

In the order of dependence: ``secret`` (what can't leave), ``places`` (secrets in files), ``roots``
(what wraps other keys), ``codec`` (sealed files), ``provider`` (all in files), ``sealed``,
``hashicorp`` and ``kms`` (a root key elsewhere), ``choose`` (which one a URL means), ``ring`` (one
controller's keys in use), ``renew`` (new ones for old), ``box`` and ``run`` (short-lived keys),
``age`` (what leaves the machine), ``escrow``.
Nothing here can be printed, copied or pickled.
"""

from __future__ import annotations

from safehands.keys.box import DayBox
from safehands.keys.provider import FileProvider, KeyProvider
from safehands.keys.ring import KeyRing, WrappedKeys, new_wrapped_keys
from safehands.keys.run import RunKey

__all__ = [
    "DayBox",
    "FileProvider",
    "KeyProvider",
    "KeyRing",
    "RunKey",
    "WrappedKeys",
    "new_wrapped_keys",
]
