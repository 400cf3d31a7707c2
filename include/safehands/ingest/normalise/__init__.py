"""Cells to canonical values where one regular expression is not enough: names, addresses, text."""

from __future__ import annotations

from safehands.ingest.normalise.addresses import Address, Divisions
from safehands.ingest.normalise.combined import Recipient, split_recipient
from safehands.ingest.normalise.measures import kilograms, yuan
from safehands.ingest.normalise.names import canonical_name, looks_like_name
from safehands.ingest.normalise.scrub import Scrubbed, Scrubber

__all__ = [
    "Address",
    "Divisions",
    "Recipient",
    "Scrubbed",
    "Scrubber",
    "canonical_name",
    "kilograms",
    "looks_like_name",
    "split_recipient",
    "yuan",
]
