"""The tables of GB/T 39335 (impact × likelihood), GB/T 42460 (levels) and GB/T 43697 (grades).

All are recommended standards read in quotation (confidence ``secondary``). That the highest of the
four dimensions of impact counts, and that high and severe are unacceptable, is our policy and is
marked so in ``matrix.yaml``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from safehands.errors import PolicyError
from safehands.organisation.catalogue import Confidence, Kind
from safehands.organisation.files import Frozen, Words, checked, read_yaml

__all__ = ["Deidentification", "ImpactMatrix", "Matrices", "NationalGrade", "load_matrices"]

Level = Annotated[int, Field(ge=1, le=4)]
Levels = dict[Level, Words]


class _Combine(Frozen):
    rule: Literal["maximum"]
    kind: Kind
    note: Words


class _Unacceptable(Frozen):
    levels: tuple[Level, ...]
    kind: Kind
    note: Words


class ImpactMatrix(Frozen):
    """GB/T 39335-2020 table D.5: 4 × 4, from impact and likelihood to a level of risk."""

    standard: str
    table: str
    kind: Kind
    confidence: Confidence
    dimensions: dict[str, Words]
    sources: dict[str, Words]
    impact: Levels
    likelihood: Levels
    likelihood_names: Confidence
    risk: Levels
    cells: dict[Level, Annotated[tuple[Level, ...], Field(min_length=4, max_length=4)]]
    combine: _Combine
    unacceptable: _Unacceptable

    @model_validator(mode="after")
    def _whole(self) -> ImpactMatrix:
        for table in (self.impact, self.likelihood, self.risk, self.cells):
            if sorted(table) != [1, 2, 3, 4]:
                raise ValueError("every scale has the levels 1 to 4")
        if len(self.dimensions) != 4 or len(self.sources) != 4:
            raise ValueError("there are four dimensions and four groups of sources")
        return self

    def overall(self, impact: int, likelihood: int) -> int:
        """Return the level of risk, 1 (low) to 4 (severe). Raises ``PolicyError`` off the scale."""
        _on_scale("impact", impact)
        _on_scale("likelihood", likelihood)
        return self.cells[impact][likelihood - 1]

    def impact_of(self, dimensions: Mapping[str, int]) -> int:
        """Return the impact of all four dimensions, each 1 to 4: the highest (our policy).

        Raises ``PolicyError`` when a dimension is missing, unknown or off the scale.
        """
        for name in sorted(self.dimensions.keys() ^ dimensions.keys()):
            raise PolicyError("rulebook.dimension", name=name)
        for name, level in dimensions.items():
            _on_scale(name, level)
        return max(dimensions.values())

    def acceptable(self, risk: int) -> bool:
        """Say whether our policy accepts a level of risk."""
        _on_scale("risk", risk)
        return risk not in self.unacceptable.levels


class Deidentification(Frozen):
    """GB/T 42460-2023: levels, least class sizes per release, acceptable overall risk."""

    standard: str
    kind: Kind
    confidence: Confidence
    levels: Levels
    least_class: dict[Literal["public", "controlled", "enclave"], Annotated[int, Field(ge=1)]]
    acceptable_risk: Annotated[float, Field(gt=0, lt=1)]
    note: Words


class _Object(Frozen):
    label: Words
    grave: str
    serious: str
    ordinary: str


class NationalGrade(Frozen):
    """GB/T 43697-2024: from what is harmed and how badly to core, important or general data."""

    standard: str
    kind: Kind
    confidence: Confidence
    grades: dict[Literal["core", "important", "general"], Words]
    harm: dict[Literal["grave", "serious", "ordinary"], Words]
    objects: dict[str, _Object]

    @model_validator(mode="after")
    def _known(self) -> NationalGrade:
        for name, row in self.objects.items():
            for harm in ("grave", "serious", "ordinary"):
                if getattr(row, harm) not in self.grades:
                    raise ValueError(f"{name}.{harm} is no grade")
        return self

    def grade(self, what: str, harm: str) -> str:
        """Return ``core``, ``important`` or ``general``. Raises ``PolicyError`` for no entry."""
        if what not in self.objects or harm not in self.harm:
            raise PolicyError("rulebook.no_cell", what=what, harm=harm)
        return str(getattr(self.objects[what], harm))


class _Group(Frozen):
    label: Words
    fields: tuple[str, ...]


class Sensitive(Frozen):
    """Groups of sensitive information (PIPL 28, GB/T 45574-2025) and our fields in them."""

    standard: str
    kind: Kind
    confidence: Confidence
    note: Words
    groups: dict[str, _Group]

    @property
    def fields(self) -> frozenset[str]:
        """Names of fields that belong to a group."""
        return frozenset(name for group in self.groups.values() for name in group.fields)


class Matrices(Frozen):
    """All of ``matrix.yaml``."""

    impact_assessment: ImpactMatrix
    deidentification: Deidentification
    national_grade: NationalGrade
    sensitive: Sensitive


def load_matrices(folder: Path) -> Matrices:
    """Read ``matrix.yaml`` in the policy ``folder``. Raises ``PolicyError`` with the place."""
    path = folder / "matrix.yaml"
    content: dict[str, Any] = read_yaml(path)
    return checked(Matrices, content, path.name, "-")


def _on_scale(name: str, level: int) -> None:
    if level not in (1, 2, 3, 4):
        raise PolicyError("rulebook.off_scale", name=name, level=level)
