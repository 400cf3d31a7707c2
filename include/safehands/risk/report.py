"""All figures of one table in one record that can be printed, stored and compared.

The record holds counts, shares and column names; never a cell value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import pyarrow as pa

from safehands.errors import PolicyError
from safehands.risk import anonymity, attackers, individual, separation, suda, uniqueness
from safehands.risk._columns import Floats, Ints, Table, as_arrow, numbers
from safehands.risk.attackers import AttackerRisk
from safehands.risk.classes import Classes, group, keep_rows, one_row_per_person
from safehands.risk.level import LevelRisk, Release, assess_level
from safehands.risk.separation import KeyStrength
from safehands.risk.spread import spread
from safehands.risk.uniqueness import Uniqueness

__all__ = [
    "Assumptions",
    "ExpectedRisk",
    "RiskReport",
    "SensitiveRisk",
    "SudaSummary",
    "assess",
]


@dataclass(frozen=True)
class Assumptions:
    """What a person judged beforehand; printed with the figures, because they depend on it.

    ``threshold``: acceptable risk of one record. ``population``: people in the population that the
    table is a sample of (``None``: not a sample). ``release`` and the three probabilities: see
    :func:`safehands.risk.level.assess_level`. ``recursive_l`` and ``recursive_c``: the parameter
    that is held while the other is measured; ``recursive_l=None`` uses the measured distinct l.
    ``combinations`` and ``special_uniques`` turn on the two parts whose work doubles with every
    further quasi-identifier.
    """

    threshold: float = 0.2
    population: int | None = None
    release: Release = "controlled"
    deliberate: float = 1.0
    inadvertent: float = 1.0
    breach: float = 1.0
    direct_identifiers: bool = False
    recursive_l: int | None = None
    recursive_c: float = 2.0
    combinations: bool = True
    special_uniques: bool = False


@dataclass(frozen=True)
class SensitiveRisk:
    """What the classes tell about one sensitive column (definitions: ``anonymity``)."""

    column: str
    values: int
    ordered: bool
    alpha: float
    distinct_l: int
    entropy_l: float
    recursive_l: int
    recursive_c: float
    recursive_c_at_l: int
    t_equal: float
    t_ordered: float
    t: float
    delta: float
    basic_beta: float
    enhanced_beta: float


@dataclass(frozen=True)
class ExpectedRisk:
    """Individual risks under sampling weights, summed up (definitions: ``individual``)."""

    expected: float
    share: float
    highest: float


@dataclass(frozen=True)
class SudaSummary:
    """SUDA2 summed up (definitions: ``suda``)."""

    by_size: tuple[int, ...]
    records: int
    highest_score: float
    highest_dis_score: float
    dis: float
    contribution: dict[str, float]


@dataclass(frozen=True)
class RiskReport:
    """Every figure of one table.

    ``rows``: rows given; ``records``: rows assessed, fewer when a person column reduced them;
    ``people``: distinct people, if a person column was given. ``population_source``: where the
    journalist's population sizes come from: ``register``, ``weights``, ``fraction`` or ``sample``.
    """

    quasi: tuple[str, ...]
    rows: int
    records: int
    people: int | None
    assumptions: Assumptions
    k: int
    classes: int
    class_sizes: dict[int, int]
    average_class_size: float
    sensitive: tuple[SensitiveRisk, ...]
    prosecutor: AttackerRisk
    journalist: AttackerRisk
    marketer: float
    population_source: str
    sample_uniques: int
    uniqueness: Uniqueness | None
    individual: ExpectedRisk | None
    keys: tuple[KeyStrength, ...]
    suda: SudaSummary | None
    level: LevelRisk

    @property
    def l(self) -> int | None:  # noqa: E743
        """Lowest distinct l of the sensitive columns; ``None`` without any."""
        return min((one.distinct_l for one in self.sensitive), default=None)

    def as_dict(self) -> dict[str, object]:
        """Return the report as plain JSON types; ``None`` where a figure is infinite.

        Keys of ``class_sizes`` become text, as JSON asks. ``version`` is 1.
        """
        figures = {name: _plain(value) for name, value in asdict(self).items()}
        return {"version": 1, **figures, "l": self.l}


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def assess(
    table: Table,
    quasi: Sequence[str],
    sensitive: str | Sequence[str] | None = None,
    weight: str | None = None,
    *,
    person: str | None = None,
    register: Table | None = None,
    assumptions: Assumptions | None = None,
) -> RiskReport:
    """Assess the re-identification risk of ``table``.

    ``quasi``: quasi-identifiers. ``sensitive``: one column or several; each is assessed by itself,
    against classes of the quasi-identifiers only. ``weight``: column of sampling weights.
    ``person``: column that tells people apart; with it people are counted instead of rows by the
    rule of :func:`one_row_per_person`. ``register``: a table of the whole population with the same
    quasi-identifiers, for the journalist and the marketer; where it is missing the weights serve,
    then ``assumptions.population``, then the table itself.

    Pure: nothing is read or written but the arguments. 5,000,000 rows with eight quasi-identifiers
    are meant to take seconds. Raises ``PolicyError`` and ``BadInput`` as the parts do
    (``risk.*``). The figures describe this table; they promise nothing about what else an attacker
    holds, and a low figure is not anonymity in the sense of PIPL article 73.
    """
    assumed = assumptions or Assumptions()
    columns = _names(sensitive)
    extra = [name for name in (weight, person) if name is not None]
    arrow = as_arrow(table, [*quasi, *columns, *extra])
    rows, people = arrow.num_rows, None
    if person is not None:
        keep, people = one_row_per_person(arrow, quasi, person)
        arrow = keep_rows(arrow, keep)
    classes = group(arrow, quasi)
    weights = None if weight is None else numbers(arrow, weight)
    source, population = _population(classes, arrow, weights, register, assumed)
    return RiskReport(
        quasi=classes.quasi,
        rows=rows,
        records=classes.records,
        people=people,
        assumptions=assumed,
        k=anonymity.k_anonymity(classes),
        classes=len(classes),
        class_sizes=anonymity.class_sizes(classes),
        average_class_size=classes.records / len(classes),
        sensitive=tuple(_sensitive(classes, arrow, name, assumed) for name in columns),
        prosecutor=attackers.prosecutor(classes, assumed.threshold),
        journalist=attackers.journalist(classes, population, assumed.threshold),
        marketer=attackers.marketer(classes, population),
        population_source=source,
        sample_uniques=uniqueness.sample_uniques(classes),
        uniqueness=_uniqueness(classes, assumed.population),
        individual=_individual(classes, weights),
        keys=tuple(separation.key_strengths(classes)) if assumed.combinations else (),
        suda=_suda(classes, assumed) if assumed.special_uniques else None,
        level=_level(classes, assumed),
    )


def _names(sensitive: str | Sequence[str] | None) -> tuple[str, ...]:
    if sensitive is None:
        return ()
    return (sensitive,) if isinstance(sensitive, str) else tuple(sensitive)


def _population(
    classes: Classes,
    arrow: pa.Table,
    weights: Floats | None,
    register: Table | None,
    assumed: Assumptions,
) -> tuple[str, Floats | Ints]:
    if register is not None:
        return "register", attackers.population_sizes(arrow, register, classes.quasi)
    if weights is not None:
        return "weights", attackers.weighted_sizes(classes, weights)
    if assumed.population is not None:
        return "fraction", attackers.expanded_sizes(classes, assumed.population)
    return "sample", classes.sizes


def _sensitive(
    classes: Classes, arrow: pa.Table, column: str, assumed: Assumptions
) -> SensitiveRisk:
    if column in classes.quasi:
        raise PolicyError("risk.sensitive_is_quasi", column=column)
    counts = spread(classes, arrow, column)
    distinct = anonymity.distinct_l(counts)
    at = assumed.recursive_l or max(2, distinct)
    t_equal = anonymity.t_closeness(counts, ordered=False)
    t_ordered = anonymity.t_closeness(counts, ordered=True)
    return SensitiveRisk(
        column=column,
        values=len(counts.totals),
        ordered=counts.ordered,
        alpha=anonymity.alpha_k(classes, counts)[0],
        distinct_l=distinct,
        entropy_l=anonymity.entropy_l(counts),
        recursive_l=anonymity.recursive_l(counts, assumed.recursive_c),
        recursive_c=anonymity.recursive_c(counts, at),
        recursive_c_at_l=at,
        t_equal=t_equal,
        t_ordered=t_ordered,
        t=t_ordered if counts.ordered else t_equal,
        delta=anonymity.delta_disclosure(counts),
        basic_beta=anonymity.basic_beta(counts),
        enhanced_beta=anonymity.enhanced_beta(counts),
    )


def _uniqueness(classes: Classes, population: int | None) -> Uniqueness | None:
    return None if population is None else uniqueness.population_uniqueness(classes, population)


def _individual(classes: Classes, weights: Floats | None) -> ExpectedRisk | None:
    if weights is None:
        return None
    risk = individual.individual_risk(classes, weights)
    return ExpectedRisk(risk.expected, risk.share, risk.highest)


def _suda(classes: Classes, assumed: Assumptions) -> SudaSummary:
    fraction = 0.01 if assumed.population is None else classes.records / assumed.population
    found = suda.suda2(classes, sampling_fraction=fraction)
    return SudaSummary(
        by_size=found.by_size,
        records=int((found.score > 0).sum()),
        highest_score=float(found.score.max()),
        highest_dis_score=float(found.dis_score.max()),
        dis=found.dis,
        contribution=found.contribution,
    )


def _level(classes: Classes, assumed: Assumptions) -> LevelRisk:
    return assess_level(
        classes,
        assumed.release,
        deliberate=assumed.deliberate,
        inadvertent=assumed.inadvertent,
        breach=assumed.breach,
        direct_identifiers=assumed.direct_identifiers,
    )
