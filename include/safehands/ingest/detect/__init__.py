"""What the cells of a column are: detectors over sampled values, each with a confidence."""

from __future__ import annotations

from safehands.ingest.detect.column import Seen, look, words_of
from safehands.ingest.detect.kinds import KINDS
from safehands.ingest.detect.patterns import mask_pattern, patterns, shown
from safehands.ingest.detect.verdict import contradicts, own_kinds

__all__ = [
    "KINDS",
    "Seen",
    "contradicts",
    "look",
    "mask_pattern",
    "own_kinds",
    "patterns",
    "shown",
    "words_of",
]
