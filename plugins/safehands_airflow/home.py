"""The environment in which this checkout's Airflow runs, computed from the package's settings.

::

    <home>/airflow/               0700, AIRFLOW_HOME
        secrets.json              0600, Fernet key, token secrets, database password
        pgpass                    0600, libpq's password file for Airflow's own role
        login.json                0600, {"admin": password} for the web page
        logs/                     task and component logs

Airflow's metadata lives in the database ``airflow`` of the same PostgreSQL as the store, owned by
a role ``airflow`` that has no right to any table of the store. No URL holds a password.

Variables ``AIRFLOW__…`` that somebody set win over ours, except those that say where this checkout
is and those without which the night would be visible from outside (``_FIXED``).
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import OperationalError, ProgrammingError

from safehands.errors import SetupProblem
from safehands.installation import database_url
from safehands.settings import PROJECT, Settings
from safehands.store import driver
from safehands_airflow.lineage import sieved

__all__ = [
    "AUTH_MANAGER",
    "FAB",
    "HOST",
    "LOGIN_FILE",
    "address",
    "airflow_home",
    "login_file",
    "password",
    "port",
    "prepare",
]

HOST = "127.0.0.1"
LOGIN_FILE = "SAFEHANDS_LOGIN_FILE"
"""Under compose: the file that holds the password of the installation's own account."""
AUTH_MANAGER = "AIRFLOW__CORE__AUTH_MANAGER"
FAB = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"

_CONNECTION = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
_NAME = "airflow"
_FIXED = ("AIRFLOW__CORE__DAGS_FOLDER", "AIRFLOW__CORE__PLUGINS_FOLDER", "AIRFLOW__API__HOST")


