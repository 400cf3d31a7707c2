"""Who is told of an incident over which channel, as encrypted lists (网络数据安全管理条例 11).

The channel is the one that the person chose for messages; who chose none, or no messages, is told
by SMS: this is no advertisement that could be refused. The store holds no e-mail address, so nobody
is listed under ``email``; its text is there for lists that are kept elsewhere. Who has no whole
phone number is reached by announcement. Nothing is sent from here.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import Connection, text

from safehands.exports import neutral
from safehands.messages import LANGUAGES
from safehands.vault.record import Record

__all__ = ["LISTED", "by_channel", "send_file"]

LISTED = {"sms": (0, 1, 5), "im": (2, 4), "phone": (3,)}
"""Channels with a list of people, and the codes of ``notify_channel`` that mean each."""


def by_channel(
    connection: Connection, people: Sequence[UUID], records: Mapping[UUID, Record]
) -> dict[str, list[str]]:
    """Return the whole phone numbers to tell over each channel, each number once and sorted.

    As the bound officer. Channels that nobody chose are left out.
    """
    chosen = {row[0]: row[1] for row in connection.execute(text(_CHOSEN), {"who": list(people)})}
    codes = {code: channel for channel, some in LISTED.items() for code in some}
    found: dict[str, set[str]] = {}
    told: set[str] = set()
    for who in people:
        phone = str(records[who]["phone"]) if who in records else "*"
        if "*" not in phone and phone not in told:
            told.add(phone)
            found.setdefault(codes.get(chosen.get(who, 0), "sms"), set()).add(phone)
    return {channel: sorted(found[channel]) for channel in LISTED if channel in found}


def send_file(phones: Sequence[str], texts: Mapping[str, str]) -> bytes:
    """Return one channel's list as formula-safe CSV: a number, the text in each language."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(["phone", *(f"text_{lang}" for lang in LANGUAGES)])
    for phone in phones:
        writer.writerow([neutral(phone), *(neutral(texts[lang]) for lang in LANGUAGES)])
    return b"\xef\xbb\xbf" + out.getvalue().encode()


_CHOSEN = "SELECT subject_id, notify_channel FROM preference WHERE subject_id = ANY (:who)"
