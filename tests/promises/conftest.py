"""Fixtures of the promises: one host of prepared processes, and databases that can be copied."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from promise_base import Host, Search


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    made = Host(tmp_path_factory.mktemp("host"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def search() -> Search:
    return Search()
