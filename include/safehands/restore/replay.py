"""What has happened since a generation was written, applied before a row of it is loaded.

A person who was erased has no salt in the newest key segment. Their rows are left out while they
are still in memory, so that not even a dead row or a log page of the restored database holds them.
Living people get lookup, epoch and salt from that segment; whoever is restricted by now is
restricted again. Rows of the people who are gone follow what the live store did: what the newest
generation still holds without its person (PIPL 47 ¶2, 民法典 188) loses its link, everything else
is left out; so is what lists them or their parcels by token.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from safehands.backup.tables import KEY_COLUMNS, Table
from safehands.restore.source import Kept, Source

__all__ = ["Replay"]

_SUBJECT = "subject_id"
_FROM_SEGMENT = (*KEY_COLUMNS, "generation")
_PARCELS = ("parcel", "parcel_held")


class Replay:
    """Turns the rows of one generation into those that may be loaded.

    ``left_out`` counts rows per table that belonged to people who are gone, ``cut`` those whose
    link to such a person was cut.
    """

    def __init__(self, source: Source, chosen: Kept, bound: Collection[str]) -> None:
        self.left_out: Counter[str] = Counter()
        self.cut: Counter[str] = Counter()
        self._source, self._chosen, self._bound = source, chosen, frozenset(bound)
        segment = source.segment(source.newest).replace_schema_metadata()
        self._salts = segment.filter(pc.equal(segment["kind"], "salt"))
        self._living = self._salts[_SUBJECT].combine_chunks()
        self._kept: dict[str, pa.Array] = {}
        self._loaded: list[pa.Array] = [pa.array([], pa.binary(16))]
        self._gone: list[pa.Array] = [pa.array([], pa.binary(16))]

    @property
    def living(self) -> int:
        """People in the newest key segment."""
        return len(self._living)

    def know(self, subjects: Iterable[bytes]) -> None:
        """Take note of people who are in the database already."""
        self._loaded.append(pa.array(list(subjects), pa.binary(16)))

    def apply(self, table: Table, rows: pa.Table, origin: Kept) -> pa.Table:
        """Return rows of ``table`` in ``origin`` as they are to be loaded.

        They then have the database's columns. ``subject`` must come before what refers to it, and
        parcels before ``listing``.
        """
        if table.name == "subject":
            return self._subjects(table, rows)
        if table.name == "listing" and origin == self._chosen != self._source.newest:
            return self._listed(table, rows)
        if _SUBJECT not in rows.column_names or self._chosen == self._source.newest:
            return rows
        if origin == self._chosen:
            return self._linked(table, rows)
        return self._bounded(table, rows) if table.name in self._bound else rows

    def _subjects(self, table: Table, rows: pa.Table) -> pa.Table:
        places = pc.index_in(rows[_SUBJECT].combine_chunks(), value_set=self._living)
        known = pc.is_valid(places)
        self._count(self.left_out, table, pc.invert(known))
        rows, salts = rows.filter(known), self._salts.take(places.drop_null())
        for name in _FROM_SEGMENT:
            place = rows.column_names.index(name) if name in rows.column_names else -1
            if place < 0:
                rows = rows.append_column(name, salts[name])
            else:
                rows = rows.set_column(place, rows.schema.field(place), salts[name])
        self._loaded.append(rows[_SUBJECT].combine_chunks())
        return rows.select([column.name for column in table.columns])

    def _bounded(self, table: Table, rows: pa.Table) -> pa.Table:
        """Newer rows about people whom the restored generation does not know yet."""
        subjects = rows[_SUBJECT].combine_chunks()
        known = pc.is_in(subjects, value_set=pa.concat_arrays(self._loaded))
        strange = pc.and_(pc.is_valid(subjects), pc.invert(known))
        if not _nullable(table):
            self._count(self.left_out, table, strange)
            return rows.filter(pc.invert(strange))
        self._count(self.cut, table, strange)
        return _without(rows, strange)

    def _count(self, counter: Counter[str], table: Table, marked: pa.Array) -> None:
        number = int(pc.sum(marked).as_py() or 0)
        if number:
            counter[table.name] += number

    def _linked(self, table: Table, rows: pa.Table) -> pa.Table:
        """Leave out, or cut off, the rows of people who are gone."""
        subjects = rows[_SUBJECT].combine_chunks()
        gone = pc.and_(pc.is_valid(subjects), pc.invert(pc.is_in(subjects, value_set=self._living)))
        if not pc.any(gone).as_py():
            return rows
        if table.name in _PARCELS:
            self._gone.append(rows.filter(gone)["waybill"].combine_chunks())
        held = pc.and_(gone, self._still_held(table, rows))
        out = pc.and_not(gone, held)
        self._count(self.cut, table, held)
        self._count(self.left_out, table, out)
        return _without(rows, held).filter(pc.invert(out))

    def _listed(self, table: Table, rows: pa.Table) -> pa.Table:
        """Leave out the tokens of people who are gone, and of their parcels."""
        tokens = rows["token"].combine_chunks()
        parcels = pc.equal(rows["dataset"], "parcels").combine_chunks()
        of_gone = pc.is_in(tokens, value_set=pa.concat_arrays(self._gone))
        strange = pc.invert(pc.is_in(tokens, value_set=self._living))
        out = pc.if_else(parcels, of_gone, strange)
        self._count(self.left_out, table, out)
        return rows.filter(pc.invert(out))

    def _still_held(self, table: Table, rows: pa.Table) -> pa.Array:
        """Say which rows the newest generation still has, without a person."""
        if not _nullable(table) or "waybill" not in rows.column_names:
            return pa.array([False] * rows.num_rows)
        if not self._kept:
            self._kept["parcels"] = pa.concat_arrays(list(self._loose()))
        return pc.is_in(rows["waybill"].combine_chunks(), value_set=self._kept["parcels"])

    def _loose(self) -> Iterator[pa.Array]:
        """Yield the waybill tokens that the newest generation keeps without a person."""
        yield pa.array([], pa.binary(16))
        for name in _PARCELS:
            for _, rows in self._source.parts(self._source.newest, name):
                yield rows.filter(pc.is_null(rows[_SUBJECT]))["waybill"].combine_chunks()


def _nullable(table: Table) -> bool:
    return next(column.nullable for column in table.columns if column.name == _SUBJECT)


def _without(rows: pa.Table, marked: pa.Array) -> pa.Table:
    """Return the rows with no subject where ``marked``."""
    subjects = rows[_SUBJECT].combine_chunks()
    cut = pc.if_else(marked, pa.scalar(None, subjects.type), subjects)
    place = rows.column_names.index(_SUBJECT)
    return rows.set_column(place, rows.schema.field(place), cut)
