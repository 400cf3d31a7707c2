"""People who log in: roles from ``logins.yaml``, passwords only as hashes (FAB auth manager).

``make logins ARGS="…"``: ``sync``, ``list``, ``add``, ``password``, ``remove`` on an installation
whose ``SAFEHANDS_LOGINS`` is ``roles``. FAB keeps ``scrypt`` hashes in Airflow's own database. A
role is exactly what policy says after ``sync``: what it had besides is taken away.

Only roles of ours are written; Airflow's own (Admin, Op, User, Viewer, Public) stay as FAB makes
them, and nobody here is given one of them.
"""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from rich.console import Console

from safehands.errors import PolicyError, SafehandsError, SetupProblem
from safehands.messages import say
from safehands.settings import Settings
from safehands_airflow import home
from safehands_airflow.local import turned_away
from safehands_airflow.metadata import prepare_metadata

__all__ = [
    "Logins",
    "Role",
    "add",
    "load_logins",
    "main",
    "open_manager",
    "permissions_of",
    "start",
    "sync",
]

_FILE = "logins.yaml"
_SHORTEST_PASSWORD = 12
_PREFIX = "safehands_"

Permission = tuple[str, str]
"""Action and resource, as FAB names them."""

_LOOK_EVERYWHERE: tuple[Permission, ...] = (
    ("can_read", "Website"),
    ("can_read", "My Password"),
    ("can_edit", "My Password"),
    ("can_read", "My Profile"),
    ("can_read", "DAG Runs"),
    ("can_read", "DAG Versions"),
    ("can_read", "Task Instances"),
    ("can_read", "Task Logs"),
    ("can_read", "HITL Detail"),
    ("menu_access", "DAGs"),
    ("menu_access", "DAG Runs"),
    ("menu_access", "HITL Detail"),
)
_LOOK_AT_ALL: tuple[Permission, ...] = (
    ("can_read", "DAG Code"),
    ("can_read", "DAG Dependencies"),
    ("can_read", "DAG Warnings"),
    ("can_read", "ImportError"),
    ("can_read", "Assets"),
    ("can_read", "Jobs"),
    ("can_read", "Cluster Activity"),
    ("can_read", "Audit Logs"),
    ("menu_access", "Assets"),
    ("menu_access", "Audit Logs"),
)
_START: tuple[Permission, ...] = (
    ("can_create", "DAG Runs"),
    ("can_edit", "DAG Runs"),
    ("can_edit", "Task Instances"),
)
_ANSWER: tuple[Permission, ...] = (("can_edit", "HITL Detail"),)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Role(_Frozen):
    """One role of ``logins.yaml``."""

    label: dict[Literal["zh", "en"], str]
    does: tuple[Literal["look", "start", "answer"], ...]
    dags: Literal["all"] | tuple[str, ...]
    pages: tuple[str, ...]
    acts: tuple[str, ...]


class Logins(_Frozen):
    """All of ``logins.yaml``."""

    roles: dict[Annotated[str, Field(pattern=r"^[a-z]+$")], Role]


