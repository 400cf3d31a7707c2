"""Drafts: the report to the authority and the notice to people, in zh and en.

The notice has the three items of PIPL 57 and of 网络数据安全管理条例 11: what happened and
the risk, consequences, measures taken. The report begins with the first two items of the
reporting measures (what happened where; how far it reaches), the rest may follow. Nothing is sent
from here: the drafts lie beside the send files, which are encrypted. Whom to tell comes from the
contact book; what is missing there, or old, is said in the draft. People without a whole phone
number, and those who were erased since, are reached by announcement.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from safehands.incidents.affected import Affected, affected, people
from safehands.incidents.book import IncidentBook, contacts_of, gaps
from safehands.incidents.cases import Case, case, note
from safehands.incidents.clocks import clocks
from safehands.incidents.pack import pack
from safehands.incidents.sending import by_channel, send_file
from safehands.installation import Installation
from safehands.keys import age
from safehands.messages import LANGUAGES, say
from safehands.night import SHANGHAI
from safehands.rulebook.from_register import record_figure
from safehands.rulebook.load import load_rulebook
from safehands.store.register import Owner
from safehands.vault.access import OFFICER, officer_ring
from safehands.vault.contacts import contacts

__all__ = [
    "Drafted",
    "assess",
    "draft",
    "figures",
    "keep_evidence",
    "notice",
    "place",
    "report",
    "written",
]

REPORT = ("what", "reach", "found", "cause", "harm", "measures", "plan", "contact")
NOTICE = ("event", "measures", "contact")


@dataclass(frozen=True)
class Drafted:
    """What was drafted: where it lies, how many get a message, how many only an announcement.

    ``channels``: how many messages over each channel.
    """

    folder: Path
    messages: int
    announcement_only: int
    channels: dict[str, int]


def assess(inst: Installation, book: IncidentBook, owner: Owner, number: int, by: str) -> Affected:
    """Count whom the incident reaches and note it with its grade. Raises ``AccessRefused``."""
    now = inst.clock()
    with inst.store.begin(OFFICER, owner.id) as connection:
        found = case(connection, number)
        counts = affected(connection, inst.policy, book, found)
        grade = book.grade(counts.people)
        note(connection, owner, number, "assessed", by, now, grade, counts.facts())
    keep_evidence(inst, owner, number, by)
    figures(inst, owner, number)
    return counts


def keep_evidence(inst: Installation, owner: Owner, number: int, by: str) -> Path | None:
    """Keep what the records say by now, signed, beside the drafts; ``None`` in a drill.

    Before anything is contained: batches, disclosures, events and the ledger's checkpoint from the
    incident's beginning to today, as counts (``safehands verify`` checks it without the store).
    """
    now = inst.clock()
    with inst.store.begin(OFFICER, owner.id) as connection:
        found = case(connection, number)
    if found.drill:
        # A drill's store has a trail of its own; nothing of it is signed with the real key.
        return None
    out = place(inst, owner, number) / f"evidence-{now:%Y%m%dT%H%M%S%f}.json"
    out.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    days = [moment.astimezone(SHANGHAI).date() for moment in (found.began_at, now)]
    counts = pack(inst, owner, days[0], days[1], out)
    facts = {"rows": sum(counts.values()), "sha256": hashlib.sha256(out.read_bytes()).hexdigest()}
    with inst.store.begin(OFFICER, owner.id) as connection:
        note(connection, owner, number, "kept", by, now, out.name, facts)
    return out


def place(inst: Installation, owner: Owner, number: int) -> Path:
    """Return the folder of an incident's papers."""
    return inst.settings.home / "incidents" / owner.code / f"{number:04d}"


