"""Incidents: who is affected, what clocks run, what is drafted, who approves, and the drill."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from incident_office import BY, PHONES, Office

from minimised import at, preference
from nights import BUSINESS_DATE, NOW
from safehands import incidents, journal
from safehands.errors import AccessRefused, LedgerBroken
from safehands.incidents.clocks import clocks
from safehands.incidents.complaints import answer, complaints, overdue_figure, receive
from safehands.incidents.pack import pack
from safehands.keys import age
from safehands.vault.access import OFFICER
from safehands.verification import verify_file


def test_parcels_of_a_time_reach_their_people_restricted_ones_too(office: Office) -> None:
    office.world.restrict(office.people[PHONES[0]])
    found = office.affected(office.open(parcels=True))
    assert (found.people, found.within, found.rows) == (12, 12, 40)
    few = office.affected(office.open(began=at(2026, 11, 13), parcels=True))
    assert 0 < few.people < 12


def test_a_reveal_is_certain_a_backup_only_possible_and_the_erased_are_nobody(
    office: Office,
) -> None:
    owner = office.world.owner().id
    office.admin(
        "INSERT INTO access_log (controller_id, subject_id, action, purpose, fields, by_whom, at)"
        " VALUES (:owner, :who, 'reveal', 'custody', 'phone', 'thief', :at),"
        " (:owner, NULL, 'reveal', 'custody', 'phone', 'thief', :at)",
        owner=owner,
        who=office.people[PHONES[3]],
        at=NOW - timedelta(hours=5),
    )
    found = office.affected(office.open(staff=("thief",), copied=NOW.isoformat()))
    assert (found.people, found.named, found.possible, found.nobody) == (12, 1, 11, 1)


def test_the_grades_and_clocks_of_law_and_policy_stand_apart(office: Office) -> None:
    assert office.book.grade(999_999) == "general"
    assert office.book.grade(1_000_000) == "larger"
    assert office.book.grade(100_000_000) == "extreme"
    case = office.case(office.open(parcels=True))
    small = {one.name: one for one in clocks(office.book, case, 12)}
    assert "cac" not in small
    assert {one.kind for one in small.values() if one.hours} == {"P"}
    large = {one.name: one for one in clocks(office.book, case, 1_000_000)}
    assert (large["cac"].hours, large["cac"].kind) == (4, "L")


def test_drafts_are_in_both_languages_and_the_send_file_is_encrypted(office: Office) -> None:
    number = office.open(parcels=True)
    owner = office.world.owner()
    office.world.load(
        [], preferences=[preference(at(2026, 11, 2), receiver_phone=PHONES[0], notify_channel=3)]
    )
    incidents.assess(office.inst, office.book, owner, number, BY)
    made = incidents.draft(office.inst, office.book, owner, number, BY)
    assert (made.messages, made.announcement_only) == (12, 0)
    assert made.channels == {"sms": 11, "phone": 1}
    assert {path.name for path in made.folder.iterdir()} == {
        *("report.zh.md", "report.en.md", "send.sms.csv.age", "send.phone.csv.age", "facts.json"),
        *(f"notice.{c}.{lang}.txt" for c in office.book.channels for lang in ("zh", "en")),
        *(path.name for path in made.folder.glob("evidence-*.json")),
    }
    for path in made.folder.iterdir():
        assert not any(phone.encode() in path.read_bytes() for phone in PHONES)
    lists = {
        name: age.decrypt(
            (made.folder / f"send.{name}.csv.age").read_bytes(), age.identity(office.inst.provider)
        ).decode()
        for name in made.channels
    }
    assert [phone for phone in PHONES if phone in lists["sms"]] == list(PHONES[1:])
    assert [phone for phone in PHONES if phone in lists["phone"]] == [PHONES[0]]
    assert "您好" in lists["phone"]
    assert "Good day" in lists["phone"]
    report = (made.folder / "report.en.md").read_text(encoding="utf-8")
    assert report.index("1. Who:") < report.index("2. Reach:") < report.index("3. Discovered:")
    assert "postal authority: nobody in the contact book" in report
    # Nothing is said to have been done that was not.
    notice = (made.folder / "notice.sms.en.txt").read_text(encoding="utf-8")
    assert "measures are under way" in notice
    assert "reported" not in notice
    incidents.contain(office.inst, office.book, owner, number, "stop_disclosures", BY, "li.ming")
    incidents.event(office.inst, owner, number, "reported_postal", BY, "no. 7")
    incidents.draft(office.inst, office.book, owner, number, BY)
    notice = (made.folder / "notice.sms.en.txt").read_text(encoding="utf-8")
    assert "stop all disclosures, and we reported it to the authority" in notice
    figures = office.world.rows("SELECT name, number FROM rule_figure WHERE scope <> ''")
    known = {row["name"]: row["number"] for row in figures}
    assert known["incident.people"] == 12
    assert known["incident.notice_items"] == 3
    assert known["incident.assess_hours"] == 2
    assert not any(phone in office.ledger() for phone in PHONES)


def test_containment_wants_somebody_else_s_approval_and_a_reference(office: Office) -> None:
    number, owner = office.open(parcels=True), office.world.owner()
    inst, book = office.inst, office.book
    assert "stop_disclosures" in incidents.propose(inst, book, owner, number, BY)
    with pytest.raises(AccessRefused, match="approves"):
        incidents.contain(inst, book, owner, number, "stop_disclosures", BY, BY)
    with pytest.raises(AccessRefused, match="reference"):
        incidents.contain(inst, book, owner, number, "restore", BY, "li.ming")
    incidents.contain(inst, book, owner, number, "stop_disclosures", BY, "li.ming")
    from safehands.sharing.plan import stopped

    with inst.store.begin(OFFICER, owner.id) as connection:
        assert stopped(connection)
    incidents.contain(inst, book, owner, number, "resume_disclosures", BY, "li.ming")
    with inst.store.begin(OFFICER, owner.id) as connection:
        assert not stopped(connection)


def test_an_incident_closes_only_when_everything_was_done(office: Office) -> None:
    number, owner = office.open(parcels=True), office.world.owner()
    inst, book = office.inst, office.book
    incidents.assess(inst, book, owner, number, BY)
    with pytest.raises(AccessRefused, match="lesson"):
        incidents.event(inst, owner, number, "closed", BY, "")
    for kind in ("contained", "handled", "summarised", "lesson", "responsible", "closed"):
        incidents.event(inst, owner, number, kind, BY, "file 7")
    with pytest.raises(AccessRefused, match="closed"):
        incidents.event(inst, owner, number, "lesson", BY, "file 8")


def test_a_drill_touches_nobody_leaves_nothing_and_is_evidence(office: Office) -> None:
    before = office.world.census()
    ticks = iter(range(0, 100, 5))
    done = incidents.drill(office.inst, office.book, "A", BY, lambda: float(next(ticks)), count=40)
    assert (done.people, done.seconds_to_count, done.seconds_to_drafts) == (40, 5.0, 10.0)
    assert done.passed
    after = office.world.census()
    assert {k: v for k, v in after.items() if k != "ledger_entry"} == {
        k: v for k, v in before.items() if k != "ledger_entry"
    }
    evidence = "SELECT kind FROM control_evidence"
    with office.inst.store.begin(controller=office.world.owner().id) as connection:
        assert [row[0] for row in connection.exec_driver_sql(evidence)] == ["drill"]
    assert office.inst.provider.names("epoch/DRILL") == []
    assert not (office.inst.settings.home / "work" / "incident-drill").exists()


def test_unusual_access_by_hour_volume_and_own_past(office: Office) -> None:
    owner = office.world.owner().id
    office.admin(
        "INSERT INTO access_log (controller_id, action, purpose, fields, by_whom, at)"
        " SELECT :owner, 'reveal', 'custody', 'phone', 'zhao', CAST(:day AS timestamptz)"
        " - g * interval '1 day' FROM generate_series(1, 9) g"
        " UNION ALL SELECT :owner, 'reveal', 'custody', 'phone', 'zhao', :day"
        " FROM generate_series(1, 51)"
        " UNION ALL SELECT :owner, 'reveal', 'custody', 'phone', 'qian', :night",
        owner=owner,
        day=at(2026, 11, 23, 14),
        night=at(2026, 11, 23, 3),
    )
    found = incidents.raise_alerts(office.inst, office.book, office.world.owner(), BUSINESS_DATE)
    assert {(one.by, one.rule) for one in found} == {
        *(("zhao", "per_hour"), ("zhao", "own_past"), ("qian", "at_night")),
    }
    assert office.ledger().count('"event":"unusual_access"') == 1
    # The same again is written no second time, in the night and in the page's figures it stands.
    told = incidents.incident_figures(office.inst, BUSINESS_DATE, "tick")
    assert told["A"]["access.unusual"] == 3
    assert office.ledger().count('"event":"unusual_access"') == 1


def test_a_complaint_is_answered_within_seven_days_or_counts(office: Office) -> None:
    owner, inst, book = office.world.owner(), office.inst, office.book
    who = office.people[PHONES[1]]
    number = receive(inst, book, owner, "information", "phone", "C-7", at(2026, 11, 10), BY, who)
    assert overdue_figure(inst, owner, date(2026, 11, 17)) == 0
    assert overdue_figure(inst, owner, date(2026, 11, 18)) == 1
    answer(inst, book, owner, number, "upheld", BY)
    with inst.store.begin(OFFICER, owner.id) as connection:
        (found,) = complaints(connection)
    assert (found.state(BUSINESS_DATE), found.outcome, found.about) == ("late", "upheld", True)
    with pytest.raises(AccessRefused):
        receive(inst, book, owner, "information", "phone", PHONES[1], at(2026, 11, 10), BY)
    office.admin("DELETE FROM subject WHERE subject_id = :who", who=who)
    with inst.store.begin(OFFICER, owner.id) as connection:
        assert not complaints(connection)[0].about


def test_the_pack_verifies_offline_and_holds_nobody(office: Office, tmp_path: Path) -> None:
    owner = office.world.owner()
    number = office.open(parcels=True)
    incidents.assess(office.inst, office.book, owner, number, BY)
    out = tmp_path / "pack.json"
    counts = pack(office.inst, owner, date(2026, 11, 1), date(2026, 11, 30), out)
    assert (counts["incidents"], counts["incident_events"]) == (1, 2)
    verifier = journal.signing_key(office.inst.provider).verifier
    assert "evidence_pack" in verify_file(out, verifier, "en")
    told = out.read_text(encoding="utf-8")
    assert not any(phone in told for phone in PHONES)
    assert not any(str(who) in told for who in office.people.values())
    out.write_text(told.replace('"leak"', '"loss"'), encoding="utf-8")
    with pytest.raises(LedgerBroken):
        verify_file(out, verifier, "en")
