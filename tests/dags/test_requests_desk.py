"""The page for requests inside Airflow: whose it is, what it takes, and what it never shows."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from runs import NAME, OTHER, PHONE, metadata

from safehands.installation import Installation
from safehands.rights.decide import decide
from safehands.rights.requests import find

HERE = "/requests"
TOKEN = re.compile(r'name="token" value="([^"]+)"')


@pytest.fixture
def visit(inst: Installation) -> Callable[..., TestClient]:  # noqa: ARG001 - the store is there
    """A function that returns a browser logged in as ``user`` with ``role``."""
    from airflow.api_fastapi.app import create_app, get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    from safehands_airflow.pages import app

    create_app(apps="core")

    def open_(user: str = "admin", role: str = "user") -> TestClient:
        who = SimpleAuthManagerUser(username=user, role=role)
        headers = {"Authorization": f"Bearer {get_auth_manager().generate_jwt(who)}"}
        return TestClient(app, headers=headers, follow_redirects=False)

    return open_


@pytest.fixture
def officer(visit: Callable[..., TestClient]) -> TestClient:
    return visit()


def token(officer: TestClient) -> str:
    [first, *_] = TOKEN.findall(officer.get(HERE).text)
    return str(first)


def filled(officer: TestClient, **changed: str) -> dict[str, str]:
    asked = {"owner": "owner", "phone": PHONE, "kind": "access", "behalf": "self"}
    return {"token": token(officer), "purpose": "", "evidence": "", **asked, **changed}


def registered(officer: TestClient, **changed: str) -> str:
    """Register through the form; return the request's id, which is in the address led to."""
    answer = officer.post(f"{HERE}?lang=en", data=filled(officer, **changed))
    assert answer.status_code == 303, answer.text
    place = answer.headers["location"]
    found = re.fullmatch(r"/safehands/requests/(R-\d{8}-[0-9a-f]{8})\?lang=en(&known=1)?", place)
    assert found, place
    return found[1]


def test_a_request_is_registered_and_nobody_is_shown(
    airflow: Any, inst: Installation, officer: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    request = registered(officer, kind="explain", phone=f" +86 {PHONE[:3]}-{PHONE[3:]} ")
    found = find(inst.store, request)
    assert (found.kind, found.channel, found.state) == ("explain", "page", "registered")
    pages = [officer.get(f"{HERE}/{request}?lang={lang}").text for lang in ("zh", "en")]
    assert all(request in page and found.latest.isoformat() in page for page in pages)
    assert "核验身份" in pages[0]
    assert "Check who it is" in pages[1]
    shown = "\n".join([*pages, officer.get(HERE).text, caplog.text, metadata(airflow)])
    for value in (PHONE, PHONE[3:], NAME):
        assert value not in shown
    assert "<script" not in shown
    # The same again is the same request.
    assert registered(officer, kind="explain") == request


def test_identity_and_a_corrected_value_are_taken_here_too(
    inst: Installation, officer: TestClient
) -> None:
    request = registered(officer, kind="correct", phone=OTHER)
    place = f"{HERE}/{request}"
    wrong = officer.post(f"{place}/code", data={"token": token(officer), "phone": PHONE})
    assert wrong.status_code == 400
    assert 'role="alert"' in wrong.text
    sent = officer.post(f"{place}/code", data={"token": token(officer), "phone": OTHER})
    assert sent.headers["location"].endswith("&sent=1")
    message = (inst.settings.home / "outgoing" / f"{request}.txt").read_text(encoding="utf-8")
    [code, *_] = re.findall(r"\d{6}", message)
    bad = officer.post(f"{place}/identity", data={"token": token(officer), "code": "1"})
    assert bad.status_code == 400
    good = officer.post(f"{place}/identity", data={"token": token(officer), "code": code})
    assert good.status_code == 303
    found = find(inst.store, request)
    assert (found.state, found.identified_how) == ("identified", "code")
    # Nothing is corrected before the officer's decision, which this page does not take.
    given = {"token": token(officer), "field": "name", "value": "新名字"}
    assert officer.post(f"{place}/value", data=given).status_code == 400
    from safehands.rights.book import load_rights_book

    book = load_rights_book(inst.settings.policy)
    decide(inst, book, request, "admin", inst.clock(), grant=True)
    assert 'name="value"' in officer.get(place).text
    assert officer.post(f"{place}/value", data=given).status_code == 303
    assert find(inst.store, request).outcome == {"corrected": 1}
    assert "新名字" not in officer.get(place).text


@pytest.mark.parametrize(
    "changed",
    [
        {"phone": "12345"},
        {"phone": "13899999999"},
        {"kind": "nonsense"},
        {"kind": "withdraw"},
        {"behalf": "guardian"},
        {"owner": "nobody"},
        {"evidence": PHONE},
    ],
    ids=lambda changed: " ".join(f"{name}={value}" for name, value in changed.items()),
)
def test_a_mistake_is_said_above_the_form_without_what_was_typed(
    officer: TestClient, changed: dict[str, str]
) -> None:
    answer = officer.post(f"{HERE}?lang=zh", data=filled(officer, **changed))
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text
    typed = changed.get("phone", PHONE)
    assert typed not in answer.text
    assert PHONE not in answer.text


def test_nobody_and_viewers_stay_outside(visit: Callable[..., TestClient]) -> None:
    nobody = visit()
    nobody.headers.pop("Authorization")
    viewer = visit("looker", "viewer")
    places = (HERE, f"{HERE}/R-20261124-00000001")
    for place in places:
        assert nobody.get(place).status_code == 401
        assert viewer.get(place).status_code == 403
    for post in (HERE, f"{places[1]}/code", f"{places[1]}/identity", f"{places[1]}/value"):
        assert nobody.post(post, data={}).status_code == 401
        assert viewer.post(post, data={}).status_code == 403


def test_a_forged_form_is_refused(
    inst: Installation, officer: TestClient, visit: Callable[..., TestClient]
) -> None:
    from safehands.rights.requests import list_requests

    before = len(list_requests(inst.store))
    good = filled(officer, kind="restrict")
    foreign = filled(visit("another", "user"), kind="restrict")
    for data, headers in (
        ({**good, "token": ""}, {}),
        ({**good, "token": good["token"][:-2]}, {}),
        (foreign, {}),
        (good, {"Sec-Fetch-Site": "cross-site"}),
        (good, {"Sec-Fetch-Site": "same-site"}),
        (good, {"Origin": "https://elsewhere.example"}),
    ):
        assert officer.post(HERE, data=data, headers=headers).status_code == 403
    assert len(list_requests(inst.store)) == before
    ours = {"Sec-Fetch-Site": "same-origin", "Origin": "http://testserver"}
    assert officer.post(HERE, data=good, headers=ours).status_code == 303


def test_an_unknown_request_is_not_found(officer: TestClient) -> None:
    assert officer.get(f"{HERE}/R-20261124-ffffffff").status_code == 404
    for name in ("code", "identity", "value"):
        answer = officer.post(f"{HERE}/no/{name}", data={"token": token(officer), "phone": PHONE})
        assert answer.status_code == 404
    assert officer.get(f"{HERE}/desk.css").status_code == 200
    head = officer.get(HERE).headers
    assert "form-action 'self'" in head["content-security-policy"]
    assert head["cache-control"] == "no-store"
