"""The configuration reference, written from the settings themselves.

``make configuration`` writes ``docs/configuration.md``; a test compares the page with the
settings, so that a new variable without its line there fails.
"""

from __future__ import annotations

from pathlib import Path

from safehands.settings import PROJECT, SECRETS, VARIABLES, Settings

__all__ = ["COMPOSE", "default_of", "reference"]

_PREFIX = "SAFEHANDS_"
_HOME = PROJECT / ".safehands"

_HEAD = """# Configuration

Written by `make configuration` from `include/safehands/settings.py`; do not edit by hand.

Every setting is an environment variable. An empty variable counts as not set. A value that
cannot be used stops the command, and the message names the variable.
"""

_SECRETS = """
## Secrets

Read at the moment they are needed. They are not shown, and not handed to worker processes: a
worker reads its own environment. They have no default.
"""

_ELSEWHERE = """
## Read elsewhere

- `SAFEHANDS_PORT`: the port of Airflow's web page on 127.0.0.1, 28080 by default; read by
  `make up`.
- `SAFEHANDS_LOGINS`: `one` (default) or `roles`; read by `make up` and `make logins`, see
  [running it securely](security.md).
- `SAFEHANDS_LOGIN_FILE`: under compose, the file with the password of the installation's own
  account.
- `SAFEHANDS_SOURCE_<NAME>`: the URL of a source database that `stations.yaml` declares, with
  `-` in its name as `_`; needed where the URL holds a password, and wins over the one there.
  Secret: read when it is needed.
"""

_CONTAINERS = """
## Under docker compose

Read by `docker-compose.yaml`, from the environment or from `.env` beside it (the environment wins);
what its services are given stands in that file. `docker/prepare.sh` takes the first four as well,
makes the folders, and writes them into `.env`, so that they hold for every later `docker compose`.
"""

COMPOSE: dict[str, tuple[str, str]] = {
    "SAFEHANDS_UID": ("10001", "user of all containers; `prepare.sh`: whoever runs it, not root"),
    "SAFEHANDS_GID": ("10001", "group of all containers, likewise"),
    "SAFEHANDS_DATA": ("./docker/data", "folder of databases, objects, keys, notices and logs"),
    "SAFEHANDS_KEYS_SECOND": (
        "${SAFEHANDS_DATA:-./docker/data}/keys-second",
        "second place of the epoch keys on the host, ideally another disk",
    ),
    "SAFEHANDS_PORT": ("28080", "port of the web page on 127.0.0.1"),
    "SAFEHANDS_BASE_URL": (
        "http://127.0.0.1:${SAFEHANDS_PORT:-28080}",
        "address by which browsers come, when a proxy with TLS stands in front",
    ),
    "SAFEHANDS_LANG": ("zh", "zh or en: the language of messages"),
    "SAFEHANDS_SHARD_MEGABYTES": ("48", "source bytes per shard, in MB"),
    "SAFEHANDS_WORKER_CONTAINERS": ("2", "how many containers of the service `worker` run"),
    "SAFEHANDS_IMAGE": ("safehands:local", "name of the image that is built"),
    "SAFEHANDS_POSTGRES_IMAGE": ("postgres:17-bookworm", "image of store and metadata"),
    "SAFEHANDS_BROKER_IMAGE": ("valkey/valkey:8-bookworm", "image of the broker"),
    "SAFEHANDS_OBJECTS_IMAGE": ("chrislusf/seaweedfs:3.97", "image of the object store"),
    "SAFEHANDS_MAIL_IMAGE": ("axllent/mailpit:v1.21", "image of the mail catcher, profile `dev`"),
}
"""Variable of the compose file: its default there, and what it says."""


def default_of(variable: str) -> str:
    """Return the default of ``variable`` as the page shows it; empty text: none.

    Taken from ``Settings.read`` of an empty environment, so it is the value in force.
    Folders are shown relative to ``SAFEHANDS_HOME`` or to the project.
    """
    value = getattr(Settings.read({}), variable.removeprefix(_PREFIX).lower())
    if isinstance(value, bool):
        return str(int(value))
    if not isinstance(value, Path):
        return str(value)
    if value != _HOME and value.is_relative_to(_HOME):
        return f"$SAFEHANDS_HOME/{value.relative_to(_HOME).as_posix()}"
    return f"<project>/{value.relative_to(PROJECT).as_posix()}"


def reference() -> str:
    """Return the whole page as Markdown, one row for each variable, in the settings' order."""
    rows = [f"| `{name}` | {_shown(name)} | {text} |" for name, text in VARIABLES.items()]
    secrets = [f"| `{name}` | {text} |" for name, text in SECRETS.items()]
    table = ["", "| Variable | Default | Meaning |", "| --- | --- | --- |", *rows, ""]
    hidden = ["", "| Variable | Meaning |", "| --- | --- |", *secrets, ""]
    outside = [f"| `{name}` | `{default}` | {text} |" for name, (default, text) in COMPOSE.items()]
    compose = ["", "| Variable | Default | Meaning |", "| --- | --- | --- |", *outside, ""]
    pages = (_HEAD, table, _SECRETS, hidden, _ELSEWHERE, _CONTAINERS, compose)
    return "".join(page if isinstance(page, str) else "\n".join(page) for page in pages)


def _shown(name: str) -> str:
    if name == "SAFEHANDS_LANG":
        return "the system's language: `zh` or `en`"
    default = default_of(name)
    return f"`{default}`" if default else "none"


def main() -> None:
    """Write ``docs/configuration.md``."""
    (PROJECT / "docs" / "configuration.md").write_text(reference(), encoding="utf-8")


if __name__ == "__main__":
    main()
