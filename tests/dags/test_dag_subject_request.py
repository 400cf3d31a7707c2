"""The DAG ``subject_request``, run by Airflow in this process; a thread answers as the officer."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pyrage
import pytest
from answering import answering
from runs import NAME, OTHER, PHONE, metadata, run_dag, states

from safehands import erasure
from safehands.installation import Installation
from safehands.rights.book import load_rights_book
from safehands.rights.identity import confirm
from safehands.rights.requests import Request, find, register
from safehands.store.register import owners
from safehands_airflow.board import notices_of

GRANT, REFUSE, LATER = "同意 · Grant", "拒绝 · Refuse", "以后再定 · Later"
EMPTY = {"reason": None, "conditions": False, "recipient": None}


def answer(option: str, **given: Any) -> dict[str, Any]:
    return {"chosen_options": [option], "params_input": {**EMPTY, **given}}


@pytest.fixture
def asked(inst: Installation) -> Callable[[str, str], str]:
    """A function that registers a request and, unless told otherwise, checks identity."""

    def ask(kind: str, phone: str = PHONE, checked: bool = True) -> str:
        book = load_rights_book(inst.settings.policy)
        [subject], _ = erasure.find_subjects(inst.store, owners(inst.store)["owner"], phone)
        random = bytes(datetime.now(UTC).microsecond.to_bytes(4, "big"))
        request, _ = register(
            inst.store, book, "owner", kind, subject, "wang.li", inst.clock(), random
        )
        if checked and find(inst.store, request).state == "registered":
            confirm(inst, book, request, "in_person", "", "wang.li")
        return request

    return ask


def state(inst: Installation, request: str) -> Request:
    return find(inst.store, request)


def test_access_ends_as_a_package_for_the_persons_own_key(
    airflow: Any,
    inst: Installation,
    asked: Callable[..., str],
    capfd: pytest.CaptureFixture[str],
) -> None:
    request = asked("access")
    secret = pyrage.x25519.Identity.generate()
    with answering(
        "subject_request", decide=answer(GRANT, recipient=str(secret.to_public()))
    ) as somebody:
        run = run_dag("subject_request", {"request": request})
    assert somebody.given == [("decide", 200)]
    assert states(run) == {"look": "success", "decide": "success", "carry_out": "success"}
    found = state(inst, request)
    assert (found.state, found.decided_by) == ("done", "admin")
    sealed = (airflow.settings.home / "answers" / f"{request}.zip.age").read_bytes()
    with zipfile.ZipFile(BytesIO(pyrage.decrypt(sealed, [secret]))) as packed:
        content = {name: packed.read(name).decode() for name in packed.namelist()}
    assert any(PHONE in part for part in content.values())
    assert not any(OTHER in part for part in content.values())
    assert not (airflow.settings.home / "passphrases" / f"{request}.txt").exists()
    printed = capfd.readouterr()
    shown = printed.out + printed.err + metadata(airflow)
    assert request in shown
    for value in (PHONE, NAME, json.dumps(NAME)[1:-1]):
        assert value not in shown
    # What the officer was shown names the request's kind and deadline.
    assert f"{found.target:%Y-%m-%d}" in somebody.asked[0]["body"]


def test_without_a_key_the_passphrase_lies_where_only_this_user_reads(
    airflow: Any, inst: Installation, asked: Callable[..., str]
) -> None:
    request = asked("explain")
    with answering("subject_request", decide=answer(GRANT)):
        run_dag("subject_request", {"request": request})
    path: Path = airflow.settings.home / "passphrases" / f"{request}.txt"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    passphrase = path.read_text(encoding="utf-8").strip()
    sealed = (airflow.settings.home / "answers" / f"{request}.zip.age").read_bytes()
    assert pyrage.passphrase.decrypt(sealed, passphrase)
    assert passphrase not in metadata(airflow)


def test_a_refusal_is_recorded_with_its_reason_and_nothing_is_carried_out(
    inst: Installation, asked: Callable[..., str]
) -> None:
    request = asked("delete")
    with answering("subject_request", decide=answer(REFUSE, reason="period")):
        run = run_dag("subject_request", {"request": request})
    assert states(run) == {"look": "success", "decide": "success", "carry_out": "skipped"}
    found = state(inst, request)
    assert (found.state, found.reason, found.decided_by) == ("refused", "period", "admin")
    # Running it again neither asks again nor changes the answer.
    with answering("subject_request") as nobody:
        again = run_dag("subject_request", {"request": request})
    assert nobody.asked == []
    assert states(again)["carry_out"] == "skipped"


@pytest.mark.parametrize(
    ("user", "given"),
    [
        ("somebody", answer(GRANT)),
        ("admin", answer(REFUSE)),
        ("admin", answer(GRANT, recipient="age1nonsense")),
    ],
    ids=["no decider", "no reason", "no key"],
)
def test_an_answer_that_cannot_stand_records_nothing(
    airflow: Any, inst: Installation, asked: Callable[..., str], user: str, given: dict[str, Any]
) -> None:
    request = asked("restrict", OTHER)
    with answering("subject_request", user=user, decide=given):
        run = run_dag("subject_request", {"request": request})
    assert states(run)["decide"] == "failed"
    assert state(inst, request).state == "identified"
    [notice] = notices_of(airflow.settings, run.run_id)
    assert notice["step"] == "decide"


def test_left_for_later_stays_open(inst: Installation, asked: Callable[..., str]) -> None:
    request = asked("object", OTHER)
    with answering("subject_request", decide=answer(LATER)):
        run = run_dag("subject_request", {"request": request})
    assert run.state == "success"
    assert states(run) == {"look": "success", "decide": "skipped", "carry_out": "skipped"}
    assert state(inst, request).state == "identified"


def test_nobody_is_asked_before_identity_was_checked(
    inst: Installation, asked: Callable[..., str]
) -> None:
    request = asked("access", OTHER, checked=False)
    with answering("subject_request") as nobody:
        run = run_dag("subject_request", {"request": request})
    assert states(run) == {
        "look": "failed",
        "decide": "upstream_failed",
        "carry_out": "upstream_failed",
    }
    assert nobody.asked == []
    assert state(inst, request).state == "registered"


def test_a_correction_waits_for_whoever_types_the_new_value(
    inst: Installation, asked: Callable[..., str]
) -> None:
    request = asked("correct", OTHER)
    with answering("subject_request", decide=answer(GRANT)):
        run = run_dag("subject_request", {"request": request})
    assert states(run)["carry_out"] == "skipped"
    assert state(inst, request).state == "granted"


def test_an_answer_counts_under_the_login_name(bag: Any) -> None:
    """With logins by role the id is a number of Airflow's database. ``bag``: Airflow is there."""
    from safehands_airflow.deciding import responder

    assert "subject_request" in bag.dags
    given = {"responded_by_user": {"id": "7", "name": "p.officer"}, "chosen_options": ["x"]}
    assert responder(given) == "p.officer"
    assert responder({"responded_by_user": None}) == ""
