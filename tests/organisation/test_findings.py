"""Findings: one open per rule, before and after to be seen, sealed names, overdue in time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from nights import BUSINESS_DATE
from safehands.errors import PolicyError
from safehands.organisation import close, findings, names, open_finding

DUE = BUSINESS_DATE + timedelta(days=30)


def opened(office: Any, rule: str = "SEC-01", owner: str = "jia", **more: Any) -> bool:
    given = {
        "day": BUSINESS_DATE,
        "due": DUE,
        "duty": "security",
        "source": "person",
        "figure": ("settings.clear_exports", 4.0),
        **more,
    }
    return open_finding(office.inst, owner, rule, **given)


def test_a_finding_shows_its_figure_before_and_after(office: Any) -> None:
    assert opened(office)
    (finding,) = findings(office.inst)
    assert (finding.state, finding.before, finding.after) == ("open", 4.0, None)
    close(office.inst, "jia", "SEC-01", day=DUE, after=0.0, accepted=False)
    (finding,) = findings(office.inst)
    assert (finding.state, finding.before, finding.after) == ("closed", 4.0, 0.0)
    assert finding.closed == DUE


def test_only_one_is_open_per_rule_and_owner(office: Any) -> None:
    assert opened(office)
    assert not opened(office)
    assert opened(office, owner="yi")
    assert opened(office, rule="SEC-03")
    close(office.inst, "jia", "SEC-01", day=DUE, after=0.0, accepted=False)
    assert opened(office)
    assert len(findings(office.inst, state="open")) == 3


def test_an_accepted_risk_is_called_so(office: Any) -> None:
    opened(office)
    close(office.inst, "jia", "SEC-01", day=DUE, after=4.0, accepted=True)
    assert [f.state for f in findings(office.inst)] == ["accepted"]


def test_nothing_is_closed_that_is_not_open(office: Any) -> None:
    for rule in ("SEC-01", "NO-99"):
        with pytest.raises(PolicyError):
            close(office.inst, "jia", rule, day=DUE, after=None, accepted=False)


def test_overdue_from_the_day_after(office: Any) -> None:
    opened(office)
    (finding,) = findings(office.inst)
    assert not finding.overdue(DUE)
    assert finding.overdue(DUE + timedelta(days=1))
    with pytest.raises(PolicyError):
        opened(office, rule="SEC-02", due=BUSINESS_DATE - timedelta(days=1))


def test_name_and_note_are_sealed(office: Any) -> None:
    opened(office, responsible="钱多多", note="换掉路由器")
    (row,) = office.rows("SELECT opened, sealed FROM finding")
    found = names.reveal(office.inst.provider, "jia", row.opened, bytes(row.sealed))
    assert found == {"responsible": "钱多多", "note": "换掉路由器"}
    texts = [str(r) for t in ("finding", "ledger_entry") for r in office.rows(f"SELECT * FROM {t}")]
    assert all("钱多多" not in text and "路由器" not in text for text in texts)
