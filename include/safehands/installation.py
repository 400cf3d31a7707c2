"""Everything a command or a task works with, opened and checked: policy, keys, store."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from safehands import embedded, journal
from safehands.keys import KeyProvider, age
from safehands.keys.choose import Sources, choose
from safehands.policy import Policy, load_policy
from safehands.settings import Settings
from safehands.store import Store, prepare_store

__all__ = ["Clock", "Installation", "database_url", "key_sources", "open_installation"]

Clock = Callable[[], datetime]

DATABASE = "safehands"


@dataclass
class Installation:
    """An opened installation. ``clock`` returns aware datetimes."""

    settings: Settings
    policy: Policy
    provider: KeyProvider
    store: Store
    clock: Clock = field(repr=False)

    def close(self) -> None:
        """Give back database connections; the embedded server keeps running."""
        self.store.close()


def open_installation(settings: Settings, clock: Clock) -> Installation:
    """Open the installation, making what is missing on the first night.

    Starts the embedded server unless a served one is configured, checks the root key against the
    store before anything is written, migrates, and makes the signing key and the backup identity.

    Raises ``SetupProblem``, ``KeyProblem`` or ``PolicyError``.
    """
    policy = load_policy(settings.policy, settings.mappings)
    _private_folder(settings.home)
    provider = choose(settings.keys_url, key_sources(settings))
    store = Store(database_url(settings), provider)
    prepare_store(store)
    provider.tidy()
    _publish(settings.home / "ledger.pub", str(journal.signing_key(provider).verifier))
    if not (provider.first / "backup-recipients.txt").exists():
        # The identity may have been moved offline since; it is not made again then.
        _private_folder(provider.first)
        _publish(provider.first / "backup-recipients.txt", age.make_identity(provider))
    return Installation(settings, policy, provider, store, clock)


def key_sources(settings: Settings) -> Sources:
    """Return where keys may be according to the settings."""
    return Sources(settings.keys, settings.keys_second, settings.secret)


def database_url(settings: Settings) -> str:
    """Return the administrator's URL, starting the embedded server when none is configured."""
    if settings.database_url:
        return settings.database_url
    return embedded.start(embedded.Place(settings.home)).url(DATABASE)


def _private_folder(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def _publish(path: Path, text: str) -> None:
    """Write a public key where people look for it, once."""
    if not path.exists():
        partial = path.with_suffix(".partial")
        partial.write_text(text + "\n", encoding="ascii")
        os.replace(partial, path)
