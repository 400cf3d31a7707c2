"""The gate of sharing, asked about one file before it is made: no evidence, no file.

The rules and thresholds stand in ``gates.yaml``. What is judged is the file itself: its smallest
class, its risk and its people without a basis, recorded as figures under the agreement's code.
"""

from __future__ import annotations

from datetime import date, timedelta

from sqlalchemy import Connection, text

from safehands import consent, gates
from safehands.installation import Installation
from safehands.notices import load_consent_book
from safehands.rulebook import Occasion
from safehands.rulebook.from_register import FRESH_DAYS, record_figure
from safehands.rulebook.load import load_rulebook
from safehands.sharing.plan import Plan
from safehands.store.register import Owner

__all__ = ["ask_gate", "people_without_basis"]


def ask_gate(
    connection: Connection, inst: Installation, made: Plan, owner: Owner, day: date
) -> gates.GateVerdict:
    """Record what the planned file is and return what the gate of sharing says of it.

    ``connection`` is the officer's, bound to ``owner``; figures and verdicts are kept in
    transactions of their own, so that a refusal leaves its reasons behind. The impact assessment
    counts that was signed for exactly this agreement (PIPL 55).
    """
    code = made.request.agreement
    figures = {"supply.without_basis": float(people_without_basis(connection, inst, made, day))}
    if made.smallest is not None and made.overall_risk is not None:
        figures["sharing.least_class"] = float(made.smallest)
        figures["sharing.overall_risk"] = made.overall_risk
        figures["sharing.highest_risk"] = 1 / made.smallest
    names = load_rulebook(inst.settings.policy).figures
    with inst.store.begin(controller=owner.id) as own:
        values = {"since": day - timedelta(days=FRESH_DAYS), "day": day}
        figures["supply.without_basis"] += float(own.execute(text(_SUPPLIED), values).scalar_one())
        for name, number in figures.items():
            record_figure(
                own,
                names,
                owner,
                name,
                number,
                day=day,
                run=f"share-{code}",
                source="plan of the disclosure",
                scope=code if names[name].each else "",
            )
    occasion = Occasion("sharing", made.agreement.model, code)
    return gates.check(inst, "sharing", day, occasion=occasion, owner=owner.code)


def people_without_basis(connection: Connection, inst: Installation, made: Plan, day: date) -> int:
    """Count the rows of a planned file whose person has no basis for its purpose on ``day``."""
    book = load_consent_book(inst.settings.policy, inst.policy)
    lawful = consent.basis(connection, inst.policy, book, made.request.purpose, day)
    return sum(who not in lawful for who in made.people)


# What earlier disclosures counted of themselves when they had been given.
_SUPPLIED = (
    "SELECT coalesce(sum(number), 0) FROM rule_figure WHERE name = 'supply.without_basis'"
    " AND run LIKE 'disclosure-%' AND day BETWEEN :since AND :day"
)
