"""The page of promises names tests that exist, and every test file of this folder."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
OWN = Path(__file__).name


def _named() -> list[tuple[str, str]]:
    page = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
    return NAMED.findall(page)


def test_every_test_that_is_named_exists() -> None:
    named = _named()
    assert len(named) >= 15
    missing = [
        (file, name)
        for file, name in named
        if f"def {name}(" not in (ROOT / file).read_text(encoding="utf-8")
    ]
    assert missing == []


def test_every_test_file_of_this_folder_is_named() -> None:
    files = {p.name for p in Path(__file__).parent.glob("test_*.py")} - {OWN}
    assert {Path(file).name for file, _ in _named()} >= files
