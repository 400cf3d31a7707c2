"""Erasure that is final in every store we can see (PIPL 47), in phases that can be resumed.

The store is the state machine; each phase is one transaction or can be repeated::

    requested   whom it is about lies under the epoch key alone               ``requests``
    erased      subject and what hangs on it deleted, tombstone written       ``erase``
    (turned)    a new epoch: salts re-wrapped, lookups recomputed             ``epoch``
    (backed up) the nightly step ``backup``
    (proved)    restored without the old key, and the same                    ``proving``
    final       both copies of the old key destroyed, certificate issued      ``proving``

A request under a legal hold is ``held``: the person is restricted meanwhile (PIPL 47 ¶2) and
erased when the hold has ended. ``certificate`` says what is proved and ``reach`` what cannot be;
``days`` destroys the day keys of a station's quarantine and landing archive.
"""

from __future__ import annotations

from safehands.erasure.certificate import issue, reach_of
from safehands.erasure.days import destroy_station_days, remove_unreadable
from safehands.erasure.epoch import turn_due, turn_epoch
from safehands.erasure.erase import erase_due, weigh
from safehands.erasure.proving import prove, prove_due, prove_newest
from safehands.erasure.requests import (
    Request,
    canonical_number,
    find_subjects,
    has_subject,
    list_requests,
    new_request_id,
    register,
    subjects_of,
)
from safehands.erasure.step import apply

__all__ = [
    "Request",
    "apply",
    "canonical_number",
    "destroy_station_days",
    "erase_due",
    "find_subjects",
    "has_subject",
    "issue",
    "list_requests",
    "new_request_id",
    "prove",
    "prove_due",
    "prove_newest",
    "reach_of",
    "register",
    "remove_unreadable",
    "subjects_of",
    "turn_due",
    "turn_epoch",
    "weigh",
]
