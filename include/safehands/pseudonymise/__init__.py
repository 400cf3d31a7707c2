"""The step ``pseudonymise``: people into the vault, parcels under random subject ids."""

from __future__ import annotations

from safehands.pseudonymise.step import pseudonymise

__all__ = ["pseudonymise"]
