"""Every error a user can meet, as one tree. Each leaf has its own exit code.

::

    SafehandsError                  1
    ├── SetupProblem                3   database, folder or installation is not usable
    ├── PolicyError                10   a policy file or a declaration is wrong or missing
    ├── BadInput                   20   a file that cannot be read as it is
    │   ├── UnknownHeader          21   required columns were not found
    │   ├── ContradictoryHeader    22   two columns claim one field, or cells disagree
    │   ├── EmptyFile              23   nothing in it
    │   ├── TruncatedFile          24   it ends in the middle
    │   ├── WrongEncoding          25   the bytes are not text in an encoding we know
    │   └── WrongFileType          26   the name says one thing and the bytes another
    ├── QualityGateClosed          30   too many rows break a critical rule
    ├── GateClosed                 31   a rule or threshold stops sharing or a hand-over
    ├── HandoverRefused            32   a step of a hand-over is not approved or not due
    ├── KeyProblem                 40   a key is missing, wrong, too open or too old
    ├── AccessRefused              45   a person's record may not be opened or changed this way
    ├── RetentionRefused           50   deleting would break a rule, or the clock is not believable
    ├── BackupBroken               60   a backup could not be written or does not read back
    ├── LedgerBroken               70   the audit trail does not verify
    └── StepFailed                 90   an unexpected error inside a step, stripped of its text

An error is made from a message key and parameters that are never a person's data: a file name,
a sheet, a row number, a column, a rule, a count, a key id. The sentences are in ``messages/``.
"""

from __future__ import annotations

from safehands.messages import LANGUAGES, say

__all__ = [
    "AccessRefused",
    "BackupBroken",
    "BadInput",
    "ContradictoryHeader",
    "EmptyFile",
    "GateClosed",
    "HandoverRefused",
    "KeyProblem",
    "LedgerBroken",
    "PolicyError",
    "QualityGateClosed",
    "RetentionRefused",
    "SafehandsError",
    "SetupProblem",
    "StepFailed",
    "TruncatedFile",
    "UnknownHeader",
    "WrongEncoding",
    "WrongFileType",
    "by_code",
]


class SafehandsError(Exception):
    """Base of all errors that are meant to be read by a person.

    ``key`` names the sentence in the message catalogue; ``params`` fill it. ``str()`` gives both
    languages on two lines, so that a log read by either reader is of use.
    """

    exit_code = 1
    retryable = False

    def __init__(self, key: str, /, **params: str | int | float) -> None:
        self.key = key
        self.params = params
        super().__init__(key)

    def say(self, lang: str) -> str:
        """Return the sentence in ``lang`` (``zh`` or ``en``)."""
        return say(self.key, lang, **self.params)

    def __str__(self) -> str:
        return "\n".join(self.say(lang) for lang in LANGUAGES)

    def __reduce__(self) -> tuple[object, ...]:
        # Worker processes hand errors to their parent by pickling; the default would lose params.
        return (_rebuild, (type(self), self.key, self.params))


def _rebuild(
    kind: type[SafehandsError], key: str, params: dict[str, str | int | float]
) -> SafehandsError:
    return kind(key, **params)


class SetupProblem(SafehandsError):
    """The installation is not usable: database, folder, permission, version."""

    exit_code = 3


class PolicyError(SafehandsError):
    """A policy file or a declaration is wrong, or a needed one is missing."""

    exit_code = 10


class BadInput(SafehandsError):
    """A file that cannot be read as it is. The file is set aside; other files go on."""

    exit_code = 20


class UnknownHeader(BadInput):
    """No table with the required columns was found."""

    exit_code = 21


class ContradictoryHeader(BadInput):
    """Two columns claim to be the same field, or a header and its cells disagree."""

    exit_code = 22


class EmptyFile(BadInput):
    """The file has no bytes, or a header and no rows."""

    exit_code = 23


class TruncatedFile(BadInput):
    """The file ends in the middle of a record, or holds fewer rows than its title announces."""

    exit_code = 24


class WrongEncoding(BadInput):
    """The bytes are not text in any encoding that is read."""

    exit_code = 25


class WrongFileType(BadInput):
    """The name promises one format and the bytes are another, or no known one."""

    exit_code = 26


class QualityGateClosed(SafehandsError):
    """More rows break a critical rule than policy allows."""

    exit_code = 30


class GateClosed(SafehandsError):
    """A rule or a threshold stops sharing or a hand-over."""

    exit_code = 31


class HandoverRefused(SafehandsError):
    """A step of a hand-over is not approved, not due or not possible this way."""

    exit_code = 32


class KeyProblem(SafehandsError):
    """A key is missing, wrong, readable by others, or of a version that is not accepted."""

    exit_code = 40


class AccessRefused(SafehandsError):
    """A person's record, a restriction or a hold may not be touched this way."""

    exit_code = 45


class RetentionRefused(SafehandsError):
    """A deletion was refused: the clock is not believable, or a hold forbids it."""

    exit_code = 50


class BackupBroken(SafehandsError):
    """A backup could not be written, or does not read back byte for byte."""

    exit_code = 60


class LedgerBroken(SafehandsError):
    """The audit trail does not verify."""

    exit_code = 70


class StepFailed(SafehandsError):
    """An unexpected error inside a step: type and place only, never its text (see ``guard``)."""

    exit_code = 90
    retryable = True


def by_code(code: int) -> type[SafehandsError]:
    """Return the error that has an exit code; ``SafehandsError`` itself for one that is unknown."""
    waiting = [SafehandsError]
    while waiting:
        kind = waiting.pop()
        if kind.exit_code == code:
            return kind
        waiting += kind.__subclasses__()
    return SafehandsError
