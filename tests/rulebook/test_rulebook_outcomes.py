"""Every rule can be met and not met: judged on constructed facts, and on a constructed store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rulebook_home import OWNER, Home

from nights import BUSINESS_DATE
from safehands.rulebook import Measured, Occasion, RuleInForce, judge, load_rulebook
from safehands.rulebook.judge import applies
from safehands.rulebook.model import BINDS, AnyOf, Check
from safehands.settings import Settings

BOOK = load_rulebook(Settings.read({}).policy)
RULES = {rule.id: rule for rule in BOOK.at(BUSINESS_DATE)}
YESTERDAY = BUSINESS_DATE - timedelta(days=1)


def occasion_of(rule: RuleInForce) -> Occasion | None:
    """Return the first occasion that the rule's conditions name."""
    for condition in (*rule.rule.applies, *(w for c in rule.every_check() for w in c.when)):
        for part in condition.split("|"):
            if part.startswith("occasion:"):
                kind, _, detail = part.removeprefix("occasion:").partition("/")
                return Occasion(kind, detail, "H-1")  # type: ignore[arg-type]
    return None


def applying(rule: RuleInForce) -> dict[str, float]:
    """Return facts under which the rule and each of its checks applies."""
    conditions = [*rule.rule.applies, *(w for c in rule.every_check() for w in c.when)]
    conditions += BINDS[rule.rule.binds[0]]
    numbers: dict[str, float] = {}
    for part in (part for condition in conditions for part in condition.split("|")):
        family, measure, *bound = part.split(":")
        if family != "occasion":
            numbers[measure] = float(bound[0]) if bound else 1.0
    return numbers


def good(check: Check) -> float:
    return float(check.at_least if check.at_least is not None else check.at_most or 0.0)


def bad(check: Check) -> float:
    return good(check) - 1 if check.at_least is not None else good(check) + 1


def breakable(rule: RuleInForce) -> list[Check]:
    """Return a check that breaks the rule alone, or all checks of one alternative."""
    for item in rule.checks:
        if isinstance(item, AnyOf):
            return list(item.any)
        if item.at_least != 0:
            return [item]
    # A count that only has to be known is broken by nothing but the checks that follow from it.
    return [next(c for c in rule.every_check() if c.at_least != 0)]


def facts(numbers: dict[str, float]) -> dict[str, Measured]:
    return {name: Measured(number, "run", "source") for name, number in numbers.items()}


def numbers_of(rule: RuleInForce, *, broken: bool) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for check in rule.every_check():
        # Two checks on one measure are two bounds: the stricter one is the good number.
        better = max if check.at_least is not None else min
        numbers[check.measure] = better(numbers.get(check.measure, good(check)), good(check))
    for name, number in applying(rule).items():
        numbers[name] = max(number, numbers.get(name, number))
    if broken:
        numbers |= {check.measure: bad(check) for check in breakable(rule)}
    return numbers


@pytest.mark.parametrize("name", sorted(RULES))
def test_every_rule_can_be_met_and_not_met(name: str) -> None:
    rule = RULES[name]
    when = occasion_of(rule)
    assert judge(rule, facts(numbers_of(rule, broken=False)), when)[0] == "met"
    assert judge(rule, facts(numbers_of(rule, broken=True)), when)[0] == "not_met"


@pytest.mark.parametrize("name", sorted(RULES))
def test_without_a_fact_no_rule_is_met(name: str) -> None:
    outcome, evidence = judge(RULES[name], {}, occasion_of(RULES[name]))
    assert outcome == "no_evidence"
    assert all(e.number is None for e in evidence)


@pytest.mark.parametrize("name", sorted(RULES))
@given(data=st.data())
def test_a_rule_is_met_only_on_numbers_that_are_there(name: str, data: st.DataObject) -> None:
    rule = RULES[name]
    full = facts(numbers_of(rule, broken=data.draw(st.booleans())))
    kept = data.draw(st.sets(st.sampled_from(sorted(full))))
    less = {measure: fact for measure, fact in full.items() if measure in kept}
    outcome, evidence = judge(rule, less, occasion_of(rule))
    if outcome == "met":
        alternatives = {c.measure for i in rule.checks if isinstance(i, AnyOf) for c in i.any}
        assert all(e.outcome == "met" for e in evidence if e.measure not in alternatives)
        assert any(e.outcome == "met" for e in evidence)
    if outcome == "not_met":
        assert any(e.outcome == "not_met" for e in evidence)


def of_the_register(rule: RuleInForce) -> bool:
    """Say whether all of a rule's facts are evidence, declarations or figures."""
    measures = [*(c.measure for c in rule.every_check()), *applying(rule)]
    return all(m.split(".")[0] in {"register", "declared", "figure"} for m in measures)


REGISTER_RULES = sorted(name for name, rule in RULES.items() if of_the_register(rule))


