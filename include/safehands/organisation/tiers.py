"""Size tiers: how many people an owner handles, here and elsewhere, and what follows from it.

Sources: audit measures 4 and 12, network data regulation 28, small handlers provisions (the number
of the last is from secondary sources). People counted here are one per vault record, so a number
re-issued to another person counts twice; people elsewhere are what the owner declares.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from sqlalchemy import text

from safehands.installation import Installation
from safehands.organisation.catalogue import Organisation, Tier
from safehands.organisation.register import entries
from safehands.store.register import owners

__all__ = ["Size", "sizes", "tiers_of", "together"]


@dataclass(frozen=True)
class Size:
    """One owner's people: ``here`` counted, ``elsewhere`` declared (``None``: not declared)."""

    owner: str
    here: int
    elsewhere: int | None
    tiers: tuple[Tier, ...]

    @property
    def total(self) -> int:
        """People here and, as far as declared, elsewhere."""
        return self.here + (self.elsewhere or 0)


def tiers_of(organisation: Organisation, people: int, day: date) -> tuple[Tier, ...]:
    """Return every line of size that holds for ``people`` on ``day``, in policy's order."""
    return tuple(tier for tier in organisation.tiers if tier.holds(people, day))


def sizes(inst: Installation, organisation: Organisation, day: date) -> list[Size]:
    """Return each owner's size on ``day``; the count itself is that of now."""
    declared: dict[str, int] = {}
    for entry in entries(inst, day):
        if entry.kind == "people_elsewhere" and entry.valid_on(day):
            declared[entry.owner] = int(entry.number)
    found = []
    for owner in owners(inst.store).values():
        with inst.store.begin(controller=owner.id) as connection:
            here = int(connection.execute(text(_PEOPLE)).scalar_one())
        elsewhere = declared.get(owner.code)
        lines = tiers_of(organisation, here + (elsewhere or 0), day)
        found.append(Size(owner.code, here, elsewhere, lines))
    return found


def together(organisation: Organisation, seller: Size, buyer: Size, day: date) -> tuple[Tier, ...]:
    """Return the lines that hold for both files put together, before closing (LAW: tiers).

    The upper bound: people whom both know count twice, as nobody may compare them beforehand.
    """
    return tiers_of(organisation, seller.total + buyer.total, day)


# People whose record is storage-only are hidden from the pipeline and stand in `restriction`.
_PEOPLE = "SELECT (SELECT count(*) FROM subject) + (SELECT count(*) FROM restriction)"
