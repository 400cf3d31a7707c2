"""What policy says of incidents and complaints: clocks, grades, containment, limits, contacts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from safehands.organisation.files import Frozen, Words, checked, read_yaml

__all__ = [
    "CONTACTS",
    "Clock",
    "Contact",
    "Gap",
    "IncidentBook",
    "Unusual",
    "contacts_of",
    "gaps",
    "load_incident_book",
]

CONTACTS = "contacts.yaml"


class Grade(Words):
    """A class of the reporting measures, from so many people."""

    people: Annotated[int, Field(ge=0)]


class Clock(Words):
    """Something to be done within hours of an event; 0 hours is "at once"."""

    after: Literal["discovered", "handled"]
    hours: Annotated[int, Field(ge=0)]
    kind: Literal["L", "P"]
    cites: str
    does: str
    least: int = 0

    @model_validator(mode="after")
    def _law_is_cited(self) -> Clock:
        if (self.kind == "L") != bool(self.cites):
            raise ValueError("a clock of the law cites it, one of policy doesn't")
        return self


class Action(Words):
    """A containment: for which kinds it is proposed, and whether the program does it itself."""

    kinds: tuple[str, ...]
    itself: bool
    command: str


class Contact(Frozen):
    """An institution that is told, and when the entry was last confirmed. No ``owner``: of all."""

    kind: str
    owner: str = ""
    name: Words
    reach: Annotated[str, Field(min_length=2, max_length=120)]
    checked: date


@dataclass(frozen=True)
class Gap:
    """A kind of contact that is missing, or that nobody confirmed since ``checked``."""

    kind: str
    checked: date | None


class Unusual(Frozen):
    """Limits of access: fixed ones, and against a role's own past."""

    per_hour: int
    per_day: int
    from_hour: int
    to_hour: int
    times_usual: int
    least: int
    past_days: int


class Complaints(Frozen):
    """The clock of complaints and their lists."""

    days: int
    soon_days: int
    topics: dict[str, Words]
    channels: tuple[str, ...]
    outcomes: dict[str, Words]


class IncidentBook(Frozen):
    """``incidents.yaml`` and ``contacts.yaml``."""

    kinds: dict[str, Words]
    grades: dict[str, Grade]
    clocks: dict[str, Clock]
    channels: tuple[str, ...]
    actions: dict[str, Action]
    contact_days: int
    contact_kinds: dict[str, Words]
    contacts: tuple[Contact, ...]
    aggregate_rows: int
    unusual: Unusual
    complaints: Complaints
    drill_days: int

    @model_validator(mode="after")
    def _contacts_are_of_known_kinds(self) -> IncidentBook:
        if any(one.kind not in self.contact_kinds for one in self.contacts):
            raise ValueError("a contact is of no known kind")
        return self

    def grade(self, people: int) -> str:
        """Return the grade at so many people ("以上" includes the number)."""
        fitting = [(grade.people, name) for name, grade in self.grades.items()]
        return max(each for each in fitting if each[0] <= people)[1]


def load_incident_book(folder: Path) -> IncidentBook:
    """Read ``incidents.yaml`` and the contact book. Raises ``PolicyError``."""
    rules = read_yaml(folder / "incidents.yaml")
    place = folder / CONTACTS
    # Without the file nobody is in the book, which every draft and rule BRE-05 says.
    contacts = read_yaml(place).get("contacts") if place.exists() else None
    return checked(IncidentBook, {**rules, "contacts": contacts or []}, "incidents.yaml", "-")


def contacts_of(book: IncidentBook, owner: str, kind: str) -> list[Contact]:
    """Return whom ``owner`` tells of that kind, newest confirmed first; own entries before all."""
    fitting = [one for one in book.contacts if one.kind == kind and one.owner in ("", owner)]
    own = [one for one in fitting if one.owner] or fitting
    return sorted(own, key=lambda one: one.checked, reverse=True)


def gaps(book: IncidentBook, owner: str, day: date) -> list[Gap]:
    """Return the kinds of contact that ``owner`` lacks or that nobody confirmed for too long."""
    last = day - timedelta(days=book.contact_days)
    found = []
    for kind in book.contact_kinds:
        known = contacts_of(book, owner, kind)
        if not known:
            found.append(Gap(kind, None))
        elif known[0].checked < last:
            found.append(Gap(kind, known[0].checked))
    return found
