"""A backup opens with age and any Parquet reader. Nothing of Safehands is used to read it."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyrage
import pytest

from backup_home import Home


def read_backup(folder: Path, identity_file: Path) -> dict[str, Any]:
    """What a stranger with the identity does: decrypt, read JSON, read Parquet."""
    secret = base64.b64decode(json.loads(identity_file.read_text())["key"]).decode()
    identity = pyrage.x25519.Identity.from_str(secret)

    def opened(name: str) -> bytes:
        return bytes(pyrage.decrypt((folder / name).read_bytes(), [identity]))

    newest = sorted((folder / "manifests").iterdir())[-1]
    manifest = json.loads(opened(f"manifests/{newest.name}").split(b"\n")[0])
    tables: dict[str, Any] = {}
    for part in manifest["parts"]:
        sealed = (folder / part["object"]).read_bytes()
        assert part["object"] == "objects/" + hashlib.sha256(sealed).hexdigest()
        rows = pq.read_table(io.BytesIO(opened(part["object"])))
        tables.setdefault(part["table"], []).append(rows.replace_schema_metadata())
    keys = pq.read_table(io.BytesIO(opened(manifest["keys"][0]["name"])))
    return {"keys": keys, **{name: pa.concat_tables(parts) for name, parts in tables.items()}}


def test_a_stranger_with_the_identity_reads_every_row(home: Home) -> None:
    home.backup()
    found = read_backup(home.folder, home.settings.keys / "backup-identity.key")
    in_store = home.ask(
        "SELECT controller_id, uuid_send(waybill), uuid_send(subject_id), arrived_at, collected_at,"
        " district, carrier, status, weight_band, tags FROM parcel ORDER BY 1, 2"
    )
    columns = [n for n in found["parcel"].column_names if n not in ("station_id", "batch_id")]
    rows = found["parcel"].select(columns).to_pylist()
    assert sorted(tuple(row.values()) for row in rows) == in_store
    people = home.ask("SELECT uuid_send(subject_id), sealed FROM subject ORDER BY 1")
    subjects = found["subject"].select(["subject_id", "sealed"]).to_pylist()
    assert sorted(tuple(row.values()) for row in subjects) == people
    assert json.loads(found["batch"]["facts"][0].as_py()) == {"rows": 60}
    assert found["station"]["name"].to_pylist() == ["一号", "二号"]


def test_what_leads_to_a_person_lies_in_the_key_segment_alone(home: Home) -> None:
    home.backup()
    found = read_backup(home.folder, home.settings.keys / "backup-identity.key")
    assert not {"lookup", "wrapped_salt", "epoch"} & set(found["subject"].column_names)
    segment = found["keys"].to_pylist()
    salts = [(r["subject_id"], r["lookup"], r["epoch"]) for r in segment if r["kind"] == "salt"]
    query = "SELECT uuid_send(subject_id), uuid_send(lookup), epoch FROM subject ORDER BY 1"
    assert sorted(salts) == home.ask(query)
    graves = [(r["token"], r["reason"]) for r in segment if r["kind"] == "tombstone"]
    assert graves == home.ask("SELECT uuid_send(token), reason FROM tombstone")
    everything = b"".join(
        repr(column.to_pylist()).encode()
        for name, table in found.items()
        if name != "keys"
        for column in table.columns
    )
    assert not [lookup for _, lookup, _ in salts if repr(lookup)[2:-1].encode() in everything]


AGE_IS_MISSING = "not checked: the stock age tool is missing (Debian package: apt-get install age)"


def identity_text(identity_file: Path) -> str:
    """The identity as the docs say to take it out of the key file."""
    return base64.b64decode(json.loads(identity_file.read_text())["key"]).decode() + "\n"


@pytest.fixture
def age_tool(home: Home, tmp_path: Path) -> Callable[[Path], bytes]:
    """A function that decrypts a file with the program ``age`` and nothing of ours."""
    program = shutil.which("age")
    if program is None:
        pytest.fail(AGE_IS_MISSING)
    identity = tmp_path / "identity.txt"
    identity.touch(0o600)
    identity.write_text(identity_text(home.settings.keys / "backup-identity.key"))

    def decrypt(path: Path) -> bytes:
        command = [program, "--decrypt", "--identity", str(identity), str(path)]
        return subprocess.run(command, check=True, capture_output=True).stdout

    return decrypt


def test_the_stock_age_tool_opens_every_file(
    home: Home, age_tool: Callable[[Path], bytes], tmp_path: Path
) -> None:
    home.backup()
    [manifest] = (home.folder / "manifests").iterdir()
    said = json.loads(age_tool(manifest).split(b"\n")[0])
    rows = 0
    for part in said["parts"]:
        plain = tmp_path / "part.parquet"
        plain.write_bytes(age_tool(home.folder / part["object"]))
        rows += pq.ParquetFile(plain).metadata.num_rows
        assert len(pd.read_parquet(plain)) == part["rows"]
    assert rows == sum(said["tables"].values())
    segment = age_tool(home.folder / said["keys"][0]["name"])
    assert pq.read_table(io.BytesIO(segment)).num_rows == 13


def test_the_stock_age_tool_refuses_another_identity(
    home: Home, age_tool: Callable[[Path], bytes], tmp_path: Path
) -> None:
    home.backup()
    (tmp_path / "identity.txt").write_text(str(pyrage.x25519.Identity.generate()) + "\n")
    [manifest] = (home.folder / "manifests").iterdir()
    with pytest.raises(subprocess.CalledProcessError):
        age_tool(manifest)
