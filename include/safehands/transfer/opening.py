"""A sealed package, verified before anything is done with it: key, signature, digests, columns."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from safehands.errors import HandoverRefused
from safehands.keys import age
from safehands.ledger import VerifierKey, open_note, refuse_personal_values
from safehands.transfer.contents import FORMAT, SCHEMAS, TABLES
from safehands.transfer.package import merkle_root, note_text

__all__ = ["Opened", "open_package"]

_MEMBERS = ("manifest.json", "manifest.note", *(f"{name}.parquet" for name in TABLES))


@dataclass(frozen=True)
class Opened:
    """A package that verified: SHA-256 of the sealed file, its manifest, its tables."""

    digest: str
    manifest: dict[str, Any]
    tables: dict[str, pa.Table]


def open_package(sealed: bytes, identity: str, signer: VerifierKey, buyer: str) -> Opened:
    """Decrypt and verify a package; nothing is written.

    In this order: age, members, signature, format, buyer, digests and root, columns, counts.
    Raises ``KeyProblem`` for another recipient's file or a changed byte, ``LedgerBroken`` for a
    signature that is not ``signer``'s, ``HandoverRefused`` for all else.
    """
    files = _members(age.decrypt(sealed, identity))
    text = files["manifest.json"]
    if open_note(files["manifest.note"].decode(), [signer]) != note_text(text):
        raise HandoverRefused("transfer.tampered", part="manifest.note")
    manifest: dict[str, Any] = json.loads(text)
    if manifest.get("format") != FORMAT:
        raise HandoverRefused("transfer.format", wanted=FORMAT)
    if manifest["buyer"] != buyer:
        raise HandoverRefused("transfer.other_buyer", buyer=buyer)
    refuse_personal_values({k: v for k, v in manifest.items() if k != "checkpoint"})
    for name in TABLES:
        found = hashlib.sha256(files[f"{name}.parquet"]).hexdigest()
        if manifest["digests"].get(name) != found:
            raise HandoverRefused("transfer.tampered", part=f"{name}.parquet")
    if merkle_root(manifest["digests"]) != manifest["root"]:
        raise HandoverRefused("transfer.tampered", part="root")
    tables = {name: _table(name, files[f"{name}.parquet"]) for name in TABLES}
    for name, table in tables.items():
        if table.num_rows != manifest["counts"][name]:
            raise HandoverRefused("transfer.tampered", part=name)
    return Opened(hashlib.sha256(sealed).hexdigest(), manifest, tables)


def _members(plain: bytes) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(plain)) as box:
            if sorted(box.namelist()) != sorted(_MEMBERS):
                raise HandoverRefused("transfer.members")
            return {name: box.read(name) for name in _MEMBERS}
    except zipfile.BadZipFile:
        pass
    raise HandoverRefused("transfer.members")


def _table(name: str, data: bytes) -> pa.Table:
    found = pq.read_schema(io.BytesIO(data))
    wanted = SCHEMAS[name]
    extra = [column for column in found.names if column not in wanted.names]
    if extra or found.names != wanted.names:
        raise HandoverRefused("transfer.out_of_scope", table=name, columns=len(extra))
    table = pq.read_table(io.BytesIO(data))
    if not table.schema.equals(wanted):
        raise HandoverRefused("transfer.out_of_scope", table=name, columns=0)
    return table
