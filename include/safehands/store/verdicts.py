"""Each station's newest quality verdicts, found without reading the verdicts of all nights."""

from __future__ import annotations

__all__ = ["NEWEST_VERDICTS"]

NEWEST_VERDICTS = (
    "WITH RECURSIVE newest AS ("
    "(SELECT controller_id, station, business_date FROM quality_result WHERE business_date <= :day"
    " ORDER BY controller_id DESC, station DESC, business_date DESC LIMIT 1)"
    " UNION ALL SELECT older.* FROM newest n CROSS JOIN LATERAL"
    " (SELECT q.controller_id, q.station, q.business_date FROM quality_result q"
    " WHERE (q.controller_id, q.station) < (n.controller_id, n.station)"
    " AND q.business_date <= :day"
    " ORDER BY q.controller_id DESC, q.station DESC, q.business_date DESC LIMIT 1) older) "
)
"""The beginning of a query: ``newest`` has one row per owner and station with verdicts, with their
newest ``business_date`` up to the parameter ``day``.

PostgreSQL has no step from one value of an index to the next but this recursion: a look-up a
station, whatever the number of nights. Stations are as the verdicts name them.
"""
