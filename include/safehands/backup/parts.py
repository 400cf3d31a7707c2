"""Which parts a table falls into tonight: names and conditions, from counts in the snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any
from uuid import UUID

from psycopg import sql

from safehands.backup.reading import Raw
from safehands.backup.tables import PART_ROWS, Split, Table
from safehands.datasets import safe_name
from safehands.errors import BackupBroken
from safehands.night import SHANGHAI

__all__ = [
    "Group",
    "Slice",
    "count",
    "counted",
    "group_of",
    "months_of",
    "order_of",
    "slice_of",
    "slices",
]

_BITS = 128

Group = tuple[str, ...]
"""What the names of parts that are cut from one group share: ``("1", "202611")``, or ``("1",)``."""


@dataclass(frozen=True)
class Slice:
    """One part: its name, e.g. ``parcel/1/202611/0of4``, and the condition for its rows.

    Names hold a table, a controller's number, a month and ranges; nothing of a person.
    """

    part: str
    where: sql.Composable


def slices(connection: Raw, table: Table) -> list[Slice]:
    """Return the parts of ``table`` that hold rows, in a fixed order.

    UUID ranges are cut without counting each, so one may turn out empty.
    """
    groups = connection.execute(_groups(table, sql.SQL("true"))).fetchall()
    return [piece for rows, *group in groups if rows for piece in _pieces(table, group, rows)]


def counted(
    connection: Raw, table: Table, scope: Iterable[str] | None = None
) -> list[tuple[Group, int, list[Slice]]]:
    """Return the groups of a table cut by UUID that hold rows: name, rows and parts.

    ``scope``: only those in these months (``YYYYMM``), or of these owners where the table is not
    cut by month.
    """
    kind = "month" if table.split.month else "controller"
    if scope is not None and not scope:
        return []
    within: sql.Composable = sql.SQL("true")
    if scope is not None:
        cuts = [_cut(table.split, kind, _value(kind, word))[1] for word in sorted(scope)]
        within = sql.SQL(" OR ").join(sql.SQL("({})").format(cut) for cut in cuts)
    found = []
    for rows, *group in connection.execute(_groups(table, within)).fetchall():
        parts = _pieces(table, group, rows)
        found.append((group_of(parts[0].part), rows, parts))
    return found


def group_of(part: str) -> Group:
    """Return the group that a part of a table cut by UUID belongs to."""
    return tuple(part.split("/")[1:-1])


def order_of(part: str) -> tuple[int, ...]:
    """Return the place of such a part among its table's, in the order of ``slices``."""
    return (*map(int, group_of(part)), int(part.rpartition("/")[2].partition("of")[0]))


def slice_of(table: Table, part: str) -> Slice:
    """Return the slice that is called ``part``: what ``slices`` named, looked up again.

    Raises ``BackupBroken`` for a name that ``table`` cannot have.
    """
    name, *words = part.split("/")
    kinds = [kind for _, kind in _cuts(table.split)]
    try:
        if name != table.name or len(words) != len(kinds) + bool(table.split.uuid):
            raise ValueError
        conditions: list[sql.Composable] = [sql.SQL("true")]
        for kind, word in zip(kinds, words, strict=False):
            conditions.append(_cut(table.split, kind, _value(kind, word))[1])
        where = sql.SQL(" AND ").join(conditions)
        if table.split.uuid:
            place, _, pieces = words[-1].partition("of")
            width = (1 << _BITS) // int(pieces)
            where += _range(table.split.uuid, int(place) * width, width)
    except (ValueError, ZeroDivisionError):
        raise BackupBroken("backup.part", part=safe_name(part), what="name") from None
    return Slice(part, where)


def months_of(table: Table, parts: Iterable[str]) -> list[str]:
    """Return the months (``YYYYMM``) that parts of a table lie in, sorted."""
    kinds = [kind for _, kind in _cuts(table.split)]
    if "month" not in kinds:
        return []
    place = 1 + kinds.index("month")
    return sorted({part.split("/")[place] for part in parts})


