"""Which repository the settings mean, and whether policy lets backups lie there (PIPL 38, 40).

``SAFEHANDS_BACKUPS`` is a folder or an fsspec URL. An object store of AWS must lie in a region that
policy lists; the partition ``aws-cn`` has end points of its own, which no bucket outside of the
mainland can be reached through, and the end point is fixed here, whatever the environment says.
Any other host must be declared in policy by name. The address is checked before any connection.

Not promised: that a declared host is where its declarer says, or that a provider keeps no copy
elsewhere; whose word that is, policy says by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from safehands.backup.files import RemoteFiles
from safehands.backup.repository import Repository
from safehands.backuppolicy import BackupPolicy, load_backup_policy
from safehands.errors import PolicyError, SetupProblem
from safehands.settings import Settings

__all__ = ["check_place", "open_repository"]

_S3 = frozenset({"s3", "s3a"})
_OWN = frozenset({"127.0.0.1", "localhost", "::1"})
_MAINLAND = "cn-"
_ABROAD = (".amazonaws.com", ".googleapis.com", ".windows.net")
# In the clear, without a host of their own (most clouds speak S3 too), or gone with the process.
_NEVER = frozenset({"ftp", "http", "gs", "gcs", "abfs", "az", "oss", "obs", "cos", "memory"})


@dataclass(frozen=True)
class _Place:
    """A checked address: ``path`` on this machine, or ``url`` with fsspec's options."""

    path: str = ""
    url: str = ""
    options: dict[str, Any] | None = None


def open_repository(settings: Settings, policy: BackupPolicy | None = None) -> Repository:
    """Return the repository of ``settings``.

    Raises ``PolicyError`` for a place that policy does not allow, before any connection, and
    ``SetupProblem`` when the package for its scheme is not installed.
    """
    if not settings.backups_url:
        return Repository(settings.backups)
    place = check_place(settings, policy or load_backup_policy(settings.policy))
    if place.path:
        return Repository(Path(place.path))
    return Repository(RemoteFiles(*_system(place)))


def check_place(settings: Settings, policy: BackupPolicy) -> _Place:
    """Return what the URL of ``settings`` means. Raises ``PolicyError`` when it is not allowed."""
    url = urlsplit(settings.backups_url)
    if url.username or url.password or url.query or url.fragment:
        raise PolicyError("backup.place_secret")
    if url.scheme in ("file", "local"):
        return _Place(path=url.path)
    if url.scheme in _S3:
        return _bucket(settings, policy)
    if not url.netloc or url.scheme in _NEVER:
        raise PolicyError("backup.place_scheme", place=f"{url.scheme}://")
    _check_host(policy, url.netloc)
    return _Place(url=settings.backups_url, options={})


def _bucket(settings: Settings, policy: BackupPolicy) -> _Place:
    endpoint, region = settings.backups_endpoint, settings.backups_region
    if endpoint:
        _check_endpoint(policy, endpoint)
    elif region not in policy.regions or not region.startswith(_MAINLAND):
        allowed = ", ".join(policy.regions)
        raise PolicyError("backup.place_region", region=region or "-", allowed=allowed)
    options = {
        "endpoint_url": endpoint or f"https://s3.{region}.amazonaws.com.cn",
        "client_kwargs": {"region_name": region or None},
        "use_listings_cache": False,
        "skip_instance_cache": True,
    }
    return _Place(url=settings.backups_url, options=options)


def _check_endpoint(policy: BackupPolicy, endpoint: str) -> None:
    parts = urlsplit(endpoint)
    # What everybody knows to lie elsewhere is not made in-country by a declaration.
    if f"{parts.hostname}".endswith(_ABROAD):
        raise PolicyError("backup.place_endpoint", host=parts.netloc)
    _check_host(policy, parts.netloc)
    if parts.scheme != "https" and parts.hostname not in _OWN:
        raise PolicyError("backup.place_clear", host=parts.netloc)


def _check_host(policy: BackupPolicy, host: str) -> None:
    if host not in policy.hosts:
        raise PolicyError("backup.place_endpoint", host=host or "-")


def _system(place: _Place) -> tuple[Any, str]:
    import fsspec

    scheme = place.url.partition(":")[0]
    try:
        system, path = fsspec.url_to_fs(place.url, **(place.options or {}))
    except (ImportError, ValueError):
        package = "s3fs" if scheme in _S3 else f"fsspec[{scheme}]"
        raise SetupProblem("backup.place_missing", scheme=scheme, package=package) from None
    return system, str(path)
