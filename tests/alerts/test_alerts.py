"""Alerts: what is found, told once per channel, in both languages, without a secret or a person."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from nights import BUSINESS_DATE, NOW
from safehands.alerts import Found, find, load_alert_book, pending, read_channels, tell, tell_now
from safehands.alerts.queue import unclaimed
from safehands.errors import PolicyError, SetupProblem, StepFailed
from safehands.failures import FORMAT, notices_folder
from safehands.installation import Installation
from safehands.messages import LANGUAGES, catalogue
from sinks import HOSTS, MailSink, WebhookSink

KEY = "b0f0c0de-1111-2222-3333-444455556666"
TOKEN = "5ec7e7c0ffee" * 5 + "abcd"
FEISHU = "feed0000-aaaa-bbbb-cccc-ddddeeeeffff"
SECRETS = (KEY, TOKEN, FEISHU)
GATE = Found(
    "gate_failed",
    "nightly_governance/2026-11-23/validate/owner-1/30",
    {
        "dag": "nightly_governance",
        "step": "validate",
        "night": "2026-11-23",
        "shard": "owner-1",
        "code": 30,
    },
    "runbook/nightly.md",
)


def write(inst: Installation, channels: str, mode: int = 0o600) -> None:
    file = inst.settings.channels
    file.write_text(f"version: 1\naddress: http://127.0.0.1:28080\nchannels:\n{channels}")
    file.chmod(mode)


def robots(inst: Installation) -> None:
    write(
        inst,
        f"  wecom: {{url: 'wecombot://{KEY}', lang: zh}}\n"
        f"  ding: {{url: 'dingtalk://{TOKEN}/'}}\n"
        f"  feishu: {{url: 'feishu://{FEISHU}/', lang: en}}\n",
    )


def admin(inst: Installation, statement: str, **values: Any) -> None:
    with inst.store.admin().begin() as connection:
        connection.execute(text(statement), values)


def owner(inst: Installation) -> int:
    made = "INSERT INTO controller (code, name, kind) VALUES ('owner-1', '甲', 'company')"
    with inst.store.admin().begin() as connection:
        return int(connection.execute(text(f"{made} RETURNING id")).scalar_one())


def kinds(inst: Installation, day: date = BUSINESS_DATE) -> list[str]:
    return [f.kind for f in find(inst, load_alert_book(inst.settings.policy), day, NOW)]


def test_quiet_when_all_is_well(inst: Installation, hooks: WebhookSink) -> None:
    robots(inst)
    assert kinds(inst) == []
    assert tell(inst, BUSINESS_DATE, NOW)["sent"] == 0
    assert hooks.requests == []


def test_each_service_is_spoken_to_in_its_own_shape(inst: Installation, hooks: WebhookSink) -> None:
    robots(inst)
    assert tell_now(inst, GATE) == 3
    told = {host: (path, body) for host, path, body in hooks.requests}
    assert tuple(told) == HOSTS
    path, body = told["qyapi.weixin.qq.com"]
    assert path == f"/cgi-bin/webhook/send?key={KEY}"
    assert body["msgtype"] == "text"
    assert "【紧急】2026-11-23 的“validate”被质量关卡拦下" in body["text"]["content"]
    assert "怎么办" in body["text"]["content"]
    assert "http://127.0.0.1:28080/safehands/quality" in body["text"]["content"]
    assert "docs/runbook/nightly.md" in body["text"]["content"]
    path, body = told["oapi.dingtalk.com"]
    assert path == f"/robot/send?access_token={TOKEN}"
    assert body["msgtype"] == "text"
    assert "怎么办" in body["text"]["content"]
    assert "To do" in body["text"]["content"]
    path, body = told["open.feishu.cn"]
    assert path == f"/open-apis/bot/v2/hook/{FEISHU}/"
    assert body["msg_type"] == "text"
    assert "The gate closed on 2026-11-23" in body["content"]["text"]
    assert "怎么办" not in body["content"]["text"]


def test_mail_arrives_whole(inst: Installation, mail: MailSink) -> None:
    write(
        inst,
        f"  office: {{url: 'mailto://127.0.0.1:{mail.port}?from=safehands@station.example"
        "&to=office@station.example&mode=insecure'}\n",
    )
    assert tell_now(inst, GATE) == 1
    [received] = mail.mails
    assert received["To"] == "office@station.example"
    assert received["Subject"] == "安驿提醒（1 条） / Safehands: 1 alert(s)"
    body = received.get_body(("plain", "html"))
    assert body is not None
    assert "docs/runbook/nightly.md" in body.get_content()


def test_each_alert_once_per_channel(inst: Installation, hooks: WebhookSink) -> None:
    robots(inst)
    tell_now(inst, GATE)
    assert tell_now(inst, GATE) == 0
    assert tell(inst, BUSINESS_DATE, NOW)["sent"] == 0
    assert len(hooks.requests) == 3


def test_a_channel_that_fails_keeps_nobody_back_and_is_tried_again(
    inst: Installation, hooks: WebhookSink, mail: MailSink
) -> None:
    url = f"mailto://127.0.0.1:{mail.port}?from=a@station.example&to=b@station.example"
    write(inst, f"  a: {{url: 'feishu://{FEISHU}/'}}\n  b: {{url: '{url}&mode=insecure'}}\n")
    # Feishu refuses with 200 and a code of its own.
    hooks.answer = {"code": 9499, "msg": "Bad Request"}
    with pytest.raises(StepFailed) as failed:
        tell_now(inst, GATE)
    assert failed.value.params == {"channel": "a", "service": "feishu"}
    assert len(mail.mails) == 1
    hooks.answer = {"code": 0}
    assert tell(inst, BUSINESS_DATE, NOW)["sent"] == 1
    assert len(mail.mails) == 1


SENDER = """
import json, sys
from pathlib import Path
from safehands.alerts import Found, tell_now
from safehands.failures import FORMAT, notices_folder
from safehands.installation import open_installation
from safehands.settings import Settings
from nights import fixed_clock
given = json.loads(sys.stdin.read())
inst = open_installation(Settings.read({}, **given["settings"]), fixed_clock)
tell_now(inst, Found(**given["found"]))
"""


def test_killed_between_claim_and_answer_it_is_sent_again_and_marked_once(
    inst: Installation, hooks: WebhookSink
) -> None:
    write(inst, f"  wecom: {{url: 'wecombot://{KEY}'}}\n")
    hooks.hold.clear()
    settings = {"home": str(inst.settings.home), "database_url": inst.settings.database_url}
    given = {"settings": settings, "found": {**GATE.__dict__, "params": dict(GATE.params)}}
    sender = subprocess.Popen(
        [sys.executable, "-c", SENDER],
        stdin=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])},
    )
    assert sender.stdin is not None
    sender.stdin.write(json.dumps(given).encode())
    sender.stdin.close()
    assert hooks.arrived.wait(60)
    sender.kill()
    sender.wait()
    hooks.hold.set()
    with inst.store.begin() as connection:
        [(number, waiting)] = pending(connection, "wecom")
    assert waiting.kind == "gate_failed"
    assert tell(inst, BUSINESS_DATE, NOW)["sent"] == 1
    assert tell(inst, BUSINESS_DATE, NOW)["sent"] == 0
    told = [body["text"]["content"] for _, _, body in hooks.requests]
    assert len(told) == 2
    # The repeat carries the same number.
    assert all(f"no. {number}" in each or f"编号 {number}" in each for each in told)


def test_two_senders_at_once_send_one_message(inst: Installation, hooks: WebhookSink) -> None:
    from concurrent.futures import ThreadPoolExecutor

    write(inst, f"  wecom: {{url: 'wecombot://{KEY}'}}\n")
    with ThreadPoolExecutor(2) as pool:
        sent = list(pool.map(lambda _: tell_now(inst, GATE), range(2)))
    assert sorted(sent) == [0, 1]
    assert len(hooks.requests) == 1


def test_many_alerts_are_a_few_messages_that_each_service_takes(
    inst: Installation, hooks: WebhookSink
) -> None:
    write(inst, f"  wecom: {{url: 'wecombot://{KEY}'}}\n")
    number = owner(inst)
    for i in range(30):
        admin(inst, _REQUEST, request=f"R-20261020-0000{i:04x}", owner=number, latest=BUSINESS_DATE)
    assert tell(inst, BUSINESS_DATE, NOW)["sent"] == 30
    sizes = [len(body["text"]["content"].encode()) for _, _, body in hooks.requests]
    assert max(sizes) <= 2048
    assert len(sizes) <= 10


def test_without_a_store_it_is_sent_without_a_claim(inst: Installation, hooks: WebhookSink) -> None:
    robots(inst)
    assert unclaimed(inst.settings, GATE) == 3
    assert len(hooks.requests) == 3


def test_no_secret_in_logs_errors_or_the_store(
    inst: Installation, hooks: WebhookSink, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    robots(inst)
    caplog.set_level(logging.DEBUG)
    hooks.status = 500
    with pytest.raises(StepFailed) as failed:
        tell_now(inst, GATE)
    hooks.listener.close()
    with pytest.raises(StepFailed):
        tell(inst, BUSINESS_DATE, NOW)
    address = read_channels(inst.settings.channels, load_alert_book(inst.settings.policy))
    with inst.store.begin() as connection:
        stored = str(connection.execute(text("SELECT payload FROM outbox")).all())
        stored += str(connection.execute(text("SELECT * FROM effect")).all())
    printed = "".join(capfd.readouterr())
    chain: list[BaseException | None] = [failed.value]
    while chain[-1] is not None:
        chain.append(chain[-1].__context__)
    for place in (caplog.text, printed, stored, repr(address), repr(chain), str(failed.value)):
        assert not any(secret in place for secret in SECRETS)
    assert hooks.requests  # Somebody did send them.


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_an_address_book_that_others_may_read_is_refused(inst: Installation, mode: int) -> None:
    write(inst, f"  wecom: {{url: 'wecombot://{KEY}'}}\n", mode)
    with pytest.raises(SetupProblem) as refused:
        tell(inst, BUSINESS_DATE, NOW)
    assert KEY not in str(refused.value)


def test_services_and_kinds_are_those_of_policy(inst: Installation) -> None:
    book = load_alert_book(inst.settings.policy)
    write(inst, "  chat: {url: 'tgram://123/456'}\n")
    with pytest.raises(SetupProblem, match="chat"):
        read_channels(inst.settings.channels, book)
    write(inst, f"  wecom: {{url: 'wecombot://{KEY}', kinds: [nonsense]}}\n")
    with pytest.raises(SetupProblem, match="nonsense"):
        read_channels(inst.settings.channels, book)
    write(inst, f"  wecom: {{address: 'wecombot://{KEY}'}}\n")
    with pytest.raises(PolicyError) as wrong:
        read_channels(inst.settings.channels, book)
    assert KEY not in str(wrong.value)


def test_a_channel_gets_the_kinds_it_asks_for(inst: Installation, hooks: WebhookSink) -> None:
    write(
        inst,
        f"  duty: {{url: 'wecombot://{KEY}', urgent_only: true}}\n"
        f"  desk: {{url: 'feishu://{FEISHU}/', kinds: [request_soon]}}\n",
    )
    soon = Found("request_soon", "R-1/2026-11-25", {"id": "R-1", "owner": "o", "due": "2026-11-25"})
    tell_now(inst, GATE)
    tell_now(inst, soon)
    assert [host for host, _, _ in hooks.requests] == ["qyapi.weixin.qq.com", "open.feishu.cn"]


def test_every_kind_has_its_sentences_and_what_to_do(inst: Installation) -> None:
    root = Path(__file__).resolve().parents[2]
    for name, kind in load_alert_book(inst.settings.policy).kinds.items():
        for part in ("kind", "todo"):
            assert all(catalogue()[f"alerts.{part}.{name}"][lang] for lang in LANGUAGES)
        page, anchor = kind.runbook.split("#")
        lines = (root / "docs" / page).read_text(encoding="utf-8").splitlines()
        # Sections of kinds stand below those of tasks, which are checked against the DAG.
        assert anchor == name
        [at] = [number for number, line in enumerate(lines) if line == f"#### {anchor}"]
        heads = ("发生", "看", "做", "完")
        assert all(
            line.startswith(f"- {h}：") for h, line in zip(heads, lines[at + 2 :], strict=False)
        )


_REQUEST = (
    "INSERT INTO subject_request (request, controller_id, kind, behalf, channel, state,"
    " requested_at, target, latest, evidence, purpose, by_whom) VALUES (:request, :owner,"
    " 'access', 'self', 'counter', 'registered', now(), :latest, :latest, '', '', 'li')"
)
_VERDICT = (
    "INSERT INTO rule_result (controller_id, business_date, checked, occasion, rule, edition,"
    " outcome, blocks_handover, evidence, rulebook) VALUES (:owner, :day, :checked, 'night', :rule,"
    " '2021-11-01', :outcome, false, '{}', '')"
)


def test_clocks_are_announced_before_and_after_they_end(inst: Installation) -> None:
    number = owner(inst)
    admin(inst, _REQUEST, request="R-20261110-00000001", owner=number, latest=BUSINESS_DATE)
    assert kinds(inst, BUSINESS_DATE - timedelta(days=6)) == []
    assert kinds(inst, BUSINESS_DATE - timedelta(days=5)) == ["request_soon"]
    assert kinds(inst, BUSINESS_DATE) == ["request_soon"]
    assert kinds(inst, BUSINESS_DATE + timedelta(days=1)) == ["request_late"]
    admin(inst, "DELETE FROM subject_request")
    admin(
        inst,
        "INSERT INTO complaint (controller_id, topic, channel, reference, received_at, due,"
        " by_whom) VALUES (:owner, 'message', 'phone', '', now(), :due, 'li')",
        owner=number,
        due=BUSINESS_DATE,
    )
    assert kinds(inst) == ["complaint_soon"]
    assert kinds(inst, BUSINESS_DATE + timedelta(days=1)) == ["complaint_late"]


def test_a_hand_overs_window_is_announced_and_its_end(inst: Installation) -> None:
    values = {"id": "0a000000-0000-4000-8000-000000000001", "owner": owner(inst)}
    admin(
        inst,
        "INSERT INTO handover (handover_id, controller_id, mode, state, request, digest, opened_at,"
        " changed_at) VALUES (:id, :owner, 'asset_deal', 'noticed', '{}', 'd', now(), now())",
        **values,
    )
    admin(
        inst,
        "INSERT INTO handover_event (handover_id, controller_id, kind, key, facts, at)"
        " VALUES (:id, :owner, 'state', 'noticed',"
        " jsonb_build_object('until', CAST(:until AS text)), now())",
        until=BUSINESS_DATE.isoformat(),
        **values,
    )
    assert kinds(inst, BUSINESS_DATE - timedelta(days=4)) == []
    assert kinds(inst) == ["handover_soon"]
    assert kinds(inst, BUSINESS_DATE + timedelta(days=1)) == ["handover_over"]
    admin(inst, "UPDATE handover SET state = 'answered'")
    assert kinds(inst, BUSINESS_DATE + timedelta(days=1)) == []


def test_an_incident_is_told_at_once_and_when_its_clock_ended(inst: Installation) -> None:
    admin(
        inst,
        "INSERT INTO incident (controller_id, kind, drill, discovered_at, discovered_by, began_at,"
        " ended_at, scope, opened_at, by_whom) VALUES (:owner, 'leak', :drill, :at, 'staff', :at,"
        " :at, '{\"everybody\": true}', :at, 'li')",
        owner=owner(inst),
        drill=False,
        at=NOW - timedelta(hours=5),
    )
    found = find(inst, load_alert_book(inst.settings.policy), BUSINESS_DATE, NOW)
    assert {one.kind for one in found} == {"incident_due", "incident_late"}
    # Four hours for an assessment are our policy; what law wants at once has no number of hours.
    assert [one.key for one in found if one.kind == "incident_late"] == ["1/assess"]
    admin(inst, "UPDATE incident SET drill = true")
    assert kinds(inst) == []


def test_a_drill_that_failed_and_one_that_is_overdue(inst: Installation) -> None:
    admin(
        inst,
        "INSERT INTO restore_drill (business_date, ended_at, passed, problem, facts)"
        " VALUES (:day, now(), false, '{}', '{}')",
        day=BUSINESS_DATE,
    )
    assert kinds(inst) == ["drill_failed"]
    admin(
        inst,
        "INSERT INTO step_result (run, business_date, shard, step, counts, reasons, seconds)"
        " VALUES ('r', :day, 's', 'ingest', '{}', '{}', 1)",
        day=BUSINESS_DATE - timedelta(days=60),
    )
    assert kinds(inst) == ["night_missing", "drill_failed", "drill_overdue"]


def test_a_rule_is_told_when_it_turns_and_not_for_lasting(inst: Installation) -> None:
    number = owner(inst)
    days = [BUSINESS_DATE - timedelta(days=back) for back in (3, 2, 1)]
    for day, outcome in zip(days, ("met", "not_met", "not_met"), strict=True):
        one = {"owner": number, "day": day, "checked": str(day), "outcome": outcome}
        admin(inst, _VERDICT, rule="MIN-01", **one)
        # One that was never met is on the page, and no news.
        admin(inst, _VERDICT, rule="SEC-01", **{**one, "outcome": "not_met"})
    found = find(inst, load_alert_book(inst.settings.policy), BUSINESS_DATE, NOW)
    assert [(one.kind, one.key) for one in found] == [("rule_not_met", f"owner-1/MIN-01/{days[1]}")]
    admin(
        inst,
        _VERDICT,
        owner=number,
        day=BUSINESS_DATE,
        checked="4",
        rule="night/quality",
        outcome="not_met",
    )
    assert kinds(inst) == ["rule_not_met", "bound_passed"]


def test_risk_above_policy_since_the_day_it_rose(inst: Installation) -> None:
    number = owner(inst)
    for back, highest in ((3, 0.5), (2, 0.1), (1, 0.3), (0, 0.4)):
        figures = json.dumps({"figures": {"prosecutor": {"highest": highest}}})
        admin(
            inst,
            "INSERT INTO risk_assessment (business_date, controller_id, figures)"
            " VALUES (:day, :owner, CAST(:figures AS jsonb))",
            day=BUSINESS_DATE - timedelta(days=back),
            owner=number,
            figures=figures,
        )
    [found] = find(inst, load_alert_book(inst.settings.policy), BUSINESS_DATE, NOW)
    assert found.kind == "risk_above"
    assert found.key == f"owner-1/{BUSINESS_DATE - timedelta(days=1)}/0.2"


def test_rules_past_their_review_and_new_editions(inst: Installation) -> None:
    assert "rule_past_review" in kinds(inst, BUSINESS_DATE + timedelta(days=800))
    # The courier regulation was renumbered from 2025-06-01.
    assert "rule_changed" in kinds(inst, date(2025, 6, 3))


def test_a_failed_gate_is_told_from_its_notice(inst: Installation, hooks: WebhookSink) -> None:
    robots(inst)
    folder = notices_folder(inst.settings)
    folder.mkdir(mode=0o700)
    notice = {
        "format": FORMAT,
        "dag": "nightly_governance",
        "night": BUSINESS_DATE.isoformat(),
        "airflow_run": "x",
        "step": "validate",
        "shard": "owner-1: S1",
        "exit_code": 30,
        "at": NOW.isoformat(),
        "zh": "…",
        "en": "…",
        "todo": {"zh": "…", "en": "…"},
    }
    (folder / "one.json").write_text(json.dumps(notice))
    assert kinds(inst) == ["gate_failed"]
    assert tell(inst, BUSINESS_DATE, NOW)["sent"] == 3
    assert kinds(inst, BUSINESS_DATE + timedelta(days=4)) == []
    # Told at once by the failing task, it is not told again from its notice.
    assert tell_now(inst, GATE) == 0
