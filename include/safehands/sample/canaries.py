"""Planted people whose values must be found nowhere but in the landing files and in ciphertext.

A landing folder is written that holds them in every place a value can hide in: cells, remarks, a
hidden sheet, bad rows, undeclared columns, columns of another kind, broken files. ``search_forms``
gives the byte strings that a leaked value could appear as. The people are invented, and unlikely
enough that a hit is a leak.

Not promised: a value that was compressed, encrypted, hashed, masked or cut up is not found.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import yaml

from safehands.sample.formats import Sheet, csv_bytes, parquet_bytes, xlsx_bytes
from safehands.sample.people import id_number

__all__ = ["CANARIES", "Canary", "search_forms", "write_canary_landing"]


@dataclass(frozen=True, repr=False)
class Canary:
    """One planted person."""

    name: str
    phone: str
    address: str
    id_number: str

    def values(self) -> tuple[str, ...]:
        """Return the four values to search for."""
        return astuple(self)

    def __repr__(self) -> str:
        return "Canary(…)"


CANARIES = (
    Canary(
        "尉迟鹮骅",
        "19157082639",
        "广东省深圳市南山区鹮栖堤路9071号骅影里73栋4单元6108室",
        id_number(440305, 14_273, 907),
    ),
    Canary(
        "令狐黛嵘",
        "16619470358",
        "浙江省杭州市西湖区嵘岫弄8153号黛瓦居61栋7单元5203室",
        id_number(330106, 9_811, 815),
    ),
    Canary(
        "帕孜丽亚·托乎提巴柯",
        "17380295164",
        "广东省深圳市宝安区柯孜巷6397号帕乎园58栋9单元4706室",
        id_number(440306, 17_005, 639),
    ),
    Canary(
        "皇甫犇樾",
        "19981536047",
        "浙江省杭州市余杭区樾犇横街7249号皇樾台94栋8单元3901室",
        id_number(330110, 5_477, 724),
    ),
    Canary(
        "诸葛霁翀",
        "18476029513",
        "广东省深圳市福田区霁翀支路5862号葛坪邨86栋6单元7205室",
        id_number(440304, 11_236, 586),
    ),
)
"""People at all three stations of the canary landing."""


# --- what to search for --------------------------------------------------------------------------

_ENCODINGS = ("utf-8", "utf-16-le", "utf-16-be", "gb18030", "big5")


def search_forms(value: str) -> list[bytes]:
    """Return the byte strings that ``value`` may have leaked as, without repeats.

    Its text in five encodings (Big5 only where it has the characters); each of those in hex (both
    cases) and in base64 at all three alignments (standard and URL alphabet); JSON and Python
    escapes, also escaped once more, as in JSON inside JSON; HTML entities; URL quoting. A phone
    also in groups. Text that was reversed is not among them.
    """
    forms: dict[bytes, None] = {}
    for text in _spellings(value):
        for raw in _encoded(text):
            forms.update(dict.fromkeys((raw, raw.hex().encode(), raw.hex().upper().encode())))
            forms.update(dict.fromkeys(_base64(raw)))
        forms.update(dict.fromkeys(_escaped(text)))
    return list(forms)


def _spellings(value: str) -> list[str]:
    if len(value) == 11 and value.isdigit():
        groups = (value[:3], value[3:7], value[7:])
        return [value, " ".join(groups), "-".join(groups)]
    return [value]


def _encoded(text: str) -> Iterator[bytes]:
    for encoding in _ENCODINGS:
        try:
            yield text.encode(encoding)
        except UnicodeEncodeError:
            # Big5 lacks many simplified characters: then nothing can have leaked in it.
            continue


def _base64(raw: bytes) -> Iterator[bytes]:
    """Encode ``raw`` behind 0, 1 and 2 unknown bytes; characters that mix in neighbours are cut."""
    for before in range(3):
        after = -(before + len(raw)) % 3
        text = base64.b64encode(bytes(before) + raw + bytes(after))
        # Three bytes are four characters: a byte before blurs two of them, two blur three.
        whole = text[(0, 2, 3)[before] : len(text) - (0, 2, 3)[after]]
        yield whole
        yield whole.replace(b"+", b"-").replace(b"/", b"_")


def _escaped(text: str) -> Iterator[bytes]:
    once = json.dumps(text)[1:-1]
    # Python writes characters below U+0100 in its own way.
    for form in (once, once.replace("\\", "\\\\"), _shouted(once), ascii(text)[1:-1]):
        yield form.encode("ascii")
    yield text.encode("ascii", "xmlcharrefreplace")
    for encoding in ("utf-8", "gb18030"):
        quoted = quote(text, safe="", encoding=encoding)
        yield from (quoted.encode(), quoted.lower().encode(), quoted.replace("%20", "+").encode())
    # What repr() of a bytes object shows.
    yield repr(text.encode("utf-8"))[2:-1].encode("ascii")


def _shouted(escaped: str) -> str:
    return "\\u".join(part[:4].upper() + part[4:] for part in escaped.split("\\u"))


# --- where they are planted ----------------------------------------------------------------------

_CSV_HEADER = (
    *("序号", "运单号", "快递公司", "收件人", "收件人手机号", "收件地址", "取件码", "库位", "状态"),
    *("重量(kg)", "入库时间", "取件时间", "入库操作员", "身份证号", "备注", "内部标记"),
)
_PLAIN_ROWS = 40


def write_canary_landing(landing: Path, business_date: date, broken: bool = False) -> list[Path]:
    """Write exports of three stations of two owners with the canaries in every place.

    CA001: CSV (GB18030); CA002: XLSX with customers, preferences and a hidden sheet; CB001: Parquet
    and a CSV of preferences. With ``broken``, also files that ``ingest`` must refuse whole: cut,
    of a wrong type, with a contradictory header, a wrong encoding, an open quote. Every table has
    forty plain rows besides, so that no quality gate closes. Returns the files written.
    """
    files = {
        "CA001/ledger.csv": csv_bytes(_csv_rows(business_date), "gb18030"),
        "CA002/ledger.xlsx": xlsx_bytes(_sheets(business_date)),
        "CB001/parcels.parquet": parquet_bytes(_table(business_date)),
        "CB001/prefs.csv": csv_bytes(_preference_rows(business_date), "utf-8"),
        "stations.yaml": _stations(),
        **(_broken(business_date) if broken else {}),
    }
    for name, content in files.items():
        path = landing / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return [landing / name for name in files]


def _stations() -> bytes:
    sets = ("parcels", "customers", "preferences")
    owners = [
        {
            "code": code,
            "name": code,
            "record_sets": {name: {"role": "handler"} for name in sets},
            "stations": [{"code": s, "name": s, "folder": s} for s in stations],
        }
        for code, stations in (("canary-a", ("CA001", "CA002")), ("canary-b", ("CB001",)))
    ]
    return yaml.safe_dump({"controllers": owners}, sort_keys=False).encode()


Row = dict[str, Any]
"""One parcel, column name of ``_CSV_HEADER`` → cell."""


def _parcels(day: date, prefix: str) -> list[Row]:
    """Return plain rows, canaries in their own columns, and canaries in all the wrong ones."""
    plain = [_plain_row(day, prefix, i) for i in range(_PLAIN_ROWS)]
    own = [_own_row(day, prefix, i, c) for i, c in enumerate(CANARIES)]
    gone = [
        {**_own_row(day, prefix, 50 + i, c), "状态": "已取件", "取件时间": _clock(day, 1, 18)}
        for i, c in enumerate(CANARIES)
    ]
    return [*plain, *own, *gone, *_strays(day, prefix), *_bad_rows(day, prefix)]


def _plain_row(day: date, prefix: str, i: int) -> Row:
    cells = (
        *(i + 1, f"YT{prefix}{i:09}", "圆通速递", "测试", f"139000{i:05}"),
        *("深圳市南山区测试路1号", f"1-1-{i:04}", "A-01", "待取件", 0.5),
        *(_clock(day, 2, 9 + i % 9), "", "小陈", "", "", ""),
    )
    return dict(zip(_CSV_HEADER, cells, strict=True))


def _own_row(day: date, prefix: str, i: int, c: Canary) -> Row:
    return {
        **_plain_row(day, prefix, 100 + i),
        "收件人": c.name,
        "收件人手机号": c.phone,
        "收件地址": c.address,
        "入库操作员": c.name,
        "身份证号": c.id_number,
        "备注": f"放门口，{c.name} {c.phone}，{c.address}，证件{c.id_number}",
        "内部标记": f"{c.name}/{c.phone}/{c.id_number}",
    }


def _strays(day: date, prefix: str) -> Iterator[Row]:
    """Put each value into each column that is of another kind and takes any text."""
    columns = ("收件人", "收件地址", "取件码", "库位", "状态", "快递公司", "备注", "运单号")
    for i, column in enumerate(columns):
        canary = CANARIES[i % len(CANARIES)]
        for j, value in enumerate(canary.values()):
            yield {**_plain_row(day, prefix, 200 + i * 10 + j), column: value}


def _bad_rows(day: date, prefix: str) -> Iterator[Row]:
    """Break one rule per row, with canaries in the other cells and, where possible, in the bad."""
    faults: list[Row] = [
        {"入库时间": f"{CANARIES[0].name} {CANARIES[0].phone}"},
        {"取件时间": CANARIES[1].address},
        {"收件人手机号": f"{CANARIES[2].name}的电话"},
        {"收件人手机号": CANARIES[3].id_number},
        {"重量(kg)": CANARIES[4].phone},
        {"重量(kg)": CANARIES[0].name},
        {"运单号": ""},
        {"入库时间": ""},
        {"入库时间": _clock(day, -9, 10)},
        {"取件时间": _clock(day, 8, 10)},
        {"收件人": f"{CANARIES[1].name}{CANARIES[1].phone}"},
    ]
    for i, fault in enumerate(faults):
        yield {**_own_row(day, prefix, 400 + i, CANARIES[i % len(CANARIES)]), **fault}


def _clock(day: date, days_ago: int, hour: int) -> str:
    return f"{day - timedelta(days=days_ago)} {hour:02}:15:00"


def _csv_rows(day: date) -> list[Sequence[Any]]:
    rows = [list(row.values()) for row in _parcels(day, "1")]
    c = CANARIES[4]
    wide = [*rows[1], c.name, c.phone, c.address, c.id_number]
    narrow = [c.name, c.phone, c.address, c.id_number]
    note = f"导出人：{CANARIES[0].name} {CANARIES[0].phone}"
    return [[note], _CSV_HEADER, *rows[:10], wide, narrow, *rows[10:], rows[0]]


def _sheets(day: date) -> list[Sheet]:
    parcels = [[_typed(cell) for cell in row.values()] for row in _parcels(day, "2")]
    people = [
        [f"测试{i}", f"139001{i:05}", "深圳市南山区测试路2号", "", ""] for i in range(_PLAIN_ROWS)
    ]
    people += [[c.name, c.phone, c.address, c.id_number, f"{c.name} {c.phone}"] for c in CANARIES]
    people += [[c.name, c.name + c.phone, c.address, c.id_number, ""] for c in CANARIES]
    hidden = [list(c.values()) for c in CANARIES]
    return [
        Sheet("台账", [_CSV_HEADER, *parcels]),
        Sheet("会员", [("姓名", "手机号", "地址", "身份证号", "微信昵称"), *people]),
        Sheet("偏好", _preference_rows(day)),
        Sheet("隐藏", [("姓名", "电话", "地址", "身份证号"), *hidden], hidden=True),
        Sheet("便签", [[CANARIES[3].name, CANARIES[3].phone], [CANARIES[3].address]]),
    ]


def _typed(cell: Any) -> Any:
    """Return a mobile number as a number and a time as a time, as workbooks often have them."""
    text = str(cell)
    if len(text) == 11 and text.isdigit():
        return int(text)
    try:
        return datetime.fromisoformat(text) if ":15:" in text else cell
    except ValueError:
        return cell


def _preference_rows(day: date) -> list[Sequence[Any]]:
    header = ("手机号", "姓名", "通知方式", "派送方式", "同意营销", "授权代取手机号", "更新时间")
    rows: list[Sequence[Any]] = [
        (f"139002{i:05}", "测试", "短信", "到站自取", "否", "", _clock(day, 3, 9))
        for i in range(_PLAIN_ROWS)
    ]
    for c in CANARIES:
        rows.append((c.phone, c.name, "微信", "送货上门", "是", c.phone, _clock(day, 3, 9)))
        rows.append((c.phone, c.name, c.name, c.address, c.id_number, c.phone, _clock(day, 4, 9)))
        rows.append((c.name, c.name, "短信", "到站自取", "否", c.id_number, c.address))
    return [header, *rows]


_ENGLISH = {
    "运单号": "waybill_no",
    "快递公司": "carrier",
    "收件人": "receiver_name",
    "收件人手机号": "receiver_phone",
    "收件地址": "receiver_address",
    "取件码": "pickup_code",
    "库位": "slot",
    "状态": "status",
    "入库时间": "stored_at",
    "取件时间": "picked_up_at",
    "身份证号": "id_number",
    "备注": "remark",
    "内部标记": "user_agent",
}


def _table(day: date) -> pa.Table:
    rows = _parcels(day, "3")
    columns = {new: [str(row[old]) for row in rows] for old, new in _ENGLISH.items()}
    metadata = {"exported_by": f"{CANARIES[2].name} {CANARIES[2].phone}"}
    return pa.table(columns).replace_schema_metadata(metadata)


def _broken(day: date) -> dict[str, bytes]:
    rows = [_CSV_HEADER, *(list(row.values()) for row in _parcels(day, "4"))]
    whole = csv_bytes(rows, "utf-8")
    c = CANARIES[1]
    swapped = [
        ("运单号", "收件人手机号", "入库时间"),
        *((x.phone, x.name, x.address) for x in CANARIES * 3),
    ]
    strange = [("甲", "乙", c.name), *(x.values() for x in CANARIES)]
    open_quote = whole.replace(c.name.encode(), f'"{c.name}'.encode(), 1)
    return {
        "CA001/cut.xlsx": xlsx_bytes(_sheets(day))[:-200],
        "CA001/cut.csv": whole[: whole.rindex(c.name.encode()) + 4],
        "CA001/wrong-type.xlsx": whole,
        "CA001/wrong-encoding.csv": whole + b"\xff\xfe\x00" + c.name.encode("utf-16-le"),
        "CA002/swapped.csv": csv_bytes(swapped, "utf-8"),
        "CA002/unknown-header.csv": csv_bytes(strange, "gb18030"),
        "CB001/open-quote.csv": open_quote,
        "CB001/cut.parquet": parquet_bytes(_table(day))[:-40],
    }
