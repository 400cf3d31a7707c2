"""A landing folder of many owners with one station and a few parcels each."""

from __future__ import annotations

from pathlib import Path

import yaml

__all__ = ["many_owners"]

_HEADER = "运单号,快递公司,收件人,收件人手机号,收件地址,取件码,货架号,状态,入库时间,取件时间"


def many_owners(landing: Path, owners: int, parcels: int = 2) -> list[str]:
    """Write ``stations.yaml`` and one export for each owner; return the stations' codes."""
    codes = [f"M{number:04}" for number in range(owners)]
    declared = []
    for number, code in enumerate(codes):
        (landing / code).mkdir(parents=True)
        lines = [
            f"SF{number:06}{one:07},顺丰,测试员,139{number:05}{one:03},广东省深圳市南山区测试路1号,1-2,"
            "A-01,已取件,2026-11-20 10:00:00,2026-11-20 18:00:00"
            for one in range(parcels)
        ]
        text = "\n".join([_HEADER, *lines]) + "\n"
        (landing / code / "parcels.csv").write_text(text, encoding="utf-8")
        declared.append(
            {
                "code": f"owner{number:04}",
                "name": f"owner{number:04}",
                "kind": "company",
                "record_sets": {
                    name: {"role": "handler"} for name in ("parcels", "customers", "preferences")
                },
                "stations": [{"code": code, "name": code, "folder": code}],
            }
        )
    text = yaml.safe_dump({"controllers": declared}, allow_unicode=True, sort_keys=False)
    (landing / "stations.yaml").write_text(text, encoding="utf-8")
    return codes