def draft(
    inst: Installation,
    book: IncidentBook,
    owner: Owner,
    number: int,
    by: str,
    recipient: str = "",
) -> Drafted:
    """Write report, notices and send files; those open with the key of ``recipient``.

    ``recipient``: a public age key; default: the installation's own.
    """
    now = inst.clock()
    key = recipient or age.recipient(inst.provider)
    folder = place(inst, owner, number)
    with inst.store.begin(OFFICER, owner.id) as connection:
        found = case(connection, number)
        counts = affected(connection, inst.policy, book, found)
        who = people(connection, found)
        ring = officer_ring(connection, inst.provider, owner)
        lists = by_channel(connection, who, contacts(connection, ring, who))
        sizes = {channel: len(phones) for channel, phones in lists.items()}
        messages = sum(sizes.values())
        lonely = max(0, len(who) - messages) + (1 if counts.nobody else 0)
        facts = {"messages": messages, "announcement": lonely, "notice_items": len(NOTICE)}
        note(connection, owner, number, "drafted", by, now, "", {**facts, "channels": sizes})
    for channel in book.channels:
        texts = {lang: notice(book, owner, found, counts, lang, channel) for lang in LANGUAGES}
        for lang, words in texts.items():
            written(folder / f"notice.{channel}.{lang}.txt", words.encode())
        if channel in lists:
            sealed = age.encrypt(send_file(lists[channel], texts), [key])
            written(folder / f"send.{channel}.csv.age", sealed)
    for lang in LANGUAGES:
        written(
            folder / f"report.{lang}.md", report(book, owner, found, counts, now, lang).encode()
        )
    written(folder / "facts.json", json.dumps(counts.facts(), ensure_ascii=False).encode())
    figures(inst, owner, number)
    return Drafted(folder, messages, lonely, sizes)


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
        mark = f"{kind} {one.cites}".rstrip()
        due = say("incident.at_once", lang) if not one.hours else _time(one.due)
        state = say(f"incident.clock.{one.state(now)}", lang)
        lines.append(f"- {clock.say(lang)} [{mark}] {due}: {state}")
    lines += ["", say("incident.report.tell", lang), ""]
    lines += [f"- {line}" for line in _whom(book, owner, now.astimezone(SHANGHAI).date(), lang)]
    return "\n".join(lines) + "\n"


def notice(
    book: IncidentBook, owner: Owner, found: Case, counts: Affected, lang: str, channel: str
) -> str:
    """Return the notice to people over ``channel``: the three items of PIPL 57."""
    words = _words(book, owner, found, counts, lang)
    items = [say(f"incident.notice.{item}", lang, **words) for item in NOTICE]
    return say(f"incident.channel.{channel}", lang, text="".join(items), owner=owner.name)


def _whom(book: IncidentBook, owner: Owner, day: date, lang: str) -> list[str]:
    """Return a line per kind of contact: whom to tell, or that nobody is in the book."""
    open_kinds = {gap.kind: gap for gap in gaps(book, owner.code, day)}
    lines = []
    for kind, label in book.contact_kinds.items():
        known, what = contacts_of(book, owner.code, kind), label.say(lang)
        if not known:
            lines.append(say("incident.contact.missing", lang, kind=what))
        for one in known:
            state = "stale" if kind in open_kinds else "known"
            told = {"name": one.name.say(lang), "reach": one.reach, "day": one.checked.isoformat()}
            lines.append(say(f"incident.contact.{state}", lang, kind=what, **told))
    return lines


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
    taken = dict.fromkeys(e.name for e in found.events if e.kind == "done")
    done = [book.actions[name].say(lang) for name in taken if name in book.actions]
    told = any(found.first(kind) for kind in ("reported_postal", "reported_cac"))
    comma = "、" if lang == "zh" else ", "
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
        "categories": comma.join(categories) or "–",
        # Only what was done is said to have been done.
        "taken": comma.join(done) or say("incident.notice.under_way", lang),
        "reported": say("incident.notice.reported", lang) if told else "",
        "drill": say("incident.drill_mark", lang) if found.drill else "",
    }


def _time(moment: datetime) -> str:
    return moment.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M")


def written(path: Path, content: bytes) -> Path:
    """Write a paper of an incident, readable by its owner alone, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_name(f".{path.name}.partial")
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as out:
        out.write(content)
    os.replace(partial, path)
    return path
