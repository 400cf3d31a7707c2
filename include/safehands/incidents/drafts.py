"""Drafts: the report to the authority and the notice to people, in zh and en.

The notice has the three items of PIPL 57 and of 网络数据安全管理条例 11: what happened and
the risk, consequences, measures taken. The report begins with the first two items of the
reporting measures (what happened where; how far it reaches), the rest may follow. Nothing is sent
from here: the drafts lie beside the send file, which is encrypted. People without a whole phone
number, and those who were erased since, are reached by announcement.
"""

from __future__ import annotations

import csv
import io
import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from safehands.exports import neutral
from safehands.incidents.affected import Affected, affected, people
from safehands.incidents.book import IncidentBook
from safehands.incidents.cases import Case, case, note
from safehands.incidents.clocks import clocks
from safehands.installation import Installation
from safehands.keys import age
from safehands.messages import LANGUAGES, say
from safehands.night import SHANGHAI
from safehands.rulebook.from_register import record_figure
from safehands.rulebook.load import load_rulebook
from safehands.store.register import Owner
from safehands.vault.access import OFFICER, officer_ring
from safehands.vault.contacts import contacts

__all__ = ["Drafted", "assess", "draft", "figures", "notice", "report"]

REPORT = ("what", "reach", "found", "cause", "harm", "measures", "plan", "contact")
NOTICE = ("event", "measures", "contact")


@dataclass(frozen=True)
class Drafted:
    """What was drafted: where it lies, how many get a message, how many only an announcement."""

    folder: Path
    messages: int
    announcement_only: int


def assess(inst: Installation, book: IncidentBook, owner: Owner, number: int, by: str) -> Affected:
    """Count whom the incident reaches and note it with its grade. Raises ``AccessRefused``."""
    now = inst.clock()
    with inst.store.begin(OFFICER, owner.id) as connection:
        found = case(connection, number)
        counts = affected(connection, inst.policy, book, found)
        grade = book.grade(counts.people)
        note(connection, owner, number, "assessed", by, now, grade, counts.facts())
    figures(inst, owner, number)
    return counts


def draft(
    inst: Installation,
    book: IncidentBook,
    owner: Owner,
    number: int,
    by: str,
    recipient: str = "",
) -> Drafted:
    """Write report, notice and send file; the send file opens with the key of ``recipient``.

    ``recipient``: a public age key; default: the installation's own.
    """
    now = inst.clock()
    key = recipient or age.recipient(inst.provider)
    folder = inst.settings.home / "incidents" / owner.code / f"{number:04d}"
    with inst.store.begin(OFFICER, owner.id) as connection:
        found = case(connection, number)
        counts = affected(connection, inst.policy, book, found)
        who = people(connection, found)
        ring = officer_ring(connection, inst.provider, owner)
        records = contacts(connection, ring, who)
        phones = sorted({str(r["phone"]) for r in records.values() if "*" not in str(r["phone"])})
        texts = {lang: notice(book, owner, found, counts, lang) for lang in LANGUAGES}
        sealed = age.encrypt(_messages(phones, texts), [key])
        lonely = max(0, len(who) - len(phones)) + (1 if counts.nobody else 0)
        facts = {"messages": len(phones), "announcement": lonely, "notice_items": len(NOTICE)}
        note(connection, owner, number, "drafted", by, now, "", facts)
    for lang in LANGUAGES:
        _write(folder / f"report.{lang}.md", report(book, owner, found, counts, now, lang).encode())
        _write(folder / f"notice.{lang}.txt", texts[lang].encode())
    _write(folder / "send.csv.age", sealed)
    _write(folder / "facts.json", json.dumps(counts.facts(), ensure_ascii=False).encode())
    figures(inst, owner, number)
    return Drafted(folder, len(phones), lonely)


