"""``docker-compose.yaml`` as data, and what one of its services is when it runs on this machine.

Hosts of the compose network become ports of 127.0.0.1, folders of the containers become folders
here, ``/run/secrets`` becomes the folder that ``docker/prepare.sh`` made. Command and environment
are the file's own: nothing is written down a second time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

__all__ = ["PROJECT", "Native", "Service", "compose", "interpolated", "native"]

PROJECT = Path(__file__).resolve().parents[2]
# A default may hold variables itself, which hold none.
_VARIABLE = re.compile(r"\$(?:\$|\{(\w+)(?::-((?:[^{}]|\$\{[^{}]*\})*))?\})")


def compose(environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the file with merges and variables resolved; ``environ`` gives the variables."""
    text = (PROJECT / "docker-compose.yaml").read_text(encoding="utf-8")
    found: dict[str, Any] = interpolated(yaml.safe_load(text), environ or {})
    return found


def interpolated(node: Any, environ: Mapping[str, str]) -> Any:
    """Replace ``${NAME:-default}`` and ``$$`` in every text, as compose does; defaults too."""
    if isinstance(node, dict):
        return {key: interpolated(value, environ) for key, value in node.items()}
    if isinstance(node, list):
        return [interpolated(value, environ) for value in node]
    if not isinstance(node, str):
        return node

    def value(found: re.Match[str]) -> str:
        name, default = found.group(1), found.group(2) or ""
        if name is None:
            return "$"
        return environ.get(name) or str(interpolated(default, environ))

    return _VARIABLE.sub(value, node)


@dataclass(frozen=True)
class Native:
    """Where the parts of the compose file are on this machine.

    ``addresses``: what ``host:port`` of the compose network is here. ``folders``: what a path of
    every container is here. ``data``: where the volumes' folders lie. ``variables``: of ``.env``.
    """

    addresses: Mapping[str, str]
    folders: Mapping[str, Path]
    data: Path
    policy: Path
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Service:
    """One service as it runs here."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]


def native(name: str, where: Native) -> Service:
    """Return the service ``name`` of the compose file in the terms of this machine."""
    service = compose(where.variables)["services"][name]
    paths = {**_volumes(service, where), **where.folders}

    def here(text: str) -> str:
        for there, path in sorted(paths.items(), key=lambda pair: -len(pair[0])):
            text = re.sub(rf"{re.escape(there)}(?=[/\s,]|$)", str(path), text)
        for address, mine in where.addresses.items():
            text = text.replace(address, mine)
        return text

    environment = {key: here(str(value)) for key, value in service.get("environment", {}).items()}
    return Service(name, tuple(here(part) for part in service["command"]), environment)


def _volumes(service: Mapping[str, Any], where: Native) -> dict[str, Path]:
    found = {}
    for volume in service.get("volumes", ()):
        source, target = volume.split(":")[:2]
        if source == "./docker/policy":
            found[target] = where.policy
        elif source.startswith("./docker/data/"):
            found[target] = where.data / source.removeprefix("./docker/data/")
        else:
            found[target] = PROJECT / source
    return found
