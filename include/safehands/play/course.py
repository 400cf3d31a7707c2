"""One case from its rehearsal to its certificate, by the same calls as the commands make.

``Course`` goes through the states of the case's mode; each step tells one line of what happened.
The seller's and the buyer's keys, signatures and gates are real; only the days are played.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from safehands import pipeline
from safehands.handover.answers import read_answers, read_delivery
from safehands.handover.approvals import decide
from safehands.handover.notify import notify
from safehands.handover.opening import Asked, ask
from safehands.handover.pages import folder_of
from safehands.handover.plan import assess, plan
from safehands.handover.report import write_report
from safehands.handover.tick import tick
from safehands.installation import Installation
from safehands.keys import age
from safehands.play.cases import WINDOW, Case, request_for
from safehands.play.customers import reply
from safehands.play.moving import Move
from safehands.play.office import assess_for, document, equip, tell_terms
from safehands.play.town import Calendar
from safehands.stations import Controller
from safehands.transfer.papers import bring
from safehands.verification import verifier_from, verify_file

__all__ = ["Course", "Told"]

Told = Callable[..., None]
"""Told ``(key, **params)``: a message of ``messages/play.yaml`` and what it names."""

_UNSIGNED = ("plan.json", "due-diligence.json", "notice.json")
_GATEWAY = "gateway-identity"


@dataclass
class Course:
    """One case on one copy of the town."""

    inst: Installation
    clock: Calendar
    case: Case
    owners: Mapping[str, Controller]
    tell: Told
    asked: Asked = field(init=False)

    @property
    def folder(self) -> Path:
        """Where this hand-over's documents lie."""
        return folder_of(self.inst, self.asked.id)

    def play(self) -> dict[str, Any]:
        """Go the whole way; return the report's facts and the documents."""
        self.prepare()
        self.rehearse()
        self.open()
        self.tell_people()
        if self.case.asks:
            self.hear()
        self.approve()
        self.finish()
        return self.report()

    def prepare(self) -> None:
        """Bring what the seller has to have before anything else."""
        case, day = self.case, self.clock.day
        papers = self.inst.settings.home / "papers"
        digests = equip(self.inst, case.seller, papers, day)
        number = tell_terms(self.inst, self.owners[case.seller], day, self.clock())
        self.asked = ask(self.inst, request_for(case, self._papers(digests), day, self._heir()))
        self.tell("play.prepared", documents=len(digests), notice=number)

    def rehearse(self) -> None:
        """Plan without changing anything, and show what is missing yet."""
        made = plan(self.inst, self.asked, self.clock.day)
        self.tell("play.rehearsed", **_numbers(made), closing=made["calendar"]["earliest"])
        self.tell("play.blocked", rules=", ".join(made["blocked_by"]) or "–")

    def open(self) -> None:
        """Open the hand-over for real, and sign its impact assessment the same day."""
        case, day = self.case, self.clock.later(1)
        request = self.asked.request.model_copy(update={"dry_run": False})
        self.asked = ask(self.inst, request)
        made = assess(self.inst, self.asked, "wang.li", day, self.clock())
        self.tell("play.opened", handover=str(self.asked.id), **_numbers(made))
        for one in made["classes"]:
            self.tell("play.class", people=one["people"], kind=one["class"], fate=one["fate"])
        digest = assess_for(self.inst, case.seller, "handover", str(self.asked.id), day)
        if case.asks:
            scope = self.asked.request.gateway_agreement[:16]
            assess_for(self.inst, case.seller, "entrusting", scope, day)
        self.tell("play.assessed", digest=digest[:16], day=day.isoformat())

    def tell_people(self) -> None:
        """Post the notice and, where people are asked, send it."""
        day = self.clock.later(1)
        done = notify(self.inst, self.asked.id, "wang.li", day, self.clock())
        if self.case.asks:
            facts = {"people": done["people"], "lines": done["lines"], "until": done["until"]}
            self.tell("play.noticed", **facts)
        else:
            self.tell("play.told", people=done["people"])
        photo = document(
            self.inst.settings.home / "papers", "poster_hung", "海报照片 / poster on the wall"
        )
        seller, now = self.asked.seller, self.clock()
        bring(self.inst.store, seller, self.asked.id, "poster_hung", photo, day, "wang.li", now)
        self.tell("play.posted")

    def hear(self) -> None:
        """Read what came back, and try to end the window too early."""
        inst, this, day = self.inst, self.asked.id, self.clock.later(3)
        sealed = (self.folder / "send.csv.age").read_bytes()
        identity = age.identity(inst.provider, _GATEWAY)
        given = reply(self.folder, sealed, identity, self.clock() - timedelta(hours=2))
        missed = read_delivery(inst, this, given.log, self.clock())
        read = read_answers(inst, this, given.sheet, "sms", "wang.li", self.clock())
        for path in (given.log, given.sheet):
            # What people said is in the store now; the file with their numbers goes.
            path.unlink()
        waits = tick(inst, day, self.clock())
        facts = {"recorded": read["recorded"], "yes": given.yes, "no": given.no, "missed": missed}
        self.tell("play.heard", **facts, waiting=waits["waiting"])
        self.clock.later(WINDOW - 9)
        pipeline.nightly(inst, self.clock.day, _silently)
        self.clock.later(7)

    def approve(self) -> None:
        """Both approve; the first try without one of them, and with the gate as it is."""
        inst, this = self.inst, self.asked.id
        # An approval lapses after a month, so it is given when closing is near.
        self._wait(self.asked.request.effective_on - timedelta(days=2))
        day = self.clock.later(1)
        # A night passes: what is past its time is purged, and the rule book is judged anew.
        pipeline.nightly(inst, day, _silently)
        tick(inst, day, self.clock())
        done = decide(inst, this, "seller", "approve", "wang.li", day, self.clock())
        if self.case.buyer:
            self.tell("play.half", done=str(done))
            done = decide(inst, this, "buyer", "approve", "chen.fang", day, self.clock())
        self.tell("play.approved", who="wang.li, chen.fang" if self.case.buyer else "wang.li")

    def finish(self) -> None:
        """Move, erase, prove and certify on the day of closing; a share deal moves nothing."""
        self._wait(self.asked.request.effective_on)
        Move(self.inst, self.clock, self.case, self.asked, self.folder, self.tell).whole()

    def report(self) -> dict[str, Any]:
        """Write the report, verify every signed document offline, and tell where they lie."""
        made = write_report(self.inst, self.asked.id, self.clock())
        verifier = verifier_from(None, self.inst.settings.home / "ledger.pub")
        signed = sorted(self.folder.glob("*.json"))
        signed = [path for path in signed if path.name not in _UNSIGNED]
        for path in signed:
            verify_file(path, verifier, self.inst.settings.lang)
        for table, one in made["identity"].items():
            self.tell("play.identity", table=table, held=one["held"], classes=one["classes"])
        self.tell("play.signed", files=[path.name for path in signed], folder=str(self.folder))
        return made

    def _wait(self, until: date) -> None:
        """Let days pass until ``until``, with a night before the stores call a gap too long."""
        while (left := (until - self.clock.day).days) > 0:
            self.clock.later(min(left, 12))
            pipeline.nightly(self.inst, self.clock.day, _silently)

    def _papers(self, digests: Mapping[str, str]) -> dict[str, str]:
        """Return the digests that the request names; evidence of closing comes later."""
        papers, case = self.inst.settings.home / "papers", self.case
        found: dict[str, str] = {}
        if case.buyer:
            found["agreement"] = digests["transfer_agreement"]
            found["closing_evidence"] = document(
                papers, "closing", "成交证明 / evidence of closing"
            )
            found["buyer_key"] = age.make_identity(
                self.inst.provider, f"transfer-identity/{case.buyer}"
            )
        if case.proof != "none":
            found["proof_digest"] = document(papers, case.proof, "登记材料 / registration")
        if case.seller == "lihua":
            words = "快递企业确认：由其向接手方重新提供 / the courier supplies afresh"
            found["handler_confirmation"] = document(papers, "handler_confirmation", words)
        if case.asks:
            found["gateway_agreement"] = digests["processor_agreement"]
            found["gateway_key"] = age.make_identity(self.inst.provider, _GATEWAY)
        return found

    def _heir(self) -> str:
        return self.owners[self.case.buyer].name if self.case.buyer else ""


def _numbers(made: Mapping[str, Any]) -> dict[str, Any]:
    classes = {one["class"]: one["people"] for one in made["classes"]}
    return {"mode": made["mode"], "article": made["article"], "people": sum(classes.values())}


def _silently(*_: str) -> None:
    """Tell nobody how a night goes."""
