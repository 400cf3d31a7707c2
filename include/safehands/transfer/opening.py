"""A sealed package, verified before anything is done with it: key, signature, digests, columns."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from safehands.errors import HandoverRefused
from safehands.keys import age
from safehands.ledger import VerifierKey, open_note, refuse_personal_values
from safehands.transfer.container import merkle_root, note_text
from safehands.transfer.contents import FORMAT, GONE, GONE_SCHEMA, SCHEMAS, TABLES

__all__ = ["Opened", "open_package"]

_MEMBERS = ("manifest.json", "manifest.note")
_TABLES = {"package": TABLES, "delta": (*TABLES, GONE)}


@dataclass(frozen=True)
class Opened:
    """A package that verified: SHA-256 of the sealed file, its manifest, its tables' bytes."""

    digest: str
    manifest: dict[str, Any]
    files: dict[str, bytes]

    @property
    def parts(self) -> int:
        """How many parts the tables were cut into."""
        return len(self.manifest["parts"][TABLES[0]])

    def part(self, number: int) -> dict[str, pa.Table]:
        """Return the tables of one part; all rows of one person and one number are in it."""
        return {name: self.rows(name, number) for name in TABLES}

    def whole(self, name: str) -> pa.Table:
        """Return one table whole."""
        return pq.read_table(io.BytesIO(self.files[name]))

    def gone(self) -> pa.Table:
        """Return a delta's table of what is gone."""
        return pq.read_table(io.BytesIO(self.files[GONE]))

    def rows(self, name: str, number: int) -> pa.Table:
        """Return one table of one part."""
        rows = self.manifest["parts"][name]
        if not rows[number]:
            return SCHEMAS[name].empty_table()
        place = sum(1 for count in rows[:number] if count)
        return pq.ParquetFile(io.BytesIO(self.files[name])).read_row_group(place)


def open_package(
    sealed: bytes,
    identity: str,
    signer: VerifierKey,
    buyer: str,
    kind: Literal["package", "delta"] = "package",
) -> Opened:
    """Decrypt and verify a package, or a final delta; nothing is written.

    In this order: age, members, signature, format, buyer, digests and root, columns, counts.
    Raises ``KeyProblem`` for another recipient's file or a changed byte, ``LedgerBroken`` for a
    signature that is not ``signer``'s, ``HandoverRefused`` for all else.
    """
    names = _TABLES[kind]
    files = _members(age.decrypt(sealed, identity), names)
    text = files["manifest.json"]
    if open_note(files["manifest.note"].decode(), [signer]) != note_text(text):
        raise HandoverRefused("transfer.tampered", part="manifest.note")
    manifest: dict[str, Any] = json.loads(text)
    if manifest.get("format") != FORMAT:
        raise HandoverRefused("transfer.format", wanted=FORMAT)
    if manifest["buyer"] != buyer:
        raise HandoverRefused("transfer.other_buyer", buyer=buyer)
    refuse_personal_values({k: v for k, v in manifest.items() if k != "checkpoint"})
    for name in names:
        found = hashlib.sha256(files[f"{name}.parquet"]).hexdigest()
        if manifest["digests"].get(name) != found:
            raise HandoverRefused("transfer.tampered", part=f"{name}.parquet")
    if merkle_root(manifest["digests"]) != manifest["root"]:
        raise HandoverRefused("transfer.tampered", part="root")
    tables = {name: files[f"{name}.parquet"] for name in names}
    for name in TABLES:
        _check_table(name, tables[name], manifest)
    if kind == "delta" and not pq.read_schema(io.BytesIO(tables[GONE])).equals(GONE_SCHEMA):
        raise HandoverRefused("transfer.out_of_scope", table=GONE, columns=0)
    return Opened(hashlib.sha256(sealed).hexdigest(), manifest, tables)


def _members(plain: bytes, tables: tuple[str, ...]) -> dict[str, bytes]:
    wanted = (*_MEMBERS, *(f"{name}.parquet" for name in tables))
    try:
        with zipfile.ZipFile(io.BytesIO(plain)) as box:
            if sorted(box.namelist()) != sorted(wanted):
                raise HandoverRefused("transfer.members")
            return {name: box.read(name) for name in wanted}
    except zipfile.BadZipFile:
        pass
    raise HandoverRefused("transfer.members")


def _check_table(name: str, data: bytes, manifest: dict[str, Any]) -> None:
    """Compare a table's columns with what is agreed, and its rows with what the manifest says."""
    wanted = SCHEMAS[name]
    file = pq.ParquetFile(io.BytesIO(data))
    found = file.schema_arrow
    if found.names != wanted.names:
        extra = [column for column in found.names if column not in wanted.names]
        raise HandoverRefused("transfer.out_of_scope", table=name, columns=len(extra))
    if not found.equals(wanted):
        raise HandoverRefused("transfer.out_of_scope", table=name, columns=0)
    groups = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    told = manifest["parts"][name]
    if groups != [rows for rows in told if rows] or sum(told) != manifest["counts"][name]:
        raise HandoverRefused("transfer.tampered", part=name)
    if len(told) != len(manifest["parts"][TABLES[0]]):
        raise HandoverRefused("transfer.tampered", part="parts")
