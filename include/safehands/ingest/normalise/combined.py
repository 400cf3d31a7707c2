"""One cell that holds a person's name, phone and address, as chat messages and some systems do."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from safehands.ingest.normalise.addresses import looks_like_address
from safehands.ingest.normalise.names import canonical_name, looks_like_name

__all__ = ["Recipient", "split_recipient", "split_recipients"]


@dataclass(frozen=True)
class Recipient:
    """The parts of one cell, as they were written."""

    name: str
    phone: str
    address: str

    def __repr__(self) -> str:
        return "Recipient(…)"


_PHONE = re.compile(
    r"(?<!\d)(?:(?:\+|00)?86[-\s]?)?1[3-9]\d[-\s]?[\d*]{4}[-\s]?\d{4}(?!\d)(?:\s*(?:转|-|,|#)\s*\d{1,6}(?!\d))?"
    r"|(?<!\d)0\d{2,3}-\d{7,8}(?!\d)"
)
_LABELS = re.compile(
    r"(?:收件人|收货人|联系人|姓名|手机号?码?|联系电话|电话|所在地区|详细地址|收货地址|收件地址|地址)\s*[:：]\s*"
)
_CUT = re.compile(r"[\s,，;；、|/:：\n\t]+")
_KEYS = {
    "name": ("name", "receiver", "receiver_name", "receivername", "contact", "姓名", "收件人"),
    "phone": (
        "phone",
        "mobile",
        "tel",
        "receiver_phone",
        "receiverphone",
        "手机",
        "电话",
        "手机号",
    ),
    "address": ("address", "addr", "detail", "receiver_address", "receiveraddress", "地址"),
}
_REGION = (
    ("province", "省"),
    ("city", "市"),
    ("district", "county", "区", "区县"),
    ("town", "street"),
)


def split_recipient(cell: str) -> Recipient | None:
    """Split a cell into name, phone and address; None where it is not certain which is which.

    Read are JSON objects with such keys, labelled texts (``收件人：… 电话：…``) and the three parts
    in any order with anything between them. Exactly one phone, one name and at most one address
    must be found, and nothing may be left over.
    """
    plain = unicodedata.normalize("NFKC", cell).strip()
    if plain.startswith("{"):
        return _object(plain)
    phones = list(_PHONE.finditer(plain))
    if len(phones) != 1:
        return None
    phone = phones[0]
    around = [plain[: phone.start()], plain[phone.end() :]]
    pieces = [piece for side in around for piece in _pieces(side)]
    return _sorted_out(pieces, phone.group())


def _pieces(side: str) -> list[str]:
    """Cut at separators, keeping the parts of an address together."""
    words = [word for word in _CUT.split(_LABELS.sub(" ", side)) if word.strip("()（）[]【】")]
    joined: list[str] = []
    for word in words:
        if joined and not looks_like_name(joined[-1]) and not looks_like_name(word):
            joined[-1] += word
        else:
            joined.append(word)
    return joined


def _sorted_out(pieces: list[str], phone: str) -> Recipient | None:
    names = [piece for piece in pieces if looks_like_name(piece)]
    rest = [piece for piece in pieces if not looks_like_name(piece)]
    if len(names) != 1 or len(rest) > 1 or not all(map(looks_like_address, rest)):
        return None
    return Recipient(canonical_name(names[0]) or names[0], phone, "".join(rest))


def _object(text: str) -> Recipient | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    flat = {str(k).casefold(): v for k, v in found.items() if isinstance(v, str | int)}
    name, phone, detail = (_first(flat, keys) for keys in _KEYS.values())
    region = "".join(_first(flat, keys) for keys in _REGION)
    address = detail if region and detail.startswith(region) else region + detail
    return Recipient(name, phone, address) if name and phone else None


def _first(flat: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    return next((str(flat[key]).strip() for key in keys if flat.get(key)), "")


def split_recipients(column: pa.Array, raw: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
    """Split a column of such cells, each distinct one once.

    Returns ``receiver_name``, ``receiver_phone`` and ``receiver_address`` (columns of their own in
    ``raw`` come first) and ``recipient``: the cells that could not be split, null elsewhere.
    """
    texts = column.cast(pa.string())
    texts = pc.if_else(pc.equal(pc.utf8_trim_whitespace(texts), ""), None, texts)
    encoded = texts.dictionary_encode()
    split = [split_recipient(text) for text in encoded.dictionary.to_pylist()]
    parts = {
        f"receiver_{name}": [getattr(one, name) or None if one else None for one in split]
        for name in ("name", "phone", "address")
    }
    columns = {n: pa.array(v, pa.string()).take(encoded.indices) for n, v in parts.items()}
    for name, found in columns.items():
        if name in raw:
            columns[name] = pc.coalesce(raw[name].cast(pa.string()), found)
    missed = pa.array([one is None for one in split], pa.bool_()).take(encoded.indices)
    left = pc.if_else(pc.fill_null(missed, False), texts, pa.scalar(None, pa.string()))
    return {"recipient": left, **columns}
