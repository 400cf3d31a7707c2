"""How much one file may cost: the limits that stop a hostile or hopeless one.

Each is a setting (``SAFEHANDS_READ_…``) and is named in the message of the file it stops.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from safehands.settings import Settings

__all__ = ["BLOCK", "Limits"]

BLOCK = 4 * 1024 * 1024
"""Bytes of text that are parsed at a time; no record may be longer."""

_WORKBOOK_MEMORY = 24
_UNPACKING = 32
_PROMPT = 512 * 1_000_000


@dataclass(frozen=True)
class Limits:
    """Limits of reading one file, in the units their names say.

    ``megabytes``: resident memory of the reading process above its own start. ``seconds``:
    processor time without a result, so that a long file may take long. ``unpacked_megabytes``:
    what a packed file (a workbook, an archive) may hold. ``columns``: cells of a record.
    ``members``: files in an archive.
    """

    megabytes: int = 256
    seconds: int = 4
    unpacked_megabytes: int = 2048
    columns: int = 16_384
    members: int = 1_000

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """Return the limits that ``settings`` name."""
        return cls(
            settings.read_megabytes,
            settings.read_seconds,
            settings.read_unpacked_megabytes,
            settings.read_columns,
            settings.read_members,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-able plain data."""
        return asdict(self)

    def memory(self, size: int) -> int:
        """Return the memory, in bytes, that a file of ``size`` bytes may take to read.

        A workbook is held whole: about 20 times its packed size was measured. Small files, bombs
        among them, have ``megabytes``; larger ones in proportion, up to four times that.
        """
        floor = self.megabytes * 1024 * 1024
        return max(floor, min(_WORKBOOK_MEMORY * size, 4 * floor))

    def unpacked(self, size: int) -> int:
        """Return the bytes that a packed file of ``size`` bytes may unpack to."""
        return min(self.unpacked_megabytes * 1_000_000, max(_PROMPT, _UNPACKING * size))

    def time(self, size: int) -> float:
        """Return the processor seconds that may pass without a result."""
        return self.seconds + size / 2_000_000 if size > 4_000_000 else self.seconds
