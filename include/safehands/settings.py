"""Where things are and how large they may be. The only module that knows environment variables.

Every setting has a name ``SAFEHANDS_…``, a default that is right for one machine, and one
sentence. ``Settings.read`` takes the environment as an argument, so that nothing else in the
package depends on the process it runs in.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from safehands.errors import SetupProblem
from safehands.messages import LANGUAGES

__all__ = ["SECRETS", "VARIABLES", "Hidden", "Settings"]

PROJECT = Path(__file__).resolve().parents[2]

VARIABLES: dict[str, str] = {
    "SAFEHANDS_HOME": "folder of keys, work files, backups, reports and the embedded database",
    "SAFEHANDS_DATABASE_URL": "a served PostgreSQL (SQLAlchemy URL); empty: the embedded one",
    "SAFEHANDS_EVIDENCE_URL": "the store with the auditor's own login, for a server without keys",
    "SAFEHANDS_LANDING": "folder, or fsspec URL, with stations.yaml and the stations' exports",
    "SAFEHANDS_WORK": "folder, or fsspec URL, of the encrypted files between two steps",
    "SAFEHANDS_KEYS": "first place of the key files",
    "SAFEHANDS_KEYS_SECOND": "second place of the epoch keys, ideally another disk",
    "SAFEHANDS_KEYS_URL": "who holds the root key: file:, env:, vault+https://…, awskms://…",
    "SAFEHANDS_BACKUPS": "backup repository: a folder, or an fsspec URL such as s3://bucket/folder",
    "SAFEHANDS_BACKUPS_REGION": "region of the bucket: one that policy lists",
    "SAFEHANDS_BACKUPS_ENDPOINT": "end point of an S3-compatible store that policy declares",
    "SAFEHANDS_BACKUP_WHOLE_DAYS": "days after which a backup reads unchanged parts too; 1: always",
    "SAFEHANDS_REPORTS": "folder of the nightly reports",
    "SAFEHANDS_CHANNELS": "address book of alerts, mode 0600: e-mail and webhooks, a secret",
    "SAFEHANDS_POLICY": "folder of the policy files",
    "SAFEHANDS_EXPECTATIONS": "folder of the Great Expectations suites",
    "SAFEHANDS_SENDER": "who sends one-time codes: module:factory; empty: a file for trying out",
    "SAFEHANDS_LANG": "zh or en: the language of messages",
    "SAFEHANDS_SHARD_MEGABYTES": "source bytes per shard, in MB",
    "SAFEHANDS_WORKERS": "worker processes of the command line (Airflow has its own)",
    "SAFEHANDS_READ_MEGABYTES": "memory that reading one file may take, in MB",
    "SAFEHANDS_READ_SECONDS": "processor seconds that reading may take without a result",
    "SAFEHANDS_READ_UNPACKED_MEGABYTES": "what a workbook or archive may unpack to, in MB",
    "SAFEHANDS_READ_COLUMNS": "columns that a table may have",
    "SAFEHANDS_READ_MEMBERS": "files that an archive may hold",
    "SAFEHANDS_ARCHIVE_LANDING": "1: move loaded landing files into the encrypted archive",
}

SECRETS: dict[str, str] = {
    "SAFEHANDS_ROOT_KEY": "the root key, base64 of 32 bytes, for env:",
    "SAFEHANDS_ROOT_KEY_NEXT": "the next root key while it is rotated, for env:",
    "SAFEHANDS_VAULT_TOKEN": "the token for HashiCorp Vault",
    "SAFEHANDS_METRICS_TOKEN": "the token of who scrapes the metrics, 24 characters or more",
}
"""Variables that hold a secret: read through ``Settings.secret`` at the moment they are needed."""

_YES, _NO = ("1", "true", "yes"), ("0", "false", "no")


class Hidden:
    """Variables that hold a secret: neither shown nor sent to another process.

    A worker process that is handed the settings reads them again from its own environment.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def __call__(self, name: str) -> str:
        """Return the variable ``name``, empty where it is not set."""
        return self._environ.get(name, "")

    def __repr__(self) -> str:
        return "<Hidden>"

    def __reduce__(self) -> tuple[object, ...]:
        return (_of_this_process, ())


def _of_this_process() -> Hidden:
    return Hidden(os.environ)


