"""A certificate is what the ledger vouches for, and nothing else becomes one."""

from __future__ import annotations

from pathlib import Path

import pytest

from nights import NOW
from safehands import journal
from safehands.certificates import certificate, keep_certificate
from safehands.errors import LedgerBroken
from safehands.ledger import body_digest, load_document, verify_document
from safehands.store import Store

BODY = {"request": "R-1", "counts": {"subject": 1}}


def enter(store: Store, body: dict[str, object]) -> None:
    with store.begin() as connection:
        digest = body_digest("erasure", body)
        journal.append(connection, "erasure", "r", NOW, {"n": 1}, document=digest)


def test_a_body_in_the_ledger_becomes_a_certificate(store: Store) -> None:
    with store.begin() as connection:
        journal.append(connection, "purge", "r", NOW, {})
    enter(store, BODY)
    journal.sequence(store, NOW)
    found = verify_document(
        certificate(store, "erasure", BODY), journal.signing_key(store.provider).verifier
    )
    assert (found.body, found.index) == (BODY, 1)


def test_a_body_that_the_ledger_does_not_know_is_refused(store: Store) -> None:
    enter(store, BODY)
    with pytest.raises(LedgerBroken):
        certificate(store, "erasure", BODY)
    journal.sequence(store, NOW)
    for kind, body in (("erasure", {**BODY, "request": "R-2"}), ("receipt", BODY)):
        with pytest.raises(LedgerBroken):
            certificate(store, kind, body)


def test_a_certificate_is_kept_for_its_owner_alone_and_replaced_whole(
    store: Store, tmp_path: Path
) -> None:
    enter(store, BODY)
    journal.sequence(store, NOW)
    document = certificate(store, "erasure", BODY)
    path = tmp_path / "certificates" / "c.json"
    path.parent.mkdir()
    (path.parent / ".c.json.0badc0de.partial").write_text("of a killed try")
    for _ in range(2):
        keep_certificate(path, document)
    assert load_document(path.read_text(encoding="utf-8")) == document
    assert path.stat().st_mode & 0o077 == 0
    assert [p.name for p in path.parent.iterdir()] == ["c.json"]
