"""Seen in a real browser: login, every page, the forms, an approval; axe finds nothing serious.

Pictures are kept in ``DASHBOARD_SHOTS`` if that is set.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from browsing import DESK_SIZE, PHONE_SIZE, Browser, api_server, browser, shots_folder
from runs import NAME, OTHER, PHONE, run_dag, states

from safehands import erasure
from safehands.dashboards import WHOLE
from safehands.installation import Installation
from safehands.rights.book import load_rights_book
from safehands.rights.identity import confirm
from safehands.rights.requests import find, register
from safehands.store.register import owners

GRANT = "同意 · Grant"
HEADING = {
    "overview": ("总览", "Overview"),
    "quality": ("数据质量", "Quality"),
    "privacy": ("隐私", "Privacy"),
    "risk": ("风险", "Risk"),
    "handovers": ("移交", "Hand-overs"),
    "incidents": ("访问与事件", "Access and incidents"),
    "backups": ("备份与台账", "Backups and ledger"),
}


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shots_folder(tmp_path_factory.mktemp("shots"))


@pytest.fixture(scope="module")
def place(
    airflow: Any, inst: Installation, bag: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of an Airflow that knows our DAGs and has seen a night."""
    from safehands_airflow.local import load_dag

    for name in bag.dags:
        load_dag(name)
    with api_server(airflow, tmp_path_factory.mktemp("server")) as address:
        yield address


@pytest.fixture(scope="module")
def seen(airflow: Any, place: str, shots: Path) -> Iterator[Browser]:
    with browser(airflow, place, shots) as made:
        yield made


def details(inst: Installation) -> list[str]:
    """Return pages of one thing: a rule of quality and one of the rule book."""
    with inst.store.begin("safehands_auditor") as connection:
        from sqlalchemy import text

        rule = connection.execute(text("SELECT min(rule) FROM quality_night")).scalar_one()
        law = connection.execute(text("SELECT min(rule) FROM rule_result")).scalar_one()
    return [f"quality/{rule}", f"risk/{law}"]


@pytest.mark.parametrize("page", sorted(WHOLE))
def test_every_page_in_both_languages_and_themes(seen: Browser, page: str) -> None:
    for lang, heading in zip(("zh", "en"), HEADING[page], strict=True):
        for theme, size in (("light", DESK_SIZE), ("dark", PHONE_SIZE)):
            seen.size(size)
            assert seen.open(f"{page}?lang={lang}&theme={theme}") == 200
            assert seen.page.locator("h1").inner_text() == heading
            assert seen.overflow() == 0
            assert seen.faults() == []
            shown = seen.page.content()
            assert not any(value in shown for value in (NAME, PHONE, OTHER))
            seen.shot(f"{page}-{lang}-{theme}")
    assert seen.foreign == []


def test_the_desk_of_requests_looks_like_the_other_pages(seen: Browser) -> None:
    seen.open("overview?lang=en&theme=dark")
    seen.size(PHONE_SIZE)
    assert seen.open("requests") == 200
    assert seen.page.locator("h1").inner_text() == "Requests of people"
    assert seen.page.locator("html").get_attribute("data-theme") == "dark"
    assert seen.page.locator("nav a[aria-current]").inner_text() == "Requests"
    assert seen.overflow() == 0
    assert seen.faults() == []
    seen.shot("requests-en-dark")
    seen.size(DESK_SIZE)
    seen.page.get_by_role("link", name="Light").click()
    seen.shot("requests-en-light")
    seen.page.get_by_role("link", name="Quality").click()
    assert seen.page.locator("html").get_attribute("data-theme") == "light"


def test_pages_of_one_thing(seen: Browser, inst: Installation) -> None:
    seen.size(DESK_SIZE)
    for number, path in enumerate(details(inst)):
        assert seen.open(f"{path}?lang=zh&theme=light") == 200
        assert seen.faults() == []
        assert seen.page.locator(".crumbs a").is_visible()
        seen.shot(f"one-{number}")


def test_the_choice_of_language_and_theme_is_remembered(seen: Browser) -> None:
    seen.open("quality?lang=zh&theme=light")
    seen.page.get_by_role("link", name="English").click()
    seen.page.get_by_role("link", name="Dark").click()
    seen.page.get_by_role("link", name="Overview", exact=True).click()
    assert seen.page.locator("h1").inner_text() == "Overview"
    assert seen.page.locator("html").get_attribute("data-theme") == "dark"


def test_the_keyboard_reaches_content_and_pages(seen: Browser) -> None:
    seen.size(DESK_SIZE)
    seen.open("overview?lang=en&theme=light")
    seen.page.keyboard.press("Tab")
    assert seen.page.evaluate("document.activeElement.className") == "skip"
    seen.page.keyboard.press("Enter")
    assert seen.page.url.endswith("#content")
    seen.open("overview?lang=en")
    for _ in range(3):
        seen.page.keyboard.press("Tab")
    seen.page.keyboard.press("Enter")
    seen.page.wait_for_url(re.compile("/quality"))


def test_the_button_verifies_the_ledger(seen: Browser) -> None:
    seen.open("backups?lang=en&theme=light")
    seen.page.get_by_role("button", name="Verify the ledger").click()
    told = seen.page.get_by_role("status").inner_text()
    assert "checkpoint" in told or "entries" in told
    seen.shot("verified")


def test_our_page_inside_airflows_own_window(seen: Browser) -> None:
    seen.size(DESK_SIZE)
    seen.page.goto(f"{seen.place}/plugin/safehands")
    inside = seen.page.frame_locator("iframe")
    inside.locator("h1").wait_for()
    assert inside.locator("h1").inner_text() in HEADING["overview"]
    seen.shot("inside-airflow")


