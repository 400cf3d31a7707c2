"""A server without keys sees the store as the auditor, and as nobody else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ProgrammingError

from safehands.errors import SetupProblem
from safehands.store import AUDITOR, EvidenceStore, Store, passfile_line


@pytest.fixture
def evidence(store: Store, tmp_path: Path) -> EvidenceStore:
    """The same store, through the auditor's own login; it is given no key."""
    passfile = tmp_path / "auditor.pgpass"
    handle = os.open(passfile, os.O_WRONLY | os.O_CREAT, 0o600)
    with open(handle, "w", encoding="ascii") as file:
        file.write(passfile_line(store.provider, AUDITOR))
    url = make_url(store.url).set(username=AUDITOR, password=None)
    url = url.update_query_dict({"passfile": str(passfile)})
    return EvidenceStore(url.render_as_string(hide_password=False), None)  # type: ignore[arg-type]


def test_the_auditor_reads_evidence_and_no_person(evidence: EvidenceStore) -> None:
    with evidence.begin(AUDITOR) as connection:
        assert connection.execute(text("SELECT count(*) FROM ledger_entry")).scalar_one() >= 0
    with pytest.raises(ProgrammingError), evidence.begin(AUDITOR) as connection:
        connection.execute(text("SELECT sealed FROM subject"))
    evidence.close()


@pytest.mark.parametrize("role", ["safehands_pipeline", "safehands_officer", "safehands_backup"])
def test_every_other_role_is_refused(evidence: EvidenceStore, role: str) -> None:
    with pytest.raises(SetupProblem) as caught, evidence.begin(role):
        pass
    assert caught.value.key == "setup.evidence_only"


def test_nothing_is_set_up_from_there(evidence: EvidenceStore) -> None:
    with pytest.raises(SetupProblem):
        evidence.admin()
