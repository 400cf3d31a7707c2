"""What is still to do about an incident, until it is closed, and the report that closes it.

Tasks come from three places: the clocks that run, the measures that were proposed, and what an
incident needs before it may be closed (快递暂行条例 36; 国家网络安全事件报告管理办法 8).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from safehands.incidents.book import IncidentBook
from safehands.incidents.cases import Case, case
from safehands.incidents.clocks import clocks
from safehands.incidents.drafts import place, written
from safehands.installation import Installation
from safehands.messages import LANGUAGES, say
from safehands.night import SHANGHAI
from safehands.store.register import Owner
from safehands.vault.access import OFFICER

__all__ = ["CLOSING", "Task", "state_of", "summarise", "summary", "tasks", "words_of"]

CLOSING = ("assessed", "contained", "handled", "summarised", "lesson", "responsible")
"""What must have been noted before an incident may be closed."""


@dataclass(frozen=True)
class Task:
    """One thing to do: a clock, a measure or a note; ``due`` where there is a time for it."""

    kind: Literal["clock", "measure", "note"]
    name: str
    due: datetime | None
    done: datetime | None
    by: str


def tasks(book: IncidentBook, found: Case) -> list[Task]:
    """Return everything to do, done or not: clocks first, then measures, then notes."""
    assessed, proposed = found.last("assessed"), found.last("proposed")
    reached = int(assessed.facts["people"]) if assessed else 0
    made = []
    for clock in clocks(book, found, reached):
        ended = found.first(book.clocks[clock.name].does)
        made.append(Task("clock", clock.name, clock.due, clock.done, ended.by if ended else ""))
    for action in proposed.facts["actions"] if proposed else ():
        taken = next((e for e in found.events if (e.kind, e.name) == ("done", action)), None)
        at, by = (taken.at, taken.by) if taken else (None, "")
        made.append(Task("measure", action, None, at, by))
    for kind in CLOSING:
        noted = found.first(kind)
        made.append(
            Task("note", kind, None, noted.at if noted else None, noted.by if noted else "")
        )
    return made


def summarise(inst: Installation, book: IncidentBook, owner: Owner, number: int) -> list[Path]:
    """Write the summary report in each language beside the drafts and return where.

    It is a draft for whoever answers for it: the clock of the summary is stopped by noting
    ``summarised``, not by this.
    """
    now = inst.clock()
    with inst.store.begin(OFFICER, owner.id) as connection:
        found = case(connection, number)
    folder, paths = place(inst, owner, number), []
    for lang in LANGUAGES:
        told = summary(book, owner, found, now, lang)
        paths.append(written(folder / f"summary.{lang}.md", told.encode()))
    return paths


def summary(book: IncidentBook, owner: Owner, found: Case, now: datetime, lang: str) -> str:
    """Return the summary as Markdown: course, reach, measures, clocks, lesson, responsibility."""
    assessed = found.last("assessed")
    words: dict[str, str | int] = {
        "owner": owner.name,
        "number": found.number,
        "kind": book.kinds[found.kind].say(lang),
    }
    mark = say("incident.drill_mark", lang) if found.drill else ""
    lines = [f"# {say('incident.summary.title', lang, drill=mark, **words)}", ""]
    if assessed:
        shown = {n: assessed.facts[n] for n in ("people", "sensitive", "minors", "nobody")}
        grade = book.grades[assessed.name].say(lang)
        lines += [say("incident.summary.reach", lang, grade=grade, **shown), ""]
    lines += [say("incident.summary.course", lang), ""]
    lines.append(f"- {_time(found.discovered_at)} {say('incident.summary.discovered', lang)}")
    for event in found.events:
        lines.append(
            f"- {_time(event.at)} {_told(book, event.kind, event.name, lang)} ({event.by})"
        )
    lines += ["", say("incident.summary.open", lang), ""]
    left = [one for one in tasks(book, found) if one.done is None]
    lines += [f"- {words_of(book, one, lang)}: {_state(book, one, now, lang)}" for one in left]
    lines += [] if left else [f"- {say('incident.summary.nothing', lang)}"]
    for kind in ("lesson", "responsible"):
        noted = [event.name for event in found.events if event.kind == kind]
        text = ", ".join(noted) or say("incident.summary.missing", lang)
        lines += ["", say(f"incident.summary.{kind}", lang, text=text)]
    return "\n".join(lines) + "\n"


def _told(book: IncidentBook, kind: str, name: str, lang: str) -> str:
    if kind == "done" and name in book.actions:
        return f"{say('incident.event.done', lang)}: {book.actions[name].say(lang)}"
    label = say(f"incident.event.{kind}", lang)
    return f"{label}: {name}" if name and kind != "assessed" else label


def words_of(book: IncidentBook, task: Task, lang: str) -> str:
    """Return what is to be done, in words of policy or of the catalogue."""
    if task.kind == "note":
        return say(f"incident.event.{task.name}", lang)
    words = book.clocks[task.name] if task.kind == "clock" else book.actions[task.name]
    return words.say(lang)


def state_of(book: IncidentBook, task: Task, now: datetime) -> str:
    """Return done, late or open; "at once" is open until it is done."""
    if task.done is not None:
        return "done"
    hurried = task.kind == "clock" and book.clocks[task.name].hours and task.due is not None
    return "late" if hurried and task.due is not None and now > task.due else "open"


def _state(book: IncidentBook, task: Task, now: datetime, lang: str) -> str:
    return say(f"incident.clock.{state_of(book, task, now)}", lang)


def _time(moment: datetime) -> str:
    return moment.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M")
