"""What somebody finds who has every byte that ever lay on a disk, and some set of keys.

``Needles`` looks for many byte strings at once. ``Thief`` is given folders (database files, write-
ahead log, copies of them, backups, work files) and key folders. He opens every backup file with the
identity he finds, and tries every epoch key he finds on every wrapped salt that survives anywhere.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow.parquet as pq
import pyrage

from safehands.errors import KeyProblem
from safehands.keys import FileProvider, KeyRing, WrappedKeys
from safehands.sample.canaries import search_forms

__all__ = ["Needles", "Remains", "Thief", "forms_of", "spelled"]


def spelled(secret: bytes) -> list[bytes]:
    """Return the ways in which a byte string may have been written down."""
    forms = [secret, secret.hex().encode(), secret.hex().upper().encode()]
    if len(secret) == 16:
        forms.append(str(UUID(bytes=secret)).encode())
    for shift in range(3):
        whole = base64.b64encode(b"\0" * shift + secret).rstrip(b"=")
        # The characters at both ends depend on what stands beside the secret.
        forms.append(whole[2 if shift else 0 : -1][2 if shift else 0 :])
    text = "".join(f"\\x{byte:02x}" for byte in secret)
    return [*forms, text.encode(), ("\\\\x" + secret.hex()).encode()]


class Needles:
    """Looks for byte strings of four bytes and more: a table says where one may begin."""

    _BITS = 20

    def __init__(self, named: Mapping[str, Iterable[bytes]]) -> None:
        self._by_head: dict[bytes, list[tuple[bytes, str]]] = {}
        for name, forms in named.items():
            for form in forms:
                self._by_head.setdefault(form[:4], []).append((form, name))
        self._likely = np.zeros(1 << self._BITS, dtype=bool)
        heads = np.array([int.from_bytes(head, "little") for head in self._by_head], np.uint32)
        self._likely[self._hash(heads)] = True

    def inside(self, data: bytes) -> set[str]:
        """Return the names of those that are in ``data``."""
        found: set[str] = set()
        for shift in range(4):
            usable = (len(data) - shift) // 4
            if usable <= 0:
                continue
            words = np.frombuffer(data, "<u4", usable, shift)
            for place in np.flatnonzero(self._likely[self._hash(words)]).tolist():
                at = shift + place * 4
                for form, name in self._by_head.get(data[at : at + 4], ()):
                    if name not in found and data.startswith(form, at):
                        found.add(name)
        return found

    def _hash(self, words: Any) -> Any:
        return (words * np.uint32(2_654_435_761)) >> np.uint32(32 - self._BITS)


@dataclass
class Remains:
    """Every sealed thing that was ever in the store, by whom it is about.

    ``salts``: (person, subject id, wrapped salt); ``records``: (person, kind, owner of the record,
    sealed). Kept by the test while the store lives, so that nothing must be guessed afterwards.
    """

    salts: set[tuple[str, bytes, bytes]] = field(default_factory=set)
    records: set[tuple[str, str, bytes, bytes]] = field(default_factory=set)

    def needles(self) -> Needles:
        """Return a search for all of them."""
        named = {f"salt {wrapped.hex()}": [wrapped] for _, _, wrapped in self.salts}
        return Needles(named | {f"record {sealed.hex()}": [sealed] for *_, sealed in self.records})


class Thief:
    """Has folders and key folders, and the controller's wrapped keys out of any database copy."""

    def __init__(
        self, places: Iterable[Path], keys: Iterable[FileProvider], wrapped: WrappedKeys
    ) -> None:
        self.keys = list(keys)
        self._wrapped = wrapped
        self.loot = dict(self._read(places))

    def rings(self) -> list[KeyRing]:
        """Return a ring for each epoch key found; a key that does not fit opens nothing."""
        found = []
        for provider in self.keys:
            for name in provider.names(f"epoch/{self._wrapped.controller}"):
                number = int(name.rpartition("/")[2])
                found.append(KeyRing.open(provider, self._wrapped, number))
        return found

    def lookups(self, phone: str) -> list[bytes]:
        """Return where a number leads under every key found, in all spellings."""
        tokens = [ring.lookups("mobile", [phone]).tolist()[0] for ring in self.rings()]
        return [form for token in tokens for form in spelled(token)]

    def surviving(self, remains: Remains) -> set[str]:
        """Return the names of salts and records whose bytes are anywhere, opened or not."""
        needles = remains.needles()
        return {name for data in self.loot.values() for name in needles.inside(data)}

    def opened(self, remains: Remains) -> dict[str, set[bytes]]:
        """Return person → plaintexts that he gets at."""
        there = self.surviving(remains)
        salts: dict[str, set[bytes]] = {}
        for person, subject, wrapped in remains.salts:
            if f"salt {wrapped.hex()}" in there:
                salts.setdefault(person, set()).update(self._unwrapped(subject, wrapped))
        found: dict[str, set[bytes]] = {}
        for person, kind, owner, sealed in remains.records:
            for salt in salts.get(person, ()):
                if f"record {sealed.hex()}" in there:
                    (plain,) = self.rings()[0].unseal(kind, [owner], [salt], [sealed])
                    found.setdefault(person, set()).add(plain)
        return found

    def finds(self, named: Mapping[str, Iterable[bytes]]) -> dict[str, set[str]]:
        """Return place → names of the byte strings that are in it."""
        needles = Needles(named)
        found = {place: needles.inside(data) for place, data in self.loot.items()}
        return {place: names for place, names in found.items() if names}

    def _unwrapped(self, subject: bytes, wrapped: bytes) -> set[bytes]:
        found = set()
        for ring in self.rings():
            try:
                found.add(ring.unwrap_salts([subject], [wrapped])[0][:16])
            except KeyProblem:
                continue
        return found

    def _read(self, places: Iterable[Path]) -> Iterable[tuple[str, bytes]]:
        for root in places:
            for path in sorted(p for p in root.rglob("*") if p.is_file()):
                try:
                    data = path.read_bytes()
                except FileNotFoundError:
                    continue
                yield str(path), data + str(path).encode()
                if data.startswith(b"age-encryption.org/"):
                    yield from self._decrypted(str(path), data)

    def _decrypted(self, name: str, data: bytes) -> Iterable[tuple[str, bytes]]:
        for provider in self.keys:
            if provider.has("backup-identity"):
                identity = pyrage.x25519.Identity.from_str(provider.get("backup-identity").decode())
                plain = bytes(pyrage.decrypt(data, [identity]))
                yield f"{name} opened", plain + _columns(plain)
                return


def _columns(plain: bytes) -> bytes:
    """Return all cells of a Parquet file, which compresses some; nothing of another file."""
    if plain[:4] != b"PAR1":
        return b""
    table = pq.read_table(io.BytesIO(plain))
    cells = (value for column in table.columns for value in column.to_pylist())
    return b"\n".join(v if isinstance(v, bytes) else str(v).encode() for v in cells)


def forms_of(values: Iterable[str]) -> list[bytes]:
    """Return every encoding of every value."""
    return [form for value in values for form in search_forms(value)]
