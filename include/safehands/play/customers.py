"""What the customers of a play say: most say yes, some say no, many say nothing, a few moved away.

The numbers come from where a real answer's come from: the gateway opens the send file with its own
key, and the counter's sheet is filled in by those who stand there.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from safehands.handover.pages import keep
from safehands.keys import age
from safehands.night import SHANGHAI

__all__ = ["Replies", "reply"]


@dataclass(frozen=True)
class Replies:
    """The gateway's delivery log and the sheet of answers, as files; how many each has."""

    log: Path
    sheet: Path
    delivered: int
    failed: int
    yes: int
    no: int


def reply(folder: Path, sealed: bytes, identity: str, at: datetime) -> Replies:
    """Open the send file as the gateway does, and write what comes back from people.

    Of every twenty: one is not reached, ten say yes, two say no, seven say nothing.
    """
    plain = age.decrypt(sealed, identity).decode()
    rows = list(csv.DictReader(io.StringIO(plain)))
    said = [("failed", "")] + [("delivered", "同意")] * 10
    said += [("delivered", "不同意")] * 2 + [("delivered", "")] * 7
    when = at.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M")
    log, sheet = [("ref", "state")], [("手机号", "答复", "时间", "证据编号")]
    for place, row in enumerate(rows):
        state, answer = said[place % len(said)]
        log.append((row["ref"], state))
        if answer:
            sheet.append((row["phone"], answer, when, f"SMS-{place}"))
    failed = sum(state == "failed" for _, state in log)
    return Replies(
        _csv(folder / "delivery.csv", log),
        _csv(folder / "answers.csv", sheet),
        len(rows) - failed,
        failed,
        sum(line[1] == "同意" for line in sheet),
        sum(line[1] == "不同意" for line in sheet),
    )


def _csv(path: Path, lines: Sequence[tuple[str, ...]]) -> Path:
    text = io.StringIO()
    csv.writer(text).writerows(lines)
    return keep(path, text.getvalue().encode())
