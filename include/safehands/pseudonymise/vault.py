"""Segments become subjects: known ones are found by lookup, new ones get a random id and a salt.

The person's record is sealed as ``{"name", "phone", "address"}``; once the full contact is no
longer needed (``contact_detail`` in policy) it is sealed masked and without an address.

**The order of shards decides nothing.** What a segment says of a known person is merged by a rule
that asks for no order: the span of sightings widens; the record is full as soon as one segment is;
of two names (or addresses) one that is given beats none, then the one said later, then the longer,
then the later in code point order. What is masked at once gives a masked name, which beats none and
counts as said 200 years earlier. ``subject.name_at`` and ``address_at`` keep when the stored value
was said (400 years before 1970: never; null, where another part of the program wrote the row: when
last seen). What was corrected stands first (:mod:`safehands.vault.record`).

Not promised: the same *generations* of a number whose holders are told apart by a silence that the
sightings of another shard of the same night would fill.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from json.encoder import encode_basestring as _quoted
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, text

from safehands.keys import KeyRing
from safehands.masking import mask_phone
from safehands.pseudonymise.corrected import subject_of
from safehands.pseudonymise.people import NONE, People, Sightings, weight
from safehands.store import driver
from safehands.store.bulk import EPOCH_SHIFT, Kind, by_width, copy_in, uuids
from safehands.vault.record import (
    FULL,
    MASKED,
    as_bytes,
    history,
    masked,
    masked_name,
    opened,
    settled,
    was_called,
)
from safehands.vault.record import KIND as _RECORD

__all__ = ["Vault", "reconcile", "write"]

_WRAPPED = "V60"
_DAY = 86_400_000_000
_MASKED_EARLIER = 200 * 366 * _DAY
_NEVER = -2 * _MASKED_EARLIER


@dataclass
class Vault:
    """The subjects of a shard, one entry per segment, and what has to be written.

    ``ids`` and ``salts`` are 16 bytes each; ``graves`` are the tombstone tokens, which are kept
    wrapped beside the salt, so that a removal years later needs no phone number. ``new`` holds
    positions to insert, ``changed`` people to update; ``details`` says per position how much of
    the person the segment asks for.
    """

    ids: list[bytes]
    salts: list[bytes]
    lookups: npt.NDArray[np.void]
    graves: npt.NDArray[np.void]
    generations: list[int]
    details: npt.NDArray[np.int16]
    sealed: dict[int, bytes] = field(default_factory=dict)
    new: list[int] = field(default_factory=list)
    changed: list[_Person] = field(default_factory=list)


@dataclass(frozen=True)
class _Known:
    """One row of ``subject`` that may belong to a segment. Times are microseconds since 1970.

    ``name_at`` and ``address_at`` are ``None`` where nobody wrote down when the value was said.
    """

    subject: bytes
    generation: int
    wrapped: bytes
    sealed: bytes
    detail: int
    first: int
    last: int
    name_at: int | None
    address_at: int | None


@dataclass(frozen=True)
class _Person:
    """A known subject as it is to be stored. Times are microseconds since 1970."""

    subject: bytes
    sealed: bytes
    detail: int
    first: int
    last: int
    name_at: int
    address_at: int


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
    plain = [_record(needed, i, vault.details[i]) for i in vault.new]
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
    people: dict[bytes, tuple[_Known, bytes, list[int]]] = {}
    for position, old, salt in zip(positions, known, salts, strict=True):
        vault.ids[position], vault.salts[position] = old.subject, salt
        vault.generations[position] = old.generation
        if _may_add(vault, needed, position, old):
            people.setdefault(old.subject, (old, salt, []))[2].append(position)
    found = list(people.values())
    opened = ring.unseal(
        _RECORD,
        [old.subject for old, _, _ in found],
        [salt for _, salt, _ in found],
        [old.sealed for old, _, _ in found],
    )
    merged = [
        _merged(vault, needed, old, plain, of_person)
        for (old, _, of_person), plain in zip(found, opened, strict=True)
    ]
    _seal_changed(vault, ring, found, opened, merged)


def _seal_changed(
    vault: Vault,
    ring: KeyRing,
    found: list[tuple[_Known, bytes, list[int]]],
    before: list[bytes],
    merged: list[tuple[bytes, _Person]],
) -> None:
    """Note who changed; seal only what another record is now."""
    new = [i for i, (plain, _) in enumerate(merged) if plain != before[i]]
    fresh = ring.seal(
        _RECORD,
        [found[i][0].subject for i in new],
        [found[i][1] for i in new],
        [merged[i][0] for i in new],
    )
    sealed = dict(zip(new, fresh, strict=True))
    for i, (_, person) in enumerate(merged):
        if i in sealed:
            vault.changed.append(replace(person, sealed=sealed[i]))
        elif _differs(found[i][0], person):
            vault.changed.append(person)


def _differs(old: _Known, now: _Person) -> bool:
    before = (old.detail, old.first, old.last, old.name_at, old.address_at)
    return before != (now.detail, now.first, now.last, now.name_at, now.address_at)


def _may_add(vault: Vault, needed: _Needed, position: int, old: _Known) -> bool:
    """Say whether a segment can change what is known, without opening the record."""
    people = needed.people
    name_at = _NEVER if old.name_at is None else old.name_at
    address_at = _NEVER if old.address_at is None else old.address_at
    hidden = vault.details[position] == MASKED
    called_at = people.name_at[position] - (_MASKED_EARLIER if hidden else 0)
    wider = people.first[position] < old.first or people.last[position] > old.last
    return bool(
        wider
        or vault.details[position] < old.detail
        or (people.name[position] != NONE and called_at >= name_at)
        or (
            people.address[position] != NONE
            and not hidden
            and people.address_at[position] >= address_at
        )
    )


def _merged(
    vault: Vault, needed: _Needed, old: _Known, plain: bytes, positions: list[int]
) -> tuple[bytes, _Person]:
    """Return the record and the row of a known person after their segments."""
    people, seen, record = needed.people, needed.seen, opened(plain)
    detail = min(old.detail, *(int(vault.details[p]) for p in positions))
    name = _said(record, "name", old.name_at, old)
    address = _said(record, "address", old.address_at, old)
    for p in positions:
        hidden = vault.details[p] == MASKED
        called = _value(seen.names, people.name[p], "")
        called = masked_name(called) if hidden else called
        lives = "" if hidden else _value(seen.addresses, people.address[p], "")
        called_at = int(people.name_at[p]) - (_MASKED_EARLIER if hidden else 0)
        name = _settled(record, "name", name, called, called_at)
        address = _settled(record, "address", address, lives, int(people.address_at[p]))
    numbers = {seen.phones[people.phone[p]] for p in positions}
    # The number of a stand-in is the one that the record has.
    phone = min((n for n in numbers if subject_of(n) is None), default=str(record["phone"]))
    person = _Person(
        old.subject,
        old.sealed,
        detail,
        min(old.first, *(int(people.first[p]) for p in positions)),
        max(old.last, *(int(people.last[p]) for p in positions)),
        name.at,
        address.at,
    )
    fresh = {**record, "address": address.value, "name": name.value, "phone": phone}
    return as_bytes(masked(fresh) if detail == MASKED else fresh), person


@dataclass(frozen=True)
class _Said:
    """A value and when it was said (microseconds since 1970)."""

    value: str
    at: int

    def stands_before(self, other: _Said) -> bool:
        return self._rank() > other._rank()

    def _rank(self) -> tuple[bool, int, tuple[int, str]]:
        return self.value != "", self.at, weight(self.value)


def _said(record: Mapping[str, Any], what: str, at: int | None, old: _Known) -> _Said:
    then = old.last if at is None else at
    corrections = [moment for name, moment, _ in history(dict(record)) if name == what]
    return _Said(str(record[what]), max([then, *corrections]))


def _settled(record: Mapping[str, Any], what: str, now: _Said, shown: str, at: int) -> _Said:
    """Return which stands, the value so far or one that a source showed at ``at``."""
    fresh = _Said(shown, at)
    if not shown or (shown != record[what] and settled(dict(record), what, shown, at) != shown):
        return now
    return fresh if fresh.stands_before(now) else now


def _random(count: int) -> list[bytes]:
    raw = os.urandom(16 * count)
    return [raw[i : i + 16] for i in range(0, len(raw), 16)]


def _record(needed: _Needed, position: int, detail: int) -> bytes:
    people, seen = needed.people, needed.seen
    phone = seen.phones[people.phone[position]]
    name = _value(seen.names, people.name[position], "")
    address = _value(seen.addresses, people.address[position], "")
    if detail == MASKED:
        name, phone, address = masked_name(name), mask_phone(phone), ""
    # The encoder behind json.dumps, called for the two free texts alone: eight times faster.
    text = f'{{"address":{_quoted(address)},"name":{_quoted(name)},"phone":"{phone}"}}'
    return text.encode()


def _value(values: Sequence[str], position: int, otherwise: str) -> str:
    return values[position] if position != NONE else otherwise


def write(
    connection: Connection,
    ring: KeyRing,
    controller: int,
    vault: Vault,
    people: People,
    night: date,
) -> None:
    """Insert new subjects and update changed ones; ``night`` is the business date."""
    _insert(connection, ring, controller, vault, people, night)
    _update(connection, vault, night)


def _insert(
    connection: Connection,
    ring: KeyRing,
    controller: int,
    vault: Vault,
    people: People,
    night: date,
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
        hidden, address_at = vault.details[rows] == MASKED, people.address_at[rows]
        earlier = np.where(hidden, _MASKED_EARLIER, 0)
        columns: list[tuple[Kind, npt.NDArray[Any]]] = [
            ("uuid", ids[at]),
            ("uuid", vault.lookups[rows]),
            ("i2", generations[at]),
            ("bytes", secrets[at]),
            ("bytes", sealed),
            ("i2", vault.details[rows]),
            ("ts", people.first[rows]),
            ("ts", people.last[rows]),
            ("ts", np.where(people.name[rows] == NONE, _NEVER, people.name_at[rows] - earlier)),
            ("ts", np.where(hidden | (people.address[rows] == NONE), _NEVER, address_at)),
        ]
        copy_in(raw, "incoming_subject", columns)
    values = {"controller": controller, "epoch": ring.epoch, "version": ring.version}
    connection.execute(text(_INSERT), {**values, "night": night})


def _update(connection: Connection, vault: Vault, night: date) -> None:
    """Write who changed; what was known of them before this night is kept beside it.

    The record from before (``before``) is removed by the night's purge.
    """
    if not vault.changed:
        return
    raw = driver(connection)
    raw.execute(_MERGED)
    with raw.cursor().copy("COPY merged FROM STDIN (FORMAT binary)") as copy:
        copy.set_types(["uuid", "bytea", "int2", "int8", "int8", "int8", "int8"])
        for one in sorted(vault.changed, key=lambda person: person.subject):
            times = (one.first, one.last, one.name_at, one.address_at)
            moments = (moment - EPOCH_SHIFT for moment in times)
            copy.write_row((UUID(bytes=one.subject), one.sealed, one.detail, *moments))
    connection.execute(text("ANALYZE merged"))
    connection.execute(text(_UPDATE), {"night": night})


_MICROS = "(extract(epoch FROM {0}) * 1000000)::int8"
_KNOWN = (
    "SELECT s.lookup, s.subject_id, s.generation, s.wrapped_salt, s.sealed, s.detail, "
    + ", ".join(
        _MICROS.format(f"s.{name}") for name in ("first_seen", "last_seen", "name_at", "address_at")
    )
    + " FROM sought JOIN subject s USING (lookup) ORDER BY s.lookup, s.generation"
)
_MERGED = (
    "CREATE TEMP TABLE merged (subject_id uuid PRIMARY KEY, sealed bytea, detail int2,"
    " first_seen int8, last_seen int8, name_at int8, address_at int8) ON COMMIT DROP"
)
_MOMENT = "timestamptz '2000-01-01 00:00:00+00' + m.{0} * interval '1 microsecond'"
_UPDATE = (
    "UPDATE subject s SET sealed = m.sealed, detail = m.detail, "
    + ", ".join(
        f"{name} = {_MOMENT.format(name)}"
        for name in ("first_seen", "last_seen", "name_at", "address_at")
    )
    + ", seen_before = CASE WHEN s.night = :night THEN s.seen_before ELSE s.last_seen END,"
    " before = CASE WHEN s.night = :night AND (s.before IS NOT NULL OR s.seen_before IS NULL)"
    " THEN s.before WHEN m.sealed <> s.sealed THEN s.sealed END,"
    " night = :night"
    " FROM merged m WHERE s.subject_id = m.subject_id AND NOT s.restricted"
)
_INCOMING = (
    "CREATE TEMP TABLE incoming_subject (subject_id uuid, lookup uuid, generation int2,"
    " wrapped_salt bytea, sealed bytea, detail int2, first_seen timestamptz,"
    " last_seen timestamptz, name_at timestamptz, address_at timestamptz) ON COMMIT DROP"
)
_INSERT = (
    "INSERT INTO subject (controller_id, subject_id, lookup, generation, epoch, wrapped_salt,"
    " key_version, sealed, detail, first_seen, last_seen, name_at, address_at, night)"
    " SELECT :controller, subject_id, lookup, generation, :epoch, wrapped_salt, :version, sealed,"
    " detail, first_seen, last_seen, name_at, address_at, :night"
    " FROM incoming_subject ORDER BY subject_id"
)
