"""The retention schedule as models: how long, what keeps it longer, when a clock is believed.

``include/policy/retention.yaml`` is read into them (PIPL 19, 47; see ``safehands.policy``).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "Action",
    "ClockRules",
    "Elsewhere",
    "Frozen",
    "HoldRules",
    "Label",
    "RestrictionReason",
    "RetentionRule",
    "RevealRules",
]

Action = Literal[
    "delete",
    "mask",
    "destroy_key",
    "restrict",
    "anonymise",
    "drop_partition",
]


class Frozen(BaseModel):
    """Base of what is read from policy: immutable, and nothing unknown passes."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Label(Frozen):
    """One thing's name in both languages."""

    zh: str
    en: str


class RetentionRule(Frozen):
    """How long a category is kept after an event, in whole Asia/Shanghai calendar days."""

    label: Label
    table: str
    from_: Annotated[str, Field(alias="from")]
    keep_days: Annotated[int, Field(ge=0)]
    action: Action
    kind: Literal["L", "S", "P"]
    basis: str
    confidence: Literal["text", "secondary", "memory"]
    then_days: Annotated[int, Field(ge=1)] | None = None
    """With the action ``restrict``: days of storage after which the row is deleted."""


class Elsewhere(Frozen):
    """A line of the retention schedule that no purge of this store carries out, and who does.

    ``keep_days`` is ``None`` where the end is no number of days; ``until`` says it then.
    """

    label: Label
    keep_days: Annotated[int, Field(ge=0)] | None
    until: Label | None = None
    then: Label
    who: Label
    kind: Literal["L", "S", "P"]
    basis: str
    confidence: Literal["text", "secondary", "memory"]


class HoldRules(Frozen):
    """Why deletion may be held, and for how long at most (days from the day it is placed)."""

    max_days: Annotated[int, Field(ge=1)]
    reasons: dict[str, Label]


class RevealRules(Frozen):
    """How many records may be opened within ``minutes`` before a reason is asked for."""

    most: Annotated[int, Field(ge=1)]
    minutes: Annotated[int, Field(ge=1)]
    reasons: dict[str, Label]


class RestrictionReason(Frozen):
    """Why a record is stored only (PIPL 47 ¶2); ``needs_end``: an end date must be given."""

    label: Label
    needs_end: bool


class ClockRules(Frozen):
    """When the clock is not believed: too long since the last purge, or behind the ledger."""

    max_gap_days: Annotated[int, Field(ge=1)]
    backwards_minutes: Annotated[int, Field(ge=0)]