def load_logins(folder: Path) -> Logins:
    """Read the roles from the policy folder. Raises ``PolicyError``."""
    try:
        return Logins.model_validate(yaml.safe_load((folder / _FILE).read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, ValidationError):
        raise PolicyError("airflow.logins_unreadable", file=_FILE) from None


def permissions_of(role: Role) -> set[Permission]:
    """Return what ``role`` may do in Airflow."""
    edits = "start" in role.does or "answer" in role.does
    found: set[Permission] = {*_LOOK_EVERYWHERE}
    if role.dags == "all":
        found |= {*_LOOK_AT_ALL, ("can_read", "DAGs")}
    for dag in ("DAGs",) if role.dags == "all" else tuple(f"DAG:{dag}" for dag in role.dags):
        found.add(("can_read", dag))
        if edits:
            # Airflow asks for the right to edit the DAG of whatever is started or answered.
            found.add(("can_edit", dag))
    found |= {*_START} if "start" in role.does else set()
    found |= {*_ANSWER} if "answer" in role.does else set()
    found |= {("can_read", f"safehands.{page}") for page in role.pages}
    found |= {("can_create", f"safehands.{page}") for page in role.acts}
    return found


def sync(manager: Any, logins: Logins) -> int:
    """Make every role exactly what policy says; return how many permissions changed.

    ``manager`` is FAB's security manager.
    """
    changed = 0
    for name, role in logins.roles.items():
        known = manager.find_role(_PREFIX + name) or manager.add_role(_PREFIX + name)
        wanted = permissions_of(role)
        had = {(p.action.name, p.resource.name): p for p in known.permissions}
        for extra in had.keys() - wanted:
            manager.remove_permission_from_role(known, had[extra])
        for action, resource in sorted(wanted - had.keys()):
            made = manager.create_permission(action, resource)
            manager.add_permission_to_role(known, made)
        changed += len(had.keys() ^ wanted)
    return changed


def add(manager: Any, name: str, role: str, password: str) -> None:
    """Let a person log in. Raises ``SetupProblem`` for a name that is taken or a weak password."""
    _check_password(password, name)
    if manager.find_user(username=name):
        raise SetupProblem("airflow.login_taken", name=name)
    manager.add_user(name, name, "-", f"{name}@safehands.invalid", _role(manager, role), password)


def _role(manager: Any, role: str) -> Any:
    found = manager.find_role(_PREFIX + role)
    if found is None:
        raise SetupProblem("airflow.login_role", role=role)
    return found


def _check_password(password: str, name: str) -> None:
    if len(password) < _SHORTEST_PASSWORD or name.casefold() in password.casefold():
        raise SetupProblem("airflow.login_weak", length=_SHORTEST_PASSWORD)


def start(manager: Any, logins: Logins, password: str) -> int:
    """Bring the roles to policy and make this machine's own account ``admin`` if there is none.

    ``password`` is the generated one of ``login.json``; ``make up`` and ``make nightly`` use it.
    """
    changed = sync(manager, logins)
    if manager.find_user(username="admin") is None:
        role = manager.find_role("Admin")
        manager.add_user("admin", "admin", "-", "admin@safehands.invalid", role, password)
    return changed


@contextmanager
def open_manager() -> Iterator[Any]:
    """Open FAB's security manager; the environment is that of the installation's Airflow."""
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    prepare_metadata()
    with get_application_builder() as builder:
        yield builder.sm


def _environment(settings: Settings) -> Mapping[str, str]:
    """Return the environment of the installation's Airflow: under compose it is this one."""
    if home.LOGIN_FILE in os.environ:
        return dict(os.environ)
    return home.prepare(settings, os.environ)


def own_password(settings: Settings) -> str:
    """Return the generated password of the installation's own account ``admin``."""
    file = os.environ.get(home.LOGIN_FILE)
    if file is None:
        return home.password(settings)
    return str(json.loads(Path(file).read_text(encoding="utf-8"))["admin"])


def _run(settings: Settings, words: argparse.Namespace) -> list[str]:
    """Do one command and return what to tell."""
    logins = load_logins(settings.policy)
    if getattr(words, "password_file", None) or words.command in ("add", "password"):
        password = _typed(words.password_file)
        _check_password(password, words.name)
    environment = _environment(settings)
    if environment.get(home.AUTH_MANAGER) != home.FAB:
        raise SetupProblem("airflow.logins_off")
    os.environ.update(environment)
    logs = Path(environment["AIRFLOW__LOGGING__BASE_LOG_FOLDER"])
    logs.mkdir(mode=0o700, exist_ok=True)
    lang = settings.lang
    with turned_away(logs / "logins.log"), open_manager() as manager:
        if words.command in ("sync", "start"):
            changed = start(manager, logins, own_password(settings))
            return [say("airflow.logins_synced", lang, changed=changed)]
        if words.command == "list":
            users = sorted(manager.get_all_users(), key=lambda one: str(one.username))
            return [
                say("airflow.login_line", lang, name=u.username, roles=_shown(u)) for u in users
            ]
        if words.command == "add":
            add(manager, words.name, words.role, password)
            return [say("airflow.login_added", lang, name=words.name, role=words.role)]
        user = manager.find_user(username=words.name)
        if user is None:
            raise SetupProblem("airflow.login_unknown", name=words.name)
        if words.command == "remove":
            manager.del_register_user(user)
            return [say("airflow.login_removed", lang, name=words.name)]
        manager.reset_password(user.id, password)
        return [say("airflow.login_changed", lang, name=words.name)]


def _shown(user: Any) -> str:
    return ", ".join(sorted(role.name.removeprefix(_PREFIX) for role in user.roles)) or "-"


def _typed(file: Path | None) -> str:
    """Return a password from a file or typed unseen; never from the command line."""
    if file is not None:
        return file.read_text(encoding="utf-8").strip()
    return getpass.getpass()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="safehands_airflow.logins")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("sync", "start", "list"):
        commands.add_parser(name)
    for name in ("add", "password", "remove"):
        one = commands.add_parser(name)
        one.add_argument("name")
        if name == "add":
            one.add_argument("--role", required=True)
        if name != "remove":
            one.add_argument("--password-file", type=Path)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit code."""
    words = _parser().parse_args(arguments)
    settings = Settings.read(os.environ)
    console = Console(highlight=False, soft_wrap=True)
    try:
        lines = _run(settings, words)
    except SafehandsError as error:
        Console(stderr=True, soft_wrap=True).print(f"✗ {error.say(settings.lang)}", style="red")
        return error.exit_code
    for line in lines:
        console.print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
