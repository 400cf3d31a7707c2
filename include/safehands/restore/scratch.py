"""A database beside the store, for one restore, that is gone afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from safehands.store import Store

__all__ = ["scratch"]

_IN_USE = "55006"
"""SQLSTATE ``object_in_use``: somebody is still connected."""


@contextmanager
def scratch(store: Store, name: str) -> Iterator[Store]:
    """Yield a store on the same server whose database does not exist yet; drop it at the end.

    The database is called after the store's own with ``_<name>`` behind it. What a killed process
    left of that name is dropped first; a second caller waits for the first. The administrator's
    login must be allowed to make databases.
    """
    url = make_url(store.url)
    database = f"{url.database}_{name}"
    beside = Store(url.set(database=database).render_as_string(hide_password=False), store.provider)
    engine = create_engine(
        url.set(drivername="postgresql+psycopg", database="postgres"),
        isolation_level="AUTOCOMMIT",
    )
    try:
        with engine.connect() as connection, _alone(connection, database):
            _drop(connection, engine, database)
            try:
                yield beside
            finally:
                beside.close()
                _drop(connection, engine, database)
    finally:
        engine.dispose()


@contextmanager
def _alone(connection: Connection, database: str) -> Iterator[None]:
    values = {"name": f"safehands.scratch.{database}"}
    connection.execute(text("SELECT pg_advisory_lock(hashtext(:name))"), values)
    try:
        yield
    finally:
        connection.execute(text("SELECT pg_advisory_unlock(hashtext(:name))"), values)


def _drop(connection: Connection, engine: Engine, database: str) -> None:
    """Drop the database, whoever is still in it.

    Not by force at first: the server waits five seconds for sessions that are ending. Force ends
    those of other roles, which a login that may only make databases is refused.
    """
    quoted = engine.dialect.identifier_preparer.quote_identifier(database)
    drop = f"DROP DATABASE IF EXISTS {quoted}"
    try:
        connection.execute(text(drop))
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) != _IN_USE:
            raise
        connection.execute(text(f"{drop} WITH (FORCE)"))