@pytest.mark.parametrize("name", REGISTER_RULES)
@pytest.mark.parametrize("outcome", ["met", "not_met", "no_evidence"])
def test_rules_of_register_and_figures_in_a_store(home: Home, name: str, outcome: str) -> None:
    rule, when = RULES[name], occasion_of(RULES[name])
    if outcome != "no_evidence":
        for measure, number in numbers_of(rule, broken=outcome == "not_met").items():
            home.put(measure, max(number, 0.0))
    result = home.check(when)[name]
    assert result.outcome == outcome, result.evidence
    if outcome != "no_evidence":
        shown = [e for e in result.evidence if e.number is not None]
        assert shown
        assert all(e.source for e in shown)


# Rules whose facts come from the store, the policy or folders, with a state for each outcome.


def quality(rule: str, good_rows: tuple[int, int], bad_rows: tuple[int, int]) -> Any:
    def state(home: Home, *, met: bool) -> None:
        home.quality(rule, *(good_rows if met else bad_rows))

    return state


def clear_numbers(home: Home, *, met: bool) -> None:
    home.quality("pseudonymised.mobile_like", 100, 0 if met else 1)


def unexpected(home: Home, *, met: bool) -> None:
    home.quality("pseudonymised.text_column", 100, 0 if met else 1)


def names_and_phones(home: Home, *, met: bool) -> None:
    home.quality("parcels.phone_odd", 1000, 20 if met else 21)
    home.quality("parcels.name_missing", 1000, 10)


def backups(home: Home, *, met: bool) -> None:
    home.backup(BUSINESS_DATE if met else BUSINESS_DATE - timedelta(days=2))
    home.run(
        "INSERT INTO restore_drill (business_date, ended_at, passed, manifest, rto_seconds,"
        " recovery_point, facts) VALUES (:day, now(), true, 'm', 1, now(), '{}')",
        day=BUSINESS_DATE - timedelta(days=30),
    )


def drills(home: Home, *, met: bool) -> None:
    home.backup(BUSINESS_DATE)
    home.evidence("restore_test", BUSINESS_DATE if met else date(2026, 1, 1), 30)


def purged(home: Home, *, met: bool) -> None:
    home.step("purge", OWNER, {}, BUSINESS_DATE if met else BUSINESS_DATE - timedelta(days=2))


def overdue(home: Home, *, met: bool) -> None:
    home.step("purge", OWNER, {})
    limit = home.inst.policy.keep_days("pickup_record")
    home.run("SELECT add_month(CAST(:d AS date))", d=BUSINESS_DATE - timedelta(days=limit + 1))
    home.run(
        "INSERT INTO parcel SELECT :owner, s.id, gen_random_uuid(), NULL, CAST(:t AS timestamptz),"
        " CAST(:t AS timestamptz), 1, 1, 1, 2, 1, 0 FROM station s WHERE s.controller_id = :owner",
        t=f"{BUSINESS_DATE - timedelta(days=limit if met else limit + 1)} 12:00+08",
    )


def exports(home: Home, *, met: bool) -> None:
    clear_numbers(home, met=True)
    if not met:
        (home.inst.settings.landing / "ledger.csv").write_text("x")


def people(home: Home, *, met: bool) -> None:
    home.declare("people_elsewhere", 1_000_000)
    home.evidence("protection_officer", BUSINESS_DATE if met else date(2026, 1, 1))


def reports(home: Home, *, met: bool) -> None:
    folder = home.inst.settings.reports / BUSINESS_DATE.isoformat()
    folder.mkdir(parents=True)
    digest = "ab13800138000cd" * 4
    (folder / "report.html").write_text(f"{digest} {'' if met else '13800138000'}")


def shared(home: Home, *, met: bool) -> None:
    home.figure("sharing.least_class", 5 if met else 4, scope="agreed")
    home.figure("sharing.overall_risk", 0.05 if met else 0.06, scope="agreed")


def held_reads(home: Home, *, met: bool) -> None:
    person = "00000000-0000-4000-8000-000000000001"
    home.run(
        "INSERT INTO restriction (controller_id, subject_id, reason, restricted_at, by_whom)"
        " VALUES (:owner, CAST(:p AS uuid), 'request', '2026-11-01 00:00+08', 'officer')",
        p=person,
    )
    home.run(
        "INSERT INTO access_log (controller_id, subject_id, action, purpose, fields, by_whom, at)"
        " VALUES (:owner, CAST(:p AS uuid), 'reveal', 'x', 'x', 'x', CAST(:at AS timestamptz))",
        p=person,
        at="2026-10-01 00:00+08" if met else "2026-11-02 00:00+08",
    )


SHARING = Occasion("sharing", "controlled")
STATES: dict[str, tuple[str, Callable[..., None], Occasion | None]] = {
    "clear numbers": ("SEC-01", clear_numbers, None),
    "exports": ("SEC-01", exports, None),
    "text columns": ("MIN-01", unexpected, None),
    "phones": ("QUA-01", names_and_phones, None),
    "backup": ("SEC-04", backups, None),
    "restore": ("SEC-04", drills, None),
    "purge": ("RET-01", purged, None),
    "overdue": ("RET-01", overdue, None),
    "size": ("AUD-03", people, None),
    "report scan": ("PUB-01", reports, None),
    "k": ("DEI-02", shared, SHARING),
    "overall risk": ("DEI-03", shared, SHARING),
    "storage only": ("RET-03", held_reads, None),
}


