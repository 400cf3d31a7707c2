"""Reading and writing tables: as pandas reads them, and one clear error for what cannot be read."""

from __future__ import annotations

import stat
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from safehands.errors import (
    BadInput,
    EmptyFile,
    PolicyError,
    SafehandsError,
    TruncatedFile,
    WrongEncoding,
    WrongFileType,
)
from safehands.risk import group, read_table, write_table

SECRET = "zzz-secret"


def _csv(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "table.csv"
    path.write_bytes(text.encode(encoding))
    return path


QUIRKS = """n,float,flag,text,day,mixed,gap
07,1.0,True,07a,2024-01-02,1,5
7,1,False,x,2024-01-02 10:00,a,
8,2.5,True,NA,2024-01-03,,6
"""


def test_cells_are_read_as_pandas_reads_them(tmp_path: Path) -> None:
    path = _csv(tmp_path, QUIRKS)
    names = ["n", "float", "flag", "text", "day", "mixed", "gap"]
    found = read_table(path, names)
    expected = pa.Table.from_pandas(pd.read_csv(path), preserve_index=False)
    assert found.select(names).to_pydict() == expected.to_pydict()
    # 07 equals 7 and 1.0 equals 1; dates are text; NA is missing.
    assert len(group(found, ["n"])) == 2
    assert len(group(found, ["float"])) == 2
    assert len(group(found, ["day"])) == 3
    assert found.column("text").null_count == 1


def test_columns_named_as_text_keep_their_zeros(tmp_path: Path) -> None:
    found = read_table(_csv(tmp_path, QUIRKS), ["n", "gap"], text={"n"})
    assert found.column("n").to_pylist() == ["07", "7", "8"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_delimiters_and_encodings(tmp_path: Path, delimiter: str, encoding: str) -> None:
    text = f'区县{delimiter}"性别"\r\n海淀{delimiter}女\r\n朝阳{delimiter}男\r\n'
    found = read_table(_csv(tmp_path, text, encoding), ["性别", "区县"])
    assert found.column_names == ["性别", "区县"]
    assert found.column("区县").to_pylist() == ["海淀", "朝阳"]


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    table = pa.table({"a": ["07", "7"], "b": [1, 2], "c": [1, 2]})
    pq.write_table(table, tmp_path / "t.dat")
    found = read_table(tmp_path / "t.dat", ["b", "a"])
    assert found.to_pydict() == {"b": [1, 2], "a": ["07", "7"]}


BROKEN: list[tuple[bytes, type[SafehandsError], int, str]] = [
    (b"", EmptyFile, 23, "risk.no_rows"),
    (b"\n \n", EmptyFile, 23, "risk.no_rows"),
    (b"a,b\n", EmptyFile, 23, "risk.no_rows"),
    (b"PK\x03\x04rest", WrongFileType, 26, "risk.not_a_table"),
    (b"a,b\n\0\0,1\n", WrongFileType, 26, "risk.not_a_table"),
    (b"a,b\n\xff\xff\xfe,1\n", WrongEncoding, 25, "risk.encoding"),
    (f"a,b\n1,2\n{SECRET},2,3\n".encode(), TruncatedFile, 24, "risk.ragged"),
    (f'a,b\n1,"{SECRET}\n'.encode(), TruncatedFile, 24, "risk.ragged"),
    (b"PAR1" + b"x" * 40, TruncatedFile, 24, "risk.broken_parquet"),
    (b"b,c\n1,2\n", PolicyError, 10, "risk.unknown_column"),
    (b"a,a\n1,2\n", PolicyError, 10, "risk.ambiguous_column"),
]


@pytest.mark.parametrize(("content", "kind", "code", "key"), BROKEN)
def test_what_cannot_be_read_says_why(
    tmp_path: Path, content: bytes, kind: type[SafehandsError], code: int, key: str
) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(SafehandsError) as caught:
        read_table(path, ["a"])
    assert (type(caught.value), caught.value.exit_code, caught.value.key) == (kind, code, key)
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_ragged_line_is_named_by_its_number(tmp_path: Path) -> None:
    with pytest.raises(TruncatedFile) as caught:
        read_table(_csv(tmp_path, "a,b\n1,2\n3,4,5\n"), ["a"])
    assert caught.value.params["line"] == "3"


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(BadInput) as caught:
            read_table(path, ["a"])
        assert caught.value.key == "risk.no_file"


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_a_written_table_reads_back_and_is_for_its_owner_only(tmp_path: Path, name: str) -> None:
    table = pa.table({"a": ["x,y", 'q"', None], "b": [1, 2, 3]})
    write_table(table, tmp_path / name)
    assert read_table(tmp_path / name, ["a", "b"]).to_pydict() == table.to_pydict()
    assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == [name]
