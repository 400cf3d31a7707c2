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

from safehands.errors import SetupProblem
from safehands.messages import LANGUAGES

__all__ = ["VARIABLES", "Settings"]

PROJECT = Path(__file__).resolve().parents[2]

VARIABLES: dict[str, str] = {
    "SAFEHANDS_HOME": "folder of keys, work files, backups, reports and the embedded database",
    "SAFEHANDS_DATABASE_URL": "a served PostgreSQL (SQLAlchemy URL); empty: the embedded one",
    "SAFEHANDS_LANDING": "folder with stations.yaml and the stations' exports",
    "SAFEHANDS_KEYS": "first place of the key files",
    "SAFEHANDS_KEYS_SECOND": "second place of the epoch keys, ideally another disk",
    "SAFEHANDS_BACKUPS": "folder of the backup repository",
    "SAFEHANDS_REPORTS": "folder of the nightly reports",
    "SAFEHANDS_POLICY": "folder of the policy files",
    "SAFEHANDS_EXPECTATIONS": "folder of the Great Expectations suites",
    "SAFEHANDS_LANG": "zh or en: the language of messages",
    "SAFEHANDS_SHARD_MEGABYTES": "source bytes per shard, in MB",
    "SAFEHANDS_WORKERS": "worker processes of the command line (Airflow has its own)",
    "SAFEHANDS_ARCHIVE_LANDING": "1: move loaded landing files into the encrypted archive",
}


_YES, _NO = ("1", "true", "yes"), ("0", "false", "no")


@dataclass(frozen=True)
class Settings:
    """All settings, resolved to absolute paths. ``sizes`` are in the unit their name says."""

    home: Path
    landing: Path
    keys: Path
    keys_second: Path
    backups: Path
    reports: Path
    policy: Path
    expectations: Path
    database_url: str = field(default="", repr=False)
    lang: str = "zh"
    shard_megabytes: int = 48
    workers: int = 2
    archive_landing: bool = False

    @property
    def work(self) -> Path:
        """Folder of the encrypted artifacts between steps."""
        return self.home / "work"

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
        return cls(
            home=home,
            landing=_path(get("landing", str(home / "landing"))),
            keys=_path(get("keys", str(home / "keys"))),
            keys_second=_path(get("keys_second", str(home / "keys-second"))),
            backups=_path(get("backups", str(home / "backups"))),
            reports=_path(get("reports", str(home / "reports"))),
            policy=_path(get("policy", str(PROJECT / "include" / "policy"))),
            expectations=_path(get("expectations", str(PROJECT / "expectations"))),
            database_url=get("database_url", ""),
            lang=_choice("SAFEHANDS_LANG", get("lang", _system_language(environ)), LANGUAGES),
            shard_megabytes=_number("SAFEHANDS_SHARD_MEGABYTES", get("shard_megabytes", "48")),
            workers=_number("SAFEHANDS_WORKERS", get("workers", "2")),
            archive_landing=_switch("SAFEHANDS_ARCHIVE_LANDING", get("archive_landing", "0")),
        )


class _Lookup:
    def __init__(self, environ: Mapping[str, str], overrides: Mapping[str, str]) -> None:
        self.environ, self.overrides = environ, overrides

    def __call__(self, name: str, default: str) -> str:
        return self.overrides.get(name) or self.environ.get(f"SAFEHANDS_{name.upper()}") or default


def _path(text: str) -> Path:
    return Path(os.path.abspath(os.path.expanduser(text)))


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
