"""The door: whatever a station exports is read right or refused, never silently wrong."""

from __future__ import annotations

from safehands.ingest.databases import windows
from safehands.ingest.door import inventory
from safehands.ingest.ingest import ingest
from safehands.ingest.limits import Limits
from safehands.ingest.parts import cut_big
from safehands.ingest.replay import Waiting, replay

__all__ = ["Limits", "Waiting", "cut_big", "ingest", "inventory", "replay", "windows"]