def _value(kind: str, word: str) -> Any:
    if kind == "month":
        return date(int(word[:4]), int(word[4:]), 1)
    return int(word)


def count(connection: Raw, table: Table) -> int:
    """Return the table's rows, counted whole: what the parts must add up to."""
    query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table.name))
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def _groups(table: Table, within: sql.Composable) -> sql.Composed:
    keys = [expression for expression, _ in _cuts(table.split)]
    query = sql.SQL("SELECT {} FROM {} WHERE {}").format(
        sql.SQL(", ").join([sql.SQL("count(*)"), *keys]), sql.Identifier(table.name), within
    )
    if not keys:
        return query
    places = sql.SQL(", ").join(sql.Literal(n) for n in range(2, len(keys) + 2))
    return query + sql.SQL(" GROUP BY {0} ORDER BY {0}").format(places)


def _cuts(split: Split) -> list[tuple[sql.Composable, str]]:
    """Return the expressions that a table is grouped by, each with the kind of its cut."""
    cuts: list[tuple[sql.Composable, str]] = []
    if split.controller:
        cuts.append((sql.SQL("controller_id"), "controller"))
    if split.month:
        month = sql.SQL("date_trunc('month', {} AT TIME ZONE 'Asia/Shanghai')::date")
        cuts.append((month.format(sql.Identifier(split.month)), "month"))
    if split.ids:
        block = sql.SQL("({} / {})::int").format(sql.Identifier(split.ids), sql.Literal(PART_ROWS))
        cuts.append((block, "ids"))
    return cuts


def _pieces(table: Table, group: Sequence[Any], rows: int) -> list[Slice]:
    names: list[str] = [table.name]
    conditions: list[sql.Composable] = [sql.SQL("true")]
    for (_, kind), value in zip(_cuts(table.split), group, strict=True):
        name, condition = _cut(table.split, kind, value)
        names.append(name)
        conditions.append(condition)
    whole = Slice("/".join(names), sql.SQL(" AND ").join(conditions))
    return _ranges(whole, table.split, rows) if table.split.uuid else [whole]


def _cut(split: Split, kind: str, value: Any) -> tuple[str, sql.Composed]:
    if kind == "controller":
        return str(value), sql.SQL("controller_id = {}").format(sql.Literal(value))
    if kind == "month":
        first, after = _month(value)
        return value.strftime("%Y%m"), _between(split.month, first, after)
    first, after = value * PART_ROWS, (value + 1) * PART_ROWS
    return f"{value:06d}", _between(split.ids, first, after)


def _month(first: date) -> tuple[datetime, datetime]:
    after = date(first.year + first.month // 12, first.month % 12 + 1, 1)
    start, end = (datetime.combine(day, time(), SHANGHAI) for day in (first, after))
    return start, end


def _between(column: str, first: Any, after: Any) -> sql.Composed:
    template = sql.SQL("{0} >= {1} AND {0} < {2}")
    return template.format(sql.Identifier(column), sql.Literal(first), sql.Literal(after))


def _ranges(whole: Slice, split: Split, rows: int) -> list[Slice]:
    """Cut into a power of two of equal UUID ranges, so that each holds ``PART_ROWS`` at most."""
    pieces = max(split.pieces, 1 << max(0, (rows - 1).bit_length() - PART_ROWS.bit_length() + 1))
    width = (1 << _BITS) // pieces
    return [
        Slice(f"{whole.part}/{i}of{pieces}", whole.where + _range(split.uuid, i * width, width))
        for i in range(pieces)
    ]


def _range(column: str, first: int, width: int) -> sql.Composed:
    bounds = (sql.Literal(UUID(int=first)), sql.Literal(UUID(int=first + width - 1)))
    return sql.SQL(" AND {} BETWEEN {} AND {}").format(sql.Identifier(column), *bounds)
