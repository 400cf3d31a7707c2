"""What lineage tells is policy's: every column it names is there, what is dropped is nowhere."""

from __future__ import annotations

from itertools import pairwise

from sqlalchemy import text

from safehands.lineage import flow
from safehands.policy import Policy
from safehands.store import Store

RECORD = {"key": "owner-1-1", "controller": "owner-1", "files": [{"path": "张三 13800138000.csv"}]}
HANDOFF = {"shard": RECORD}


def test_every_column_of_the_store_that_it_names_is_there(policy: Policy, store: Store) -> None:
    with store.admin().connect() as connection:
        rows = connection.execute(
            text("SELECT table_name, column_name FROM information_schema.columns")
        )
        there = {(str(row[0]), str(row[1])) for row in rows}
    found = flow(policy, "pseudonymise", HANDOFF, {"counts": {"out": 3}})
    named = {
        (node.name.removeprefix("store/"), column)
        for node in found.outputs
        for column in node.origins
    }
    assert named <= there
    assert {table for table, _ in named} == {"subject", "parcel", "custody", "preference"}
    assert {("subject", "lookup"), ("parcel", "district"), ("preference", "marketing")} <= named


def test_the_chain_holds_together(policy: Policy) -> None:
    steps = ("ingest", "validate", "minimise", "pseudonymise")
    flows = [flow(policy, step, RECORD if step == "ingest" else HANDOFF, None) for step in steps]
    for before, after in pairwise(flows):
        assert [n.name for n in before.outputs] == [n.name for n in after.inputs]
        for given, taken in zip(before.outputs, after.inputs, strict=True):
            assert given.columns == taken.columns
        there = {(node.name, column) for node in after.inputs for column in node.columns}
        for node in after.outputs:
            for origins in node.origins.values():
                assert {(one.dataset, one.column) for one in origins} <= there


def test_what_policy_drops_ends_at_the_door(policy: Policy) -> None:
    dropped = {
        (dataset, name)
        for dataset, table in policy.datasets.items()
        for name, rule in table.fields.items()
        if rule.treatment == "drop"
    }
    assert dropped
    door = flow(policy, "ingest", RECORD, None)
    for node in door.outputs:
        dataset = node.name.rpartition("/")[2]
        assert not {(dataset, column) for column in node.columns} & dropped
    store = flow(policy, "pseudonymise", HANDOFF, None)
    used = {
        (one.dataset.rpartition("/")[2], one.column)
        for node in store.outputs
        for origins in node.origins.values()
        for one in origins
    }
    assert not used & dropped


def test_every_direct_identifier_is_masked_in_the_store(policy: Policy) -> None:
    for node in flow(policy, "pseudonymise", HANDOFF, None).outputs:
        for origins in node.origins.values():
            for one in origins:
                rule = policy.datasets[one.dataset.rpartition("/")[2]].fields[one.column]
                if rule.type in ("name", "phone", "waybill", "address"):
                    assert one.masked, one.column


def test_verdicts_are_sums_over_stations(policy: Policy) -> None:
    line = {"dataset": "parcels", "rule": "parcels.phone_missing", "severity": "critical"}
    quality = [
        {**line, "station": "S1", "evaluated": 10, "failed": 1},
        {**line, "station": "S2", "evaluated": 5, "failed": 0},
    ]
    found = flow(policy, "validate", HANDOFF, {"counts": {}, "details": {"quality": quality}})
    [parcels] = [node for node in found.inputs if node.name.endswith("/parcels")]
    [verdict] = parcels.verdicts
    assert (verdict.rule, verdict.evaluated, verdict.failed) == ("parcels.phone_missing", 15, 1)


def test_no_file_is_named(policy: Policy) -> None:
    for step in ("ingest", "validate", "minimise", "pseudonymise"):
        found = flow(policy, step, RECORD if step == "ingest" else HANDOFF, None)
        assert "138" not in repr(found)
        assert "张" not in repr(found)
