"""The gauges as text: OpenMetrics 1.0 for a scrape, Prometheus' text format for node_exporter."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, exposition
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.openmetrics import exposition as open_exposition
from prometheus_client.registry import Collector
from sqlalchemy import Connection

from safehands.metrics.gauges import measure

__all__ = ["CONTENT_TYPE", "openmetrics", "textfile", "write"]

CONTENT_TYPE: str = open_exposition.CONTENT_TYPE_LATEST


def openmetrics(connection: Connection) -> bytes:
    """Return the gauges in the OpenMetrics text format (ends with ``# EOF``)."""
    made: bytes = open_exposition.generate_latest(_registry(connection))  # type: ignore[no-untyped-call]
    return made


def textfile(connection: Connection) -> bytes:
    """Return the gauges in the Prometheus text format, which node_exporter's textfiles are in."""
    return exposition.generate_latest(_registry(connection))


def write(path: Path, content: bytes) -> None:
    """Put ``content`` in ``path`` whole or not at all: node_exporter may read at any moment."""
    # node_exporter reads *.prom, so a half-written draft is not seen.
    draft = path.with_name(f".{path.name}.{os.getpid()}.partial")
    draft.write_bytes(content)
    draft.chmod(0o644)
    os.replace(draft, path)


class _Measured(Collector):
    def __init__(self, families: list[Metric]) -> None:
        self.families = families

    def collect(self) -> Iterator[Metric]:
        """Yield what was measured; asked by prometheus_client."""
        yield from self.families


def _registry(connection: Connection) -> CollectorRegistry:
    families: list[Metric] = []
    for gauge, samples in measure(connection):
        family = GaugeMetricFamily(f"safehands_{gauge.name}", gauge.text, labels=gauge.labels)
        for labels, number in samples:
            family.add_metric(labels, number)
        families.append(family)
    # A registry of its own: what libraries of this process count is not ours to publish.
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Measured(families))
    return registry
