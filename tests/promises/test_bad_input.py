"""A bad file gets one clear message and is set aside; a bad key stops before any write."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from promise_base import Cluster, Host, Run, Search, clean_environment, files_below
from promise_exports import HEADER, lay, parcels
from sqlalchemy.engine import make_url

from safehands.keys import FileProvider
from safehands.sample.canaries import CANARIES
from safehands.sample.formats import Sheet, csv_bytes, parquet_bytes, xlsx_bytes

DAY = datetime.now(UTC).date() - timedelta(days=2)
PEOPLE = [(c.name, c.phone, c.address) for c in CANARIES]


def good_rows() -> list[Any]:
    """Return parcels of which some are the planted people's."""
    header, *rows = parcels(DAY, "1395")
    for i, person in enumerate(PEOPLE):
        rows[3 * i] = (*rows[3 * i][:2], *person, *rows[3 * i][5:])
    return [header, *rows]


def table(rows: list[Any]) -> pa.Table:
    header, *cells = rows
    columns = zip(*cells, strict=True)
    return pa.table(
        {n: [str(c) for c in column] for n, column in zip(header, columns, strict=True)}
    )


def unknown_header() -> bytes:
    return csv_bytes([("甲", "乙", "丙"), *PEOPLE * 5], "utf-8")


def contradictory_header() -> bytes:
    header = ("运单号", "收件人手机号", "入库时间")
    return csv_bytes(
        [header, *((phone, name, address) for name, phone, address in PEOPLE * 5)], "utf-8"
    )


def cut_csv() -> bytes:
    whole = csv_bytes(good_rows(), "utf-8")
    return whole[: whole.rindex(CANARIES[4].name.encode()) + 4]


def wrong_encoding() -> bytes:
    return csv_bytes(good_rows(), "utf-8") + b"\xff\xfe\x00" + CANARIES[0].name.encode("utf-16-le")


@dataclass(frozen=True)
class Case:
    """A bad file, what its like looks like when it is right, and the exit code of its kind."""

    file: str
    bad: Callable[[], bytes]
    right: Callable[[], bytes]
    code: int


def right_csv() -> bytes:
    return csv_bytes(good_rows(), "utf-8")


def right_xlsx() -> bytes:
    return xlsx_bytes([Sheet("台账", good_rows())])


def right_parquet() -> bytes:
    return parquet_bytes(table(good_rows()))


CASES = {
    "unknown header": Case("a.csv", unknown_header, right_csv, 21),
    "contradictory header": Case("a.csv", contradictory_header, right_csv, 22),
    "empty file": Case("a.csv", lambda: b"", right_csv, 23),
    "only a header": Case("a.csv", lambda: csv_bytes([HEADER], "utf-8"), right_csv, 23),
    "cut CSV": Case("a.csv", cut_csv, right_csv, 24),
    "cut workbook": Case("a.xlsx", lambda: right_xlsx()[:-200], right_xlsx, 24),
    "cut Parquet": Case("a.parquet", lambda: right_parquet()[:-40], right_parquet, 24),
    "wrong encoding": Case("a.csv", wrong_encoding, right_csv, 25),
    "wrong type": Case("a.xlsx", right_csv, right_xlsx, 26),
}


@dataclass
class Installed:
    """A home with keys, a database of its own, and the command line to use it."""

    host: Host
    folder: Path
    url: str

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def landing(self) -> Path:
        return self.folder / "landing"

    def environment(self, lang: str) -> dict[str, str]:
        return clean_environment(
            self.folder,
            SAFEHANDS_HOME=str(self.home),
            SAFEHANDS_LANDING=str(self.landing),
            SAFEHANDS_DATABASE_URL=self.url,
            SAFEHANDS_WORKERS="1",
            SAFEHANDS_LANG=lang,
        )

    def nightly(self, lang: str = "en", day: date = DAY) -> Run:
        argv = ["nightly", "--date", day.isoformat()]
        return self.host.run(
            "command", argv=argv, environ=self.environment(lang), force="", filtered=True
        )

    def rows(self) -> dict[str, int]:
        """Return the number of rows of every table."""
        with self._admin() as connection:
            names = [row[0] for row in connection.execute(_TABLES)]
            return {n: self._count(connection, n, "true") for n in names}

    def loaded(self, station: str) -> int:
        """Return the number of parcels of a station."""
        condition = f"station_id = (SELECT id FROM station WHERE code = '{station}')"
        with self._admin() as connection:
            return self._count(connection, "parcel", condition)

    def batches(self) -> list[tuple[Any, ...]]:
        """Return label and state of every batch."""
        with self._admin() as connection:
            return connection.execute("SELECT label, state FROM batch ORDER BY id").fetchall()

    def _count(self, connection: psycopg.Connection[Any], name: str, condition: str) -> int:
        statement = f"SELECT count(*) FROM {name} WHERE {condition}"
        (number,) = connection.execute(statement.encode()).fetchone() or (0,)
        return int(number)

    def _admin(self) -> psycopg.Connection[Any]:
        url = make_url(self.url).set(drivername="postgresql")
        return psycopg.connect(url.render_as_string(hide_password=False), autocommit=True)


