"""What the program itself does to contain an incident, and what is left to do until it closes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from incident_office import BY, PHONES, Office
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from nights import NOW
from safehands import incidents, journal
from safehands.errors import AccessRefused
from safehands.store.register import open_ring
from safehands.vault.access import OFFICER, Access
from safehands.vault.reveal import reveal
from safehands.verification import verify_file

APPROVER = "li.ming"


def contain(office: Office, number: int, action: str) -> dict[str, object]:
    owner = office.world.owner()
    return incidents.contain(office.inst, office.book, owner, number, action, BY, APPROVER)


def show(office: Office, by: str) -> str:
    inst, who = office.inst, office.people[PHONES[0]]
    access = Access("A", by, "rights")
    return reveal(inst.store, inst.policy, access, NOW, subject=who).fields["name"]


def test_revoked_access_bars_the_staff_and_takes_our_roles_from_other_logins(
    office: Office,
) -> None:
    number = office.open(kind="misuse", staff=("Thief",))
    office.admin("CREATE ROLE outsider LOGIN PASSWORD 'x'")
    office.admin("GRANT safehands_officer TO outsider")
    try:
        assert show(office, "thief") == show(office, BY)
        done = contain(office, number, "revoke_access")
        assert done["staff"] == ["thief"]
        assert done["logins"] == ["safehands_officer outsider"]
        with pytest.raises(AccessRefused) as refused:
            show(office, "Thief")
        assert refused.value.key == "vault.revoked"
        show(office, BY)
        assert not member(office)
        with pytest.raises(OperationalError):
            analyst(office)
        contain(office, number, "restore_access")
        show(office, "thief")
        analyst(office)
        assert member(office)
    finally:
        office.admin("ALTER ROLE safehands_analyst LOGIN")
        office.admin("REVOKE safehands_officer FROM outsider")
        office.admin("DROP ROLE outsider")


def member(office: Office) -> bool:
    with office.inst.store.admin().connect() as connection:
        query = "SELECT pg_has_role('outsider', 'safehands_officer', 'member')"
        return bool(connection.execute(text(query)).scalar())


def analyst(office: Office) -> None:
    office.inst.store.close()
    with office.inst.store.engine("safehands_analyst").connect():
        pass


def test_nothing_to_give_back_where_nothing_was_revoked(office: Office) -> None:
    with pytest.raises(AccessRefused, match="revoked"):
        contain(office, office.open(parcels=True), "restore_access")


def test_the_data_key_and_the_epoch_are_new_and_everybody_is_still_there(office: Office) -> None:
    number, owner = office.open(parcels=True), office.world.owner()
    with office.inst.store.begin(controller=owner.id) as connection:
        before = open_ring(connection, office.inst.provider, owner)
    assert contain(office, number, "rotate_keys")["records"] == len(PHONES)
    assert contain(office, number, "new_epoch")["people"] == len(PHONES)
    with office.inst.store.begin(controller=owner.id) as connection:
        after = open_ring(connection, office.inst.provider, owner)
    assert (after.version, after.epoch) == (before.version + 1, before.epoch + 1)
    assert {row["record"]["phone"] for row in office.world.people()} == set(PHONES)
    # A third epoch beside the two would leave an old key that nobody destroys.
    with pytest.raises(AccessRefused) as refused:
        contain(office, number, "new_epoch")
    assert refused.value.key == "incident.epoch_not_now"
    done = [event.name for event in office.case(number).events if event.kind == "done"]
    assert done == ["rotate_keys", "new_epoch"]


def test_a_drill_touches_no_role_and_no_key(office: Office) -> None:
    owner = office.world.owner()
    times = (NOW - timedelta(hours=2), NOW - timedelta(days=3), NOW - timedelta(hours=3))
    with office.inst.store.begin(OFFICER, owner.id) as connection:
        scope = incidents.Scope(staff=(BY,))
        number = incidents.open_case(
            connection, office.book, owner, "misuse", times, "x", scope, BY, NOW, drill=True
        )
    assert contain(office, number, "revoke_access") == {}
    show(office, BY)
    analyst(office)


def test_evidence_is_kept_when_it_is_assessed_and_verifies_offline(office: Office) -> None:
    number, owner = office.open(parcels=True), office.world.owner()
    incidents.assess(office.inst, office.book, owner, number, BY)
    kept = office.case(number).last("kept")
    assert kept is not None
    path = office.inst.settings.home / "incidents" / "A" / f"{number:04d}" / kept.name
    verifier = journal.signing_key(office.inst.provider).verifier
    assert "evidence_pack" in verify_file(path, verifier, "en")
    told = path.read_text(encoding="utf-8")
    assert not any(phone in told for phone in PHONES)
    assert path.stat().st_mode & 0o077 == 0


def test_tasks_are_tracked_and_the_summary_tells_the_course(office: Office) -> None:
    number, owner = office.open(parcels=True), office.world.owner()
    inst, book = office.inst, office.book
    incidents.assess(inst, book, owner, number, BY)
    incidents.propose(inst, book, owner, number, BY)
    contain(office, number, "stop_disclosures")
    left = {(t.kind, t.name) for t in incidents.tasks(book, office.case(number)) if not t.done}
    assert {("measure", "revoke_access"), ("clock", "postal"), ("note", "lesson")} <= left
    assert ("measure", "stop_disclosures") not in left
    assert ("clock", "assess") not in left
    for kind in ("contained", "handled", "reported_postal", "informed", "summarised"):
        incidents.event(inst, owner, number, kind, BY, "file 7")
    incidents.event(inst, owner, number, "lesson", BY, "lesson 3")
    [zh, en] = incidents.summarise(inst, book, owner, number)
    told = en.read_text(encoding="utf-8")
    assert "Lesson: lesson 3" in told
    assert "Responsibility: (to be filled in)" in told
    assert "revoke access of the staff ids concerned" in told.partition("Still to do:")[2]
    assert "measure taken: stop all disclosures" in told
    assert "经验教训：lesson 3" in zh.read_text(encoding="utf-8")


def test_the_page_s_figures_are_counts_without_a_name(office: Office) -> None:
    number, owner = office.open(parcels=True), office.world.owner()
    incidents.assess(office.inst, office.book, owner, number, BY)
    office.admin(
        "INSERT INTO access_log (controller_id, action, purpose, fields, by_whom, at)"
        " SELECT :owner, 'reveal', 'custody', 'phone', 'zhao', CAST(:at AS timestamptz)"
        " FROM generate_series(1, 51)",
        owner=owner.id,
        at=NOW,
    )
    day = NOW.date()
    with office.inst.store.begin(OFFICER, owner.id) as connection:
        told = incidents.incident_numbers(connection, office.inst, owner, day)
    assert len(told["access"]) == 30
    assert sum(one["records"] for one in told["access"]) == 51
    assert sum(one["records"] for one in told["hours"]) == 51
    assert told["alerts"]["per_hour"] == 1
    assert told["incidents"] == {"open": 1, "drills": 0}
    assert told["contacts"] == {"kinds": 6, "gaps": 6}
    shown = str(told)
    assert "zhao" not in shown
    assert BY not in shown


def test_no_connection_of_an_outsider_outlives_the_revocation(office: Office) -> None:
    number = office.open(kind="misuse", staff=("thief",))
    office.admin("CREATE ROLE lingerer LOGIN PASSWORD 'x'")
    office.admin("GRANT safehands_analyst TO lingerer")
    url = make_url(office.inst.store.url).set(
        drivername="postgresql+psycopg", username="lingerer", password="x"
    )
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            assert connection.execute(text("SELECT 1")).scalar() == 1
            assert contain(office, number, "revoke_access")["sessions"] == 1
            with pytest.raises(OperationalError):
                connection.execute(text("SELECT 1"))
    finally:
        engine.dispose()
        office.admin("ALTER ROLE safehands_analyst LOGIN")
        office.admin("DROP ROLE lingerer")