LEADS = {
    "shard.validate": {"quality"},
    "purge": {"privacy"},
    "backup": {"backups"},
    "report": {"overview", "risk"},
    "verdict": {"overview"},
}


def test_tasks_lead_to_the_page_that_shows_their_result(seen: Browser) -> None:
    [run, *_] = seen.api("dags/nightly_governance/dagRuns?state=success&limit=1")["dag_runs"]
    tasks = f"dags/nightly_governance/dagRuns/{run['dag_run_id']}/taskInstances"
    for task, pages in LEADS.items():
        mapped = "?map_index=0" if task.startswith("shard.") else ""
        found = seen.api(f"{tasks}/{task}/links{mapped}")["extra_links"]
        assert set(found.values()) == {f"/safehands/{page}" for page in pages}, task
    seen.size(DESK_SIZE)
    task = f"dags/nightly_governance/runs/{run['dag_run_id']}/tasks/report"
    seen.page.goto(f"{seen.place}/{task}/details")
    button = seen.page.get_by_role("link", name="查看总览 · Overview")
    button.wait_for()
    seen.shot("task-links")
    button.click()
    seen.page.wait_for_url(f"{seen.place}/safehands/overview")
    assert seen.page.locator("h1").inner_text() in HEADING["overview"]


@pytest.mark.parametrize("locale", ["zh-CN", "en-US"])
def test_the_list_of_dags_reads_like_a_menu(seen: Browser, bag: Any, locale: str) -> None:
    with seen.speaking(locale) as page:
        page.goto(f"{seen.place}/dags?limit=50")
        for dag in bag.dags.values():
            page.get_by_text(dag.dag_display_name).first.wait_for()
        page.screenshot(path=seen.shots / f"menu-{locale}.png", full_page=True)
        page.goto(f"{seen.place}/dags/station_handover")
        page.get_by_role("button", name=re.compile("Trigger|触发")).first.click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_role("button", name=re.compile("1 Who hands over")).click()
        field = dialog.locator("input[name=element_seller]")
        field.wait_for()
        # What is proposed can be chosen, and anything else can be typed.
        assert dialog.locator("#list_seller option").count() == 1
        field.fill("somebody-else")
        page.screenshot(path=seen.shots / f"form-{locale}.png")


def test_the_trigger_form_starts_a_run(seen: Browser, airflow: Any) -> None:
    seen.size(DESK_SIZE)
    seen.page.goto(f"{seen.place}/dags/nightly_governance")
    seen.page.get_by_role("button", name=re.compile("Trigger|触发")).first.click()
    dialog = seen.page.get_by_role("dialog")
    dialog.get_by_role("button", name="今晚处理什么 / What to govern").click()
    dialog.get_by_text("业务日期 / Business date").first.wait_for()
    seen.shot("trigger-form")
    with seen.page.expect_response(
        lambda r: r.request.method == "POST" and r.url.endswith("/dagRuns")
    ) as answered:
        dialog.get_by_role("button", name=re.compile("^(Trigger|触发)")).last.click()
    assert answered.value.status == 200


def test_an_approval_is_given_in_the_browser(
    airflow: Any, inst: Installation, place: str, shots: Path
) -> None:
    """The run waits for a person; somebody opens the task and presses the button."""
    book = load_rights_book(inst.settings.policy)
    [subject], _ = erasure.find_subjects(inst.store, owners(inst.store)["owner"], OTHER)
    number, _ = register(
        inst.store, book, "owner", "explain", subject, "wang.li", datetime.now(UTC), b"brws"
    )
    if find(inst.store, number).state == "registered":
        confirm(inst, book, number, "in_person", "", "wang.li")
    pressed: list[str] = []
    person = Thread(target=_approve, args=(airflow, place, shots, pressed))
    person.start()
    run = run_dag("subject_request", {"request": number})
    person.join()
    assert pressed == [GRANT]
    assert states(run)["decide"] == "success"
    assert find(inst.store, number).decided_by == "admin"


def _approve(airflow: Any, place: str, shots: Path, pressed: list[str]) -> None:
    with browser(airflow, place, shots) as seen:
        task = _waiting(seen)
        seen.open("overview?lang=en&theme=light")
        asked = seen.page.locator(".todo li", has_text="wait in Airflow for somebody's answer")
        assert asked.locator(".count").inner_text() == "1"
        assert seen.faults() == []
        seen.shot("overview-asked")
        asked.get_by_role("link", name="Answer").click()
        seen.page.wait_for_url(re.compile("/required_actions"))
        # What Airflow's own list shows behind the button.
        seen.page.get_by_text("decide").first.wait_for()
        seen.shot("required-actions")
        run = task["dag_run_id"]
        seen.page.goto(
            f"{place}/dags/subject_request/runs/{run}/tasks/{task['task_id']}/required_actions"
        )
        button = seen.page.get_by_role("button", name=GRANT)
        button.wait_for()
        seen.shot("approval")
        button.click()
        seen.page.wait_for_timeout(500)
        pressed.append(GRANT)


def _waiting(seen: Browser) -> dict[str, Any]:
    """Wait until a task asks, and three seconds more, as a person would take."""
    path = "dags/subject_request/dagRuns/~/hitlDetails?response_received=false"
    for _ in range(300):
        found = seen.api(path)["hitl_details"]
        asking = [one["task_instance"] for one in found]
        if any(one["state"] == "awaiting_input" for one in asking):
            seen.page.wait_for_timeout(3000)
            return dict(asking[0])
        seen.page.wait_for_timeout(300)
    raise AssertionError("nobody was asked")
