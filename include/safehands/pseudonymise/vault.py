"""Segments become subjects: known ones are found by lookup, new ones get a random id and a salt.

The person's record is sealed as ``{"name", "phone", "address"}``; once the full contact is no
longer needed (``contact_detail`` in policy) it is sealed masked and without an address.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from json.encoder import encode_basestring as _quoted
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, text

from safehands.keys import KeyRing
from safehands.masking import mask_name, mask_phone
from safehands.pseudonymise.corrected import subject_of
from safehands.pseudonymise.people import NONE, People, Sightings
from safehands.store import driver
from safehands.store.bulk import Kind, by_width, copy_in, uuids
from safehands.store.people import reseal
from safehands.vault.record import FULL, MASKED, as_bytes, masked, opened, settled, was_called
from safehands.vault.record import KIND as _RECORD

__all__ = ["Vault", "reconcile", "write"]

_WRAPPED = "V60"
_DAY = 86_400_000_000


@dataclass
class Vault:
    """The subjects of a shard, one entry per segment, and what has to be written.

    ``ids`` and ``salts`` are 16 bytes each; ``graves`` are the tombstone tokens, which are kept
    wrapped beside the salt, so that a removal years later needs no phone number. ``new`` holds
    positions to insert, ``changed`` positions to update; ``details`` says per position how much
    of the person is sealed.
    """

    ids: list[bytes]
    salts: list[bytes]
    lookups: npt.NDArray[np.void]
    graves: npt.NDArray[np.void]
    generations: list[int]
    details: npt.NDArray[np.int16]
    sealed: dict[int, bytes] = field(default_factory=dict)
    new: list[int] = field(default_factory=list)
    changed: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class _Known:
    """One row of ``subject`` that may belong to a segment. Times are microseconds since 1970."""

    subject: bytes
    generation: int
    wrapped: bytes
    sealed: bytes
    detail: int
    first: int
    last: int


@dataclass(frozen=True)
class _Needed:
    people: People
    seen: Sightings
    reissue: int


def reconcile(
    connection: Connection,
    ring: KeyRing,
    people: People,
    seen: Sightings,
    *,
    horizon: int,
    reissue_days: int,
    corrected: Mapping[bytes, bytes],
) -> Vault:
    """Match segments with the store's subjects and seal what is new or newer.

    ``horizon`` (microseconds since 1970): who was last active before it is sealed masked.
    ``corrected``: subject id → lookup of whom the stand-ins among the numbers stand for.
    Must run in the transaction that writes, under the controller's lock.
    """
    needed = _Needed(people, seen, reissue_days * _DAY)
    count = len(people.phone)
    present = np.unique(people.phone)
    phones = [seen.phones[i] for i in present]
    graves = ring.tombstones("mobile", phones)
    lookups = ring.lookups_of(graves)
    if corrected:
        lookups = _looked_up(phones, lookups, corrected)
    place = np.searchsorted(present, people.phone)
    of_segment = lookups[place]
    known = _fetch(connection, lookups)
    details = np.where(people.active >= horizon, FULL, MASKED).astype(np.int16)
    empty = [b""] * count
    vault = Vault(empty, empty.copy(), of_segment, graves[place], [0] * count, details)
    # With nobody known, the first load, there is nothing to match.
    matches = _match(needed, of_segment, known, ring) if known else {}
    _add_new(vault, needed, ring, matches, known)
    _refresh_known(vault, needed, ring, matches)
    return vault


def _looked_up(
    phones: list[str], lookups: npt.NDArray[np.void], corrected: Mapping[bytes, bytes]
) -> npt.NDArray[np.void]:
    """Return the lookups with those of the people that stand-ins stand for."""
    found = lookups.copy()
    for place, phone in enumerate(phones):
        stood_for = subject_of(phone)
        if stood_for is not None:
            found[place] = np.void(corrected[stood_for])
    return found


def _fetch(connection: Connection, lookups: npt.NDArray[np.void]) -> dict[bytes, list[_Known]]:
    raw = driver(connection)
    raw.execute("CREATE TEMP TABLE sought (lookup uuid) ON COMMIT DROP")
    copy_in(raw, "sought (lookup)", [("uuid", lookups)])
    found: dict[bytes, list[_Known]] = {}
    cursor: Any = raw.cursor(binary=True)
    for lookup, subject, *rest in cursor.execute(_KNOWN):
        found.setdefault(lookup.bytes, []).append(_Known(subject.bytes, *rest))
    return found


def _match(
    needed: _Needed,
    of_segment: npt.NDArray[np.void],
    known: dict[bytes, list[_Known]],
    ring: KeyRing,
) -> dict[int, _Known]:
    """Return segment → known subject for the segments that continue somebody."""
    matches: dict[int, _Known] = {}
    for position, lookup in enumerate(of_segment.tolist()):
        stood_for = subject_of(needed.seen.phones[needed.people.phone[position]])
        if stood_for is not None:
            # Whose row it is was decided when the stand-in was set.
            matches[position] = next(k for k in known[lookup] if k.subject == stood_for)
            continue
        for candidate in _by_distance(known.get(lookup, []), needed, position, ring):
            if _continues(candidate, needed, position, ring):
                matches[position] = candidate
                break
    return matches


def _by_distance(
    candidates: list[_Known], needed: _Needed, position: int, ring: KeyRing
) -> list[_Known]:
    """Sort by distance in time; of equally near ones the same name, then the shorter span leads.

    Spans overlap where a number went to somebody else and came back.
    """
    if len(candidates) < 2:
        return candidates
    first, last = needed.people.first[position], needed.people.last[position]

    def rank(known: _Known) -> tuple[int, bool, int]:
        distance = max(int(known.first - last), int(first - known.last), 0)
        return distance, not _named_alike(known, needed, position, ring), known.last - known.first

    return sorted(candidates, key=rank)


def _continues(candidate: _Known, needed: _Needed, position: int, ring: KeyRing) -> bool:
    people = needed.people
    silence = max(people.first[position] - candidate.last, candidate.first - people.last[position])
    return bool(silence <= needed.reissue) or _named_alike(candidate, needed, position, ring)


def _named_alike(candidate: _Known, needed: _Needed, position: int, ring: KeyRing) -> bool:
    name = needed.people.name[position]
    if name == NONE:
        return True
    # A masked name may stand in a full record: the person came back without giving a name.
    return was_called(_open(ring, candidate), needed.seen.names[name])


def _open(ring: KeyRing, known: _Known) -> dict[str, Any]:
    (secret,) = ring.unwrap_salts([known.subject], [known.wrapped])
    (plain,) = ring.unseal(_RECORD, [known.subject], [secret[:16]], [known.sealed])
    return opened(plain)


def _add_new(
    vault: Vault,
    needed: _Needed,
    ring: KeyRing,
    matches: dict[int, _Known],
    known: dict[bytes, list[_Known]],
) -> None:
    vault.new = [i for i in range(len(vault.ids)) if i not in matches]
    ids, salts = _random(len(vault.new)), _random(len(vault.new))
    plain = [_record(needed, i, {}, vault.details[i]) for i in vault.new]
    sealed = ring.seal(_RECORD, ids, salts, plain)
    taken: dict[bytes, int] = {}
    for lookup, subjects in known.items():
        taken[lookup] = max(k.generation for k in subjects) + 1
    keys = vault.lookups.tolist()
    for i, subject, salt, blob in zip(vault.new, ids, salts, sealed, strict=True):
        vault.ids[i], vault.salts[i], vault.sealed[i] = subject, salt, blob
        vault.generations[i] = taken.get(keys[i], 0)
        taken[keys[i]] = vault.generations[i] + 1


def _refresh_known(
    vault: Vault, needed: _Needed, ring: KeyRing, matches: dict[int, _Known]
) -> None:
    positions, known = list(matches), list(matches.values())
    subjects = [k.subject for k in known]
    salts = [s[:16] for s in ring.unwrap_salts(subjects, [k.wrapped for k in known])]
    newest: dict[bytes, int] = {}
    for i, (position, old) in enumerate(matches.items()):
        vault.ids[position], vault.salts[position] = old.subject, salts[i]
        vault.generations[position] = old.generation
        # Only purge masks who is known in full: it also sees the parcels of other shards.
        vault.details[position] = min(vault.details[position], old.detail)
        last = needed.people.last[position]
        before = newest.get(old.subject)
        # Of several segments of one person the last is written.
        if last > old.last and (before is None or last >= needed.people.last[positions[before]]):
            newest[old.subject] = i
    newer = list(newest.values())
    opened = ring.unseal(
        _RECORD,
        [subjects[i] for i in newer],
        [salts[i] for i in newer],
        [known[i].sealed for i in newer],
    )
    vault.changed = [positions[i] for i in newer]
    plain = [
        _record(needed, position, json.loads(old), vault.details[position])
        for position, old in zip(vault.changed, opened, strict=True)
    ]
    fresh = ring.seal(_RECORD, [subjects[i] for i in newer], [salts[i] for i in newer], plain)
    vault.sealed.update(zip(vault.changed, fresh, strict=True))


def _random(count: int) -> list[bytes]:
    raw = os.urandom(16 * count)
    return [raw[i : i + 16] for i in range(0, len(raw), 16)]


def _record(needed: _Needed, position: int, old: dict[str, Any], detail: int) -> bytes:
    people, seen = needed.people, needed.seen
    if "history" in old:
        return _corrected(needed, position, old, detail)
    phone = _phone(needed, position, old)
    name = _value(seen.names, people.name[position], old.get("name", ""))
    address = _value(seen.addresses, people.address[position], old.get("address", ""))
    if detail == MASKED:
        name, phone, address = mask_name(name), mask_phone(phone), ""
    # The encoder behind json.dumps, called for the two free texts alone: eight times faster.
    text = f'{{"address":{_quoted(address)},"name":{_quoted(name)},"phone":"{phone}"}}'
    return text.encode()


def _corrected(needed: _Needed, position: int, old: dict[str, Any], detail: int) -> bytes:
    """Return the record of somebody whose name or address was corrected: that stands (PIPL 46)."""
    people, seen = needed.people, needed.seen
    fresh = {**old, "phone": _phone(needed, position, old)}
    name = _value(seen.names, people.name[position], "")
    address = _value(seen.addresses, people.address[position], "")
    fresh["name"] = settled(old, "name", name, int(people.name_at[position]))
    fresh["address"] = settled(old, "address", address, int(people.address_at[position]))
    return as_bytes(masked(fresh) if detail == MASKED else fresh)


def _phone(needed: _Needed, position: int, old: Mapping[str, Any]) -> str:
    """Return the number of a segment; of a stand-in the one that the record has."""
    phone = needed.seen.phones[needed.people.phone[position]]
    return phone if subject_of(phone) is None else str(old["phone"])


def _value(values: Sequence[str], position: int, otherwise: str) -> str:
    return values[position] if position != NONE else otherwise


def write(
    connection: Connection, ring: KeyRing, controller: int, vault: Vault, people: People
) -> None:
    """Insert new subjects and update changed ones."""
    _insert(connection, ring, controller, vault, people)
    _update(connection, vault, people)


def _insert(
    connection: Connection, ring: KeyRing, controller: int, vault: Vault, people: People
) -> None:
    raw = driver(connection)
    raw.execute(_INCOMING)
    subjects = [vault.ids[i] for i in vault.new]
    graves = vault.graves.tolist()
    wrapped = ring.wrap_salts(subjects, [vault.salts[i] + graves[i] for i in vault.new])
    new = np.array(vault.new, dtype=np.int64)
    generations = np.array([vault.generations[i] for i in vault.new], dtype=np.int16)
    ids, secrets = uuids(subjects), np.frombuffer(b"".join(wrapped), dtype=_WRAPPED)
    for at, sealed in by_width([vault.sealed[i] for i in vault.new]):
        rows = new[at]
        columns: list[tuple[Kind, npt.NDArray[Any]]] = [
            ("uuid", ids[at]),
            ("uuid", vault.lookups[rows]),
            ("i2", generations[at]),
            ("bytes", secrets[at]),
            ("bytes", sealed),
            ("i2", vault.details[rows]),
            ("ts", people.first[rows]),
            ("ts", people.last[rows]),
        ]
        copy_in(raw, "incoming_subject", columns)
    values = {"controller": controller, "epoch": ring.epoch, "version": ring.version}
    connection.execute(text(_INSERT), values)


def _update(connection: Connection, vault: Vault, people: People) -> None:
    if vault.changed:
        rows = (
            (
                vault.ids[i],
                vault.sealed[i],
                int(vault.details[i]),
                int(people.first[i]),
                int(people.last[i]),
            )
            for i in vault.changed
        )
        reseal(connection, rows)


_MICROS = "(extract(epoch FROM {0}) * 1000000)::int8"
_KNOWN = (
    "SELECT s.lookup, s.subject_id, s.generation, s.wrapped_salt, s.sealed, s.detail, "
    + _MICROS.format("s.first_seen")
    + ", "
    + _MICROS.format("s.last_seen")
    + " FROM sought JOIN subject s USING (lookup) ORDER BY s.lookup, s.generation"
)
_INCOMING = (
    "CREATE TEMP TABLE incoming_subject (subject_id uuid, lookup uuid, generation int2,"
    " wrapped_salt bytea, sealed bytea, detail int2, first_seen timestamptz,"
    " last_seen timestamptz) ON COMMIT DROP"
)
_INSERT = (
    "INSERT INTO subject (controller_id, subject_id, lookup, generation, epoch, wrapped_salt,"
    " key_version, sealed, detail, first_seen, last_seen)"
    " SELECT :controller, subject_id, lookup, generation, :epoch, wrapped_salt, :version, sealed,"
    " detail, first_seen, last_seen FROM incoming_subject ORDER BY subject_id"
)
