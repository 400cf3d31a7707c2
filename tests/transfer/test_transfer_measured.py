"""The rule book's figures of a transfer are counted from the package, the receipt and the rest."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from transfer_world import CLASSES, PHONES, Deal

from minimised import declared
from nights import BUSINESS_DATE, NOW
from safehands import erasure
from safehands.consent import Answer, record
from safehands.errors import HandoverRefused
from safehands.handover.classify import campaign
from safehands.handover.measures import FIGURES
from safehands.notices import compose, load_consent_book, load_notice_book, publish, versions
from safehands.rulebook.load import load_rulebook
from safehands.transfer import cutover, package
from safehands.transfer.measured import RECORDED
from safehands.vault.access import OFFICER

POLICY = Path(__file__).resolve().parents[2] / "include" / "policy"


def figures(deal: Deal) -> dict[str, float]:
    query = "SELECT name, number FROM rule_figure WHERE scope = :scope ORDER BY id"
    with deal.world.store.admin().connect() as connection:
        return {r[0]: r[1] for r in connection.execute(text(query), {"scope": str(deal.id)})}


def say_yes(deal: Deal, phone: str) -> None:
    """Record a separate yes in the hand-over's campaign, as a tick sheet does."""
    world, owner = deal.world, deal.world.owner()
    policy = world.night.policy
    consent, notice = load_consent_book(POLICY, policy), load_notice_book(POLICY, policy)
    seller = declared().controllers[0].model_copy(update={"contact": "0755-0000"})
    terms = compose(policy, consent, notice, seller)
    publish(world.store, terms, BUSINESS_DATE - timedelta(days=9), "wang.li", NOW)
    known, _ = erasure.find_subjects(world.store, owner, phone, every_holder=True)
    with world.store.begin(OFFICER, owner.id) as connection:
        given = [
            Answer(
                who,
                "granted",
                "handover",
                "counter",
                "form 1",
                NOW - timedelta(hours=1),
                1,
                True,
                campaign=campaign(deal.id),
            )
            for who in known
        ]
        notices = versions(connection, owner.id)
        record(connection, policy, consent, owner, notices, given, "wang.li", NOW)


def test_nobody_is_packaged_without_an_answer(deal: Deal, monkeypatch: pytest.MonkeyPatch) -> None:
    with deal.world.store.admin().begin() as connection:
        connection.execute(text("DELETE FROM consent_event"))
    say_yes(deal, PHONES[0])
    # The door would take the other one out; the count has to see a door that does not.
    monkeypatch.setattr(package, "shut", lambda *_: {})
    # The listing says that both move; only one of them ever answered.
    with pytest.raises(HandoverRefused, match="1 people without a basis"):
        deal.package()
    assert not deal.path.exists()
    assert deal.state() == "approved"
    say_yes(deal, PHONES[5])
    made = deal.package()
    moved = [phone for phone, name in CLASSES.items() if name == "transferred"]
    assert made.counts["person"] == len(moved) == 2
    found = figures(deal)
    assert found["transfer.without_basis"] == 0
    assert found["transfer.silent_included"] == 0
    assert found["transfer.dormant_included"] == 0
    assert found["transfer.cctv_files"] == 0
    deal.receive()
    deal.accept()
    found = figures(deal)
    assert (found["transfer.count_difference"], found["transfer.digest_difference"]) == (0, 0)
    deal.reconcile()
    monkeypatch.setattr(cutover, "would_leave", lambda *_: 0)
    deal.cut()
    assert figures(deal)["transfer.entrusted_residue"] == 0


def test_figures_stand_in_the_rule_book() -> None:
    book = load_rulebook(POLICY).figures
    for name in (*FIGURES, *RECORDED):
        assert book[name].each
