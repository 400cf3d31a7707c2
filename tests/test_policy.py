"""The shipped policy holds together, and each way of not doing so is refused with its place."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from safehands.errors import PolicyError
from safehands.policy import Policy, load_policy
from safehands.settings import Settings

SHIPPED = Settings.read({}).policy


NAMES = ("fields", "purposes", "retention", "codes", "sources")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "policy"))


def edit(folder: Path, name: str, change: Callable[[Any], None]) -> None:
    path = folder / f"{name}.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")


def refused(folder: Path) -> PolicyError:
    with pytest.raises(PolicyError) as caught:
        load_policy(folder)
    assert all(caught.value.say(lang) for lang in ("zh", "en"))
    return caught.value


def parcel_field(content: Any, **changes: Any) -> None:
    content["datasets"]["parcels"]["fields"]["shelf"].update(changes)


@pytest.mark.parametrize(
    ("name", "change", "key"),
    [
        ("fields", lambda c: parcel_field(c, purposes=["fun"]), "policy.unknown_name"),
        ("fields", lambda c: parcel_field(c, keep_for="ever"), "policy.unknown_name"),
        ("fields", lambda c: parcel_field(c, codes="nope"), "policy.unknown_name"),
        ("fields", lambda c: parcel_field(c, purposes=[]), "policy.purpose_and_drop"),
        ("fields", lambda c: parcel_field(c, treatment="drop"), "policy.purpose_and_drop"),
        ("fields", lambda c: parcel_field(c, treatment="frame"), "policy.invalid"),
        ("fields", lambda c: parcel_field(c, grade=5), "policy.invalid"),
        ("fields", lambda c: parcel_field(c, surprise=1), "policy.invalid"),
        ("fields", lambda c: parcel_field(c, label={"zh": "架"}), "policy.invalid"),
        ("fields", lambda c: c.pop("datasets"), "policy.invalid"),
        (
            "fields",
            lambda c: c["datasets"]["parcels"]["required"].append("nope"),
            "policy.unknown_name",
        ),
        (
            "fields",
            lambda c: c["datasets"]["preferences"]["any_of"].append("nope"),
            "policy.unknown_name",
        ),
        ("purposes", lambda c: c["purposes"].pop("custody"), "policy.unknown_name"),
        ("purposes", lambda c: c["purposes"]["custody"].update(basis=8), "policy.invalid"),
        ("retention", lambda c: c["rules"].pop("never_collected"), "policy.missing_rule"),
        ("retention", lambda c: c["rules"].pop("pickup_record"), "policy.unknown_name"),
        (
            "retention",
            lambda c: c["rules"].update(mine=c["rules"]["quarantine"]),
            "policy.unknown_rule",
        ),
        ("retention", lambda c: c["rules"]["quarantine"].update(keep_days=-1), "policy.invalid"),
        ("retention", lambda c: c["rules"]["quarantine"].update(kind="X"), "policy.invalid"),
        ("retention", lambda c: c.pop("reissue_after_days"), "policy.invalid"),
        ("codes", lambda c: c["codes"].pop("status"), "policy.unknown_name"),
        ("codes", lambda c: c.update(codes=[1]), "policy.invalid"),
        ("codes", lambda c: c.pop("codes"), "policy.invalid"),
        ("sources", lambda c: c["aliases"]["parcels"].update(nope=["x"]), "policy.unlabelled"),
        ("sources", lambda c: c["aliases"].update(goods={}), "policy.unknown_name"),
        ("sources", lambda c: c["ambiguous"]["parcels"].update(x="nope"), "policy.unlabelled"),
        ("sources", lambda c: c["ambiguous"].update(goods={}), "policy.unknown_name"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    folder: Path, name: str, change: Callable[[Any], None], key: str
) -> None:
    edit(folder, name, change)
    assert refused(folder).key == key


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("content", [b"", b"- 1", b"a: [", b"\xff\xfe\x00"])
def test_an_unreadable_file_is_named(folder: Path, name: str, content: bytes) -> None:
    (folder / f"{name}.yaml").write_bytes(content)
    error = refused(folder)
    assert (error.key, error.params["file"]) == ("policy.unreadable", f"{name}.yaml")


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / f"{name}.yaml").unlink()
    assert refused(folder).params["file"] == f"{name}.yaml"


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"code,province\n1,x\n",
        b"a,b\n",
        b"\xff\xfe",
        b"code,province,city,district\nx,a,b,c\n",
    ],
)
def test_a_table_of_districts_that_cannot_be_used_is_named(
    folder: Path, content: bytes | None
) -> None:
    path = folder / "divisions.csv"
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    error = refused(folder)
    assert (error.key, error.params["file"]) == ("policy.unreadable_divisions", "divisions.csv")


# What judges a night and decides nothing about its rows: a new text of a law must not read every
# export again. The rule book has a digest of its own.
JUDGES = {
    "alerts.yaml",
    "logins.yaml",
    "agreements.yaml",
    "contacts.yaml",
    "sharing.yaml",
    "incidents.yaml",
    "backup.yaml",
    "consent.yaml",
    "notices.yaml",
    "rights.yaml",
    "gates.yaml",
    "matrix.yaml",
    "organisation.yaml",
    "pipia.yaml",
    "transfer.yaml",
    "threats.yaml",
    "rulebook",
}


def test_the_digest_follows_every_byte_of_every_file_that_decides(folder: Path) -> None:
    digests = {load_policy(folder).digest, load_policy(SHIPPED).digest}
    assert len(digests) == 1
    deciding = [path for path in sorted(folder.iterdir()) if path.name not in JUDGES]
    for path in deciding:
        original = path.read_bytes()
        path.write_bytes(original + b"\n")
        digests.add(load_policy(folder).digest)
        path.write_bytes(original)
    assert len(digests) == 1 + len(deciding)


def test_the_digest_leaves_out_what_only_judges(folder: Path) -> None:
    before = load_policy(folder).digest
    for path in folder.rglob("*.yaml"):
        if path.name in JUDGES or path.parent.name == "rulebook":
            path.write_bytes(path.read_bytes() + b"\n")
    assert load_policy(folder).digest == before


# The shipped policy.


def test_no_word_means_two_things_within_a_list(policy: Policy) -> None:
    for name, codes in policy.codes.items():
        words = [w.casefold() for code in codes.entries.values() for w in code.words]
        assert len(words) == len(set(words)), name


def test_every_list_that_a_field_uses_has_an_entry_for_what_is_not_known(policy: Policy) -> None:
    used = {f.codes for d in policy.datasets.values() for f in d.fields.values() if f.codes}
    for name in used:
        assert 0 in policy.codes[name].entries
        assert all(0 <= number < 2**15 for number in policy.codes[name].entries)


def test_tags_fit_the_bits_that_hold_them(policy: Policy) -> None:
    assert all(1 <= number <= 15 for number in policy.codes["remark_tag"].entries)


def test_a_label_falls_back_to_not_known(policy: Policy) -> None:
    carriers = policy.codes["carrier"]
    assert carriers.label(1, "zh") == "顺丰"
    assert carriers.label(12345, "en") == carriers.label(0, "en") == "unknown"
    assert carriers.by_word["sf"] == 1


def test_no_header_wording_is_claimed_twice(policy: Policy) -> None:
    for dataset, aliases in policy.sources.aliases.items():
        wordings = [w for words in aliases.values() for w in words]
        wordings += policy.sources.ambiguous.get(dataset, {})
        assert len(wordings) == len(set(wordings)), dataset


def test_what_is_most_sensitive_is_dropped(policy: Policy) -> None:
    for dataset in policy.datasets.values():
        for name, rule in dataset.fields.items():
            if rule.sensitive or rule.category == "third_person":
                assert rule.treatment == "drop", name


def test_district_codes_are_unique_and_of_six_digits(policy: Policy) -> None:
    codes = [row[0] for row in policy.divisions]
    assert len(codes) == len(set(codes)) > 2800
    assert all(100_000 <= code <= 999_999 for code in codes)
