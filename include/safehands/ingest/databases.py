"""A station's own database as a source: any SQLAlchemy URL, a query, and a watermark.

``stations.yaml`` declares query and watermark; the URL stands there only if it holds no password,
and otherwise in a variable ``SAFEHANDS_SOURCE_<NAME>``, which is read when it is needed and shown
nowhere. What is new is cut into windows of the watermark, and each window is a source file like any
other: its batch is the record of how far the source was read, so that the watermark moves with the
commit that loaded the rows and never without it. A window begins ``overlap`` below the end of the
one
before, for rows that were committed late; what was loaded already is recognised when it is written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from safehands.datasets import SourceFile, Window
from safehands.errors import BadInput, PolicyError
from safehands.ingest.limits import Limits
from safehands.ingest.tables import HEAD_LINES, Batch, Line, Odd, Opened
from safehands.stations import Database, Register

__all__ = ["open_database", "windows"]

_ROWS = 16_384
_WINDOW = 250_000
_UNREADABLE = "!"
_ROW_BYTES = 200  # What a row counts for when shards are balanced.

Secret = Callable[[str], str]


def windows(
    register: Register, known: Iterable[tuple[str, str]], secret: Secret
) -> list[SourceFile]:
    """Return what is new in the declared databases, as source files of a window each.

    ``known``: station and identity of all loaded batches. A database that cannot be read gives one
    file that cannot be read either, so that the night says so and the others go on. Raises
    ``PolicyError`` when a URL is missing or holds a password.
    """
    loaded = set(known)
    return [
        found
        for controller in register.controllers
        for station in controller.stations
        for database in station.databases
        for found in _windows(station.code, database, loaded, secret)
    ]


def _windows(
    station: str, database: Database, loaded: set[tuple[str, str]], secret: Secret
) -> Iterator[SourceFile]:
    low = _reached(station, database, loaded)
    try:
        with _connected(database, secret) as connection:
            ends = _ends(connection, database, low)
    except BadInput:
        ends = [_UNREADABLE]
    for number, high in enumerate(ends):
        window = Window(database.name, low, high)
        size = _WINDOW * _ROW_BYTES if number + 1 < len(ends) else _ROW_BYTES
        # Each window has a path of its own: results are kept by path.
        path = f"{station}/@{database.name}/{number + 1}"
        yield SourceFile(station, path, size, _identity(database, low, high), None, window)
        low = high


def _identity(database: Database, low: str, high: str) -> str:
    """Return what a window's batch is keyed by; it tells how far the source was read."""
    return f"db:{_declared(database)}:{low or '-'}..{high}"


def _declared(database: Database) -> str:
    told = "\n".join((database.name, database.query, database.watermark, database.kind))
    return f"{database.name}-{hashlib.sha256(told.encode()).hexdigest()[:16]}"


def _reached(station: str, database: Database, loaded: set[tuple[str, str]]) -> str:
    """Return the end of the last window of an unbroken chain of loaded ones."""
    prefix, following = f"db:{_declared(database)}:", dict[str, list[str]]()
    for code, identity in loaded:
        if code == station and identity.startswith(prefix):
            low, _, high = identity.removeprefix(prefix).partition("..")
            following.setdefault(low, []).append(high)
    reached = "-"
    while reached in following:
        reached = max(following.pop(reached), key=lambda mark: _mark(database, mark))
    return "" if reached == "-" else reached


def _ends(connection: Connection, database: Database, low: str) -> list[str]:
    """Return the ends of windows of about as many rows as a shard should have."""
    column = _column(connection, database)
    above = f" AND {column} > :low" if low else ""
    query = text(
        f"SELECT {column} FROM ({database.query}) AS source"
        f" WHERE {column} IS NOT NULL{above} ORDER BY 1"
    )
    bound = {"low": _bound(connection, database, low)} if low else {}
    ends: list[str] = []
    last, count = None, 0
    for (mark,) in connection.execution_options(yield_per=_ROWS).execute(query, bound):
        # Rows of one moment stay together, whatever their number.
        if count >= _WINDOW and mark != last:
            ends.append(_told(database, last))
            count = 0
        last, count = mark, count + 1
    return [*ends, _told(database, last)] if count else ends


def _told(database: Database, mark: Any) -> str:
    if database.kind == "number" and isinstance(mark, int):
        return str(mark)
    if database.kind == "time" and isinstance(mark, date):
        return mark.isoformat()
    if database.kind == "time" and isinstance(mark, str):
        datetime.fromisoformat(mark)
        return mark
    raise BadInput("ingest.watermark", file=database.name, column=database.watermark)


def _mark(database: Database, told: str) -> Any:
    return int(told) if database.kind == "number" else datetime.fromisoformat(told)


