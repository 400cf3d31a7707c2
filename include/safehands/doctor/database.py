"""The store: version, roles, row-level security, schema, its clock, and its keys."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from ipaddress import ip_address
from math import ceil

from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url

from safehands import embedded
from safehands.doctor.finding import Finding
from safehands.doctor.habits import habits
from safehands.errors import KeyProblem, SafehandsError
from safehands.installation import DATABASE, key_sources
from safehands.keys.choose import choose
from safehands.night import SHANGHAI
from safehands.report.kept import ends_figures
from safehands.rotation.state import escrow_holds
from safehands.settings import Settings
from safehands.store import Store
from safehands.store.changes import WATCHED, watched
from safehands.store.engine import ROLES
from safehands.store.setup import newest_revision

__all__ = ["clock", "database", "ledger_clock", "transport"]

_OLDEST = 150000
_SKEW_SECONDS, _WRONG_SECONDS = 5.0, 60.0
_SAFE_MODES = ("require", "verify-ca", "verify-full")


def database(settings: Settings, now: datetime) -> Iterator[Finding]:
    """Yield what is true of the database, which is neither started nor made here."""
    url = settings.database_url or _embedded(settings)
    if url is None:
        yield Finding("database", "warn", "stopped")
        return
    if settings.database_url:
        yield transport(settings.database_url)
    try:
        opened = Store(url, choose(settings.keys_url, key_sources(settings)))
    except KeyProblem as problem:
        yield _problem("root_key", problem)
        return
    try:
        with opened.admin().connect() as connection:
            yield from _asked(connection, opened, settings, now)
    except Exception as error:  # noqa: BLE001 - a driver's text may hold a password: its type says enough
        yield Finding("database", "bad", "unreachable", {"reason": type(error).__name__})
    finally:
        opened.close()


def _embedded(settings: Settings) -> str | None:
    """Return the URL of the embedded server if it runs."""
    found = embedded.running(embedded.Place(settings.home))
    return found.url(DATABASE) if found else None


def transport(url: str) -> Finding:
    """Judge how a served PostgreSQL is reached: over the network only with TLS."""
    parts = make_url(url)
    host = str(parts.host or parts.query.get("host") or "")
    if host.startswith("/") or host in ("", "localhost") or _loopback(host):
        return Finding("transport", "ok", "local")
    if parts.query.get("sslmode") in _SAFE_MODES:
        return Finding("transport", "ok", "tls")
    return Finding("transport", "bad", "clear")


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _asked(
    connection: Connection, opened: Store, settings: Settings, now: datetime
) -> Iterator[Finding]:
    version = int(connection.execute(text("SHOW server_version_num")).scalar_one())
    found: dict[str, str | int] = {"found": version // 10000}
    if version < _OLDEST:
        yield Finding("database", "bad", "too_old", found)
    else:
        yield Finding("database", "ok", "ok", found)
    yield clock(connection.execute(text("SELECT clock_timestamp()")).scalar_one(), now)
    if connection.execute(text("SELECT to_regclass('installation')")).scalar() is None:
        yield Finding("schema", "warn", "none")
        return
    yield from ledger_clock(connection.execute(text(_NEWEST_ENTRY)).scalar(), now)
    schema = _schema(connection)
    yield schema
    yield _roles(connection)
    if settings.database_url:
        yield _admin(connection)
    yield _row_security(connection)
    if schema.state == "ok":
        yield _changes(connection)
    yield from _keys(connection, opened)
    yield from habits(connection, settings, now.astimezone(SHANGHAI).date())


def clock(there: datetime, here: datetime) -> Finding:
    """Compare the database's clock with this machine's; retention and deadlines depend on it."""
    seconds = abs((there - here).total_seconds())
    shown: dict[str, str | int] = {"seconds": round(seconds)}
    if seconds > _WRONG_SECONDS:
        return Finding("clock", "bad", "apart", shown)
    if seconds > _SKEW_SECONDS:
        return Finding("clock", "warn", "apart", shown)
    return Finding("clock", "ok", "ok", shown)


def ledger_clock(newest: datetime | None, now: datetime) -> Iterator[Finding]:
    """Compare this machine's clock with the ledger's ``newest`` entry, which lies in the past."""
    if newest is None:
        return
    minutes = (newest - now).total_seconds() / 60
    if minutes * 60 > _WRONG_SECONDS:
        yield Finding("ledger_clock", "bad", "before", {"minutes": ceil(minutes)})
    else:
        yield Finding("ledger_clock", "ok", "ok")


def _schema(connection: Connection) -> Finding:
    found = str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar())
    newest = newest_revision()
    shown: dict[str, str | int] = {"found": found, "newest": newest}
    if found == newest:
        return Finding("schema", "ok", "ok", shown)
    if found > newest:
        return Finding("schema", "bad", "newer", shown)
    return Finding("schema", "warn", "older", shown)


def _roles(connection: Connection) -> Finding:
    """Check that every role is there and none can do more than its grants say.

    ``safehands_admin`` (``docker/store-roles.sh``) makes databases and roles: that is its task.
    """
    rows = {str(row[0]): bool(row[1]) for row in connection.execute(text(_ROLES))}
    missing = [role for role in ROLES if role not in rows]
    mighty = sorted(role for role, more in rows.items() if more)
    if missing:
        return Finding("roles", "bad", "missing", {"shown": ", ".join(missing)})
    if mighty:
        return Finding("roles", "bad", "mighty", {"shown": ", ".join(mighty)})
    return Finding("roles", "ok", "ok", {"count": len(rows)})


def _admin(connection: Connection) -> Finding:
    """Judge the login by which a served store is set up: no superuser's, which sees every row."""
    name, mighty = connection.execute(text(_ADMIN)).one()
    shown: dict[str, str | int] = {"shown": str(name)}
    return Finding("admin_login", "warn" if mighty else "ok", "mighty" if mighty else "ok", shown)


