"""Bring a PostgreSQL server to the current schema: database, roles, migrations, key check."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError, ProgrammingError

from safehands.errors import KeyProblem, SetupProblem
from safehands.keys import KeyProvider
from safehands.keys.provider import role_password
from safehands.keys.roots import check_value, verify_check
from safehands.store.engine import ROLES, Store, driver

__all__ = ["newest_revision", "prepare_store", "schema_revision"]


def prepare_store(store: Store, revision: str = "head") -> None:
    """Create what is missing and migrate; run twice, the second run changes nothing.

    ``revision`` is the schema's; a restore starts from the one that its generation was taken of.

    A store that belongs to another root key, or whose root key is missing, is refused before
    anything is written.

    Raises ``SetupProblem`` or ``KeyProblem``.
    """
    try:
        _make_database(store.url)
        with store.admin().begin() as connection:
            _check_known(connection)
            _check_root(connection, store.provider)
            _make_roles(connection, store.provider)
            _migrate(connection, revision)
            _claim_root(connection, store.provider)
    except OperationalError as error:
        reason = getattr(error.orig, "sqlstate", None) or type(error.orig).__name__
        raise SetupProblem("setup.database_unreachable", reason=str(reason)) from None


def schema_revision(store: Store) -> str | None:
    """Return the revision of the store's schema; ``None`` without a database or a schema.

    Raises ``SetupProblem`` when the server cannot be reached.
    """
    try:
        with store.admin().connect() as connection:
            if connection.execute(text("SELECT to_regclass('alembic_version')")).scalar() is None:
                return None
            found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
            return None if found is None else str(found)
    except OperationalError as error:
        state = str(getattr(error.orig, "sqlstate", None) or type(error.orig).__name__)
        # libpq gives no state for a refused connection; the server's text names the database.
        if state == "3D000" or "does not exist" in str(error.orig):
            return None
        raise SetupProblem("setup.database_unreachable", reason=state) from None


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


def _check_root(connection: Connection, provider: KeyProvider) -> None:
    """Refuse a root key that is missing, wrong, older or newer; end a rotation that was killed."""
    wanted = None
    if connection.execute(text("SELECT to_regclass('installation')")).scalar() is not None:
        wanted = connection.execute(text("SELECT root_id FROM installation")).scalar()
    if wanted is None:
        provider.ensure_root()
        return
    if provider.key_id != wanted:
        # A rotation that was killed after its commit: its new key is there and takes over now.
        provider.promote(wanted)
    if provider.key_id == "none":
        raise KeyProblem("keys.missing", name=f"root {wanted}", place=str(provider.first))
    history = _roots(connection)
    if provider.key_id != wanted:
        raise _other_root(provider, str(wanted), history)
    if history:
        _check_version(provider, *history[-1])


_History = list[tuple[str, int, bytes]]


def _roots(connection: Connection) -> _History:
    """Return id, version and check value of the root keys so far, oldest first."""
    if connection.execute(text("SELECT to_regclass('root_key')")).scalar() is None:
        return []
    query = "SELECT root_id, version, check_value FROM root_key ORDER BY number"
    return [(str(r[0]), int(r[1]), bytes(r[2])) for r in connection.execute(text(query))]


def _other_root(provider: KeyProvider, wanted: str, history: _History) -> KeyProblem:
    found, version = provider.key_id, provider.root_version
    newest = history[-1][1] if history else 1
    if any(known == found for known, _, _ in history):
        return KeyProblem("keys.older_root", wanted=wanted, found=found, version=newest)
    if version > newest:
        return KeyProblem("keys.newer_root", wanted=wanted, found=found, version=version)
    return KeyProblem("keys.other_root", wanted=wanted, found=found)


def _check_version(provider: KeyProvider, root_id: str, version: int, check: bytes) -> None:
    # A key service keeps the id when a key is put back to an older state or made anew.
    if provider.root_version < version:
        raise KeyProblem("keys.older_root", wanted=root_id, found=root_id, version=version)
    verify_check(provider, check)


def _claim_root(connection: Connection, provider: KeyProvider) -> None:
    claim = "INSERT INTO installation (root_id) VALUES (:id) ON CONFLICT DO NOTHING"
    connection.execute(text(claim), {"id": provider.key_id})
    if not _roots(connection) and _has_roots(connection):
        first = {"id": provider.key_id, "v": provider.root_version, "c": check_value(provider)}
        connection.execute(text(_FIRST_ROOT), first)


def _has_roots(connection: Connection) -> bool:
    return connection.execute(text("SELECT to_regclass('root_key')")).scalar() is not None


_FIRST_ROOT = (
    "INSERT INTO root_key (number, root_id, version, check_value) VALUES (1, :id, :v, :c)"
    " ON CONFLICT DO NOTHING"
)


def _make_roles(connection: Connection, provider: KeyProvider) -> None:
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


def newest_revision() -> str:
    """Return the newest schema revision that this release knows."""
    return str(ScriptDirectory.from_config(_config()).get_current_head())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def _check_known(connection: Connection) -> None:
    """Refuse a schema that a newer release wrote: going on would write what it cannot read."""
    if connection.execute(text("SELECT to_regclass('alembic_version')")).scalar() is None:
        return
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found is not None and str(found) not in known:
        raise SetupProblem("setup.schema_newer", found=str(found), newest=newest_revision())


def _migrate(connection: Connection, revision: str) -> None:
    config = _config()
    config.attributes["connection"] = connection
    connection.execute(text("SET LOCAL ROLE safehands_owner"))
    command.upgrade(config, revision)
    connection.execute(text("RESET ROLE"))
