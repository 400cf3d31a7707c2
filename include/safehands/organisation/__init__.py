"""What no pipeline can see: evidence and declarations, findings, inventory, size tiers."""

from __future__ import annotations

from safehands.organisation.catalogue import Organisation, Tier, load_organisation
from safehands.organisation.findings import Finding, close, findings, open_finding
from safehands.organisation.inventory import inventory, record_of_processing
from safehands.organisation.register import (
    Entry,
    Reminder,
    Row,
    entries,
    owner_of,
    record,
    reminders,
    withdraw,
)
from safehands.organisation.sheet import read_sheet, write_template
from safehands.organisation.tiers import Size, sizes, tiers_of, together

__all__ = [
    "Entry",
    "Finding",
    "Organisation",
    "Reminder",
    "Row",
    "Size",
    "Tier",
    "close",
    "entries",
    "findings",
    "inventory",
    "load_organisation",
    "open_finding",
    "owner_of",
    "read_sheet",
    "record",
    "record_of_processing",
    "reminders",
    "sizes",
    "tiers_of",
    "together",
    "withdraw",
    "write_template",
]
