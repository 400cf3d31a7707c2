"""The public half of the backup key: all that the nightly machine needs.

``backup-recipients.txt`` in the first key place, written by setup, is a recipients file as the
``age`` tool reads it (``age -R``): one recipient a line, ``#`` starts a comment. Add a line to let
a second identity open future backups.
"""

from __future__ import annotations

from pathlib import Path

from safehands.errors import KeyProblem
from safehands.keys import KeyProvider

__all__ = ["FILE", "recipients"]

FILE = "backup-recipients.txt"


def recipients(provider: KeyProvider) -> list[str]:
    """Return the recipients to encrypt backups to; the identity is not opened.

    Raises ``KeyProblem`` when the file is missing, empty or holds something else.
    """
    path = provider.first / FILE
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise KeyProblem("backup.no_recipients", file=str(path)) from None
    kept = [(number, line.strip()) for number, line in enumerate(lines, 1)]
    found = [_checked(path, *entry) for entry in kept if entry[1] and entry[1][0] != "#"]
    if not found:
        raise KeyProblem("backup.no_recipients", file=str(path))
    return found


def _checked(path: Path, number: int, line: str) -> str:
    # An identity pasted here by mistake must not be quoted, so only the line's number is named.
    if not line.startswith("age1") or not line.isalnum():
        raise KeyProblem("backup.bad_recipient", file=str(path), line=number)
    return line
