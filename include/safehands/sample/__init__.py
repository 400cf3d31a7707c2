"""Made-up exports: a sample night, a benchmark and planted canaries. No value is a real person's."""

from __future__ import annotations

from safehands.sample.facts import BenchFacts, FileFacts, OwnerFacts, SampleFacts
from safehands.sample.write import SEED, write_sample

__all__ = [
    "SEED",
    "BenchFacts",
    "FileFacts",
    "OwnerFacts",
    "SampleFacts",
    "write_sample",
]
