"""The policy of backups: how long generations stay, and where they may lie.

``include/policy/backup.yaml`` as a frozen model. Its numbers are the installation's own.
"""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from safehands.errors import PolicyError

__all__ = ["FILE", "BackupPolicy", "Drill", "Endpoint", "Keep", "load_backup_policy"]

FILE = "backup.yaml"

_Count = Annotated[int, Field(ge=0, le=1000)]
_Days = Annotated[int, Field(ge=1, le=3650)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Keep(_Frozen):
    """How many days, weeks and months keep their last generation; ``at_most_days`` ends all."""

    daily: Annotated[int, Field(ge=1, le=1000)]
    weekly: _Count
    monthly: _Count
    at_most_days: _Days


class Drill(_Frozen):
    """How often the restore is to be practised, in days."""

    every_days: _Days


class Endpoint(_Frozen):
    """A host (with a port, if it is not 443) that somebody declares to lie in the mainland."""

    host: Annotated[str, Field(pattern=r"^[a-z0-9.-]+(:\d+)?$")]
    declared_by: Annotated[str, Field(min_length=1)]
    declared_on: date


class BackupPolicy(_Frozen):
    """All of ``backup.yaml``. ``digest`` is the file's SHA-256, for the ledger."""

    keep: Keep
    drill: Drill
    regions: tuple[str, ...]
    endpoints: tuple[Endpoint, ...]
    digest: str

    @property
    def hosts(self) -> frozenset[str]:
        """The declared hosts."""
        return frozenset(endpoint.host for endpoint in self.endpoints)


def load_backup_policy(folder: Path) -> BackupPolicy:
    """Read the policy in ``folder``. Raises ``PolicyError`` naming the entry that is wrong."""
    try:
        raw = (folder / FILE).read_bytes()
        loaded = yaml.load(raw.decode("utf-8"), Loader=yaml.CSafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        raise PolicyError("policy.unreadable", file=FILE) from None
    if not isinstance(loaded, dict):
        raise PolicyError("policy.unreadable", file=FILE)
    known = {name: value for name, value in loaded.items() if name != "version"}
    try:
        return BackupPolicy.model_validate({**known, "digest": hashlib.sha256(raw).hexdigest()})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise PolicyError("backup.policy_invalid", where=where, why=first["type"]) from None
