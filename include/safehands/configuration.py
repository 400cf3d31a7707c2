"""The configuration reference, written from the settings themselves.

``make configuration`` writes ``docs/configuration.md``; a test compares the page with the
settings, so that a new variable without its line there fails.
"""

from __future__ import annotations

from pathlib import Path

from safehands.settings import PROJECT, SECRETS, VARIABLES, Settings

__all__ = ["default_of", "reference"]

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
    return _HEAD + "\n".join(table) + _SECRETS + "\n".join(hidden) + _ELSEWHERE


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
