"""An assessment in force opens rule PIA-01 for its own hand-over or agreement, and no other."""

from __future__ import annotations

from datetime import timedelta

import pytest
from rulebook_home import OWNER, Home
from test_pipia import answer_all

from nights import BUSINESS_DATE
from safehands import gates, pipia
from safehands.pipia import OccasionName
from safehands.rulebook import Occasion

NEXT = BUSINESS_DATE + timedelta(days=3)
MODE = {"handover": "asset_deal", "sharing": "identified"}


def signed(home: Home, occasion: OccasionName, scope: str) -> None:
    case = pipia.start(home.inst, OWNER, occasion, BUSINESS_DATE, scope)
    answer_all(home, case)
    pipia.sign(home.inst, case, "张负责", BUSINESS_DATE)


def stops(home: Home, gate: gates.GateName, scope: str, day: object = NEXT) -> bool:
    kind: object = gate
    occasion = Occasion(kind, MODE[gate], scope)  # type: ignore[arg-type]
    found = gates.check(home.inst, gate, day, occasion=occasion, owner=OWNER)  # type: ignore[arg-type]
    return "PIA-01" in {item.id for item in found.blockers}


def test_a_hand_over_waits_for_its_own_assessment(home: Home) -> None:
    assert stops(home, "handover", "H-1")
    signed(home, "handover", "H-1")
    # The law says "beforehand": on the day of the signature nothing has been shown yet.
    assert stops(home, "handover", "H-1", BUSINESS_DATE)
    assert not stops(home, "handover", "H-1")
    assert stops(home, "handover", "H-2")
    (kept,) = home.rows(
        "SELECT number, scope, run FROM rule_figure WHERE name = 'assessment.before_transfer'"
        " AND day = :day",
        day=NEXT,
    )
    assert (kept.number, kept.scope) == (3, "H-1")
    assert kept.run.startswith("pipia ")


def test_an_assessment_that_lapsed_is_no_evidence_any_more(home: Home) -> None:
    signed(home, "handover", "H-1")
    assert not stops(home, "handover", "H-1")
    assert stops(home, "handover", "H-1", NEXT + timedelta(days=366))


@pytest.mark.parametrize("occasion", ["sharing", "entrusting"])
def test_sharing_waits_for_the_agreements_assessment(home: Home, occasion: OccasionName) -> None:
    signed(home, occasion, "sms-gateway")
    assert not stops(home, "sharing", "sms-gateway")
    assert stops(home, "sharing", "courier")


def test_sensitive_fields_that_are_kept_ask_for_an_assessment_of_their_own(home: Home) -> None:
    def found() -> float:
        return float(home.facts()["store.assessments_sensitive"].number)

    assert found() == 0
    signed(home, "sensitive", "")
    assert found() == 1
