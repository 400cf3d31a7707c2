"""Bring a PostgreSQL server to the current schema: database, roles, migrations, key check."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError, ProgrammingError

from safehands.errors import KeyProblem, SetupProblem
from safehands.keys import FileProvider
from safehands.keys.provider import role_password
from safehands.store.engine import ROLES, Store, driver

__all__ = ["prepare_store"]


def prepare_store(store: Store) -> None:
    """Create what is missing and migrate; run twice, the second run changes nothing.

    A store that belongs to another root key, or whose root key is missing, is refused before
    anything is written.

    Raises ``SetupProblem`` or ``KeyProblem``.
    """
    try:
        _make_database(store.url)
        with store.admin().begin() as connection:
            _check_root(connection, store.provider)
            _make_roles(connection, store.provider)
            _migrate(connection)
            _claim_root(connection, store.provider)
    except OperationalError as error:
        reason = getattr(error.orig, "sqlstate", None) or type(error.orig).__name__
        raise SetupProblem("setup.database_unreachable", reason=str(reason)) from None


def _make_database(url: str) -> None:
    target = make_url(url).set(drivername="postgresql+psycopg")
    engine = create_engine(target.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        known = text("SELECT 1 FROM pg_database WHERE datname = :name")
        if connection.execute(known, {"name": target.database}).first() is None:
            quoted = engine.dialect.identifier_preparer.quote_identifier(str(target.database))
            try:
                connection.execute(text(f"CREATE DATABASE {quoted} ENCODING 'UTF8'"))
            except ProgrammingError as error:
                # Another process made it between the look and the attempt.
                if getattr(error.orig, "sqlstate", "") != "42P04":
                    raise
    engine.dispose()


def _check_root(connection: Connection, provider: FileProvider) -> None:
    if connection.execute(text("SELECT to_regclass('installation')")).scalar() is None:
        provider.create("root")
        return
    wanted = connection.execute(text("SELECT root_id FROM installation")).scalar()
    if wanted is None:
        provider.create("root")
    elif not provider.has("root"):
        raise KeyProblem("keys.missing", name=f"root {wanted}", place=str(provider.first))
    elif provider.key_id != wanted:
        raise KeyProblem("keys.other_root", wanted=str(wanted), found=provider.key_id)


def _claim_root(connection: Connection, provider: FileProvider) -> None:
    claim = "INSERT INTO installation (root_id) VALUES (:id) ON CONFLICT DO NOTHING"
    connection.execute(text(claim), {"id": provider.key_id})


def _make_roles(connection: Connection, provider: FileProvider) -> None:
    # Roles belong to the cluster: two databases that are prepared at once must not race.
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('safehands.roles'))"))
    known = {row[0] for row in connection.execute(text("SELECT rolname FROM pg_roles"))}
    for role in ROLES:
        if role not in known:
            connection.execute(text(f"CREATE ROLE {role} LOGIN NOINHERIT"))
        _set_password(connection, role, role_password(provider, role))
    database = connection.execute(text("SELECT quote_ident(current_database())")).scalar()
    connection.execute(
        text(f"GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {', '.join(ROLES)}")
    )
    connection.execute(text("GRANT CREATE, USAGE ON SCHEMA public TO safehands_owner"))
    connection.execute(text("GRANT safehands_owner TO CURRENT_USER"))


def _set_password(connection: Connection, role: str, password: str) -> None:
    if _works(connection, role, password):
        return
    # The server is given the SCRAM verifier, so the password itself is in no statement log.
    raw = driver(connection)
    verifier = raw.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256")
    statement = f"ALTER ROLE {role} PASSWORD '{verifier.decode()}'"
    connection.exec_driver_sql(statement.replace("%", "%%"))


def _works(connection: Connection, role: str, password: str) -> bool:
    url = connection.engine.url.set(username=role).difference_update_query(["passfile"])
    engine = create_engine(url, connect_args={"password": password})
    try:
        with engine.connect():
            return True
    except OperationalError:
        return False
    finally:
        engine.dispose()


def _migrate(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    connection.execute(text("SET LOCAL ROLE safehands_owner"))
    command.upgrade(config, "head")
    connection.execute(text("RESET ROLE"))
