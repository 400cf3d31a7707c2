"""What of each table may go to a buyer: ``transfer.yaml``, compared with the database itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from sqlalchemy import Connection, text

from safehands.errors import PolicyError
from safehands.handover.state import Mode
from safehands.organisation.files import Frozen, Words, checked, read_yaml

__all__ = ["Duty", "Fate", "Moving", "TransferPolicy", "check_known", "load_transfer_policy"]

Fate = Literal["token", "rekey", "move", "renew", "never"]


class Moving(Frozen):
    """A table that moves: ``lane`` says on which ground, ``columns`` what becomes of each."""

    lane: Literal["person", "custody"]
    columns: dict[str, Fate]


class Duty(Frozen):
    """One line of the checklist. ``day`` counts from closing; an empty ``modes`` means all."""

    day: int
    party: Literal["seller", "buyer", "both"]
    kind: Literal["L", "P"]
    cites: str
    modes: tuple[Mode, ...]
    zh: str
    en: str


class Window(Frozen):
    """Days to answer: our policy, since no law sets them."""

    default: int
    least: int
    most: int


class TransferPolicy(Frozen):
    """The policy of all tables, and the hand-over's own numbers."""

    dormant_days: Annotated[int, Field(gt=0)]
    due_diligence_round: Annotated[int, Field(gt=0)]
    residue_days: Annotated[int, Field(gt=0)]
    forward_days: Annotated[int, Field(gt=0)]
    evidence_years: Annotated[int, Field(ge=3)]
    moves: dict[str, Moving]
    stays: dict[str, Words]
    excluded: tuple[str, ...]
    window_days: Window
    approval_days: Annotated[int, Field(gt=0)]
    checklist: tuple[Duty, ...]


def load_transfer_policy(folder: Path) -> TransferPolicy:
    """Read ``transfer.yaml``. Raises ``PolicyError`` naming the entry."""
    return checked(TransferPolicy, read_yaml(folder / "transfer.yaml"), "transfer.yaml", "-")


def check_known(connection: Connection, policy: TransferPolicy) -> None:
    """Raise ``PolicyError`` for a table with people, or a column of a moving one, without a policy.

    A table has people in it when it has a column ``subject_id`` or ``token``.
    """
    found: dict[str, set[str]] = {}
    for table, column in connection.execute(text(_COLUMNS)):
        found.setdefault(table, set()).add(column)
    for table, columns in sorted(found.items()):
        if table in policy.moves:
            _check_columns(table, columns, policy.moves[table].columns)
        elif table not in policy.stays and columns & {"subject_id", "token"}:
            raise PolicyError("handover.no_policy", table=table, column="*")


def _check_columns(table: str, columns: set[str], declared: Mapping[str, str]) -> None:
    for column in sorted(columns ^ declared.keys()):
        raise PolicyError("handover.no_policy", table=table, column=column)


_COLUMNS = (
    "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
    " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')"
    " AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 1, 2"
)
