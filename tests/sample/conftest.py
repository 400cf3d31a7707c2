"""One sample for all tests that only look at it."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from safehands.sample import SampleFacts, write_sample


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SampleFacts]:
    """Return the landing folder of a sample, to be left as it is, and its facts."""
    folder = tmp_path_factory.mktemp("sample") / "landing"
    return folder, write_sample(folder, date(2026, 11, 23))
