"""The answer as a file: a readable page in both languages, JSON and CSV, encrypted with age.

To the person's own age recipient, or under a passphrase that goes another way than the file. Opens
with the stock ``age`` tool: ``age -d -o answer.zip FILE``. The zip holds ``index.html``,
``data.json`` (format ``safehands-answer/1``) and one CSV per section.
"""

from __future__ import annotations

import base64
import io
import json
import re
import zipfile
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined

from safehands.exports import write_csv
from safehands.keys import age
from safehands.messages import LANGUAGES, catalogue, say

__all__ = ["FORMAT", "new_passphrase", "pack", "sealed"]

FORMAT = "safehands-answer/1"
_KINDS = ("consent.kind", "rights.kind")
_STAMP = (1980, 1, 1, 0, 0, 0)
_MOMENT = re.compile(r"(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}).*\+08:00")
_WORDS = {
    "action": "rights.value",
    "state": "rights.state",
    "mode": "handover.mode",
    "class": "handover.class",
}
"""Columns whose codes have words in the catalogue."""


def pack(about: Mapping[str, Any], held: Mapping[str, Any]) -> bytes:
    """Return the zip of an answer; the same content gives the same bytes."""
    body = {"format": FORMAT, "about": dict(about), "held": dict(held)}
    parts = {
        "index.html": _page(about, held),
        "data.json": json.dumps(body, ensure_ascii=False, indent=1, sort_keys=True).encode(),
    }
    for section, rows in held.items():
        listed = [rows] if isinstance(rows, dict) else rows
        if listed:
            parts[f"{section}.csv"] = _csv(listed)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            info = zipfile.ZipInfo(name, _STAMP)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return out.getvalue()


def new_passphrase(random: bytes) -> str:
    """Return a passphrase of 80 bits from ten random bytes, e.g. ``abcd-efgh-ijkl-mnop``."""
    word = base64.b32encode(random[:10]).decode().lower()
    return "-".join(word[i : i + 4] for i in range(0, 16, 4))


def sealed(packed: bytes, recipient: str, passphrase: str) -> bytes:
    """Encrypt to ``recipient`` if there is one, else under ``passphrase``."""
    return age.encrypt(packed, [recipient]) if recipient else age.locked(packed, passphrase)


def _field(name: str, lang: str) -> str:
    return say(f"rights.field.{name}", lang) if f"rights.field.{name}" in catalogue() else name


def _csv(rows: list[dict[str, Any]]) -> bytes:
    names = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO(newline="")
    write_csv(out, [names, *([row.get(name, "") for name in names] for row in rows)])
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def _page(about: Mapping[str, Any], held: Mapping[str, Any]) -> bytes:
    template = _environment().get_template("answer.html.j2")
    return template.render(
        about=about, held=held, languages=LANGUAGES, say=say, shown=_shown
    ).encode()


def _shown(name: str, value: object, lang: str) -> str:
    """Return a value as a person reads it; JSON and CSV keep it as it is stored."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return say("rights.value.yes" if value else "rights.value.no", lang)
    word = str(value)
    for place in (_WORDS.get(name, ""), *(_KINDS if name == "kind" else ())):
        key = f"{place}.{word}"
        if key in catalogue():
            return say(key, lang)
    if name == "fields" and word:
        return ", ".join(_field(one, lang) for one in word.split(","))
    moment = _MOMENT.fullmatch(word)
    return f"{moment[1]} {moment[2]}" if moment else word


@cache
def _environment() -> Environment:
    folder = files(__package__) / "templates"
    name = "answer.html.j2"
    return Environment(
        loader=DictLoader({name: (folder / name).read_text(encoding="utf-8")}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
