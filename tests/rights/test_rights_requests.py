"""A request is taken once, has its clock, and goes through identity and decision in order."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from rights_desk import ANNA, BY, TWIN, Desk

from nights import BUSINESS_DATE, NOW
from safehands.errors import AccessRefused, PolicyError, SetupProblem
from safehands.rights.book import load_rights_book
from safehands.rights.decide import decide
from safehands.rights.identity import FileSender, confirm, send_code, verify_code
from safehands.rights.requests import list_requests, open_requests
from safehands.rights.senders import sender_of
from safehands.settings import Settings


class Phone:
    """A phone that remembers what it was sent."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str]] = []

    def send(self, phone: str, message: str) -> None:
        self.got.append((phone, message))


def key_of(problem: pytest.ExceptionInfo[AccessRefused]) -> str:
    return problem.value.key


def test_the_clock_starts_with_the_request(desk: Desk) -> None:
    found = desk.state(desk.register("access"))
    assert found.state == "registered"
    assert found.target == NOW.date() + timedelta(days=desk.book.target_days)
    assert found.latest == NOW.date() + timedelta(days=desk.book.latest_days)
    assert not found.late(found.latest)
    assert found.late(found.latest + timedelta(days=1))


def test_the_same_request_is_taken_once(desk: Desk) -> None:
    first = desk.register("access")
    assert desk.register("access") == first
    assert desk.register("delete") != first
    assert desk.register("access", ("张伟", TWIN)) != first
    desk.confirm(first)
    desk.grant(first)
    desk.carry_out(first)
    assert desk.register("access") != first
    assert [one.request for one in list_requests(desk.inst.store)][-1] == first
    owner = desk.world.owner()
    with desk.inst.store.begin(controller=owner.id) as connection:
        assert len(open_requests(connection, owner.id)) == 3


