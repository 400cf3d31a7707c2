"""Metrics: gauges of counts and dates from evidence tables, as OpenMetrics or Prometheus text."""

from __future__ import annotations

from safehands.metrics.exposition import CONTENT_TYPE, openmetrics, textfile, write
from safehands.metrics.gauges import GAUGES, Gauge, measure

__all__ = ["CONTENT_TYPE", "GAUGES", "Gauge", "measure", "openmetrics", "textfile", "write"]
