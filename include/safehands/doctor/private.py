"""Folders and files that nobody else may read."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from safehands.doctor.finding import Finding
from safehands.settings import Settings

__all__ = ["private", "too_open"]

# Below these nothing is for anybody else; public keys beside the secrets are named.
_PUBLIC = ("backup-recipients.txt", "ledger.pub")
_OPEN = stat.S_IRWXG | stat.S_IRWXO


def private(settings: Settings) -> Iterator[Finding]:
    """Yield one finding for the folders and one for the secret files.

    The home folder itself guards what lies in it: it may be closed while a report in it is not.
    """
    folders = [
        settings.home,
        settings.keys,
        settings.keys_second,
        settings.home / "airflow",
        settings.home / "postgres",
        settings.home / "notices",
    ]
    yield _judged("folders", [f for f in folders if f.is_dir() and too_open(f)], "700")
    yield _judged("secret_files", [f for f in _secrets(settings) if too_open(f)], "600")


def too_open(path: Path) -> bool:
    """Say whether others may do anything with ``path``, or another user owns it."""
    found = os.lstat(path)
    return bool(stat.S_IMODE(found.st_mode) & _OPEN) or found.st_uid != os.geteuid()


def _secrets(settings: Settings) -> Iterator[Path]:
    for folder in (settings.keys, settings.keys_second):
        if folder.is_dir():
            yield from (
                p for p in sorted(folder.rglob("*")) if p.is_file() and p.name not in _PUBLIC
            )
    for name in (
        "airflow/secrets.json",
        "airflow/login.json",
        "airflow/pgpass",
        "postgres/secret",
        "postgres/pgpass",
    ):
        if (settings.home / name).is_file():
            yield settings.home / name


def _judged(check: str, wrong: list[Path], mode: str) -> Finding:
    if not wrong:
        return Finding(check, "ok", "ok")
    shown = ", ".join(str(path) for path in wrong[:3])
    return Finding(check, "bad", "open", {"count": len(wrong), "shown": shown, "mode": mode})
