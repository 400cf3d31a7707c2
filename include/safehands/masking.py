"""Masked forms of names, phones and addresses.

GB/T 41833-2022 (read through the regulator's briefing, confidence ``secondary``) asks for at
least one hidden character of a name, six hidden digits of a phone, and unit and room hidden.
"""

from __future__ import annotations

import re

__all__ = ["mask_name", "mask_phone"]

_COMPOUND = frozenset(
    (
        "欧阳",
        "司马",
        "上官",
        "诸葛",
        "东方",
        "皇甫",
        "尉迟",
        "公孙",
        "慕容",
        "令狐",
        "宇文",
        "长孙",
        "司徒",
        "夏侯",
        "轩辕",
        "端木",
        "独孤",
        "南宫",
    )
)
_HAN = re.compile(r"[\u3400-\u9fff\U00020000-\U0003ffff]")


def mask_name(name: str) -> str:
    """Return the surname (or a first letter) and one or two stars, whatever the name's length."""
    if not name:
        return ""
    if not _HAN.match(name):
        return f"{name[0]}***"
    if name[:2] in _COMPOUND and len(name) > 2:
        return f"{name[:2]}*"
    return "*" if len(name) == 1 else f"{name[0]}**"


def mask_phone(phone: str) -> str:
    """Return a mobile number with its first and last four digits shown and six hidden."""
    return f"{phone[0]}******{phone[-4:]}" if len(phone) == 11 else "*" * len(phone)
