"""``make clean``: remove an installation for good.

``python -m safehands_airflow.clean [--force]``; without ``--force`` it asks.

Only what Safehands itself wrote below its home is removed. A landing folder in which anything but
the untouched sample lies is left alone: it may be a station's only copy.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

from safehands import embedded
from safehands.errors import SafehandsError
from safehands.messages import say
from safehands.sample.landing import MARKER
from safehands.settings import Settings
from safehands_airflow.launcher import down

__all__ = ["main", "remove"]

_OURS = (
    *("airflow", "archive", "backups", "keys", "keys-second", "notices", "reports", "work"),
    *("ledger.pub", "nightly.lock"),
)


def remove(settings: Settings) -> tuple[str, ...]:
    """Stop everything and delete the installation's data, keys and database.

    There is no way back. Returns the shell commands that remove what other installations of this
    machine may still use. A served PostgreSQL, and folders that settings put elsewhere, are left
    alone. Raises ``SetupProblem`` when something does not stop.
    """
    down(settings)
    shared = embedded.remove(embedded.Place(settings.home))
    landing = settings.home / "landing"
    for path in (*(settings.home / name for name in _OURS), *_sample(landing)):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    if settings.home.is_dir() and not any(settings.home.iterdir()):
        settings.home.rmdir()
    return shared


def _sample(landing: Path) -> tuple[Path, ...]:
    """Return ``landing`` when it holds the sample exactly as it was laid, and nothing else."""
    try:
        laid = json.loads((landing / MARKER).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError):
        return ()
    found = [p for p in landing.rglob("*") if p.is_file() and p.name != MARKER]
    same = all(_digest(p) in laid.get(p.relative_to(landing).as_posix(), []) for p in found)
    return (landing,) if same else ()


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main(arguments: list[str] | None = None) -> int:
    """Ask, unless forced, and remove."""
    parser = argparse.ArgumentParser(prog="safehands_airflow.clean")
    parser.add_argument("--force", action="store_true")
    forced = parser.parse_args(arguments).force
    settings = Settings.read(os.environ)
    lang, folder = settings.lang, str(settings.home)
    if not settings.home.exists():
        return 0
    if not forced and input(say("airflow.clean_ask", lang, folder=folder)).strip() != "yes":
        return 1
    try:
        shared = remove(settings)
    except SafehandsError as error:
        sys.stderr.write(f"✗ {error.say(lang)}\n")
        return error.exit_code
    sys.stdout.write(say("airflow.cleaned", lang, folder=folder) + "\n")
    if shared:
        sys.stdout.write(say("airflow.shared", lang, commands="\n".join(shared)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
