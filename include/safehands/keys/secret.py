"""A base for objects that hold key material: they can't be printed, copied or pickled."""

from __future__ import annotations

from typing import NoReturn

__all__ = ["Secret"]


class Secret:
    """Shows its class and key id only; refuses to leave the process.

    Not promised: Python gives no way to wipe memory; whoever can read the process can read a key.
    """

    key_id: str = "?"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.key_id}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("keys do not leave the process: they cannot be pickled or copied")