@pytest.fixture
def installed(host: Host, cluster: Cluster, database: str, tmp_path: Path) -> Installed:
    made = Installed(host, tmp_path, database)
    (made.home / "keys").mkdir(parents=True, mode=0o700)
    shutil.copy2(cluster.keys / "root.key", made.home / "keys" / "root.key")
    return made


@pytest.mark.parametrize("name", CASES)
def test_a_bad_file_is_set_aside_and_nothing_else_suffers(
    name: str, installed: Installed, search: Search
) -> None:
    case = CASES[name]
    south = csv_bytes(parcels(DAY, "1386"), "gb18030")
    lay(installed.landing, {f"N001/{case.file}": case.bad(), "S001/b.csv": south})
    chinese = installed.nightly("zh")
    kept = installed.rows()
    english = installed.nightly("en")

    assert (chinese.code, english.code) == (case.code, case.code)
    assert re.fullmatch(rf"✗ .*文件 N001/{case.file}.*。\n", chinese.err)
    assert re.fullmatch(rf"✗ [A-Z].*N001/{case.file}.*\.\n", english.err)
    assert search.in_text("".join(r.out + r.err for r in (chinese, english))) == set()
    assert sorted(installed.batches()) == [
        (f"N001/{case.file}", "set_aside"),
        ("S001/b.csv", "loaded"),
    ]
    assert (installed.loaded("N001"), installed.loaded("S001")) == (0, 40)
    assert installed.rows() == kept
    assert kept["subject"] == 40
    assert kept["quarantine"] == 0

    (installed.landing / "N001" / case.file).write_bytes(case.right())
    corrected = installed.nightly("en")
    assert (corrected.code, corrected.err) == (0, "")
    assert (installed.loaded("N001"), installed.loaded("S001")) == (40, 40)


def test_the_installed_command_says_the_same(installed: Installed) -> None:
    lay(installed.landing, {"N001/a.csv": b"", "S001/b.csv": right_csv()})
    program = [sys.executable, "-c", "from safehands.cli import main; main()"]
    ended = subprocess.run(
        [*program, "nightly", "--date", DAY.isoformat()],
        env=installed.environment("en"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 23
    assert ended.stderr == "✗ The file N001/a.csv is empty. Export it again and put it back.\n"
    assert installed.loaded("S001") == 40


# --- keys ----------------------------------------------------------------------------------------


def root_missing(home: Path) -> None:
    (home / "keys" / "root.key").unlink()


def root_of_another(home: Path) -> None:
    root_missing(home)
    FileProvider(home / "keys", home / "keys-second").create("root")


def root_too_open(home: Path) -> None:
    (home / "keys" / "root.key").chmod(0o644)


def root_damaged(home: Path) -> None:
    path = home / "keys" / "root.key"
    kept = json.loads(path.read_text())
    path.write_text(json.dumps({**kept, "id": "00000000"}))


def epoch_missing(home: Path) -> None:
    for place in ("keys", "keys-second"):
        (home / place / "epoch" / "north" / "1.key").unlink()


SPOILED = (root_missing, root_of_another, root_too_open, root_damaged, epoch_missing)


@pytest.mark.parametrize("spoil", SPOILED, ids=lambda spoil: spoil.__name__)
def test_a_bad_key_stops_before_anything_is_written(
    spoil: Callable[[Path], None], installed: Installed
) -> None:
    lay(installed.landing, {"N001/a.csv": right_csv()})
    assert installed.nightly().code == 0
    lay(installed.landing, {"S001/b.csv": csv_bytes(parcels(DAY, "1386"), "utf-8")})
    spoil(installed.home)
    rows, files = installed.rows(), _contents(installed.home)
    stopped = installed.nightly()
    assert stopped.code == 40
    assert stopped.err.startswith("✗ ")
    assert stopped.err.count("\n") == 1
    assert installed.rows() == rows
    assert _contents(installed.home) == files


def _contents(home: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in files_below(home)}


_TABLES = (
    "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    " AND relkind IN ('r', 'p') ORDER BY 1"
)
