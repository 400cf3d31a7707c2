"""The public half of the backup key: all that the nightly machine needs.

``backup-recipients.txt`` in the first key place is an age recipients file as the ``age`` tool
reads it (``age -R``): one recipient a line, ``#`` starts a comment. Add a line to let a second
identity open future backups.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from safehands.errors import KeyProblem
from safehands.keys import FileProvider, age

__all__ = ["FILE", "recipients", "write_recipients"]

FILE = "backup-recipients.txt"


def write_recipients(provider: FileProvider) -> list[str]:
    """Make the backup identity and the recipients file where they are missing (setup's task).

    An existing file is left as it is: somebody may have added a recipient.
    """
    path = provider.first / FILE
    if not path.exists():
        _write(path, age.make_identity(provider) + "\n")
    return recipients(provider)


def recipients(provider: FileProvider) -> list[str]:
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


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with partial.open("w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
