"""Made-up exports: a sample night, a benchmark, planted canaries. Nobody in them is real."""

from __future__ import annotations

from safehands.sample.bench import write_bench, write_bench_csv
from safehands.sample.facts import BenchFacts, FileFacts, OwnerFacts, SampleFacts
from safehands.sample.write import SEED, write_sample

__all__ = [
    "SEED",
    "BenchFacts",
    "FileFacts",
    "OwnerFacts",
    "SampleFacts",
    "write_bench",
    "write_bench_csv",
    "write_sample",
]
