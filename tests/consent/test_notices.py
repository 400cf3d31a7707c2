"""A notice says what law asks, follows policy, and two of them say what changed between them."""

from __future__ import annotations

import copy
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from consent_office import FIRST, Office

from nights import NOW
from safehands.errors import PolicyError
from safehands.notices import (
    current,
    difference,
    html,
    load_consent_book,
    load_notice_book,
    missing,
    publish,
    sms,
    versions,
)
from safehands.notices.compose import ITEMS
from safehands.notices.render import SEGMENT
from safehands.policy import Policy


def published(office: Office, document: dict[str, Any], day: date) -> tuple[int, bool]:
    return publish(office.inst.store, document, day, "wang.li", NOW)


def test_every_purpose_field_and_period_of_policy_is_in_it(office: Office) -> None:
    document, policy = office.document(), office.inst.policy
    assert [one["id"] for one in document["purposes"]] == list(policy.purposes)
    assert {one["id"] for one in document["retention"]} == set(policy.retention)
    kept = {
        name
        for dataset in policy.datasets.values()
        for name, rule in dataset.fields.items()
        if rule.treatment != "drop" and rule.purposes
    }
    assert {one["id"] for one in document["collected"]} == kept
    assert missing(document) == []


@pytest.mark.parametrize("item", ITEMS)
def test_a_notice_that_lacks_an_item_is_not_published(office: Office, item: str) -> None:
    document = {**office.document(), item: ""}
    with pytest.raises(PolicyError) as problem:
        published(office, document, FIRST)
    assert problem.value.params == {"items": item}


def test_the_same_notice_is_one_version(office: Office) -> None:
    assert published(office, office.document(), FIRST) == (1, False)
    changed = office.document(contact="0755-1111")
    assert published(office, changed, date(2026, 12, 1)) == (2, True)
    owner = office.world.owner().id
    with office.inst.store.begin(controller=owner) as connection:
        assert [one.number for one in versions(connection, owner)] == [1, 2]
        held = [current(connection, owner, day) for day in (date(2026, 11, 30), date(2026, 12, 1))]
        assert [one.number for one in held if one] == [1, 2]
        assert current(connection, owner, date(2026, 10, 31)) is None


def test_what_changed_and_who_has_to_be_asked_again(office: Office) -> None:
    old = office.document()
    new = copy.deepcopy(old)
    new["contact"] = "0755-2222"
    by_id = {one["id"]: one for one in new["purposes"]}
    by_id["marketing"]["terms"] = "another"
    by_id["custody"]["terms"] = "another"
    new["purposes"].append({**by_id["marketing"], "id": "survey"})
    new["purposes"] = [one for one in new["purposes"] if one["id"] != "operations"]
    found = {(c.item, c.name): (c.what, c.fresh_consent) for c in difference(old, new)}
    assert found == {
        ("contact", ""): ("changed", False),
        ("purposes", "operations"): ("removed", False),
        ("purposes", "custody"): ("changed", False),
        ("purposes", "marketing"): ("changed", True),
        ("purposes", "survey"): ("added", True),
    }
    assert difference(old, old) == []


def test_the_text_message_is_short(office: Office) -> None:
    for lang in ("zh", "en"):
        message = sms(office.document(), "example.cn/n", lang)
        assert "0755-0000" in message
        assert "example.cn/n" in message
    assert len(sms(office.document(), "example.cn/n", "zh")) <= 3 * SEGMENT


def test_the_page_stands_alone_in_both_languages(office: Office) -> None:
    page = html(office.document(), 1, FIRST)
    assert b"http" not in page.replace(b"http-equiv", b"")
    for sentence in ("个人信息处理规则", "Privacy notice", "第 1 版", "0755-0000"):
        assert sentence.encode() in page
    assert "草稿" in html(office.document(), None, FIRST).decode()


def test_policy_that_names_nothing_known_is_refused(
    office: Office, policy: Policy, tmp_path: Path
) -> None:
    folder = office.inst.settings.policy
    for name, old, new, load in (
        ("consent.yaml", "  marketing: {rows", "  selling: {rows", load_consent_book),
        ("consent.yaml", "methods: [statistics]", "methods: [nonsense]", load_consent_book),
        ("notices.yaml", "collected_at]", "nonsense]", load_notice_book),
    ):
        text = (folder / name).read_text(encoding="utf-8")
        assert old in text
        (tmp_path / name).write_text(text.replace(old, new), encoding="utf-8")
        with pytest.raises(PolicyError):
            load(tmp_path, policy)


def test_a_recipient_is_told_with_contact_and_method_and_an_older_notice_still_shows(
    office: Office,
) -> None:
    document = office.document()
    (one,) = document["recipients"]
    page = html(document, 1, FIRST)
    assert all(one[item]["zh"].encode() in page for item in ("contact", "method"))
    del one["contact"], one["method"]
    assert one["who"]["zh"].encode() in html(document, 1, FIRST)


def test_sensitive_information_is_told_with_necessity_and_impact(office: Office) -> None:
    """PIPL 30: children are told of always, a kept field only with words of its own."""
    document = office.document()
    [children] = document["sensitive"]
    assert children["id"] == "children"
    page = html(document, 1, FIRST).decode()
    for lang in ("zh", "en"):
        assert children["necessity"][lang] in page.replace("&#39;", "'")
        assert children["impact"][lang] in page
    assert "身份证号" in page
    assert "身份证照片" in page
    office.inst.policy = office.inst.policy.model_copy(deep=True)
    fields = office.inst.policy.datasets["customers"].fields
    kept = fields["receiver_name"].model_copy(update={"sensitive": True})
    fields["receiver_name"] = kept
    told = office.document()
    assert [one["id"] for one in told["sensitive"]] == ["children", "receiver_name"]
    with pytest.raises(PolicyError) as problem:
        published(office, told, FIRST)
    assert problem.value.params == {"items": "sensitive"}


def test_the_rule_for_children_names_its_days(office: Office) -> None:
    page = html(office.document(), 1, FIRST).decode()
    assert "隔离 15 天后销毁" in page
    assert "destroyed after 15 days" in page


def test_a_new_recipient_on_consent_is_asked_for_and_a_new_number_is_not(office: Office) -> None:
    old = office.document()
    new = copy.deepcopy(old)
    [courier] = new["recipients"]
    courier["fields"] = courier["fields"][:1]
    buyer = {**courier, "id": "接手的经营者", "basis": 1}
    new["recipients"].append(buyer)
    found = {c.name: (c.what, c.fresh_consent) for c in difference(old, new)}
    assert found == {courier["id"]: ("changed", False), buyer["id"]: ("added", True)}
    later = copy.deepcopy(new)
    later["recipients"][1]["contact"] = {"zh": "0755-9", "en": "0755-9"}
    assert [c.fresh_consent for c in difference(new, later)] == [False]
    later["recipients"][1]["method"] = {"zh": "电话", "en": "by phone"}
    assert [c.fresh_consent for c in difference(new, later)] == [True]
    # A notice from before recipients had a basis and an id compares too.
    for one in old["recipients"]:
        del one["id"], one["basis"]
    assert [c.fresh_consent for c in difference(old, new)] == [False, True]
