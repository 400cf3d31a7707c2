"""Connections to the store, one login per role, and transactions bound to one controller.

``Store.admin`` is for setup and migrations alone. Everything else logs in as the role it needs;
the roles' passwords are derived from the root key, so that no second secret has to be kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import OperationalError

from safehands.errors import SetupProblem
from safehands.keys import KeyProvider
from safehands.keys.provider import role_password

__all__ = ["AUDITOR", "ROLES", "EvidenceStore", "Store", "bind", "driver", "lock", "passfile_line"]

AUDITOR = "safehands_auditor"

ROLES = (
    "safehands_owner",
    "safehands_pipeline",
    "safehands_backup",
    "safehands_analyst",
    "safehands_officer",
    "safehands_auditor",
)


@dataclass
class Store:
    """A PostgreSQL database that holds (or will hold) the store's tables.

    ``url`` is the administrator's SQLAlchemy URL. ``provider`` gives the root key.
    """

    url: str = field(repr=False)
    provider: KeyProvider
    _engines: dict[str, Engine] = field(default_factory=dict, repr=False)

    def admin(self) -> Engine:
        """Return the administrator's engine: setup and migrations only."""
        return self._engine("admin", make_url(self.url), {})

    def engine(self, role: str) -> Engine:
        """Return the engine that logs in as ``role`` (e.g. ``safehands_pipeline``)."""
        url = make_url(self.url).set(username=role, password=None)
        url = url.difference_update_query(["passfile"])
        return self._engine(role, url, {"password": role_password(self.provider, role)})

    @contextmanager
    def begin(
        self,
        role: str = "safehands_pipeline",
        controller: int | None = None,
        *,
        storage: bool = False,
        snapshot: bool = False,
    ) -> Iterator[Connection]:
        """Open a transaction as ``role``, bound to ``controller`` for row-level security.

        ``storage``: the records of restricted people are seen too. For the upkeep of what is
        stored (re-wrapping, re-sealing, erasing, comparing) and nothing else (PIPL 47 ¶2); only
        ``safehands_pipeline`` can. It guards against mistakes: the role could say so by itself.
        ``snapshot``: all statements see one state of the store (REPEATABLE READ).

        Raises ``SetupProblem`` when the database cannot be reached or refuses the login.
        """
        with self._connect(role, snapshot) as connection, connection.begin():
            if controller is not None:
                bind(connection, controller)
            if storage:
                connection.execute(text("SELECT set_config('safehands.storage', 'on', true)"))
            yield connection

    def close(self) -> None:
        """Give back all pooled connections."""
        for engine in self._engines.values():
            engine.dispose()
        self._engines.clear()

    def _connect(self, role: str, snapshot: bool) -> Connection:
        try:
            connection = self.engine(role).connect()
        except OperationalError as error:
            raise SetupProblem("setup.database_unreachable", reason=_reason(error)) from None
        if snapshot:
            # Given back with the connection: the pool resets it.
            connection.execution_options(isolation_level="REPEATABLE READ")
        return connection

    def _engine(self, name: str, url: URL, arguments: dict[str, str]) -> Engine:
        if name not in self._engines:
            self._engines[name] = create_engine(
                url.set(drivername="postgresql+psycopg"),
                connect_args=arguments,
                pool_size=2,
                hide_parameters=True,
            )
        return self._engines[name]


class EvidenceStore(Store):
    """The store as the auditor alone sees it, for a server that shows pages and holds no key.

    ``url`` is the auditor's own login, with its password in a password file. Every other role is
    refused with ``SetupProblem``.
    """

    def admin(self) -> Engine:
        """Refuse: nothing is set up from here."""
        raise SetupProblem("setup.evidence_only", role="admin")

    def engine(self, role: str) -> Engine:
        """Return the auditor's engine."""
        if role != AUDITOR:
            raise SetupProblem("setup.evidence_only", role=role)
        return self._engine(role, make_url(self.url), {})


def passfile_line(provider: KeyProvider, role: str) -> str:
    """Return the line of a libpq password file that lets ``role`` in at any address."""
    return f"*:*:*:{role}:{role_password(provider, role)}\n"


def driver(connection: Connection) -> psycopg.Connection[tuple[object, ...]]:
    """Return psycopg's own connection (for COPY), inside the same transaction."""
    raw = connection.connection.driver_connection
    assert isinstance(raw, psycopg.Connection)
    return raw


def bind(connection: Connection, controller: int) -> None:
    """Bind the transaction to ``controller`` from here on, instead of the one before."""
    setting = text("SELECT set_config('safehands.controller', :id, true)")
    connection.execute(setting, {"id": str(controller)})


def lock(connection: Connection, name: str) -> None:
    """Wait for the advisory lock ``name``; it is held until the transaction ends."""
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": name})


def _reason(error: OperationalError) -> str:
    original = error.orig
    state = getattr(original, "sqlstate", None) or type(original).__name__
    return f"{state}"
