"""Policy of notices and of consent: ``notices.yaml`` and ``consent.yaml``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from safehands.errors import PolicyError
from safehands.organisation.files import Frozen, Words, checked, read_yaml
from safehands.policy import Policy

__all__ = [
    "ConsentBook",
    "NoticeBook",
    "Recipient",
    "Sensitive",
    "Use",
    "load_consent_book",
    "load_notice_book",
]


class Use(Frozen):
    """How one purpose handles information. ``rows``: the table whose rows it needs."""

    rows: Literal["subject", "parcel", "custody", "preference"]
    separate: bool
    methods: tuple[str, ...]


class ConsentBook(Frozen):
    """For which purposes consent is asked and how answers are told."""

    valid_days: Annotated[int, Field(gt=0)]
    pause_days: Annotated[int, Field(gt=0)]
    guardian_below: Annotated[int, Field(gt=0)]
    purposes: dict[str, Use]
    methods: dict[str, Words]
    channels: dict[str, Words]
    columns: dict[str, tuple[str, ...]]
    minor_words: dict[Literal["under", "over"], tuple[str, ...]]
    words: dict[Literal["granted", "refused", "withdrawn"], tuple[str, ...]]


class Recipient(Frozen):
    """Who receives which fields, in which role, for what and how (PIPL 23).

    ``basis``: item of PIPL 13 ¶1 on which it is given; 1 asks for a separate consent.
    """

    who: Words
    basis: Annotated[int, Field(ge=1, le=7)]
    role: Words
    purpose: Words
    method: Words
    contact: Words
    fields: tuple[str, ...]


class Sensitive(Frozen):
    """Why sensitive information is necessary, and what it may do to people (PIPL 30)."""

    necessity: Words
    impact: Words


class NoticeBook(Frozen):
    """The sentences of a notice that do not follow from other policy.

    ``children``: every record of them is sensitive (PIPL 28). ``sensitive``: per field that
    ``fields.yaml`` calls sensitive and that is kept.
    """

    recipients: tuple[Recipient, ...]
    children: Sensitive
    sensitive: dict[str, Sensitive]
    sources: Words
    after: Words
    rights: tuple[Words, ...]
    how: Words
    minors: Words


def load_consent_book(folder: Path, policy: Policy) -> ConsentBook:
    """Read ``consent.yaml``; every purpose of ``policy`` must stand in it, and no other.

    Raises ``PolicyError`` naming the entry.
    """
    book = checked(ConsentBook, read_yaml(folder / "consent.yaml"), "consent.yaml", "-")
    for name in book.purposes.keys() ^ policy.purposes.keys():
        raise PolicyError("consent.unknown_name", file="consent.yaml", name=name)
    for use in book.purposes.values():
        for method in set(use.methods) - book.methods.keys():
            raise PolicyError("consent.unknown_name", file="consent.yaml", name=method)
    return book


def load_notice_book(folder: Path, policy: Policy) -> NoticeBook:
    """Read ``notices.yaml``. Raises ``PolicyError`` naming the entry or an unknown field."""
    book = checked(NoticeBook, read_yaml(folder / "notices.yaml"), "notices.yaml", "-")
    known = {name for dataset in policy.datasets.values() for name in dataset.fields}
    named = {name for recipient in book.recipients for name in recipient.fields}
    for name in sorted((named | book.sensitive.keys()) - known):
        raise PolicyError("consent.unknown_name", file="notices.yaml", name=name)
    return book
