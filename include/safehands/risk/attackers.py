"""Prosecutor, journalist and marketer: three attackers and how often each is right.

Source: El Emam, "Guide to the de-identification of personal health information" (2013), chapter
"Measuring the probability of re-identification", with ARX's readings (``RiskModelSampleSummary``
and ``RiskModelSampleRisks``): a record's risk is one over the size of the group it hides in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from safehands.errors import PolicyError
from safehands.risk._columns import Floats, Ints, Table, as_arrow
from safehands.risk.classes import Classes, group

__all__ = [
    "AttackerRisk",
    "expanded_sizes",
    "journalist",
    "marketer",
    "population_sizes",
    "prosecutor",
    "weighted_sizes",
]


@dataclass(frozen=True)
class AttackerRisk:
    """What one attacker model says of a table; risks and shares are between 0 and 1.

    ``lowest``, ``average``, ``highest``: risk over the records. ``records_at_lowest`` and
    ``records_at_highest``: how many records carry that risk. ``records_above_threshold``: how many
    have a risk **above** ``threshold``. ``success_rate``: expected share of the records that the
    attacker names rightly. ``share_…``: the count as a share of the records.
    """

    lowest: float
    average: float
    highest: float
    records_at_lowest: int
    records_at_highest: int
    share_at_lowest: float
    share_at_highest: float
    threshold: float
    records_above_threshold: int
    share_above_threshold: float
    success_rate: float


def prosecutor(classes: Classes, threshold: float = 0.2) -> AttackerRisk:
    """Assess an attacker who knows that their target is in the table.

    The sample is the population: risk 1 / class size; average and success rate are both classes /
    records.

    Raises ``PolicyError`` (``risk.bad_parameter``) for a threshold outside [0, 1].
    """
    return _assess(classes.sizes, classes.sizes.astype(np.float64), threshold)


def journalist(classes: Classes, population: Floats | Ints, threshold: float = 0.2) -> AttackerRisk:
    """Assess an attacker who has a register of the population and wants to name anybody.

    ``population[class]``: how many people of the population have the class's values, from
    :func:`population_sizes` (a register), :func:`weighted_sizes` or :func:`expanded_sizes`
    (estimates). With F for it and f for the class size: risk 1 / F; average Σ(f/F) / Σf; success
    rate the greater of the average and J / ΣF over the J classes of the sample, as in ARX.

    Raises ``PolicyError``: ``risk.population_too_small`` when a class is larger in the table than
    in the population, ``risk.bad_parameter`` as :func:`prosecutor`.
    """
    return _assess(classes.sizes, _checked(classes, population), threshold)


def marketer(classes: Classes, population: Floats | Ints | None = None) -> float:
    """Return the share of the records that an attacker who matches all of them names rightly.

    Σ(f / F) / Σf with ``population`` as in :func:`journalist`; without it F is f, hence classes /
    records.
    """
    if population is None:
        return len(classes) / classes.records
    return float((classes.sizes / _checked(classes, population)).sum()) / classes.records


def _assess(sizes: Ints, population: Floats, threshold: float) -> AttackerRisk:
    if not 0 <= threshold <= 1:
        raise PolicyError("risk.bad_parameter", name="threshold")
    records = int(sizes.sum())
    small, large = float(population.min()), float(population.max())
    at_highest = int(sizes[population == small].sum())
    at_lowest = int(sizes[population == large].sum())
    above = int(sizes[1.0 / population > threshold].sum())
    average = float((sizes / population).sum()) / records
    return AttackerRisk(
        lowest=1.0 / large,
        average=average,
        highest=1.0 / small,
        records_at_lowest=at_lowest,
        records_at_highest=at_highest,
        share_at_lowest=at_lowest / records,
        share_at_highest=at_highest / records,
        threshold=threshold,
        records_above_threshold=above,
        share_above_threshold=above / records,
        success_rate=max(average, len(sizes) / float(population.sum())),
    )


def _checked(classes: Classes, population: Floats | Ints) -> Floats:
    sizes = np.asarray(population, dtype=np.float64)
    if sizes.shape != classes.sizes.shape:
        raise PolicyError("risk.bad_parameter", name="population")
    # Weights such as 1/3 add up to a hair below the count they stand for.
    short = int(np.count_nonzero(~(sizes >= classes.sizes * (1 - 1e-9))))
    if short:
        raise PolicyError("risk.population_too_small", count=short)
    return sizes


def population_sizes(table: Table, register: Table, quasi: Sequence[str]) -> Ints:
    """Return, per class of ``group(table, quasi)``, the rows of ``register`` with its values.

    Values are compared as they are, missing equal to missing; integer widths and text encodings
    may differ. Raises ``PolicyError``: ``risk.other_types`` when a column has types that can't be
    compared, and what :func:`group` raises.
    """
    sample, people = as_arrow(table, quasi), as_arrow(register, quasi)
    joined = group(_stacked(sample, people), quasi)
    own, theirs = joined.codes[: sample.num_rows], joined.codes[sample.num_rows :]
    present = np.bincount(own, minlength=len(joined)) > 0
    # Classes are numbered in value order in both groupings, so leaving out strangers is enough.
    return np.bincount(theirs, minlength=len(joined)).astype(np.int64)[present]


def _stacked(sample: pa.Table, people: pa.Table) -> pa.Table:
    try:
        return pa.concat_tables(
            [_undictionaried(sample), _undictionaried(people)], promote_options="permissive"
        )
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        raise PolicyError("risk.other_types") from None


def _undictionaried(table: pa.Table) -> pa.Table:
    """Return the table with dictionary columns as their values, which permissive concat needs."""
    fields = [
        pa.field(field.name, field.type.value_type) if pa.types.is_dictionary(field.type) else field
        for field in table.schema
    ]
    return table.cast(pa.schema(fields))


def weighted_sizes(classes: Classes, weights: Floats) -> Floats:
    """Return the estimated population of each class: the sum of its records' sampling weights."""
    if weights.shape != classes.codes.shape:
        raise PolicyError("risk.bad_parameter", name="weight")
    return np.asarray(np.bincount(classes.codes, weights, len(classes)), dtype=np.float64)


def expanded_sizes(classes: Classes, population_size: int) -> Floats:
    """Return the population of each class under equal sampling: f · population / records.

    Raises ``PolicyError`` (``risk.population_below_sample``) for a population below the sample.
    """
    if population_size < classes.records:
        raise PolicyError("risk.population_below_sample", records=classes.records)
    return np.asarray(classes.sizes * (population_size / classes.records), dtype=np.float64)
