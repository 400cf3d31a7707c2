"""Addresses are reduced to the official district, and never guessed."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from safehands.minimise.divisions import UNKNOWN, Gazetteer
from safehands.policy import load_policy

ROOT = Path(__file__).resolve().parents[2]
POLICY = load_policy(ROOT / "include" / "policy")
GAZETTEER = Gazetteer(POLICY.divisions)


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("广东省深圳市南山区科技路1号", 440305),
        ("深圳市南山区粤海街道", 440305),
        ("广东 深圳市 福田区 福华路", 440304),
        ("北京市朝阳区菜市口", 110105),
        ("北京市市辖区朝阳区建国路", 110105),
        ("浙江省杭州市西湖区文一路", 330106),
        ("上海市浦东新区张江", 310115),
        ("新疆维吾尔自治区乌鲁木齐市天山区", 650102),
        ("内蒙古自治区锡林郭勒盟锡林浩特市", 152502),
        ("恩施土家族苗族自治州恩施市", 422801),
        ("湖北恩施市", 422801),
        ("海南省五指山市", 469001),
        ("江苏省苏州市昆山市花桥镇", 320583),
        ("广西壮族自治区南宁市青秀区", 450103),
        ("余杭区仓前", 330110),
    ],
)
def test_known_forms_of_an_address_give_their_district(address: str, code: int) -> None:
    assert GAZETTEER.codes(pa.array([address])).tolist() == [code]


@pytest.mark.parametrize("address", [None, "", "南山区科技园", "朝阳区一号", "某某路 5 号", "🙂"])
def test_what_does_not_say_its_city_is_unknown(address: str | None) -> None:
    assert GAZETTEER.codes(pa.array([address], pa.string())).tolist() == [UNKNOWN]


def test_every_official_district_is_found_under_its_full_name() -> None:
    full = [f"{p}{c if c != '市辖区' else ''}{d}长江路" for _, p, c, d in POLICY.divisions]
    found = GAZETTEER.codes(pa.array(full)).tolist()
    wrong = [row for row, code in zip(POLICY.divisions, found, strict=True) if row[0] != code]
    assert len(wrong) < 0.02 * len(POLICY.divisions), wrong
    guessed = [row for row, code in zip(POLICY.divisions, found, strict=True) if code]
    misread = [row for row in wrong if row in guessed]
    assert misread == []
