"""The door: whatever a station exports is read right or refused, never silently wrong."""

from __future__ import annotations

from safehands.ingest.door import inventory
from safehands.ingest.ingest import ingest

__all__ = ["ingest", "inventory"]
