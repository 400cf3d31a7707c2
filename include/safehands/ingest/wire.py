"""What the reading process and the one that asked it say to each other.

A message is a JSON object, optionally followed by one Arrow record batch in IPC stream format; in
front stand two lengths in bytes (big-endian, 4 and 8). JSON and Arrow, not pickle: what comes out
of a process that read a hostile file is data and never code. Nothing touches a disk.
"""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

import pyarrow as pa

from safehands import errors
from safehands.ingest.tables import Batch

__all__ = ["Channel", "as_error", "as_message"]

_LENGTHS = struct.Struct("!IQ")
_MOST_JSON = 256 * 1024 * 1024


class Channel:
    """One end of a connection. ``receive`` raises ``EOFError`` when the other end is gone."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def fileno(self) -> int:
        """Return the descriptor, for ``select``."""
        return self._connection.fileno()

    def close(self) -> None:
        """Close this end."""
        self._connection.close()

    def send(self, message: dict[str, Any], batch: Batch | None = None, raw: bytes = b"") -> None:
        """Send a message. Raises ``BrokenPipeError`` when the other end is gone."""
        head = json.dumps(message, ensure_ascii=False).encode("utf-8", "surrogatepass")
        body = _packed(batch) if batch is not None else raw
        self._connection.sendall(_LENGTHS.pack(len(head), len(body)) + head)
        if body:
            self._connection.sendall(body)

    def receive(self) -> tuple[dict[str, Any], Batch | None]:
        """Return the next message. Raises ``ValueError`` for what is no message of ours."""
        head, body = _LENGTHS.unpack(self._exactly(_LENGTHS.size))
        if head > _MOST_JSON:
            raise ValueError("message too long")
        message = json.loads(self._exactly(head).decode("utf-8", "surrogatepass"))
        if not isinstance(message, dict):
            raise ValueError("no message")
        return message, _unpacked(self._exactly(body)) if body else None

    def need(self, offset: int, size: int) -> bytes:
        """Ask the other end for bytes of the file that only it can read."""
        self.send({"need": [offset, size]})
        head, body = _LENGTHS.unpack(self._exactly(_LENGTHS.size))
        self._exactly(head)
        return bytes(self._exactly(body))

    def _exactly(self, size: int) -> bytearray:
        data = bytearray(size)
        view, filled = memoryview(data), 0
        while filled < size:
            count = self._connection.recv_into(view[filled:])
            if not count:
                raise EOFError
            filled += count
        return data


def _packed(batch: Batch) -> pa.Buffer:
    names = [str(position) for position in batch.columns]
    record = pa.record_batch([batch.rows, *batch.columns.values()], names=["rows", *names])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, record.schema) as writer:
        writer.write_batch(record)
    return sink.getvalue()


def _unpacked(data: bytearray) -> Batch:
    with pa.ipc.open_stream(pa.py_buffer(data)) as reader:
        record = reader.read_next_batch()
    # Offsets come from a process that may have been taken over by the file it read.
    record.validate(full=True)
    columns = {int(name): record.column(name) for name in record.schema.names[1:]}
    return Batch(columns, record.column("rows"))


_KINDS: dict[int, type[errors.BadInput]] = {
    kind.exit_code: kind
    for kind in (
        errors.BadInput,
        errors.UnknownHeader,
        errors.ContradictoryHeader,
        errors.EmptyFile,
        errors.TruncatedFile,
        errors.WrongEncoding,
        errors.WrongFileType,
    )
}


def as_message(error: errors.BadInput) -> dict[str, Any]:
    """Return a problem as a message."""
    return {"error": error.key, "params": error.params, "code": error.exit_code}


def as_error(message: dict[str, Any]) -> errors.BadInput:
    """Return the problem that ``as_message`` packed."""
    kind = _KINDS.get(message["code"], errors.BadInput)
    return kind(message["error"], **message["params"])
