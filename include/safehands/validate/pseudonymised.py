"""The last look at what is about to be kept: the pseudonymised parcels of one shard."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from safehands.errors import QualityGateClosed
from safehands.night import Night
from safehands.validate.frames import pseudonymised_frame
from safehands.validate.parameters import parameters_of
from safehands.validate.quality import Findings, examine
from safehands.validate.suites import Suite, load_suite

__all__ = ["check_pseudonymised"]


def check_pseudonymised(table: pa.Table, night: Night) -> list[dict[str, Any]]:
    """Return the counts per station and rule of the pseudonymised suite over ``table``.

    Columns: ``controller_id``, ``station_id`` (whole numbers), ``waybill`` (16-byte binary, or its
    hexadecimal text), ``subject_id`` (any type, nullable), ``arrived_at``, ``collected_at``,
    ``carrier``, ``status``, ``district``, ``weight_band``, ``tags``; further columns are looked at
    for text and mobile numbers only. The entries are those of ``validate``'s ``quality``, with the
    station's number as text.

    Raises ``QualityGateClosed`` when a critical rule is broken more often than the suite's gate
    allows, and ``StepFailed`` for a missing column. Nothing here proves that the table is
    anonymous (GB/T 37964): it finds plain mistakes, such as a text that was let through.
    """
    suite = load_suite(night.settings.expectations, "pseudonymised").resolve(parameters_of(night))
    districts = [0, *(row[0] for row in night.policy.divisions)]
    frame = pseudonymised_frame(table, pa.array(districts, pa.int64()))
    ids, stations = np.unique(frame["station_id"].fill_null(0).to_numpy(), return_inverse=True)
    findings = examine(suite, frame, stations, [str(station) for station in ids])
    _gate(suite, findings, table.num_rows)
    return findings.quality


def _gate(suite: Suite, findings: Findings, rows: int) -> None:
    for rule in suite.expectations:
        bad = int(findings.bad[rule.id].sum())
        if rule.severity == "critical" and suite.meta.gate.closed(bad, rows):
            raise QualityGateClosed(
                "validate.pseudonymised", rule=rule.id, column=rule.meta.column, bad=bad, rows=rows
            )
