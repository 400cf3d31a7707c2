"""Lots: several owners' shards in one task, so that a thousand owners are not thousands of tasks.

A shard stays one owner's, with its own transaction, keys and lock; a lot is only what one task goes
through, one shard after the other. So a shard that fails in a lot neither undoes nor hides the
others: it drops out, they go on, and the lot's last step fails with its problem. What may pass by
itself is tried again first; shards that were done then are done already and nothing happens twice.

A lot travels between tasks as plain data::

    {"lot": "lot-03", "records": [shards or handoffs],
     "problems": [{"shard", "code", "key", "params"}]}

A lot of one shard is no lot but that shard's own record: up to ``MOST`` shards nothing changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from safehands.datasets import Shard
from safehands.errors import SafehandsError, by_code

__all__ = ["MOST", "Dropped", "Lot", "in_lots"]

MOST = 13
"""Shards or lots of a night: with four tasks each and seven for the whole store, 59 tasks."""

_EACH = 3_000_000
"""What a shard costs besides its bytes, in bytes of an export: files, verdicts, a transaction."""

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Dropped:
    """A shard that went no further, by its label, and why."""

    shard: str
    code: int
    key: str
    params: Mapping[str, str | int | float]

    def problem(self) -> SafehandsError:
        """Return the error as it was raised."""
        return by_code(self.code)(self.key, **self.params)


@dataclass(frozen=True)
class Lot:
    """What one task goes through: plain shards or handoffs, and the shards that dropped out."""

    key: str
    records: tuple[Record, ...]
    problems: tuple[Dropped, ...] = field(default=())

    @property
    def label(self) -> str:
        """What a person reads in Airflow's grid: the lot and its owners."""
        owners = sorted({Shard.from_dict(one.get("shard", one)).controller for one in self.records})
        shown = ", ".join(owners[:3]) + ("" if len(owners) < 4 else f" +{len(owners) - 3}")
        return f"{self.key}: {shown}"

    def each(self, step: Callable[[Record], Record], *, patient: bool) -> Lot:
        """Do ``step`` for every record that is left and return the lot for the next step.

        ``patient``: there will be another try. Then a problem that may pass by itself is raised,
        once the other shards were gone through; otherwise the shard drops out like any other.
        """
        done, dropped, passing = list[Record](), list(self.problems), list[SafehandsError]()
        for record in self.records:
            try:
                done.append(step(record))
            except SafehandsError as error:
                if patient and error.retryable:
                    passing.append(error)
                    continue
                label = Shard.from_dict(record.get("shard", record)).label
                dropped.append(Dropped(label, error.exit_code, error.key, error.params))
        if passing:
            raise passing[0]
        return Lot(self.key, tuple(done), tuple(dropped))

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-able plain data."""
        problems = [asdict(one) for one in self.problems]
        return {
            "lot": self.key,
            "records": [dict(one) for one in self.records],
            "problems": problems,
        }

    @classmethod
    def from_dict(cls, data: Record) -> Lot | None:
        """Rebuild from ``as_dict``; ``None`` for the record of a single shard."""
        if "lot" not in data:
            return None
        problems = tuple(Dropped(**one) for one in data["problems"])
        return cls(data["lot"], tuple(data["records"]), problems)


def in_lots(shards: Iterable[Record], most: int = MOST) -> list[dict[str, Any]]:
    """Return the records of at most ``most`` tasks: plain shards, or lots of about the same size.

    The largest shard goes first, each into the lightest lot; of the shards alone, so that a run
    that is repeated makes the same lots.
    """
    known = [(_weight(one), one["key"], dict(one)) for one in shards]
    if len(known) <= most:
        return [one for _, _, one in known]
    bins: list[list[dict[str, Any]]] = [[] for _ in range(most)]
    weights = [0] * most
    for weight, _, one in sorted(known, key=lambda found: (-found[0], found[1])):
        lightest = weights.index(min(weights))
        bins[lightest].append(one)
        weights[lightest] += weight + _EACH
    return [
        part[0] if len(part) == 1 else Lot(f"lot-{number:02}", tuple(part)).as_dict()
        for number, part in enumerate(bins, 1)
    ]


def _weight(record: Record) -> int:
    return sum(file.weight for file in Shard.from_dict(record).files)
