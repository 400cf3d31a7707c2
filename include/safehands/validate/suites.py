"""The rules as data: one Great Expectations suite per dataset, read from ``expectations/*.json``.

A file is a suite as Great Expectations itself writes it (name, meta, expectations with type,
kwargs, meta and severity). Our part is in ``meta``: of the suite the ``gate``, of each expectation
``rule`` (the id that people, reports and the ledger use), ``dimension``, ``column``, ``why`` in
both languages, and whether a row that breaks the rule goes to ``quarantine``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from safehands.errors import PolicyError
from safehands.policy import Label
from safehands.validate import masks

__all__ = ["Gate", "Rule", "RuleMeta", "Suite", "load_suite"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Gate(_Frozen):
    """When a file as a whole is set aside: more than this share and at least so many bad rows."""

    critical_share: Annotated[float, Field(ge=0, lt=1)] = 0.2
    critical_rows: Annotated[int, Field(ge=1)] = 20

    def closed(self, bad: int, rows: int) -> bool:
        """Say whether ``bad`` of ``rows`` rows are too many."""
        return bad >= self.critical_rows and bad > self.critical_share * rows


class SuiteMeta(_Frozen):
    """What the suite is about. ``version`` is raised when the meaning of a rule changes."""

    dataset: str
    title: Label
    version: int
    gate: Gate = Gate()


class RuleMeta(_Frozen):
    """What Great Expectations doesn't know about a rule."""

    rule: Annotated[str, Field(pattern=r"^[a-z]+\.[a-z_]+$")]
    dimension: Literal["completeness", "validity", "uniqueness", "consistency", "timeliness"]
    column: str
    why: Label
    quarantine: bool


class Rule(_Frozen):
    """One expectation. ``kwargs`` may hold ``{"$PARAMETER": name}``, filled in for the night."""

    type: str
    kwargs: dict[str, Any]
    meta: RuleMeta
    severity: Literal["critical", "warning"]

    @property
    def id(self) -> str:
        """The rule's name everywhere."""
        return self.meta.rule

    def resolve(self, parameters: Mapping[str, Any]) -> Rule:
        """Return the rule with every parameter replaced by its value.

        Raises ``PolicyError`` for a parameter that nobody provides.
        """
        return self.model_copy(update={"kwargs": self._filled(parameters)})

    def _filled(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        filled = {}
        for key, value in self.kwargs.items():
            name = value.get("$PARAMETER") if isinstance(value, dict) else None
            if name is not None and name not in parameters:
                raise PolicyError("validate.unknown_parameter", rule=self.id, name=str(name))
            filled[key] = value if name is None else parameters[name]
        return filled


class Suite(_Frozen):
    """All rules of one dataset, in the order in which a bad row takes its reason."""

    name: str
    meta: SuiteMeta
    expectations: tuple[Rule, ...]

    @model_validator(mode="after")
    def _unique(self) -> Suite:
        ids = [rule.id for rule in self.expectations]
        if len(set(ids)) != len(ids):
            raise ValueError("a rule id is used twice")
        return self

    def resolve(self, parameters: Mapping[str, Any]) -> Suite:
        """Return the suite with the night's values filled in."""
        resolved = tuple(rule.resolve(parameters) for rule in self.expectations)
        return self.model_copy(update={"expectations": resolved})


def load_suite(folder: Path, name: str) -> Suite:
    """Read ``folder/name.json``.

    Raises ``PolicyError`` when the file cannot be read, an entry is wrong, or a rule is of a kind
    for which there is no mask: such a rule could be counted, but its rows could not be found.
    """
    path = folder / f"{name}.json"
    try:
        suite = Suite.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError):
        raise PolicyError("validate.suite_unreadable", file=path.name) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise PolicyError(
            "validate.suite_invalid", file=path.name, where=where, why=first["type"]
        ) from None
    for rule in suite.expectations:
        masks.check_kind(rule.id, rule.type, rule.kwargs)
    return suite