@pytest.mark.parametrize(
    ("kind", "more", "key"),
    [
        ("nonsense", {}, "rights.unknown_kind"),
        ("withdraw", {}, "rights.purpose_missing"),
        ("access", {"purpose": "marketing"}, "rights.purpose_missing"),
        ("access", {"behalf": "neighbour"}, "rights.not_for_them"),
        ("object", {"behalf": "relative", "evidence": "D-1"}, "rights.not_for_them"),
        ("access", {"behalf": "relative"}, "rights.proof_missing"),
        ("access", {"behalf": "guardian"}, "rights.proof_missing"),
        ("access", {"evidence": ANNA}, "consent.reference"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    desk: Desk, kind: str, more: dict[str, Any], key: str
) -> None:
    with pytest.raises(AccessRefused) as problem:
        desk.register(kind, **more)
    assert key_of(problem) == key
    assert list_requests(desk.inst.store) == []


def test_relatives_of_the_deceased_may_ask_with_proof(desk: Desk) -> None:
    request = desk.register("access", behalf="relative", evidence="death certificate 7")
    assert desk.state(request).behalf == "relative"


def test_a_code_goes_to_the_number_in_question_only(desk: Desk) -> None:
    request, phone = desk.register("access"), Phone()
    with pytest.raises(AccessRefused) as problem:
        send_code(desk.inst, desk.book, request, TWIN, phone, BY, lambda _: 4711)
    assert key_of(problem) == "rights.other_number"
    assert phone.got == []
    send_code(desk.inst, desk.book, request, ANNA, phone, BY, lambda _: 4711)
    ((number, message),) = phone.got
    assert number == ANNA
    assert "004711" in message
    verify_code(desk.inst, desk.book, request, " 004711 ", BY)
    assert desk.state(request).state == "identified"
    assert desk.state(request).identified_how == "code"
    for entry in desk.ledger():
        assert "4711" not in entry
        assert ANNA not in entry


def test_a_wrong_code_and_too_many_tries(desk: Desk) -> None:
    request = desk.register("access")
    send_code(desk.inst, desk.book, request, ANNA, Phone(), BY, lambda _: 4711)
    for left in range(desk.book.code.tries - 1, -1, -1):
        with pytest.raises(AccessRefused) as problem:
            verify_code(desk.inst, desk.book, request, "000000", BY)
        assert problem.value.params == {"left": left}
    with pytest.raises(AccessRefused):
        verify_code(desk.inst, desk.book, request, "004711", BY)
    assert desk.state(request).state == "registered"
    send_code(desk.inst, desk.book, request, ANNA, Phone(), BY, lambda _: 4712)
    verify_code(desk.inst, desk.book, request, "004712", BY)


def test_a_file_stands_for_a_gateway_while_there_is_none(desk: Desk, tmp_path: Path) -> None:
    request, file = desk.register("access"), tmp_path / "out" / "code.txt"
    send_code(desk.inst, desk.book, request, ANNA, FileSender(file), BY, lambda _: 4711)
    assert "004711" in file.read_text(encoding="utf-8")
    assert ANNA not in file.read_text(encoding="utf-8")
    assert file.stat().st_mode & 0o777 == 0o600


class Gateway:
    """What a gateway's own package would bring; ``sent`` is shared by all of them."""

    sent: ClassVar[list[tuple[str, str]]] = []

    def __init__(self, settings: Settings) -> None:
        assert settings.sender

    def send(self, phone: str, message: str) -> None:
        self.sent.append((phone, message))


def test_a_gateway_is_named_by_a_setting(desk: Desk) -> None:
    settings = desk.inst.settings
    assert isinstance(sender_of(settings, "R-1"), FileSender)
    sender = sender_of(replace(settings, sender=f"{__name__}:Gateway"), "R-1")
    send_code(desk.inst, desk.book, desk.register("access"), ANNA, sender, BY, lambda _: 4711)
    [(phone, message)] = Gateway.sent
    assert phone == ANNA
    assert "004711" in message
    for name in ("no.such.module:x", "safehands.rights.senders:nothing", "::"):
        with pytest.raises(SetupProblem):
            sender_of(replace(settings, sender=name), "R-1")


def test_a_check_by_a_person_names_how(desk: Desk) -> None:
    request = desk.register("access")
    for how, evidence, key in (
        ("code", "", "rights.unknown_check"),
        ("guess", "", "rights.unknown_check"),
        ("document", "", "rights.proof_missing"),
    ):
        with pytest.raises(AccessRefused) as problem:
            confirm(desk.inst, desk.book, request, how, evidence, BY)
        assert key_of(problem) == key
    confirm(desk.inst, desk.book, request, "document", "passport copy 3", BY)
    assert desk.state(request).identified_how == "document"


def test_nothing_is_granted_before_identity_is_known(desk: Desk) -> None:
    request = desk.register("access")
    with pytest.raises(AccessRefused) as problem:
        desk.grant(request)
    assert key_of(problem) == "rights.wrong_state"
    with pytest.raises(AccessRefused):
        desk.carry_out(request)


def test_a_refusal_has_a_reason(desk: Desk) -> None:
    request = desk.register("access")
    with pytest.raises(AccessRefused) as problem:
        decide(desk.inst, desk.book, request, BY, NOW, grant=False)
    assert key_of(problem) == "rights.no_reason"
    decide(desk.inst, desk.book, request, BY, NOW, grant=False, reason="not_identified")
    decide(desk.inst, desk.book, request, BY, NOW, grant=False, reason="not_identified")
    found = desk.state(request)
    assert (found.state, found.reason) == ("refused", "not_identified")
    with pytest.raises(AccessRefused):
        desk.confirm(request)
    assert sum('"refused"' in entry for entry in desk.ledger()) == 1


def test_a_copy_needs_all_four_conditions(desk: Desk) -> None:
    request = desk.register("copy")
    desk.confirm(request)
    for given in ((), ("identity", "basis", "feasible"), ("identity", "luck")):
        with pytest.raises(AccessRefused) as problem:
            desk.grant(request, conditions=given)
        assert key_of(problem) == "rights.conditions"
    desk.grant(request, conditions=tuple(desk.book.conditions))
    assert set(desk.state(request).conditions) == set(desk.book.conditions)


def test_an_unknown_request(desk: Desk) -> None:
    with pytest.raises(AccessRefused) as problem:
        desk.state("R-1")
    assert key_of(problem) == "rights.unknown"


def test_a_book_with_another_kind_is_refused(desk: Desk, tmp_path: Path) -> None:
    text = (desk.inst.settings.policy / "rights.yaml").read_text(encoding="utf-8")
    (tmp_path / "rights.yaml").write_text(text.replace("  access: {label", "  peek: {label"))
    with pytest.raises(PolicyError):
        load_rights_book(tmp_path)


def test_the_figures_of_the_rule_book(desk: Desk) -> None:
    from safehands.rights.figures import rights_figures

    desk.register("access")
    late = BUSINESS_DATE + timedelta(days=desk.book.latest_days + 5)
    for day, run in ((BUSINESS_DATE, "n1"), (late, "n2"), (late, "n2")):
        rights_figures(desk.inst, day, run)
    rows = desk.world.rows(
        "SELECT run, number FROM rule_figure WHERE name = 'requests.overdue' ORDER BY run"
    )
    assert [(row["run"], row["number"]) for row in rows] == [("n1", 0), ("n2", 1)]
