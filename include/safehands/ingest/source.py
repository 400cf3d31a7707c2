"""One file as the reading process has it: an open descriptor and what is to be read of it."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

from safehands.datasets import Part
from safehands.errors import BadInput
from safehands.ingest.limits import Limits

__all__ = ["Opener", "Source", "asked_for", "opened"]

Opener = Callable[[], AbstractContextManager[BinaryIO]]


@dataclass(frozen=True)
class Source:
    """What is read, and how much it may cost.

    ``name`` is only looked at for its suffix, ``label`` is shown. ``digest``: SHA-256 the bytes
    must have; empty: whatever they are. ``sheet``: only this one; ``hidden``: hidden sheets too.
    ``anybody``: the file need not be a station's, so that its first row may be data and its text
    Windows-1252.
    """

    name: str
    label: str
    digest: str
    opener: Opener
    size: int
    limits: Limits
    part: Part | None = None
    sheet: str = ""
    hidden: bool = False
    anybody: bool = False

    def open(self) -> AbstractContextManager[BinaryIO]:
        """Open the whole file from its beginning; several may be open at a time."""
        return self.opener()

    @contextmanager
    def open_part(self) -> Iterator[BinaryIO]:
        """Open what is to be read of the file: all of it, or the bytes of ``part``."""
        with self.opener() as handle:
            if self.part is None:
                yield handle
            else:
                handle.seek(self.part.start)
                length = self.part.end - self.part.start
                yield io.BufferedReader(_Range(handle, length), 1 << 20)

    def read(self) -> bytes:
        """Return the whole file. Raises ``BadInput`` when it is not the one that was listed."""
        with self.opener() as handle:
            data = handle.read()
        self.check_digest(hashlib.sha256(data).hexdigest())
        return data

    def check_digest(self, digest: str) -> None:
        """Raise ``BadInput`` unless ``digest`` is that of what is to be read."""
        expected = self.part.digest if self.part else self.digest
        # An object in a store has another identity; whoever opened it looks whether it changed.
        if expected and not expected.startswith("object-") and digest != expected:
            raise BadInput("ingest.changed_while_reading", file=self.label)


def opened(descriptor: int) -> Opener:
    """Return an opener of the file behind a descriptor, each time with a position of its own."""

    @contextmanager
    def opener() -> Iterator[BinaryIO]:
        yield io.BufferedReader(_At(descriptor), 1 << 16)

    return opener


def asked_for(need: Callable[[int, int], bytes], size: int) -> Opener:
    """Return an opener of a file of ``size`` bytes that is asked for range by range."""

    @contextmanager
    def opener() -> Iterator[BinaryIO]:
        yield io.BufferedReader(_Needed(need, size), 1 << 20)

    return opener


class _Positioned(io.RawIOBase):
    """A file read by position, so that several readers of one file don't disturb each other."""

    def __init__(self, size: int) -> None:
        self._size, self._position = size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        ends = {io.SEEK_CUR: self._position, io.SEEK_END: self._size}
        self._position = offset + ends.get(whence, 0)
        return self._position

    def tell(self) -> int:
        return self._position


class _At(_Positioned):
    """An open descriptor."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(os.fstat(descriptor).st_size)
        self._descriptor = descriptor

    def readinto(self, buffer: Any) -> int:
        count = os.preadv(self._descriptor, [buffer], self._position)
        self._position += count
        return count


class _Needed(_Positioned):
    """A file that somebody else reads."""

    def __init__(self, need: Callable[[int, int], bytes], size: int) -> None:
        super().__init__(size)
        self._need = need

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)[: max(0, self._size - self._position)]
        data = self._need(self._position, len(view)) if len(view) else b""
        view[: len(data)] = data
        self._position += len(data)
        return len(data)


class _Range(io.RawIOBase):
    """The next bytes of a stream, and no more."""

    def __init__(self, handle: BinaryIO, length: int) -> None:
        self._handle, self._left = handle, length

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)[: self._left]
        data = self._handle.read(len(view))
        view[: len(data)] = data
        self._left -= len(data)
        return len(data)
