"""Small plain exports of two owners, for nights in which something else is the matter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import yaml

__all__ = ["HEADER", "STATIONS", "lay", "parcels"]

HEADER = (
    "运单号",
    "快递公司",
    "收件人",
    "收件人手机号",
    "收件地址",
    "状态",
    "入库时间",
    "取件时间",
)
STATIONS = {"north": "N001", "south": "S001"}
"""Owner → its one station."""


def parcels(day: date, prefix: str, count: int = 40) -> list[Sequence[Any]]:
    """Return a header and parcels that were collected on ``day`` by people of their own.

    ``prefix`` (four digits, ``1`` first) begins their phones and makes their waybills unique.
    """
    rows: list[Sequence[Any]] = [
        (
            *(f"SF{prefix}{i:09}", "顺丰速运", f"旧客{i}", f"{prefix}{i:07}", "南山区旧路3号"),
            *("已取件", f"{day} 09:00:00", f"{day} 18:00:00"),
        )
        for i in range(count)
    ]
    return [HEADER, *rows]


def lay(landing: Path, files: Mapping[str, bytes]) -> None:
    """Write ``stations.yaml`` and the files; a station's folder has its code as name."""
    owners = [
        {
            "code": owner,
            "name": owner,
            "record_sets": {
                name: {"role": "handler"} for name in ("parcels", "customers", "preferences")
            },
            "stations": [{"code": code, "name": code, "folder": code}],
        }
        for owner, code in STATIONS.items()
    ]
    for code in STATIONS.values():
        (landing / code).mkdir(parents=True, exist_ok=True)
    declared = yaml.safe_dump({"controllers": owners}, sort_keys=False)
    (landing / "stations.yaml").write_text(declared, encoding="utf-8")
    for name, content in files.items():
        (landing / name).write_bytes(content)