def report(
    book: IncidentBook, owner: Owner, found: Case, counts: Affected, now: datetime, lang: str
) -> str:
    """Return the report to the authority as Markdown; what nobody knows yet says so."""
    words = _words(book, owner, found, counts, lang)
    lines = [f"# {say('incident.report.title', lang, **words)}", ""]
    for place, item in enumerate(REPORT, 1):
        lines.append(f"{place}. {say(f'incident.report.{item}', lang, **words)}")
    lines += ["", say("incident.report.clocks", lang), ""]
    for one in clocks(book, found, counts.people):
        clock = book.clocks[one.name]
        kind = say(f"incident.clock.{one.kind}", lang)
        due = say("incident.at_once", lang) if not one.hours else _time(one.due)
        state = say(f"incident.clock.{one.state(now)}", lang)
        lines.append(f"- {clock.say(lang)} [{kind} {one.cites}] {due}: {state}")
    return "\n".join(lines) + "\n"


def notice(book: IncidentBook, owner: Owner, found: Case, counts: Affected, lang: str) -> str:
    """Return the notice to people: the three items of PIPL 57."""
    words = _words(book, owner, found, counts, lang)
    return "".join(say(f"incident.notice.{item}", lang, **words) for item in NOTICE)


def figures(inst: Installation, owner: Owner, number: int) -> None:
    """Record the rule book's figures of a real incident, as far as they are known (BRE-01…04)."""
    names, now = load_rulebook(inst.settings.policy).figures, inst.clock()
    with inst.store.begin(OFFICER, owner.id) as connection:
        found = case(connection, number)
    if found.drill:
        return
    known = _known(found)
    with inst.store.begin(controller=owner.id) as connection:
        for name, value in known.items():
            record_figure(
                connection,
                names,
                owner,
                f"incident.{name}",
                value,
                day=now.astimezone(SHANGHAI).date(),
                run=f"incident-{number}",
                source="incident_event",
                scope=str(number),
            )


def _known(found: Case) -> dict[str, float]:
    known: dict[str, float] = {}
    assessed, drafted = found.last("assessed"), found.last("drafted")
    if assessed:
        known |= {
            "people": assessed.facts["people"],
            "sensitive_people": assessed.facts["sensitive"],
        }
    if drafted:
        known["notice_items"] = drafted.facts["notice_items"]
    hours = {"assessed": "assess_hours", "informed": "inform_hours", "reported_cac": "report_hours"}
    for event, name in hours.items():
        first = found.first(event)
        if first:
            known[name] = (first.at - found.discovered_at).total_seconds() / 3600
    known["postal_report"] = 1 if found.first("reported_postal") else 0
    handled, summary = found.first("handled"), found.first("summarised")
    if handled and summary:
        known["summary_days"] = (summary.at - handled.at).total_seconds() / 86400
    return known


def _words(
    book: IncidentBook, owner: Owner, found: Case, counts: Affected, lang: str
) -> dict[str, str | int]:
    contained = sum(event.kind == "done" for event in found.events)
    categories = [say(f"incident.category.{name}", lang) for name in counts.categories]
    return {
        "owner": owner.name,
        "number": found.number,
        "kind": book.kinds[found.kind].say(lang),
        "began": _time(found.began_at),
        "ended": _time(found.ended_at),
        "discovered": _time(found.discovered_at),
        "systems": ", ".join(found.scope.systems) or "–",
        "people": counts.people,
        "named": counts.named,
        "within": counts.within,
        "possible": counts.possible,
        "sensitive": counts.sensitive,
        "minors": counts.minors,
        "nobody": counts.nobody,
        "grade": book.grades[book.grade(counts.people)].say(lang),
        "categories": ", ".join(categories) or "–",
        "measures": contained,
        "drill": say("incident.drill_mark", lang) if found.drill else "",
    }


def _messages(phones: list[str], texts: dict[str, str]) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(["phone", *(f"text_{lang}" for lang in LANGUAGES)])
    for phone in phones:
        writer.writerow([neutral(phone), *(neutral(texts[lang]) for lang in LANGUAGES)])
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def _time(moment: datetime) -> str:
    return moment.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M")


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_name(f".{path.name}.partial")
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as out:
        out.write(content)
    os.replace(partial, path)
