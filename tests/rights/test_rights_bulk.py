"""A file of requests is one run: understood whole, carried out where it can be, safe to repeat."""

from __future__ import annotations

from pathlib import Path

import pytest
from rights_desk import ANNA, BY, LATER, TWIN, Desk

from safehands.errors import BadInput
from safehands.rights.bulk import Bulk, Run, bulk
from safehands.rights.requests import list_requests

LINES = f"手机号,请求\n{ANNA},删除\n{TWIN},拒绝处理\n{LATER},access\n13999999999,delete\n"


def run(desk: Desk, path: Path, *, grant: bool = True) -> Bulk:
    seen: list[tuple[int, int]] = []
    drawn = iter(range(1, 100))
    found = bulk(
        desk.inst,
        desk.book,
        "A",
        path,
        Run("reply", "campaign 3", grant),
        BY,
        lambda n: next(drawn).to_bytes(n, "little"),
        desk.folder,
        lambda done, every: seen.append((done, every)),
    )
    assert [done for done, _ in seen] == list(range(1, len(seen) + 1))
    return found


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_what_changes_a_record_is_done_at_once(desk: Desk, tmp_path: Path) -> None:
    found = run(desk, write(tmp_path / "r.csv", LINES))
    assert found == Bulk(registered=3, repeated=0, unknown=1, done=2, failed=0)
    states = {one.kind: one.state for one in list_requests(desk.inst.store)}
    assert states == {"access": "registered", "delete": "done", "object": "done"}


def test_without_a_decision_everything_waits(desk: Desk, tmp_path: Path) -> None:
    found = run(desk, write(tmp_path / "r.csv", LINES), grant=False)
    assert (found.registered, found.done) == (3, 0)
    assert {one.state for one in list_requests(desk.inst.store)} == {"registered"}
    again = run(desk, tmp_path / "r.csv")
    assert (again.registered, again.repeated, again.done) == (0, 3, 2)


@pytest.mark.parametrize(("line", "column"), [("1380000,删除", "phone"), (f"{ANNA},也许", "kind")])
def test_a_line_that_is_not_understood_stops_the_file(
    desk: Desk, tmp_path: Path, line: str, column: str
) -> None:
    with pytest.raises(BadInput) as problem:
        run(desk, write(tmp_path / "r.csv", LINES + line + "\n"))
    assert problem.value.params == {"file": "r.csv", "row": 6, "column": column}
    assert list_requests(desk.inst.store) == []


def test_a_file_without_its_columns(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as problem:
        run(desk, write(tmp_path / "r.csv", "手机号\n13800000001\n"))
    assert problem.value.key == "consent.no_column"
