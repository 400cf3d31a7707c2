"""The parts of a report that are sums over a column or a measure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from safehands.errors import PolicyError
from safehands.risk import anonymity, anonymity_pycanon, individual, suda, suda_sdcmicro
from safehands.risk._columns import Floats, Ints, whole_numbers
from safehands.risk.classes import Classes
from safehands.risk.report import (
    Assumptions,
    ExpectedRisk,
    PycanonFigures,
    SensitiveRisk,
    SudaSummary,
    WildcardRisk,
)
from safehands.risk.spread import Spread, spread

__all__ = ["expected_risk", "sensitive_figures", "suda_summary", "wildcard_risk"]

_FRACTION = 0.01


def sensitive_figures(
    classes: Classes, arrow: pa.Table, columns: Sequence[str], assumed: Assumptions
) -> tuple[tuple[SensitiveRisk, ...], PycanonFigures | None]:
    """Return the figures of each sensitive column, and pyCANON's of all together.

    Raises ``PolicyError`` (``risk.sensitive_is_quasi``).
    """
    spreads = [_spread(classes, arrow, name) for name in columns]
    found = tuple(_sensitive(one, assumed) for one in spreads)
    return found, _pycanon(classes, spreads, found, assumed) if found else None


def _spread(classes: Classes, arrow: pa.Table, column: str) -> Spread:
    if column in classes.quasi:
        raise PolicyError("risk.sensitive_is_quasi", column=column)
    return spread(classes, arrow, column)


def _sensitive(counts: Spread, assumed: Assumptions) -> SensitiveRisk:
    distinct = anonymity.distinct_l(counts)
    at = assumed.recursive_l or max(2, distinct)
    t_equal = anonymity.t_closeness(counts, ordered=False)
    t_ordered = anonymity.t_closeness(counts, ordered=True)
    return SensitiveRisk(
        column=counts.column,
        values=len(counts.totals),
        ordered=counts.ordered,
        alpha=float(counts.share.max()),
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


def _pycanon(
    classes: Classes,
    spreads: Sequence[Spread],
    found: Sequence[SensitiveRisk],
    assumed: Assumptions,
) -> PycanonFigures | None:
    """Return what pyCANON prints; ``None`` where it leaves out every row."""
    seen = [anonymity_pycanon.without_missing(classes, one) for one in spreads]
    counts = [one for one in seen if one is not None]
    if not counts:
        return None
    if any(one is not other for one, other in zip(counts, spreads, strict=True)):
        found = [_sensitive(one, assumed) for one in counts]
    distinct = min(one.distinct_l for one in found)
    return PycanonFigures(
        k=int(counts[0].sizes.min()),
        alpha=max(one.alpha for one in found),
        distinct_l=distinct,
        entropy_l=min(anonymity_pycanon.entropy_l_pycanon(one) for one in counts),
        recursive_c=max(anonymity_pycanon.recursive_c_pycanon(one, distinct) for one in counts),
        basic_beta=max(one.basic_beta for one in found),
        enhanced_beta=max(one.enhanced_beta for one in found),
        t=max(one.t for one in found),
        delta=max(one.delta for one in found),
    )


def expected_risk(
    classes: Classes, weights: Floats | None, population: int | None, assumed: Assumptions
) -> ExpectedRisk:
    """Return the individual risks summed up, from weights, a sampling fraction or the table."""
    missing: individual.Missing = "wildcard" if assumed.missing == "wildcard" else "category"
    fk, total = individual.frequencies(classes, weights, missing=missing)
    source = "sample" if weights is None else "weights"
    if weights is None and population is not None:
        source = "fraction"
        total = np.asarray(fk * (population / classes.records), dtype=np.float64)
    risk = individual.class_risks(fk, total)
    exact = risk if source == "sample" else individual.class_risks(fk, total, method="exact")
    expected, exactly = (float((one * classes.sizes).sum()) for one in (risk, exact))
    return ExpectedRisk(
        source=source,
        expected=expected,
        share=expected / classes.records,
        highest=float(risk.max()),
        records_above_threshold=_above(classes, risk, assumed.threshold),
        exact_expected=exactly,
        exact_share=exactly / classes.records,
        exact_highest=float(exact.max()),
    )


def _above(classes: Classes, risk: Floats, threshold: float) -> int:
    return int(classes.sizes[risk > threshold].sum())


def wildcard_risk(classes: Classes, assumed: Assumptions) -> WildcardRisk:
    """Return risk 1/fk where a missing value matches every value."""
    fk, _ = individual.frequencies(classes, missing="wildcard")
    risk = 1.0 / fk
    return WildcardRisk(
        k=int(fk.min()),
        sample_uniques=int(classes.sizes[fk == 1].sum()),
        lowest=float(risk.min()),
        average=float((risk * classes.sizes).sum()) / classes.records,
        highest=float(risk.max()),
        records_above_threshold=_above(classes, risk, assumed.threshold),
    )


def suda_summary(classes: Classes, arrow: pa.Table, population: int | None) -> SudaSummary:
    """Return SUDA2 summed up, with sdcMicro's own DIS beside it."""
    fraction = _FRACTION if population is None else classes.records / population
    found = suda.suda2(classes, sampling_fraction=fraction)
    numbers = [whole_numbers(arrow, name) for name in classes.quasi]
    known: list[Ints] = [one for one in numbers if one is not None]
    other = None
    if len(known) == len(numbers):
        other = suda_sdcmicro.suda_sdcmicro(classes, known, sampling_fraction=fraction, found=found)
    return SudaSummary(
        sampling_fraction=fraction,
        by_size=found.by_size,
        records=int(np.count_nonzero(found.score)),
        highest_score=float(found.score.max()),
        highest_dis_score=float(found.dis_score.max()),
        dis=found.dis,
        contribution=found.contribution,
        highest_score_sdcmicro=None if other is None else float(other.score.max()),
        highest_dis_score_sdcmicro=None if other is None else float(other.dis_score.max()),
        dis_sdcmicro=None if other is None else other.dis,
    )
