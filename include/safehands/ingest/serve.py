"""The reading process: it answers for one file until nobody asks any more.

Requests and answers (see ``wire``): ``look`` → the number of ways to open the file; ``open`` a way
→ its tables with their first records; ``read`` a table → its batches and then its odd records.
An answer may be a problem instead.
"""

from __future__ import annotations

import csv
import gc
import io
import mmap
import os
import socket
import struct
import time
import traceback
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pyarrow as pa

from safehands.datasets import Part
from safehands.errors import BadInput
from safehands.ingest.cutting import cut
from safehands.ingest.limits import BLOCK, Limits
from safehands.ingest.readers import ways
from safehands.ingest.source import Source, asked_for, opened
from safehands.ingest.tables import Line, Opened, RawTable
from safehands.ingest.wire import Channel, as_message

__all__ = ["Progress", "serve", "warm_up"]

_PACKAGE = str(Path(__file__).parent)


class Progress:
    """A mark that the watching process sees: processor seconds used at the last result."""

    def __init__(self, mark: mmap.mmap) -> None:
        self._mark = mark

    def made(self) -> None:
        """Say that there is a result."""
        self._mark[:] = struct.pack("d", time.process_time())


def warm_up() -> None:
    """Read a small text once: what is made at first use need not be made in every reader."""
    data = "运单号,姓名\nSF1234567890123,甲\n".encode()
    source = Source("a.csv", "a.csv", "", lambda: io.BytesIO(data), len(data), Limits())
    for table in ways(source)[0]().tables:
        for _ in table.batches(0, 2, [0, 1]):
            pass


def serve(
    request: dict[str, Any], descriptors: list[int], end: socket.socket, progress: Progress
) -> None:
    """Answer requests about a file until the other end is closed.

    ``descriptors``: the open file; empty: the other end reads it, range by range.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    csv.field_size_limit(BLOCK)
    # Records by the thousand hold no cycles, and looking for some doubles the time.
    gc.disable()
    part = Part(**request["part"]) if request["part"] else None
    limits = Limits(**request["limits"])
    channel = Channel(end)
    size = os.fstat(descriptors[0]).st_size if descriptors else request["size"]
    opener = opened(descriptors[0]) if descriptors else asked_for(channel.need, size)
    about = (request["name"], request["label"], request["digest"], opener)
    desk = _Desk(Source(*about, size, limits, part, **request["options"]), progress)
    while True:
        try:
            asked, _ = channel.receive()
            progress.made()
            _answer(desk, asked, channel)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return


def _answer(desk: _Desk, asked: dict[str, Any], channel: Channel) -> None:
    try:
        _DOES[asked["do"]](desk, asked, channel)
    except BadInput as problem:
        channel.send(as_message(problem))
    except (MemoryError, pa.ArrowMemoryError):
        channel.send({"ended": "memory"})
    except (BrokenPipeError, ConnectionResetError):
        raise
    except Exception as error:  # noqa: BLE001 - a reader's own failure is the file's problem
        frames = traceback.extract_tb(error.__traceback__)
        own = [f for f in frames if f.filename.startswith(_PACKAGE)] or frames
        place = f"{Path(own[-1].filename).name}:{own[-1].lineno}"
        channel.send({"ended": "failed", "kind": type(error).__name__, "place": place})


class _Desk:
    """What is known about the file so far."""

    def __init__(self, source: Source, progress: Progress) -> None:
        self.source, self.progress = source, progress
        self.ways: list[Callable[[], Opened]] = []
        self.tables: list[RawTable] = []


def _look(desk: _Desk, asked: dict[str, Any], channel: Channel) -> None:
    del asked
    desk.ways = ways(desk.source)
    channel.send({"ways": len(desk.ways)})


def _open(desk: _Desk, asked: dict[str, Any], channel: Channel) -> None:
    opened = desk.ways[asked["way"]]()
    desk.tables = list(opened.tables)
    message = {
        "encoding": opened.encoding,
        "hidden": opened.hidden,
        "date1904": opened.date1904,
        "facts": opened.facts,
        "tables": [
            {"sheet": t.sheet, "head": [_plain(line) for line in t.head], "info": t.info}
            for t in desk.tables
        ],
    }
    channel.send(message)


def _plain(line: Line) -> tuple[int, tuple[str, ...], int]:
    # Hundreds of lines a file: dataclasses.astuple would copy every cell, for half of the time.
    return line.row, line.cells, line.end


def _read(desk: _Desk, asked: dict[str, Any], channel: Channel) -> None:
    table = desk.tables[asked["table"]]
    for batch in table.batches(asked["header"], asked["width"], asked["wanted"]):
        channel.send({"more": True}, batch)
        desk.progress.made()
    channel.send({"more": False, "odd": [astuple(odd) for odd in table.odd], "info": table.info})


def _cut(desk: _Desk, asked: dict[str, Any], channel: Channel) -> None:
    opened = ways(desk.source)[0]()
    dialect = getattr(opened.tables[0], "dialect", None)
    parts = cut(desk.source, opened.encoding, dialect, asked["target"], desk.progress.made)
    channel.send({"parts": parts})


_DOES: dict[str, Callable[[_Desk, dict[str, Any], Channel], None]] = {
    "look": _look,
    "open": _open,
    "read": _read,
    "cut": _cut,
}
