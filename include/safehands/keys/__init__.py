"""Keys, tokens and sealed records: the only package that touches key material.

``provider`` keeps secrets (files by default), ``ring`` uses them for one controller, ``run`` makes
the short-lived key of one night's artifacts. Nothing here can be printed or pickled.
"""

from __future__ import annotations

from safehands.keys.box import DayBox
from safehands.keys.provider import FileProvider
from safehands.keys.ring import KeyRing, WrappedKeys, new_wrapped_keys
from safehands.keys.run import RunKey

__all__ = ["DayBox", "FileProvider", "KeyRing", "RunKey", "WrappedKeys", "new_wrapped_keys"]