@pytest.mark.parametrize("state", sorted(STATES))
@pytest.mark.parametrize("met", [True, False])
def test_rules_of_the_store(home: Home, state: str, met: bool) -> None:
    name, build, when = STATES[state]
    build(home, met=met)
    result = home.check(when)[name]
    assert result.outcome == ("met" if met else "not_met"), result.evidence


def policy_states() -> Iterator[tuple[str, str, str, float]]:
    yield "MIN-02", "policy.waybill_identity_fields", "≤ 3", 3
    yield "CLS-01", "policy.unlabelled_fields", "≤ 0", 0
    yield "BAS-01", "policy.uses_without_basis", "≤ 0", 0
    yield "DEI-01", "policy.phone_digits_hidden", "≥ 6", 6
    yield "TRF-04", "policy.evidence_years", "≥ 3", 3
    yield "LAW-01", "rulebook.past_review", "≤ 0", 0


@pytest.mark.parametrize(("rule", "measure", "wanted", "number"), list(policy_states()))
def test_what_follows_from_policy(
    home: Home, rule: str, measure: str, wanted: str, number: float
) -> None:
    home.declare("courier_contract", 1)
    result = home.check()[rule]
    assert result.outcome == "met"
    shown = next(e for e in result.evidence if e.measure == measure)
    assert (shown.number, shown.wanted, bool(shown.source)) == (number, wanted, True)


def test_every_measure_is_asked_by_some_state_or_policy(home: Home) -> None:
    """No rule stands on a measure that nothing ever delivers."""
    home.declare("people_elsewhere", 1)
    for build in (unexpected, clear_numbers, names_and_phones, backups, overdue, reports):
        build(home, met=True)
    known = home.facts(SHARING)
    wanted = {c.measure for rule in RULES.values() for c in rule.every_check()}
    wanted |= {m for rule in RULES.values() for m in applying(rule)}
    fixed = {m for m in wanted if m.split(".")[0] not in {"register", "declared", "figure"}}
    assert fixed <= known.keys()


# What the courts of doubt are for.


def test_a_rule_that_may_bind_is_no_evidence_until_declared(home: Home) -> None:
    home.evidence("paper_destruction")
    undecided = home.check()["RET-02"]
    assert undecided.outcome == "no_evidence"
    assert {e.measure for e in undecided.evidence if e.wanted == "?"} == {
        "declared.licensed_courier",
        "declared.courier_contract",
    }
    home.declare("licensed_courier", 0)
    assert home.check()["RET-02"].outcome == "no_evidence"
    home.declare("courier_contract", 0)
    assert home.check()["RET-02"].outcome == "not_applicable"
    home.declare("courier_contract", 1)
    assert home.check()["RET-02"].outcome == "met"


def test_an_unknown_transfer_mode_brings_every_rule_of_a_hand_over() -> None:
    condition = ("occasion:handover/asset_deal",)
    assert applies(condition, {}, Occasion("handover")) is True
    assert applies(condition, {}, Occasion("handover", "share_deal")) is False
    assert applies(condition, {}, Occasion("sharing")) is False
    assert applies(condition, {}, None) is False


def test_figures_of_another_hand_over_are_not_looked_at(home: Home) -> None:
    home.figure("transfer.without_basis", 0, scope="H-2")
    mine = Occasion("handover", "asset_deal", "H-1")
    assert home.check(mine)["TRF-02"].outcome == "no_evidence"
    home.figure("transfer.without_basis", 3, scope="H-1")
    assert home.check(mine)["TRF-02"].outcome == "not_met"
    assert home.check(Occasion("handover", "asset_deal", "H-2"))["TRF-02"].outcome == "met"


def test_a_figure_that_nobody_renews_is_no_evidence(home: Home) -> None:
    home.figure("requests.refused_without_reason", 0, BUSINESS_DATE - timedelta(days=31))
    assert home.check()["DSR-02"].outcome == "met"
    later = BUSINESS_DATE + timedelta(days=1)
    assert home.check(day=later)["DSR-02"].outcome == "no_evidence"


@pytest.mark.parametrize(
    ("k", "release", "outcome"),
    [
        (3, "enclave", "met"),
        (4, "controlled", "not_met"),
        (5, "controlled", "met"),
        (19, "public", "not_met"),
        (20, "public", "met"),
    ],
)
def test_k_is_asked_by_release(home: Home, k: int, release: str, outcome: str) -> None:
    home.figure("sharing.least_class", k, scope="agreed")
    asked = Occasion("sharing", release, "agreed")
    assert home.check(asked)["DEI-02"].outcome == outcome
    assert home.check(Occasion("sharing", release, "other"))["DEI-02"].outcome == "no_evidence"
    # What says who it is about has no class to be counted.
    known = Occasion("sharing", "identified", "agreed")
    assert home.check(known)["DEI-02"].outcome == "not_applicable"
