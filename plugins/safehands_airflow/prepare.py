"""What is made once before services start: ``python -m safehands_airflow.prepare metadata|vault``.

``metadata`` brings Airflow's own database to the installed version and makes the pools that the
DAGs name; it needs no key and no password of the store. ``vault`` makes the buckets that the
settings name, opens the installation (keys, database, roles) and needs nothing of Airflow's. Both
may be repeated.
"""

from __future__ import annotations

import argparse
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from safehands.errors import SafehandsError
from safehands.installation import open_installation
from safehands.settings import Settings
from safehands.store import AUDITOR, passfile_line
from safehands_airflow.home import AUTH_MANAGER, FAB
from safehands_airflow.metadata import prepare_metadata

__all__ = ["buckets", "main", "prepare_logins", "prepare_vault"]

_OBJECT_STORE = frozenset({"s3", "s3a"})


def prepare_logins(settings: Settings) -> None:
    """Bring the roles of logins to policy and make the installation's own account.

    Raises ``PolicyError``.
    """
    # Airflow's models are there only once its settings are.
    from safehands_airflow.logins import load_logins, open_manager, own_password, start

    with open_manager() as manager:
        start(manager, load_logins(settings.policy), own_password(settings))


def prepare_vault(settings: Settings) -> None:
    """Make buckets, keys, the store's database and its roles. Raises ``SafehandsError``.

    The folder ``evidence`` in the home folder is for a server that shows pages and holds no key:
    the auditor's password file and the ledger's public key.
    """
    for bucket in buckets(settings):
        _make_bucket(bucket)
    inst = open_installation(settings, lambda: datetime.now(UTC))
    try:
        line = passfile_line(inst.provider, AUDITOR)
    finally:
        inst.close()
    evidence = settings.home / "evidence"
    evidence.mkdir(mode=0o700, exist_ok=True)
    _put(evidence / "auditor.pgpass", line)
    _put(evidence / "ledger.pub", (settings.home / "ledger.pub").read_text(encoding="ascii"))


def _put(path: Path, content: str) -> None:
    """Write a 0600 file, whole or not at all."""
    draft = path.with_name(f".{path.name}")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(handle, "w", encoding="ascii") as file:
        file.write(content)
    os.replace(draft, path)


def buckets(settings: Settings) -> list[str]:
    """Return the names of the buckets in which landing, work files and backups lie."""
    places = [str(settings.landing), str(settings.work), settings.backups_url]
    found = {
        rest.partition("/")[0]
        for scheme, mark, rest in (place.partition("://") for place in places)
        if mark and scheme in _OBJECT_STORE
    }
    return sorted(found)


def _make_bucket(name: str) -> None:
    import fsspec

    store: Any = fsspec.filesystem("s3", skip_instance_cache=True)
    if not store.exists(name):
        store.call_s3("create_bucket", Bucket=name, **_region(store))


def _region(store: Any) -> dict[str, Any]:
    region = store.s3.meta.region_name
    if not region or region == "us-east-1":
        return {}
    return {"CreateBucketConfiguration": {"LocationConstraint": region}}


def main(arguments: list[str] | None = None) -> int:
    """Prepare one side and return the exit code."""
    parser = argparse.ArgumentParser(prog="safehands_airflow.prepare")
    parser.add_argument("side", choices=("metadata", "vault"))
    side = parser.parse_args(arguments).side
    settings = Settings.read(os.environ)
    try:
        if side == "metadata":
            prepare_metadata()
            if os.environ.get(AUTH_MANAGER) == FAB:
                prepare_logins(settings)
        else:
            prepare_vault(settings)
    except SafehandsError as error:
        sys.stderr.write(f"✗ {error.say(settings.lang)}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
