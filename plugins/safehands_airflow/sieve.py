"""The sieve before OpenLineage's transport: what is not on these lists leaves no event.

Airflow's own facets hold a run's parameters (``airflowDagRun.conf``), who triggered it, a failure's
text with its stack, the environment. None of that is lineage. Named in the transport's settings as
``transformer_class`` and made by OpenLineage's client.
"""

from __future__ import annotations

from typing import Any

from openlineage.client.transport.transform import EventTransformer

from safehands.lineage import NAMESPACE

__all__ = ["JOB_FACETS", "RUN_FACETS", "Sieve"]

RUN_FACETS = frozenset(("nominalTime", "parent", "processing_engine", "errorMessage"))
JOB_FACETS = frozenset(("jobType", "ownership"))

_FAILED = "The task failed; its notice says why."


class Sieve(EventTransformer):
    """Keep names, times, kinds and owners, and the datasets of our own namespace."""

    def transform(self, event: Any) -> Any:
        """Return the event with what is listed; a failure's text and stack are replaced."""
        event.run.facets = _kept(event.run.facets, RUN_FACETS)
        event.job.facets = _kept(event.job.facets, JOB_FACETS)
        for name in ("inputs", "outputs"):
            datasets = getattr(event, name) or []
            setattr(event, name, [each for each in datasets if each.namespace == NAMESPACE])
        failed = event.run.facets.get("errorMessage")
        if failed is not None:
            failed.message, failed.stackTrace = _FAILED, None
        return event


def _kept(facets: dict[str, Any] | None, known: frozenset[str]) -> dict[str, Any]:
    return {name: facet for name, facet in (facets or {}).items() if name in known}
