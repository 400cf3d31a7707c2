"""The audit trail: numbered after commit, nothing new means nothing written, tampering is seen."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from nights import NOW
from safehands import journal
from safehands.errors import LedgerBroken
from safehands.store import Store


def _append(store: Store, count: int) -> None:
    with store.begin() as connection:
        for i in range(count):
            journal.append(connection, "ingest", "nightly-x", NOW, {"rows": i})


def test_entries_are_numbered_once_and_signed(store: Store) -> None:
    _append(store, 3)
    first = journal.sequence(store, NOW)
    again = journal.sequence(store, NOW)
    assert first is not None
    assert first == again
    checkpoint = journal.verify(store, journal.signing_key(store.provider).verifier)
    assert checkpoint.size == 3


def test_an_empty_trail_has_no_checkpoint(store: Store) -> None:
    assert journal.sequence(store, NOW) is None
    with pytest.raises(LedgerBroken):
        journal.verify(store, journal.signing_key(store.provider).verifier)


@pytest.mark.parametrize(
    "tamper",
    [
        "UPDATE ledger_entry SET body = replace(body, '\"rows\":1', '\"rows\":7') WHERE seq = 1",
        "DELETE FROM ledger_entry WHERE seq = 3",
        "UPDATE ledger_entry SET seq = -seq WHERE seq = 2",
    ],
)
def test_a_changed_dropped_or_moved_entry_is_seen(store: Store, tamper: str) -> None:
    _append(store, 2)
    journal.sequence(store, NOW)
    _append(store, 2)
    journal.sequence(store, NOW)
    with store.admin().begin() as connection:
        connection.exec_driver_sql(tamper)
    with pytest.raises(LedgerBroken):
        journal.verify(store, journal.signing_key(store.provider).verifier)


def test_the_pipeline_role_can_neither_change_nor_remove_an_entry(store: Store) -> None:
    _append(store, 1)
    for statement in ("UPDATE ledger_entry SET body = ''", "DELETE FROM ledger_entry"):
        with pytest.raises(Exception, match="permission denied"), store.begin() as connection:
            connection.execute(text(statement))
