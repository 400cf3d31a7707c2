"""All figures of one table in one record that can be printed, stored and compared.

The record holds counts, shares and column names; never a cell value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from safehands.risk.attackers import AttackerRisk
from safehands.risk.level import LevelRisk, Release
from safehands.risk.separation import KeyStrength
from safehands.risk.uniqueness import Uniqueness

__all__ = [
    "Assumptions",
    "ExpectedRisk",
    "MissingRule",
    "PycanonFigures",
    "RiskReport",
    "SensitiveRisk",
    "SudaSummary",
    "WildcardRisk",
]

MissingRule = Literal["category", "wildcard", "drop"]
"""What a missing quasi-identifier means; see :class:`Assumptions`."""


@dataclass(frozen=True)
class Assumptions:
    """What a person judged beforehand; printed with the figures, because they depend on it.

    ``threshold``: acceptable risk of one record. ``population``: people in the population that the
    table is a sample of (``None``: not a sample); or ``sampling_fraction``, from which the
    population follows as records / fraction, rounded as ARX does. ``release`` and the three
    probabilities: see :func:`safehands.risk.level.assess_level`. ``recursive_l`` and
    ``recursive_c``: the parameter that is held while the other is measured; ``recursive_l=None``
    uses the measured distinct l, but at least 2. ``combinations`` and ``special_uniques`` turn on
    the two parts whose work doubles with every further quasi-identifier.

    ``missing``: ``category``, a missing value is a category of its own (as in ARX); ``drop``, rows
    with a missing quasi-identifier are left out altogether; ``wildcard``, figures as for
    ``category`` and beside them :class:`WildcardRisk`, and individual risks, by sdcMicro's rule
    that a missing value matches every value.
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
    sampling_fraction: float | None = None
    missing: MissingRule = "category"


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
    """Individual risks, summed up (definitions: ``individual``).

    ``source`` of the population frequencies: ``weights``, ``fraction`` (every record stands for
    population / records people) or ``sample`` (the table is the population: risk 1/fk).
    ``expected`` re-identifications, as a ``share`` of the records, and the ``highest`` risk by
    sdcMicro's approximation; ``exact_…``: by the exact formula (sdcMicro's ``method="exact"``).
    """

    source: str
    expected: float
    share: float
    highest: float
    records_above_threshold: int
    exact_expected: float
    exact_share: float
    exact_highest: float


@dataclass(frozen=True)
class WildcardRisk:
    """Risk 1/fk where a missing value matches every value (sdcMicro's ``freqCalc``)."""

    k: int
    sample_uniques: int
    lowest: float
    average: float
    highest: float
    records_above_threshold: int


@dataclass(frozen=True)
class PycanonFigures:
    """What pyCANON prints for the table and all sensitive columns together (``gen=True``).

    ``entropy_l`` and ``recursive_c`` are defined otherwise than here, see ``anonymity_pycanon``;
    the others are the worst of the columns.
    """

    k: int
    alpha: float
    distinct_l: int
    entropy_l: int
    recursive_c: float
    basic_beta: float
    enhanced_beta: float
    t: float
    delta: float


@dataclass(frozen=True)
class SudaSummary:
    """SUDA2 summed up (definitions: ``suda``; sdcMicro's own DIS: ``suda_sdcmicro``).

    ``sampling_fraction``: 0.01, sdcMicro's default, where the assumptions name no population.
    The three ``…_sdcmicro`` figures are ``None`` where a column has cells that sdcMicro would
    truncate.
    """

    sampling_fraction: float
    by_size: tuple[int, ...]
    records: int
    highest_score: float
    highest_dis_score: float
    dis: float
    contribution: dict[str, float]
    highest_score_sdcmicro: float | None
    highest_dis_score_sdcmicro: float | None
    dis_sdcmicro: float | None


@dataclass(frozen=True)
class RiskReport:
    """Every figure of one table.

    ``rows``: rows given; ``records``: rows assessed, fewer when a person column reduced them or
    rows were ``dropped`` for a missing value; ``people``: distinct people, if a person column was
    given. ``population``: size of the population, if assumed. ``population_source``: where the
    journalist's population sizes come from: ``register``, ``weights``, ``fraction`` or ``sample``.
    """

    quasi: tuple[str, ...]
    rows: int
    records: int
    dropped: int
    people: int | None
    population: int | None
    assumptions: Assumptions
    k: int
    classes: int
    class_sizes: dict[int, int]
    average_class_size: float
    sensitive: tuple[SensitiveRisk, ...]
    pycanon: PycanonFigures | None
    prosecutor: AttackerRisk
    journalist: AttackerRisk
    marketer: float
    population_source: str
    sample_uniques: int
    uniqueness: Uniqueness | None
    individual: ExpectedRisk
    wildcard: WildcardRisk | None
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