def prepare(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """Return ``environ`` with all that Airflow needs, making what is missing.

    Starts the embedded PostgreSQL unless a served one is configured, makes Airflow's role and
    database in it, and keeps the generated secrets in 0600 files. Repeating it changes nothing.

    Raises ``SetupProblem``.
    """
    home = airflow_home(settings)
    for folder in (settings.home, home):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept = _secrets(home)
    _write_once(login_file(settings), json.dumps({"admin": secrets.token_urlsafe(15)}))
    ours = {**_layout(settings, home), **_behaviour(port(environ)), **_keys(kept)}
    ours |= _logins(environ)
    if _CONNECTION not in environ:
        ours |= _database(settings, home, kept["database_password"])
    users = {k: v for k, v in environ.items() if k.startswith("AIRFLOW__") and k not in _FIXED}
    # Last, because the sieve comes before a transport that somebody set.
    return {**environ, **ours, **users, **sieved(environ)}


def airflow_home(settings: Settings) -> Path:
    """Return the folder that is ``AIRFLOW_HOME``."""
    return settings.home / "airflow"


def login_file(settings: Settings) -> Path:
    """Return the file that holds the generated password of ``admin``."""
    return airflow_home(settings) / "login.json"


def password(settings: Settings) -> str:
    """Return the password of ``admin``."""
    return str(json.loads(login_file(settings).read_text(encoding="utf-8"))["admin"])


def port(environ: Mapping[str, str]) -> int:
    """Return the port of the web page: ``SAFEHANDS_PORT``, by default 28080.

    Raises ``SetupProblem`` when it is not a port that an ordinary user may open.
    """
    chosen = environ.get("SAFEHANDS_PORT") or "28080"
    if not chosen.isdecimal() or not 1024 <= int(chosen) <= 65535:
        raise SetupProblem("airflow.bad_port", name="SAFEHANDS_PORT")
    return int(chosen)


def address(environ: Mapping[str, str]) -> str:
    """Return the address of the web page, without a slash at the end."""
    return f"http://{HOST}:{port(environ)}"


def _layout(settings: Settings, home: Path) -> dict[str, str]:
    scripts = str(Path(sys.executable).parent)
    return {
        "AIRFLOW_HOME": str(home),
        "SAFEHANDS_HOME": str(settings.home),
        "SAFEHANDS_LANG": settings.lang,
        "PATH": os.pathsep.join([scripts, os.environ.get("PATH", os.defpath)]),
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(login_file(settings)),
    }


def _behaviour(number: int) -> dict[str, str]:
    return {
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__API__HOST": HOST,
        "AIRFLOW__API__PORT": str(number),
        "AIRFLOW__API__BASE_URL": f"http://{HOST}:{number}",
        "AIRFLOW__API__EXPOSE_CONFIG": "False",
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
        # A task that was killed must be noticed within the night, and not by the morning.
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "120",
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "600",
    }


def _logins(environ: Mapping[str, str]) -> dict[str, str]:
    """Return who checks logins: one administrator, or people by role (``SAFEHANDS_LOGINS``)."""
    chosen = environ.get("SAFEHANDS_LOGINS") or "one"
    if chosen not in ("one", "roles"):
        raise SetupProblem("setup.not_a_choice", name="SAFEHANDS_LOGINS", choices="one, roles")
    if chosen == "one":
        return {"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin"}
    return {
        AUTH_MANAGER: FAB,
        # Guessing is slowed down; nobody makes an account for themselves.
        "AIRFLOW__FAB__AUTH_RATE_LIMITED": "True",
        "AIRFLOW__FAB__AUTH_RATE_LIMIT": "5 per 40 second",
        "AIRFLOW__FAB__UPDATE_FAB_PERMS": "True",
    }


def _keys(kept: Mapping[str, str]) -> dict[str, str]:
    return {
        "AIRFLOW__CORE__FERNET_KEY": kept["fernet_key"],
        "AIRFLOW__API_AUTH__JWT_SECRET": kept["jwt_secret"],
        "AIRFLOW__API__SECRET_KEY": kept["api_secret"],
    }


# Secrets


def _secrets(home: Path) -> dict[str, str]:
    fresh = {
        "fernet_key": base64.urlsafe_b64encode(os.urandom(32)).decode("ascii"),
        "jwt_secret": secrets.token_urlsafe(64),
        "api_secret": secrets.token_urlsafe(32),
        "database_password": secrets.token_urlsafe(32),
    }
    _write_once(home / "secrets.json", json.dumps(fresh))
    kept: dict[str, str] = json.loads((home / "secrets.json").read_text(encoding="utf-8"))
    return kept


def _write_once(path: Path, content: str) -> None:
    """Write a 0600 file unless it is there; of two writers at once the first wins."""
    if path.exists():
        return
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(handle, "w", encoding="utf-8") as file:
        file.write(content)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


# Database


def _database(settings: Settings, home: Path, secret: str) -> dict[str, str]:
    passfile = home / "pgpass"
    _write_once(passfile, f"*:*:*:{_NAME}:{secret}\n")
    admin = make_url(database_url(settings)).set(drivername="postgresql+psycopg")
    own = admin.set(username=_NAME, password=None, database=_NAME)
    own = own.update_query_dict({"passfile": str(passfile)})
    try:
        _make_database(admin, own, secret, may_reset=not settings.database_url)
    except OperationalError as error:
        reason = getattr(error.orig, "sqlstate", None) or type(error.orig).__name__
        raise SetupProblem("setup.database_unreachable", reason=str(reason)) from None
    url = own.render_as_string(hide_password=False)
    return {_CONNECTION: url, f"{_CONNECTION}_ASYNC": url}


def _make_database(admin: URL, own: URL, secret: str, may_reset: bool) -> None:
    if _opens(own):
        return
    engine = create_engine(admin.set(database="postgres"), isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(hashtext('safehands.airflow'))"))
            _make_role(connection, own, secret, may_reset)
            _create_database(connection)
    finally:
        engine.dispose()


def _make_role(connection: Connection, own: URL, secret: str, may_reset: bool) -> None:
    known = connection.execute(text("SELECT 1 FROM pg_roles WHERE rolname = :n"), {"n": _NAME})
    if known.first() is None:
        connection.execute(text(f"CREATE ROLE {_NAME} LOGIN"))
    elif not may_reset and not _opens(own.set(database="postgres")):
        # On a server that others use, this role may be the key to somebody else's Airflow.
        raise SetupProblem("airflow.role_taken", role=_NAME, name=_CONNECTION)
    # The server is given the SCRAM verifier, so the password itself is in no statement log.
    encrypt = driver(connection).pgconn.encrypt_password
    verifier = encrypt(secret.encode(), _NAME.encode(), b"scram-sha-256").decode()
    quoted = verifier.replace("%", "%%")
    connection.exec_driver_sql(f"ALTER ROLE {_NAME} PASSWORD '{quoted}'")
    connection.execute(text(f"GRANT {_NAME} TO CURRENT_USER"))


def _create_database(connection: Connection) -> None:
    try:
        connection.execute(text(f"CREATE DATABASE {_NAME} OWNER {_NAME} ENCODING 'UTF8'"))
    except ProgrammingError as error:
        if getattr(error.orig, "sqlstate", "") != "42P04":
            raise
    connection.execute(text(f"REVOKE ALL ON DATABASE {_NAME} FROM PUBLIC"))


def _opens(url: URL) -> bool:
    engine = create_engine(url)
    try:
        with engine.connect():
            return True
    except OperationalError:
        return False
    finally:
        engine.dispose()
