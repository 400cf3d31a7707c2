"""Fields that several trigger forms ask for."""

from __future__ import annotations

from airflow.sdk import Param

__all__ = ["day_field", "handover_field"]


def handover_field(section: str) -> Param:
    """Return the field for a hand-over's number; an operator insists on it, the form cannot."""
    return Param(
        None,
        type=["null", "string"],
        examples=["0f8b1c2d-3e4f-4a5b-8c6d-7e8f9a0b1c2d"],
        title="移交编号 / Number of the hand-over",
        description="safehands handover status 可查。 See safehands handover status.",
        section=section,
    )


def day_field(section: str) -> Param:
    """Return the field for the day of a replay, empty for the run's own."""
    return Param(
        None,
        type=["null", "string"],
        format="date",
        examples=["2026-11-30"],
        title="日期 / Day",
        description="留空为当天（北京时间）。 Empty: the day of the run in Asia/Shanghai.",
        section=section,
    )
