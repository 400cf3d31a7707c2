"""What the sample says of itself is what the real steps find in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from safehands.artifacts import read_artifact
from safehands.datasets import Handoff, Shard
from safehands.ingest import ingest, inventory
from safehands.keys import RunKey
from safehands.minimise import minimise
from safehands.night import Night
from safehands.policy import load_policy
from safehands.sample import SampleFacts
from safehands.settings import Settings
from safehands.stations import load_register
from safehands.validate import validate

DAY = date(2026, 11, 23)


@pytest.fixture(scope="module")
def facts(sample: tuple[Path, SampleFacts]) -> SampleFacts:
    return sample[1]


@pytest.fixture(scope="module")
def night(sample: tuple[Path, SampleFacts], tmp_path_factory: pytest.TempPathFactory) -> Night:
    home = tmp_path_factory.mktemp("chain")
    settings = Settings.read({}, home=str(home), landing=str(sample[0]))
    return Night("test", DAY, settings, load_policy(settings.policy), RunKey("test", bytes(32)))


@pytest.fixture(scope="module")
def steps(night: Night) -> dict[str, list[Handoff]]:
    """Return the handoffs of ingest, validate and minimise per owner."""
    return {shard.controller: list(_chain(shard, night)) for shard in _shards(night)}


def _shards(night: Night) -> Iterator[Shard]:
    register = load_register(night.settings.landing, tuple(night.policy.datasets))
    files = inventory(night.settings.landing, register)
    for controller in register.controllers:
        codes = {station.code for station in controller.stations}
        own = tuple(file for file in files if file.station in codes)
        yield Shard(controller.code, controller.code, own)


def _chain(shard: Shard, night: Night) -> Iterator[Handoff]:
    handoff = ingest(shard, night)
    yield handoff
    for step in (validate, minimise):
        handoff = step(handoff, night)
        yield handoff


def test_no_file_of_the_sample_is_refused(steps: dict[str, list[Handoff]]) -> None:
    assert {code: dict(chain[-1].problems) for code, chain in steps.items()} == {
        "lihua": {},
        "antai": {},
    }


def test_ingest_reads_each_row(facts: SampleFacts, steps: dict[str, list[Handoff]]) -> None:
    read = {p: f for chain in steps.values() for p, f in chain[0].details["files"].items()}
    for file in facts.files:
        records = read[file.path]["read"] - read[file.path]["skipped"]
        assert records == sum(file.rows.values()), file.path


def test_each_rule_finds_the_planted_rows(
    facts: SampleFacts, steps: dict[str, list[Handoff]]
) -> None:
    found: Counter[str] = Counter()
    for chain in steps.values():
        found.update({**chain[0].reasons, **chain[1].reasons})
    assert dict(found) == facts.expected


def test_minimise_finds_the_expired_rows(
    facts: SampleFacts, steps: dict[str, list[Handoff]]
) -> None:
    for code, prefix in (("lihua", "SZ"), ("antai", "HZ")):
        expected = sum(f.expired for f in facts.files if f.station.startswith(prefix))
        assert steps[code][2].counts["expired"] == expected


def test_owners_end_up_with_the_stated_parcels_and_people(
    facts: SampleFacts, steps: dict[str, list[Handoff]], night: Night
) -> None:
    for code, owner in facts.owners.items():
        artifacts = steps[code][2].artifacts
        tables = {n: read_artifact(a, night.key) for n, a in artifacts.items() if n != "quarantine"}
        numbers = [t["receiver_phone"].drop_null().to_pylist() for t in tables.values()]
        parcels = tables["parcels"]
        waybills = np.unique(parcels["waybill_no"].to_numpy(), return_index=True)[1]
        assert len(waybills) == owner.parcels
        assert pc.sum(parcels["in_custody"].take(waybills)).as_py() == owner.in_custody
        assert len({n for column in numbers for n in column}) == owner.people
        assert len(pc.unique(tables["preferences"]["receiver_phone"])) == owner.preferences


def test_nearly_all_addresses_have_an_official_district(
    steps: dict[str, list[Handoff]], night: Night
) -> None:
    table = read_artifact(steps["lihua"][2].artifacts["parcels"], night.key)
    assert pc.sum(pc.equal(table["district"], 0)).as_py() == 0


def test_words_of_codes_are_all_known(steps: dict[str, list[Handoff]]) -> None:
    files = [f for chain in steps.values() for f in chain[0].details["files"].values()]
    assert [f["unknown_codes"] for f in files] == [{}] * 4


def test_the_hidden_sheet_and_undeclared_columns_are_there_to_be_left_out(
    steps: dict[str, list[Handoff]],
) -> None:
    files = {f["station"]: f for c in steps.values() for f in c[0].details["files"].values()}
    assert files["SZ002"]["hidden_sheets"] == 1
    assert files["SZ002"]["undeclared"] == 1
    assert "id_number" in files["SZ002"]["dropped"]