@dataclass(frozen=True)
class Settings:
    """All settings, resolved to absolute paths. ``sizes`` are in the unit their name says."""

    home: Path
    landing: Path
    work: Path
    keys: Path
    keys_second: Path
    backups: Path
    reports: Path
    policy: Path
    expectations: Path
    channels: Path
    database_url: str = field(default="", repr=False)
    evidence_url: str = field(default="", repr=False)
    lang: str = "zh"
    shard_megabytes: int = 48
    workers: int = 2
    read_megabytes: int = 256
    read_seconds: int = 4
    read_unpacked_megabytes: int = 2048
    read_columns: int = 16_384
    read_members: int = 1_000
    archive_landing: bool = False
    keys_url: str = ""
    backups_url: str = ""
    backups_region: str = ""
    backups_endpoint: str = ""
    backup_whole_days: int = 7
    sender: str = ""
    secret: Hidden = field(default_factory=lambda: Hidden({}), repr=False, compare=False)

    @property
    def mappings(self) -> Path:
        """Folder of the source policies that ``safehands inspect`` writes and owners confirm."""
        return self.home / "mappings"

    @property
    def archive(self) -> Path:
        """Folder of the encrypted landing archive."""
        return self.home / "archive"

    @classmethod
    def read(cls, environ: Mapping[str, str], **overrides: str) -> Settings:
        """Build settings from ``environ``; ``overrides`` win (the command line's options).

        Raises ``SetupProblem`` for a value that cannot be used, naming the variable.
        """
        get = _Lookup(environ, overrides)
        home = _path(get("home", str(PROJECT / ".safehands")))
        places = get("backups", str(home / "backups"))
        return cls(
            home=home,
            landing=_place("SAFEHANDS_LANDING", get("landing", str(home / "landing"))),
            work=_place("SAFEHANDS_WORK", get("work", str(home / "work"))),
            keys=_path(get("keys", str(home / "keys"))),
            keys_second=_path(get("keys_second", str(home / "keys-second"))),
            backups=home / "backups" if "://" in places else _path(places),
            backups_url=places if "://" in places else "",
            backups_region=get("backups_region", ""),
            backups_endpoint=get("backups_endpoint", ""),
            reports=_path(get("reports", str(home / "reports"))),
            policy=_path(get("policy", str(PROJECT / "include" / "policy"))),
            expectations=_path(get("expectations", str(PROJECT / "expectations"))),
            channels=_path(get("channels", str(home / "channels.yaml"))),
            database_url=get("database_url", ""),
            evidence_url=get("evidence_url", ""),
            lang=_choice("SAFEHANDS_LANG", get("lang", _system_language(environ)), LANGUAGES),
            shard_megabytes=_number("SAFEHANDS_SHARD_MEGABYTES", get("shard_megabytes", "48")),
            workers=_number("SAFEHANDS_WORKERS", get("workers", "2")),
            read_megabytes=get.number("read_megabytes", 256),
            read_seconds=get.number("read_seconds", 4),
            read_unpacked_megabytes=get.number("read_unpacked_megabytes", 2048),
            read_columns=get.number("read_columns", 16_384),
            read_members=get.number("read_members", 1_000),
            archive_landing=_switch("SAFEHANDS_ARCHIVE_LANDING", get("archive_landing", "0")),
            keys_url=get("keys_url", ""),
            backup_whole_days=get.number("backup_whole_days", 7),
            sender=get("sender", ""),
            secret=Hidden(environ),
        )


class _Lookup:
    def __init__(self, environ: Mapping[str, str], overrides: Mapping[str, str]) -> None:
        self.environ, self.overrides = environ, overrides

    def __call__(self, name: str, default: str) -> str:
        return self.overrides.get(name) or self.environ.get(f"SAFEHANDS_{name.upper()}") or default

    def number(self, name: str, default: int) -> int:
        return _number(f"SAFEHANDS_{name.upper()}", self(name, str(default)))


def _path(text: str) -> Path:
    return Path(os.path.abspath(os.path.expanduser(text)))


def _place(name: str, text: str) -> Path:
    """Return a folder: of this machine, or of any store that fsspec knows."""
    if "://" not in text:
        return _path(text)
    if "@" in text.partition("://")[2].partition("/")[0]:
        raise SetupProblem("setup.credentials_in_url", name=name)
    # Imported for those who need it: the library takes a tenth of a second.
    from upath import UPath

    return cast(Path, UPath(text))


def _number(name: str, text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise SetupProblem("setup.not_a_number", name=name)
    return int(text)


def _switch(name: str, text: str) -> bool:
    return _choice(name, text.casefold(), (*_YES, *_NO)) in _YES


def _choice(name: str, text: str, choices: tuple[str, ...]) -> str:
    if text not in choices:
        raise SetupProblem("setup.not_a_choice", name=name, choices=", ".join(choices))
    return text


def _system_language(environ: Mapping[str, str]) -> str:
    tongue = environ.get("LC_ALL") or environ.get("LC_MESSAGES") or environ.get("LANG") or ""
    return "zh" if tongue.startswith("zh") else "en"
