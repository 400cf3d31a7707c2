"""A small store with two owners, filled by SQL with made-up rows, and its repository."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text

from safehands import journal
from safehands.backup import backup
from safehands.datasets import Outcome
from safehands.keys import FileProvider, RunKey, age
from safehands.ledger import VerifierKey
from safehands.night import SHANGHAI, Night
from safehands.policy import Policy
from safehands.settings import Settings
from safehands.stations import Controller, Register, Station
from safehands.store import Store
from safehands.store.register import register

DAY = date(2026, 11, 23)
NOW = datetime(2026, 11, 24, 2, 0, tzinfo=SHANGHAI)

OWNERS = Register(
    controllers=(
        Controller(
            code="A",
            name="Owner A",
            record_sets={},
            stations=(Station(code="S1", name="一号", folder="s1"),),
        ),
        Controller(
            code="B",
            name="Owner B",
            record_sets={},
            stations=(Station(code="S2", name="二号", folder="s2"),),
        ),
    )
)

FILL = """
SELECT add_month(date '2026-10-01'), add_month(date '2026-11-01');
INSERT INTO batch (controller_id, station_id, file_digest, policy_digest, label, run,
    business_date, state, facts)
    VALUES (1, 1, 'd', 'p', '导出.csv', 'r', '2026-11-23', 'loaded', '{"rows": 60}');
INSERT INTO subject (controller_id, subject_id, lookup, generation, epoch, wrapped_salt,
    key_version, sealed, detail, first_seen, last_seen)
    SELECT 1 + i % 2, md5('s' || i)::uuid, md5('l' || i)::uuid, 0, 1, sha256('w'::bytea),
    1, decode(repeat(md5('x' || i), 4 + i % 3), 'hex'), 0, '2026-11-02', '2026-11-03'
    FROM generate_series(1, 12) i;
INSERT INTO parcel SELECT 1 + i % 2, 1 + i % 2, md5('p' || i)::uuid,
    CASE WHEN i % 7 = 0 THEN NULL ELSE md5('s' || (1 + (i + 1) % 12))::uuid END,
    timestamptz '2026-11-23 00:00+00' - i * interval '1 day',
    CASE WHEN i % 5 = 0 THEN NULL ELSE timestamptz '2026-11-23 01:00+00' END,
    440305, 1, i % 7, 1, i % 4, 0 FROM generate_series(1, 45) i;
INSERT INTO custody VALUES (1, md5('p1')::uuid, NULL, '2026-11-22', '\\x0102');
INSERT INTO preference VALUES (1, md5('s2')::uuid, 1, 2, 3, -1, '2026-11-03', 1);
INSERT INTO tombstone (controller_id, token, erased_at, reason)
    VALUES (2, md5('t')::uuid, '2026-11-20', 'request');
INSERT INTO quarantine (controller_id, batch_id, day, dataset, sheet, row_number, rule,
    column_name, sealed) VALUES (1, 1, '2026-11-23', 'parcels', '', 3, 'waybill', 'no', '\\x03');
"""

GROWTH = (
    "SELECT 1",
    "UPDATE subject SET wrapped_salt = sha256('new'::bytea) WHERE controller_id = 1",
    "UPDATE subject SET last_seen = '2026-11-25' WHERE subject_id = md5('s1')::uuid",
)


@dataclass
class Home:
    """A store with its keys, and the nights that are backed up from it."""

    store: Store
    provider: FileProvider
    settings: Settings
    policy: Policy

    @property
    def folder(self) -> Path:
        return self.settings.backups

    @property
    def verifier(self) -> VerifierKey:
        return journal.signing_key(self.provider).verifier

    def night(self, day: int = 0) -> Night:
        when = DAY + timedelta(days=day)
        return Night(f"nightly-{day}", when, self.settings, self.policy, RunKey("t", b"k" * 32))

    def backup(self, day: int = 0) -> Outcome:
        return backup(self.night(day), self.store, NOW + timedelta(days=day))

    def admin(self, *statements: str) -> None:
        with self.store.admin().begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def ask(self, query: str) -> list[Any]:
        with self.store.admin().begin() as connection:
            return [tuple(row) for row in connection.execute(text(query))]

    def files(self) -> dict[str, bytes]:
        found = (p for p in self.folder.rglob("*") if p.is_file())
        return {str(p.relative_to(self.folder)): p.read_bytes() for p in found}


def make_home(url: str, root_key: Path, policy: Policy, folder: Path) -> Home:
    settings = Settings.read({}, home=str(folder), lang="en")
    settings.keys.mkdir(parents=True, mode=0o700)
    shutil.copy2(root_key, settings.keys / "root.key")
    provider = FileProvider(settings.keys, settings.keys_second)
    recipients = settings.keys / "backup-recipients.txt"
    recipients.write_text(age.make_identity(provider) + "\n", encoding="ascii")
    store = Store(url, provider)
    home = Home(store, provider, settings, policy)
    register(store, OWNERS, date(2026, 11, 1))
    home.admin(*(s.replace("%", "%%") for s in FILL.split(";\n") if s.strip()))
    return home
