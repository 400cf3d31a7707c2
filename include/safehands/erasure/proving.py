"""The task ``prove``: nothing is lost without the old keys, so they are destroyed.

Old keys are the epoch keys before an open epoch, in both copies, and the former root key after a
rotation.

In this order: the newest generation is restored into a database beside the store by a process that
is not given the old keys; every sealed record is opened; the result is the store's own, by digest.
Only then is the old epoch key destroyed in both places, and only when it is gone are the
certificates recorded; only then does the former root key end. The age identity is needed here and
nowhere else in the night.

Killed at any point it is done again: what is proved stays proved, a key that is half destroyed
is destroyed, a certificate that was recorded is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from safehands import journal
from safehands.backup.place import open_repository
from safehands.datasets import Outcome
from safehands.erasure.certificate import FOLDER, announce, body_of, write_announced
from safehands.erasure.reach import out_of_reach
from safehands.erasure.record import record_step
from safehands.erasure.requests import list_requests
from safehands.errors import BackupBroken, KeyProblem
from safehands.keys.withheld import withheld
from safehands.ledger import canonical_json
from safehands.night import Night
from safehands.restore import proving as restoring
from safehands.rotation import end_root, is_settled
from safehands.store import Store, lock
from safehands.store.digest import store_digest
from safehands.store.register import Owner, epoch_name, open_ring, owners

__all__ = ["prove", "prove_due", "prove_newest"]


@dataclass(frozen=True)
class _Turn:
    owner: Owner
    number: int
    state: str
    facts: Mapping[str, Any]

    @property
    def opened(self) -> str:
        """The name of the new epoch's key."""
        return epoch_name(self.owner.code, self.number)


def prove_due(store: Store) -> bool:
    """Say whether there is anything to prove, to destroy or to certify."""
    with store.begin() as connection:
        if connection.execute(text(_ANNOUNCED)).scalar():
            return True
    return bool(_open_turns(store)) or not is_settled(store)


def prove(night: Night, store: Store, now: datetime) -> Outcome:
    """Prove open epochs, destroy the keys before them, record and write the certificates.

    Counts: ``epochs_closed``, ``keys_destroyed``, ``erased_final`` (requests), ``certificates``;
    ``roots_ended`` where a rotation of the root key is ended.

    Raises ``BackupBroken`` when the newest generation does not come back as the store is (run
    ``backup`` again if the store has changed since), ``KeyProblem`` without the age identity or
    when something needs the old key: then nothing is destroyed.
    """
    turns, rotated = _open_turns(store), not is_settled(store)
    unproved = [turn for turn in turns if turn.state == "turned"]
    if unproved or rotated:
        _prove_all(night, store, now, turns, unproved)
    counts = {"epochs_closed": 0, "keys_destroyed": 0, "erased_final": 0}
    for turn in _open_turns(store):
        for name, number in _close(night, store, now, turn).items():
            counts[name] += number
    if rotated:
        end_root(store)
        counts["roots_ended"] = 1
    journal.sequence(store, now)
    written = write_announced(store)
    counts["certificates"] = written
    nothing = not turns and not written and not rotated
    return Outcome(night.run, "prove", counts=counts, already=nothing)


def prove_newest(night: Night, store: Store, now: datetime) -> Outcome:
    """Restore the newest generation beside the store, compare and record it; destroy nothing.

    What was proved stays when policy removes generations. Counts: ``generations_proved``. Raises
    what ``safehands.restore.prove`` raises.
    """
    verifier = journal.signing_key(store.provider).verifier
    repository = open_repository(night.settings)
    found = restoring.prove(store, repository, verifier, now, night.elapsed)
    facts = {"generation": found.restored.generation, "rows": found.restored.rows}
    with store.begin() as connection:
        journal.append(connection, "prove", night.run, now, facts)
        counts = {"generations_proved": 1}
        record_step(
            connection, "prove", night.run, night.business_date, "", counts, night.elapsed()
        )
    return Outcome(night.run, "prove", counts=counts)