def _bound(connection: Connection, database: Database, told: str, overlap: int = 0) -> Any:
    """Return a watermark, lowered by ``overlap``, as the database compares it."""
    if database.kind == "number":
        return int(told) - overlap
    moment = datetime.fromisoformat(told) - timedelta(seconds=overlap)
    if connection.dialect.name != "sqlite":
        return moment
    # SQLite has no times, only texts of them, each database in a form of its own.
    return moment.isoformat(sep="T" if "T" in told else " ") if overlap else told


def _column(connection: Connection, database: Database) -> str:
    return connection.dialect.identifier_preparer.quote(database.watermark)


@contextmanager
def _connected(database: Database, secret: Secret) -> Iterator[Connection]:
    engine = _engine(database, secret)
    try:
        with engine.connect() as connection:
            yield connection
    except (SQLAlchemyError, ValueError) as error:
        # Errors of drivers quote statements, parameters and addresses: only their type is told.
        kind = type(getattr(error, "orig", None) or error).__name__
        raise BadInput("ingest.database", file=database.name, kind=kind) from None
    finally:
        engine.dispose()


def _engine(database: Database, secret: Secret) -> Engine:
    variable = f"SAFEHANDS_SOURCE_{database.name.upper().replace('-', '_')}"
    told = secret(variable) or database.url
    if not told:
        raise PolicyError("ingest.database_url", name=database.name, variable=variable)
    try:
        url = make_url(told)
    except ArgumentError:
        raise PolicyError("ingest.database_url", name=database.name, variable=variable) from None
    if told == database.url and url.password:
        raise PolicyError("ingest.database_password", name=database.name, variable=variable)
    try:
        return create_engine(url, poolclass=NullPool, hide_parameters=True)
    except (SQLAlchemyError, ImportError):
        raise PolicyError("ingest.database_url", name=database.name, variable=variable) from None


def open_database(file: SourceFile, register: Register, secret: Secret, limits: Limits) -> Opened:
    """Open the window of ``file`` as a table whose header are the query's column names.

    Raises what ``windows`` raises, also while its rows are drawn.
    """
    window = file.window
    declared = [
        database
        for controller in register.controllers
        for station in controller.stations
        for database in station.databases
        if window is not None and (station.code, database.name) == (file.station, window.source)
    ]
    if (
        window is None
        or not declared
        or _identity(declared[0], window.low, window.high) != file.digest
    ):
        raise BadInput("ingest.changed_while_reading", file=file.label)
    if window.high == _UNREADABLE:
        with _connected(declared[0], secret) as connection:
            _ends(connection, declared[0], window.low)
        # It can be read by now: the next night will.
        raise BadInput("ingest.database", file=declared[0].name, kind="-")
    return Opened([_Rows(declared[0], window, secret, limits)], facts={"format": "database"})


class _Rows:
    """The rows of one window as a raw table (see ``tables.RawTable``), numbered from 1."""

    sheet = ""

    def __init__(self, database: Database, window: Window, secret: Secret, limits: Limits) -> None:
        self.odd: list[Odd] = []
        self.info: dict[str, Any] = {}
        self._database, self._window, self._secret = database, window, secret
        with self._drawn() as rows:
            names = tuple(str(name) for name in rows.keys())  # noqa: SIM118
            if len(names) > limits.columns:
                limit = limits.columns
                raise BadInput("ingest.too_many_columns", file=database.name, row=0, limit=limit)
            first = rows.fetchmany(HEAD_LINES)
        self.head = [Line(0, names)]
        self.head += [
            Line(number, tuple(_text(cell) or "" for cell in row))
            for number, row in enumerate(first, 1)
        ]

    def batches(self, header: int, width: int, wanted: Sequence[int]) -> Iterator[Batch]:
        """Draw all rows of the window."""
        del header, width
        start = 1
        with self._drawn() as rows:
            while chunk := rows.fetchmany(_ROWS):
                columns = {
                    i: pa.array([_text(row[i]) for row in chunk], pa.string()) for i in wanted
                }
                yield Batch(columns, pa.array(range(start, start + len(chunk)), pa.int32()))
                start += len(chunk)

    @contextmanager
    def _drawn(self) -> Iterator[Any]:
        database, window = self._database, self._window
        with _connected(database, self._secret) as connection:
            column = _column(connection, database)
            above = f" AND {column} > :low" if window.low else ""
            query = text(
                f"SELECT * FROM ({database.query}) AS source"
                f" WHERE {column} <= :high{above} ORDER BY {column}"
            )
            bound = {"high": _bound(connection, database, window.high)}
            if window.low:
                bound["low"] = _bound(connection, database, window.low, database.overlap)
            yield connection.execution_options(yield_per=_ROWS).execute(query, bound)


def _text(cell: Any) -> str | None:
    if cell is None or cell == "":
        return None
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, datetime):
        return cell.isoformat(sep=" ")
    if isinstance(cell, bytes | memoryview):
        raise ValueError("binary column")
    return str(cell)
