"""What policy says of incidents and complaints: clocks, grades, containment, limits, contacts."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from safehands.organisation.files import Frozen, Words, checked, read_yaml

__all__ = ["Clock", "IncidentBook", "Unusual", "load_incident_book", "old_contacts"]


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
    """Somebody who is told, and when the entry was last confirmed."""

    name: Words
    reach: str
    checked: date


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
    """``incidents.yaml``."""

    kinds: dict[str, Words]
    grades: dict[str, Grade]
    clocks: dict[str, Clock]
    channels: tuple[str, ...]
    actions: dict[str, Action]
    contact_days: int
    contacts: dict[str, Contact]
    needed_contacts: tuple[str, ...]
    aggregate_rows: int
    unusual: Unusual
    complaints: Complaints
    drill_days: int

    def grade(self, people: int) -> str:
        """Return the grade at so many people ("以上" includes the number)."""
        fitting = [(grade.people, name) for name, grade in self.grades.items()]
        return max(each for each in fitting if each[0] <= people)[1]


def load_incident_book(folder: Path) -> IncidentBook:
    """Read ``incidents.yaml``. Raises ``PolicyError``."""
    return checked(IncidentBook, read_yaml(folder / "incidents.yaml"), "incidents.yaml", "-")


def old_contacts(book: IncidentBook, day: date) -> list[str]:
    """Return contacts that are missing, or that nobody confirmed within the days of policy."""
    last = day - timedelta(days=book.contact_days)
    missing = [name for name in book.needed_contacts if name not in book.contacts]
    return missing + [name for name, one in book.contacts.items() if one.checked < last]
