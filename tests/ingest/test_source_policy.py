"""A file that waits is read once its owner has said what its columns are."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from ingest_door import PHONE, Door, csv_text, rows, xlsx

from safehands.errors import PolicyError
from safehands.ingest.propose import Proposal, propose
from safehands.ingest.tables import Line
from safehands.policy import Policy, load_policy
from safehands.settings import Settings
from safehands.sourcepolicy import SourcePolicy, load_sources, write

ODD = ["面单", "谁的", "号码", "到了", "多重", "情况", "说明栏"]


def proposed(table: list[list[str]], policy: Policy) -> Proposal:
    head = [Line(row, tuple(cells)) for row, cells in enumerate(table, 1)]
    return propose(head, policy)


def confirmed(door: Door, source: SourcePolicy) -> Door:
    """The same door with the source policy confirmed."""
    folder = door.night.settings.mappings
    write(source.model_copy(update={"confirmed": True}), folder)
    policy = load_policy(door.night.settings.policy, folder)
    return Door(replace(door.night, policy=policy))


def people(count: int) -> list[list[str]]:
    return [[*row[:1], f"王小{'明红军霞伟'[i % 5]}", *row[2:]] for i, row in enumerate(rows(count))]


def test_unknown_wordings_are_proposed_by_value(door: Door) -> None:
    proposal = proposed([ODD, *people(40)], door.night.policy)
    assert (proposal.dataset, proposal.header_row, proposal.missing) == ("parcels", 1, ())
    fields = {c.column: (c.field, c.by) for c in proposal.columns}
    assert fields["A"] == ("waybill_no", "values")
    assert fields["B"] == ("receiver_name", "values")
    assert fields["C"] == ("receiver_phone", "values")
    assert fields["D"] == ("arrived_at", "values")
    assert all(0 < c.confidence < 0.9 for c in proposal.columns if c.by == "values")


def test_known_wordings_and_cells_are_surest(door: Door) -> None:
    header = ["运单号", "收件人", "收件人手机号", "入库时间", "重量(kg)", "状态", "备注"]
    proposal = proposed([header, *people(40)], door.night.policy)
    by = {c.column: c.by for c in proposal.columns}
    assert [by[c] for c in "ABCD"] == ["both"] * 4
    assert min(c.confidence for c in proposal.columns[:4]) > 0.9
    assert proposal.columns[6].by == "header"


def test_a_file_waits_until_its_columns_are_confirmed(door: Door) -> None:
    table = [ODD, *people(40)]
    door.put("a.csv", csv_text(table))
    assert [p.key for p in door.run().problems.values()] == ["ingest.no_header"]
    source = proposed(table, door.night.policy).source_policy("station", {})
    write(source, door.night.settings.mappings)
    assert load_policy(door.night.settings.policy, door.night.settings.mappings).mappings == ()
    found = confirmed(door, source).run()
    assert (found.counts["out"], found.problems) == (40, {})


def test_a_table_without_a_header(door: Door) -> None:
    table = people(40)
    door.put("a.csv", csv_text(table))
    assert door.run().problems
    proposal = proposed(table, door.night.policy)
    assert (proposal.header, proposal.header_row) == (False, 0)
    sure = confirmed(door, proposal.source_policy("station", {}))
    handoff = sure.run()
    assert (handoff.counts["out"], handoff.problems) == (40, {})
    assert [r["_row"] for r in sure.read(handoff)] == list(range(1, 41))


def test_a_workbook_without_a_header(door: Door) -> None:
    table = people(12)
    door.put("a.xlsx", xlsx(("A", table)))
    sure = confirmed(door, proposed(table, door.night.policy).source_policy("station", {}))
    assert sure.run().counts["out"] == 12


def test_what_one_station_confirmed_is_not_for_another(door: Door) -> None:
    table = [ODD, *people(40)]
    door.put("a.csv", csv_text(table))
    other = proposed(table, door.night.policy).source_policy("S002", {})
    assert confirmed(door, other).run().problems


def test_a_header_that_lies_is_settled_by_its_owner(door: Door) -> None:
    header = ["运单号", "收件人手机号", "收件人", "入库时间", "重量(kg)", "状态", "备注"]
    table = [header, *people(40)]
    door.put("a.csv", csv_text(table))
    [problem] = door.run().problems.values()
    assert problem.key == "ingest.header_and_cells"
    assert problem.params["seen"] in {"字字字 100 %", "1xx-xxxx-xxxx 100 %"}
    assert PHONE not in json.dumps(problem.params)
    proposal = proposed(table, door.night.policy)
    assert {c.column for c in proposal.conflicts} == {"B", "C"}
    fields = {"B": "receiver_name", "C": "receiver_phone"}
    sure = confirmed(door, proposal.source_policy("station", fields))
    found = sure.read(sure.run())
    assert found[0]["receiver_name"] == "王小明"
    assert found[0]["receiver_phone"] == "13810000000"


def test_cells_that_change_later_wait_again(door: Door) -> None:
    table = [ODD, *people(40)]
    source = proposed(table, door.night.policy).source_policy("station", {})
    swapped = [ODD, *([r[0], r[2], r[1], *r[3:]] for r in people(40))]
    door.put("a.csv", csv_text(swapped))
    [problem] = confirmed(door, source).run().problems.values()
    assert problem.key == "ingest.header_and_cells"


def test_only_what_is_confirmed_changes_the_digest(tmp_path: Path, door_policy: Policy) -> None:
    folder, policy = tmp_path / "mappings", Settings.read({}).policy
    source = proposed([ODD, *people(9)], door_policy).source_policy("station", {})
    write(source, folder)
    assert load_policy(policy, folder).digest == door_policy.digest
    write(source.model_copy(update={"confirmed": True}), folder)
    changed = load_policy(policy, folder).digest
    assert changed != door_policy.digest
    later = source.model_copy(update={"confirmed": True, "confirmed_on": "2026-11-24"})
    write(later, folder)
    assert load_policy(policy, folder).digest == changed


def test_what_is_confirmed_concerns_its_station_and_header_only(
    tmp_path: Path, door_policy: Policy
) -> None:
    source = proposed([ODD, *people(9)], door_policy).source_policy("station", {})
    write(source.model_copy(update={"confirmed": True}), tmp_path)
    policy = load_policy(Settings.read({}).policy, tmp_path)
    assert policy.base == door_policy.digest
    assert policy.digest_for("station", ["0" * 16]) == policy.base
    assert policy.digest_for("S002", [source.fingerprint]) == policy.base
    assert policy.digest_of_waiting("S002") == policy.base
    read = policy.digest_for("station", ["0" * 16, source.fingerprint])
    waits = policy.digest_of_waiting("station")
    assert len({policy.base, read, waits}) == 3


def test_a_source_policy_that_is_wrong_is_named(tmp_path: Path, door_policy: Policy) -> None:
    source = proposed([ODD, *people(9)], door_policy).source_policy("station", {"A": "nonsense"})
    write(source.model_copy(update={"confirmed": True}), tmp_path)
    with pytest.raises(PolicyError):
        load_policy(Settings.read({}).policy, tmp_path)
    (tmp_path / source.file_name).write_text("columns: [", encoding="utf-8")
    with pytest.raises(PolicyError) as caught:
        load_sources(tmp_path)
    assert caught.value.params["file"] == source.file_name


def test_nothing_of_a_cell_is_in_a_proposal(door: Door) -> None:
    table = people(40)
    everything = json.dumps(proposed(table, door.night.policy).as_dict(), ensure_ascii=False)
    for row in table:
        for cell in row:
            assert len(cell) < 3 or cell not in everything


def test_unusual_waybills_are_a_warning(door: Door) -> None:
    header = ["运单号", "收件人", "收件人手机号", "入库时间", "重量(kg)", "状态", "备注"]
    body = [[f"QQ{n:07}" if n < 3 else row[0], *row[1:]] for n, row in enumerate(people(12))]
    body = [[row[0].replace("SF", "SF123"), *row[1:]] for row in body]
    door.put("a.csv", csv_text([header, *body]))
    handoff = door.run()
    assert (handoff.counts["out"], handoff.problems) == (12, {})
    [file] = handoff.details["files"].values()
    assert file["sheets"][0]["unusual_waybills"] == 3
    assert proposed([header, *body], door.night.policy).unusual_waybills == 3
