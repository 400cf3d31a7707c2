"""The step ``minimise``: only what a declared purpose needs leaves it (PIPL 6, 19)."""

from __future__ import annotations

from safehands.minimise.step import minimise

__all__ = ["minimise"]
