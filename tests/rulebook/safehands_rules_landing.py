"""A small landing folder: one station, ten people, forty parcels."""

from __future__ import annotations

from pathlib import Path

__all__ = ["landing"]

HEADER = "运单号,快递公司,收件人,收件人手机号,收件地址,取件码,库位,状态,重量(kg),入库时间,取件时间"


def landing(folder: Path) -> None:
    """Write one export; people repeat every ten parcels."""
    shop = folder / "shop"
    shop.mkdir(parents=True, exist_ok=True)
    lines = [HEADER]
    for i in range(40):
        day = 1 + i % 22
        taken = f"2026-11-{day:02d} 18:00:00" if i % 8 else ""
        lines.append(
            f"SF{i:013d},顺丰,测试{'甲乙丙丁戊己庚辛壬癸'[i % 10]},1380000{i % 10:04d},"
            f"广东省深圳市南山区试验路{i % 10}号,1-2-{i:04d},A-01,"
            f"{'已取件' if taken else '待取件'},1.2,2026-11-{day:02d} 10:00:00,{taken}"
        )
    (shop / "ledger.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
