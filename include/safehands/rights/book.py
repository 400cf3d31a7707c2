"""Policy of requests: ``rights.yaml``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from safehands.errors import PolicyError
from safehands.organisation.files import Frozen, Words, checked, read_yaml

__all__ = ["KINDS", "RightsBook", "load_rights_book"]

KINDS = (
    "access",
    "copy",
    "explain",
    "correct",
    "supplement",
    "delete",
    "restrict",
    "object",
    "withdraw",
)
"""What can be carried out here."""


class Kind(Frozen):
    """One kind of request."""

    label: Words
    article: str
    result: Literal["package", "record"]


class Behalf(Frozen):
    """On whose behalf, what then may be asked, and whether it has to be proved."""

    label: Words
    kinds: tuple[str, ...]
    evidence: bool


class Check(Frozen):
    """One way of checking identity."""

    label: Words
    evidence: bool


class Code(Frozen):
    """The one-time code."""

    digits: Annotated[int, Field(ge=6, le=10)]
    minutes: Annotated[int, Field(gt=0)]
    tries: Annotated[int, Field(gt=0)]


class RightsBook(Frozen):
    """How requests are answered. Days are policy: the law says "in time" (PIPL 50).

    ``deciders``: the login names of who may decide (PIPL 52).
    """

    deciders: tuple[str, ...]
    target_days: Annotated[int, Field(gt=0)]
    latest_days: Annotated[int, Field(gt=0)]
    answer_days: Annotated[int, Field(gt=0)]
    code: Code
    kinds: dict[str, Kind]
    behalf: dict[str, Behalf]
    checks: dict[str, Check]
    conditions: dict[str, Words]
    refusals: dict[str, Words]


def load_rights_book(folder: Path) -> RightsBook:
    """Read ``rights.yaml``. Raises ``PolicyError`` naming a kind that is missing or unknown."""
    book = checked(RightsBook, read_yaml(folder / "rights.yaml"), "rights.yaml", "-")
    named = {name for behalf in book.behalf.values() for name in behalf.kinds}
    for name in (book.kinds.keys() ^ set(KINDS)) | (named - set(KINDS)):
        raise PolicyError("consent.unknown_name", file="rights.yaml", name=name)
    return book
