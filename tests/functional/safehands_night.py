"""A small landing folder for functional tests: one station, forty parcels, no bad row."""

from __future__ import annotations

from pathlib import Path

__all__ = ["small_landing"]

HEADER = (
    "运单号,快递公司,收件人,收件人手机号,收件地址,取件码,库位,状态,重量(kg),入库时间,取件时间,备注"
)


def small_landing(landing: Path, parcels: int = 40, station: str = "shop") -> Path:
    """Write one CSV export and return its path. People repeat every ten parcels."""
    folder = landing / station
    folder.mkdir(parents=True, exist_ok=True)
    lines = [HEADER]
    for i in range(parcels):
        day = 1 + i % 22
        taken = f"2026-11-{day:02d} 18:00:00" if i % 8 else ""
        status = "已取件" if taken else "待取件"
        lines.append(
            f"SF{i:013d},顺丰,测试{'甲乙丙丁戊己庚辛壬癸'[i % 10]},1380000{i % 10:04d},"
            f"广东省深圳市南山区试验路{i % 10}号,1-2-{i:04d},A-01,{status},1.2,"
            f"2026-11-{day:02d} 10:00:00,{taken},"
        )
    path = folder / "ledger.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
