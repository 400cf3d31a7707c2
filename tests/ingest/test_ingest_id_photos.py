"""Photos of ID cards are never stored, and ID numbers only where a declared purpose needs them."""

from __future__ import annotations

import base64
import io
import os
import zipfile
import zlib

import pytest
from ingest_door import Door, csv_text, xlsx

from safehands.policy import load_policy
from safehands.settings import Settings

POLICY = load_policy(Settings.read({}).policy)
HEAD = ["手机号", "姓名", "身份证号", "身份证照片"]
NUMBER = "110101198503040018"


def picture() -> bytes:
    """A PNG whose bytes are found nowhere else."""
    rows = b"".join(b"\0" + os.urandom(3 * 24) for _ in range(24))

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return len(data).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

    size = (24).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0"
    parts = (chunk(b"IHDR", size), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def everything(door: Door, photo: bytes) -> str:
    """What the door let through of ten customers in a CSV and a workbook with the photo in it."""
    shown = base64.b64encode(photo).decode()
    lines = [[f"1380013800{n}", "王小明", NUMBER, shown] for n in range(10)]
    door.put("a.csv", csv_text([HEAD, *lines]))
    out = io.BytesIO(xlsx(("客户", [HEAD[:3], *(line[:3] for line in lines)])))
    with zipfile.ZipFile(out, "a") as book:
        book.writestr("xl/media/image1.png", photo)
    door.put("b.xlsx", out.getvalue())
    handoff = door.run()
    assert handoff.counts["out"] == 20
    found = [row for name in handoff.artifacts for row in door.read(handoff, name)]
    assert len(found) >= 20
    return str(found)


def test_neither_photo_nor_number_gets_past_the_door(door: Door) -> None:
    photo = picture()
    let_through = everything(door, photo)
    assert "13800138003" in let_through
    assert NUMBER not in let_through
    for part in (base64.b64encode(photo).decode()[:40], photo[60:100].hex(), "PNG", "IDAT"):
        assert part not in let_through


def test_a_picture_in_the_landing_folder_is_not_read(door: Door) -> None:
    photo = picture()
    names = ("身份证.png", "身份证.jpg", "正面.jpeg", "card.heic")
    for name in names:
        door.put(name, photo)
    let_through = everything(door, photo)
    assert photo[60:100].hex() not in let_through
    assert not any(name in let_through for name in names)


@pytest.mark.parametrize("dataset", sorted(POLICY.datasets))
def test_no_declared_purpose_keeps_an_id_number(dataset: str) -> None:
    telling = {n: f for n, f in POLICY.datasets[dataset].fields.items() if f.tells == "id"}
    assert all(field.treatment == "drop" and not field.purposes for field in telling.values())
