"""Every figure of a table in one call."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from safehands.errors import EmptyFile, PolicyError
from safehands.risk import anonymity, attackers, separation, uniqueness
from safehands.risk._columns import Floats, Ints, Table, as_arrow, numbers
from safehands.risk._summaries import expected_risk, sensitive_figures, suda_summary, wildcard_risk
from safehands.risk.classes import Classes, group, keep_rows, one_row_per_person
from safehands.risk.level import LevelRisk, assess_level
from safehands.risk.report import Assumptions, RiskReport

__all__ = ["assess"]


@dataclass(frozen=True)
class _Population:
    """The assumed size of the population, and how many of it belong to each class."""

    size: int | None
    source: str
    sizes: Floats | Ints


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
    then the assumed population, then the table itself.

    Pure: nothing is read or written but the arguments. 5,000,000 rows with eight quasi-identifiers
    are meant to take seconds. Raises ``PolicyError`` and ``BadInput`` as the parts do
    (``risk.*``), ``EmptyFile`` (``risk.no_rows``) where no row is left to assess. The figures
    describe this table; they promise nothing about what else an attacker holds, and a low figure
    is not anonymity in the sense of PIPL article 73.
    """
    assumed = assumptions or Assumptions()
    columns = _names(sensitive)
    extra = [name for name in (weight, person) if name is not None]
    given = as_arrow(table, [*quasi, *columns, *extra])
    complete = _complete(given, quasi) if assumed.missing == "drop" else given
    arrow, people = complete, None
    if person is not None:
        keep, people = one_row_per_person(complete, quasi, person)
        arrow = keep_rows(complete, keep)
    classes = group(arrow, quasi)
    weights = None if weight is None else numbers(arrow, weight)
    population = _population(classes, arrow, weights, register, assumed)
    # The combinations take about as long as the rest, so the two halves run side by side.
    with ThreadPoolExecutor(1) as pool:
        keys = pool.submit(_keys, classes, assumed)
        measured, pycanon = sensitive_figures(classes, arrow, columns, assumed)
        return RiskReport(
            quasi=classes.quasi,
            rows=given.num_rows,
            records=classes.records,
            dropped=given.num_rows - complete.num_rows,
            people=people,
            population=population.size,
            assumptions=assumed,
            k=anonymity.k_anonymity(classes),
            classes=len(classes),
            class_sizes=anonymity.class_sizes(classes),
            average_class_size=classes.records / len(classes),
            sensitive=measured,
            pycanon=pycanon,
            prosecutor=attackers.prosecutor(classes, assumed.threshold),
            journalist=attackers.journalist(classes, population.sizes, assumed.threshold),
            marketer=attackers.marketer(classes, population.sizes),
            population_source=population.source,
            sample_uniques=uniqueness.sample_uniques(classes),
            uniqueness=_uniqueness(classes, population.size),
            individual=expected_risk(classes, weights, population.size, assumed),
            wildcard=wildcard_risk(classes, assumed) if assumed.missing == "wildcard" else None,
            suda=suda_summary(classes, arrow, population.size) if assumed.special_uniques else None,
            level=_level(classes, assumed),
            keys=keys.result(),
        )


def _keys(classes: Classes, assumed: Assumptions) -> tuple[separation.KeyStrength, ...]:
    return tuple(separation.key_strengths(classes)) if assumed.combinations else ()


def _names(sensitive: str | Sequence[str] | None) -> tuple[str, ...]:
    if sensitive is None:
        return ()
    return (sensitive,) if isinstance(sensitive, str) else tuple(sensitive)


def _complete(arrow: pa.Table, quasi: Sequence[str]) -> pa.Table:
    """Return the rows that have a value in every quasi-identifier."""
    keep = np.ones(arrow.num_rows, dtype=np.bool_)
    for name in quasi:
        missing = pc.is_null(arrow.column(name), nan_is_null=True)
        keep &= ~missing.to_numpy().astype(np.bool_)
    if not keep.any():
        raise EmptyFile("risk.no_rows")
    return keep_rows(arrow, keep)


def _population(
    classes: Classes,
    arrow: pa.Table,
    weights: Floats | None,
    register: Table | None,
    assumed: Assumptions,
) -> _Population:
    size = _population_size(classes, assumed)
    if register is not None:
        sizes = attackers.population_sizes(arrow, register, classes.quasi)
        return _Population(size, "register", sizes)
    if weights is not None:
        return _Population(size, "weights", attackers.weighted_sizes(classes, weights))
    if size is not None:
        return _Population(size, "fraction", attackers.expanded_sizes(classes, size))
    return _Population(None, "sample", classes.sizes)


def _population_size(classes: Classes, assumed: Assumptions) -> int | None:
    fraction = assumed.sampling_fraction
    if fraction is None:
        return assumed.population
    if assumed.population is not None or not 0 < fraction <= 1:
        raise PolicyError("risk.bad_parameter", name="sampling_fraction")
    return math.floor(classes.records / fraction + 0.5)


def _uniqueness(classes: Classes, population: int | None) -> uniqueness.Uniqueness | None:
    return None if population is None else uniqueness.population_uniqueness(classes, population)


def _level(classes: Classes, assumed: Assumptions) -> LevelRisk:
    return assess_level(
        classes,
        assumed.release,
        deliberate=assumed.deliberate,
        inadvertent=assumed.inadvertent,
        breach=assumed.breach,
        direct_identifiers=assumed.direct_identifiers,
    )
