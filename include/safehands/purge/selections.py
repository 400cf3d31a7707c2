"""Which rows each rule means. Constants of SQL; moments and switches travel as parameters.

Every rule has a selection of what is due. What a hold keeps is taken out of it and counted apart:
``free`` and ``held`` are the two halves. The temporary tables ``held_subject`` and ``held_waybill``
must be there (see ``held.open_holds``), and ``:everything`` says that a hold covers the owner.
"""

from __future__ import annotations

from collections.abc import Iterable

from safehands.datasets import MINOR

__all__ = ["PARCELS", "WAITS", "due", "free", "held", "rule_of"]

PARCELS = ("pickup_record", "never_collected", "exception_record", "parcel_month")
"""The rules that take parcels. No parcel is due under two of them."""

WAITS = "p.collected_at IS NULL AND p.status <= 1"
"""A parcel that waits to be collected."""

_EXCEPTION = 4
_EACH = "parcel p WHERE "
# A limitation period keeps a person from being deleted, and nothing else of theirs.
_KEEPS_FROM_DELETION = "EXISTS (SELECT FROM held_subject h WHERE h.subject_id = {0}.subject_id)"
_KEEPS_PERSON = (
    "EXISTS (SELECT FROM held_subject h WHERE h.subject_id = {0}.subject_id AND NOT h.limited)"
)
_KEEPS_WAYBILL = "EXISTS (SELECT FROM held_waybill w WHERE w.waybill = {0}.waybill)"

_DUE = {
    # Nothing is collected before it arrives (validate sees to it), so younger months are not read.
    "pickup_record": (
        f"{_EACH}p.collected_at < :before AND p.arrived_at < :before AND p.status <> {_EXCEPTION}"
    ),
    "never_collected": (
        f"{_EACH}p.collected_at IS NULL AND p.arrived_at < :before AND p.status <> {_EXCEPTION}"
    ),
    "exception_record": f"{_EACH}p.arrived_at < :before AND p.status = {_EXCEPTION}",
    # Only what no other rule takes: every other parcel of such a month is past its time anyway.
    "parcel_month": (
        f"{_EACH}p.arrived_at < :before AND p.collected_at IS NOT NULL"
        f" AND p.collected_at >= :pickup_record AND p.status <> {_EXCEPTION}"
    ),
    "contact_detail": (
        "subject s WHERE s.detail = 0 AND NOT s.restricted AND s.last_seen < :before"
        " AND NOT EXISTS (SELECT FROM parcel p WHERE p.subject_id = s.subject_id"
        f" AND (({WAITS}) OR p.collected_at >= :before))"
    ),
    "custody_detail": (
        "custody c WHERE NOT c.restricted AND :before IS NOT NULL AND NOT EXISTS"
        " (SELECT FROM parcel p WHERE p.controller_id = c.controller_id"
        f" AND p.waybill = c.waybill AND p.arrived_at = c.arrived_at AND {WAITS}"
        # It follows from the line before, and spares the months in which nothing waits.
        " AND p.arrived_at >= (SELECT min(w.arrived_at) FROM custody w))"
    ),
    "idle_preference": (
        "preference f WHERE NOT f.restricted AND f.updated_at < :before AND NOT EXISTS"
        " (SELECT FROM subject s WHERE s.subject_id = f.subject_id AND s.last_seen >= :before)"
    ),
    "person_without_parcels": (
        "subject s WHERE s.last_seen < :before AND NOT s.restricted"
        " AND NOT EXISTS (SELECT FROM parcel p WHERE p.subject_id = s.subject_id)"
        " AND NOT EXISTS (SELECT FROM preference f WHERE f.subject_id = s.subject_id)"
    ),
    "quarantine": (
        "quarantine q WHERE q.day < CAST(CAST(:before AS timestamptz)"
        " AT TIME ZONE 'Asia/Shanghai' AS date)"
    ),
    "quarantined_minor": (
        f"quarantine q WHERE q.rule = '{MINOR}' AND q.day < CAST(CAST(:before AS timestamptz)"
        " AT TIME ZONE 'Asia/Shanghai' AS date)"
    ),
    "access_record": "access_log a WHERE a.at < :before",
}
_PARCEL = f"({_KEEPS_PERSON.format('p')} OR {_KEEPS_WAYBILL.format('p')})"
_KEPT = {
    "pickup_record": _PARCEL,
    "never_collected": _PARCEL,
    "exception_record": _PARCEL,
    "parcel_month": _PARCEL,
    "contact_detail": _KEEPS_PERSON.format("s"),
    "custody_detail": f"({_KEEPS_PERSON.format('c')} OR {_KEEPS_WAYBILL.format('c')})",
    "idle_preference": _KEEPS_PERSON.format("f"),
    "person_without_parcels": _KEEPS_FROM_DELETION.format("s"),
    "quarantine": "false",
    "quarantined_minor": "false",
    "access_record": _KEEPS_PERSON.format("a"),
}


def due(rule: str) -> str | None:
    """Return ``table alias WHERE …`` of all rows that are past their time; ``None``: no rows."""
    return _DUE.get(rule)


def rule_of(rules: Iterable[str]) -> str:
    """Return an expression: by which of ``rules`` parcel ``p`` is due; null if by none.

    The cut-off of each rule travels as a parameter of its own, ``before_<rule>``.
    """
    cases = " ".join(
        f"WHEN {_DUE[rule].removeprefix(_EACH).replace(':before', f':before_{rule}')} THEN '{rule}'"
        for rule in rules
    )
    return f"CASE {cases} END"


def free(rule: str) -> str:
    """Return the selection of what is due and may go."""
    return f"{_DUE[rule]} AND NOT CAST(:everything AS boolean) AND NOT {_KEPT[rule]}"


def held(rule: str) -> str:
    """Return the selection of what is due and must stay."""
    return f"{_DUE[rule]} AND (CAST(:everything AS boolean) OR {_KEPT[rule]})"