def _prove_all(
    night: Night,
    store: Store,
    now: datetime,
    turns: list[_Turn],
    unproved: list[_Turn],
) -> None:
    left = withheld(store.provider.without_former(), _old_keys(store, turns))
    blind = Store(store.url, left)
    repository = open_repository(night.settings)
    try:
        verifier = journal.signing_key(store.provider).verifier
        if not restoring.holds_keys(blind, repository, verifier):
            raise BackupBroken("erasure.backup_first")
        found = restoring.prove(blind, repository, verifier, now, night.elapsed)
        own = store_digest(blind)
    finally:
        blind.close()
    if found.store_digest != own:
        raise BackupBroken("erasure.restored_differs", file=found.restored.generation)
    proof = {
        "generation": found.restored.generation,
        "generation_digest": found.restored.generation_digest,
        "rows": found.restored.rows,
        "parts": found.restored.parts,
        "people": found.restored.living,
        "tombstones": found.restored.tombstones,
        "store_digest": own,
        "proved_at": now.isoformat(timespec="seconds"),
    }
    for turn in unproved:
        with store.begin(controller=turn.owner.id) as connection:
            _advance(connection, turn, "proved", {**turn.facts, "proof": proof})
            facts = {"controller": turn.owner.code, "epoch": turn.number, **proof}
            journal.append(connection, "prove", night.run, now, facts)


def _close(night: Night, store: Store, now: datetime, turn: _Turn) -> dict[str, int]:
    """Destroy what came before a proved epoch, then make its erasures final."""
    # A place that lost its copy of the new key is given it back before the old one goes.
    store.provider.create(turn.opened, store.provider.get(turn.opened))
    with store.begin(controller=turn.owner.id) as connection:
        open_ring(connection, store.provider, turn.owner)
    old = _old_keys(store, [turn])
    for name in old:
        store.provider.destroy(name)
        if store.provider.has(name):
            raise KeyProblem("erasure.not_destroyed", name=name)
    # A destruction that was killed halfway leaves a file of zeros in a place.
    store.provider.tidy()
    with store.begin(controller=turn.owner.id) as connection:
        lock(connection, f"safehands.controller.{turn.owner.id}")
        final = _certify(connection, night, store, now, turn)
        _advance(connection, turn, "destroyed", turn.facts)
        counts = {"epochs_closed": 1, "keys_destroyed": len(old), "erased_final": final}
        code, day = turn.owner.code, night.business_date
        record_step(connection, "prove", night.run, day, code, counts, night.elapsed())
    return counts


def _certify(connection: Connection, night: Night, store: Store, now: datetime, turn: _Turn) -> int:
    folder = night.settings.reports / FOLDER
    mine = [
        one
        for one in list_requests(store, [turn.owner])
        if one.state == "erased" and one.epoch == turn.number
    ]
    for request in mine:
        day, provider = night.business_date, store.provider
        reach = out_of_reach(night.settings, night.policy, provider, turn.owner, day)
        body = body_of(request, turn.facts, now, night.policy.digest, reach)
        announce(connection, night.run, now, body, folder)
    return len(mine)


def _advance(connection: Connection, turn: _Turn, state: str, facts: Mapping[str, Any]) -> None:
    values = {
        "controller": turn.owner.id,
        "number": turn.number,
        "state": state,
        "facts": canonical_json(dict(facts)).decode(),
    }
    connection.execute(text(_ADVANCE), values)


def _open_turns(store: Store) -> list[_Turn]:
    found = []
    for owner in owners(store).values():
        with store.begin(controller=owner.id) as connection:
            rows = connection.execute(text(_OPEN)).all()
        found += [_Turn(owner, *row) for row in rows]
    return found


def _old_keys(store: Store, turns: list[_Turn]) -> list[str]:
    """Return the names of all epoch keys before these turns' own."""
    found = []
    for turn in turns:
        for number in range(1, turn.number):
            name = epoch_name(turn.owner.code, number)
            if number == turn.number - 1 or store.provider.has(name):
                found.append(name)
    return found


_ANNOUNCED = "SELECT EXISTS (SELECT FROM outbox WHERE kind = 'certificate' AND NOT done)"
_OPEN = "SELECT number, state, facts FROM epoch_turn WHERE state <> 'destroyed' ORDER BY number"
_ADVANCE = (
    "UPDATE epoch_turn SET state = :state, facts = CAST(:facts AS jsonb)"
    " WHERE controller_id = :controller AND number = :number"
)
