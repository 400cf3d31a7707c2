"""The run-books of ``docs/runbook/``, as Airflow shows them beside a DAG."""

from __future__ import annotations

from safehands.settings import PROJECT

__all__ = ["runbook"]


def runbook(name: str) -> str:
    """Return the Markdown of ``docs/runbook/<name>.md``. ``FileNotFoundError`` if there is none."""
    return (PROJECT / "docs" / "runbook" / f"{name}.md").read_text(encoding="utf-8")
