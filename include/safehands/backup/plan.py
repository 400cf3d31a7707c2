"""Which generations stay: pure, from dates alone.

For each of so many days, weeks and months that have a generation, the last one stays. Ages count
back from the newest generation, not from a clock: when backups stop, or a clock jumps, nothing
goes that would not have gone the night before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

from safehands.backuppolicy import Keep

__all__ = ["Plan", "Seen", "plan_prune"]


@dataclass(frozen=True)
class Seen:
    """One generation as the store knows it. ``number`` grows from generation to generation."""

    manifest: str
    digest: str
    number: int
    day: date
    lineage: int = 0
    proved: bool = False


@dataclass(frozen=True)
class Plan:
    """``kept`` says why each stays (``newest``, ``proved``, ``daily`` …); the rest goes."""

    kept: dict[str, tuple[str, ...]]
    gone: tuple[Seen, ...]


_Period = Callable[[date], tuple[int, ...]]
_PERIODS: dict[str, _Period] = {
    "daily": lambda day: (day.toordinal(),),
    "weekly": lambda day: tuple(day.isocalendar()[:2]),
    "monthly": lambda day: (day.year, day.month),
}


def plan_prune(seen: Sequence[Seen], keep: Keep) -> Plan:
    """Plan which of ``seen`` go.

    The newest generation and the newest proved one always stay; as long as none is proved, all do.
    A generation of an earlier lineage (before a rotation of data keys) goes as soon as one of the
    newest lineage is proved, whatever its age.
    """
    ordered = sorted(seen, key=lambda one: one.number, reverse=True)
    proved = next((one for one in ordered if one.proved), None)
    if proved is None:
        return Plan({one.manifest: ("unproved",) for one in ordered}, ())
    reasons: dict[str, list[str]] = {one.manifest: [] for one in ordered}
    reasons[ordered[0].manifest].append("newest")
    reasons[proved.manifest].append("proved")
    current = proved.lineage == ordered[0].lineage
    eligible = [one for one in ordered if _may_stay(one, ordered[0], keep, current)]
    for name, period in _PERIODS.items():
        for one in _last_of_each(eligible, period, getattr(keep, name)):
            reasons[one.manifest].append(name)
    kept = {name: tuple(why) for name, why in reasons.items() if why}
    return Plan(kept, tuple(one for one in reversed(ordered) if one.manifest not in kept))


def _may_stay(one: Seen, newest: Seen, keep: Keep, lineage_is_proved: bool) -> bool:
    if lineage_is_proved and one.lineage != newest.lineage:
        return False
    return (newest.day - one.day).days <= keep.at_most_days


def _last_of_each(ordered: Sequence[Seen], period: _Period, count: int) -> list[Seen]:
    """Return the newest of each of the newest ``count`` periods that have any."""
    last: dict[tuple[int, ...], Seen] = {}
    for one in ordered:
        if len(last) < count:
            last.setdefault(period(one.day), one)
    return list(last.values())