def _row_security(connection: Connection) -> Finding:
    """Check that the tables of owners are closed by row, for their owner role too."""
    open_tables = [str(row[0]) for row in connection.execute(text(_OPEN_TABLES))]
    if open_tables:
        return Finding("row_security", "bad", "open", {"shown": ", ".join(open_tables)})
    return Finding("row_security", "ok", "ok")


def _changes(connection: Connection) -> Finding:
    """Check that changes are noted: backup and report take over what no note touches."""
    silent = sorted(WATCHED - watched(connection))
    if not ends_figures(connection):
        silent.append("person_figure")
    if silent:
        return Finding("changes", "bad", "silent", {"shown": ", ".join(silent)})
    return Finding("changes", "ok", "ok", {"count": len(WATCHED)})


def _keys(connection: Connection, opened: Store) -> Iterator[Finding]:
    wanted = str(connection.execute(text("SELECT root_id FROM installation")).scalar())
    try:
        found = opened.provider.key_id
        if found != wanted:
            yield Finding("root_key", "bad", "other", {"found": found, "wanted": wanted})
            return
        opened.provider.base()
        yield Finding("root_key", "ok", "ok", {"found": found})
        if escrow_holds(opened):
            yield Finding("escrow", "ok", "ok")
        else:
            yield Finding("escrow", "warn", "none")
    except SafehandsError as problem:
        yield _problem("root_key", problem)


def _problem(check: str, problem: SafehandsError) -> Finding:
    return Finding(check, "bad", "problem", {"code": problem.exit_code, "name": problem.key})


_ROLES = (
    "SELECT rolname, rolsuper OR rolreplication OR rolbypassrls"
    " OR (rolname <> 'safehands_admin' AND (rolcreaterole OR rolcreatedb))"
    " FROM pg_roles WHERE rolname LIKE 'safehands\\_%'"
)
_ADMIN = (
    "SELECT rolname, rolsuper OR rolreplication OR rolbypassrls FROM pg_roles"
    " WHERE rolname = session_user"
)
# The newest few and not all, since shards commit side by side: see purge.clock.
_NEWEST_ENTRY = (
    "SELECT max((body::jsonb ->> 'at')::timestamptz)"
    " FROM (SELECT body FROM ledger_entry ORDER BY id DESC LIMIT 500) newest"
)
_OPEN_TABLES = (
    "SELECT DISTINCT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'controller_id'"
    " WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
    " AND NOT (c.relrowsecurity AND c.relforcerowsecurity) ORDER BY 1"
)
