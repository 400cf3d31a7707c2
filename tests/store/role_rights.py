"""What each database role may do to each table: the whole of it, and nothing else.

``s`` select, ``i`` insert, ``d`` delete, ``u`` update; ``u:a,b`` updates of these columns alone,
``s:-a`` all columns but these. The backup's role reads everything and is not repeated.
A new table is entered here, with as little as it can do with.
"""

from __future__ import annotations

__all__ = ["RIGHTS", "STRICT"]

RIGHTS: dict[str, dict[str, str]] = {
    # People. Row-level security hides restricted people from all but the backup (PIPL 47).
    "subject": {"pipeline": "s i d u", "officer": "s u:sealed"},
    "parcel": {"pipeline": "s i d u", "analyst": "s", "officer": "s"},
    "custody": {"pipeline": "s i d u", "officer": "s"},
    "preference": {"pipeline": "s i d u", "analyst": "s", "officer": "s"},
    "tombstone": {"pipeline": "s i u:erased_at,reason", "officer": "s"},
    "quarantine": {
        "pipeline": "s i d u:rule,column_name",
        "officer": "s",
        "auditor": "s:-sealed",
    },
    "listing": {"pipeline": "s i d u"},
    "correction": {"pipeline": "s u:epoch,wrapped", "officer": "s i d"},
    # What is stored and not otherwise processed: nobody reads it.
    "parcel_held": {"pipeline": "i"},
    "restriction": {"pipeline": "s", "officer": "s"},
    "legal_hold": {
        "pipeline": "s u:ended_at,ended_by",
        "officer": "s i u:ended_at,ended_by",
        "auditor": "s:-subject_id,waybill",
    },
    "notice_version": {"pipeline": "s", "officer": "s i", "auditor": "s"},
    "consent_event": {"pipeline": "s i", "officer": "s i", "auditor": "s:-subject_id"},
    "suppression": {"pipeline": "s i u:campaign,refused_on", "officer": "s"},
    "handover": {"pipeline": "s i u:state,changed_at", "officer": "s", "auditor": "s"},
    "handover_event": {"pipeline": "s i", "officer": "s", "auditor": "s"},
    "handover_subject": {"pipeline": "s i d u:class", "officer": "s"},
    "subject_request": {
        "pipeline": "s",
        "officer": "s i u:state,code,code_until,code_tries,identified_at,identified_how,reason,"
        "conditions,decided_by,decided_at,done_at,outcome",
        "auditor": "s:-subject_id,code,code_until,code_tries",
    },
    "agreement": {"officer": "s i", "auditor": "s"},
    "disclosure": {"officer": "s i", "auditor": "s"},
    "disclosure_subject": {"officer": "s i u:state,token,changed_at"},
    "incident": {"officer": "s i", "auditor": "s"},
    "incident_event": {"officer": "s i", "auditor": "s"},
    "complaint": {"officer": "s i u:answered_at,outcome", "auditor": "s:-subject_id"},
    "access_log": {"pipeline": "s d", "officer": "s i", "auditor": "s:-subject_id"},
    "erasure": {
        "pipeline": "s i u:state,erased_at,counts,epoch,certificate",
        "auditor": "s",
    },
    "erasure_subject": {"pipeline": "s i d u:epoch,wrapped"},
    "epoch_turn": {"pipeline": "s i u:state,facts", "auditor": "s"},
    # Owners and keys (wrapped).
    "controller": {
        "pipeline": "s i u:name,kind",
        "analyst": "s",
        "officer": "s",
        "auditor": "s",
    },
    "record_set": {"pipeline": "s i u:role,by_whom", "officer": "s", "auditor": "s"},
    "station": {
        "pipeline": "s i u:name,full_exports",
        "analyst": "s",
        "officer": "s",
        "auditor": "s",
    },
    "login_controller": {},
    "controller_key": {"pipeline": "s i", "officer": "s"},
    "epoch": {"pipeline": "s i", "officer": "s"},
    "former_key": {"pipeline": "s", "officer": "s"},
    "root_key": {"pipeline": "s", "auditor": "s"},
    "escrow": {"pipeline": "s", "auditor": "s"},
    "installation": {"pipeline": "s"},
    # Evidence: counts, rules, digests.
    "batch": {"pipeline": "s i", "officer": "s", "auditor": "s"},
    "step_result": {"pipeline": "s i d", "auditor": "s"},
    "quality_result": {"pipeline": "s i d", "analyst": "s", "auditor": "s"},
    "quality_night": {"pipeline": "s i d", "auditor": "s"},
    "held_figure": {"pipeline": "s i d", "auditor": "s"},
    "risk_assessment": {"pipeline": "s i d", "analyst": "s", "auditor": "s"},
    "parcel_history": {"pipeline": "s i u", "analyst": "s", "auditor": "s"},
    "control_evidence": {"pipeline": "s i u:withdrawn", "officer": "s", "auditor": "s:-sealed"},
    "rule_figure": {"pipeline": "s i u:number,source", "officer": "s", "auditor": "s"},
    "rule_result": {"pipeline": "s i", "officer": "s", "auditor": "s"},
    "finding": {"pipeline": "s i u:after,closed,state", "officer": "s", "auditor": "s:-sealed"},
    "pipia": {"pipeline": "s i", "officer": "s", "auditor": "s"},
    "pipia_answer": {"pipeline": "s i", "officer": "s", "auditor": "s:-sealed"},
    "pipia_event": {"pipeline": "s i", "officer": "s", "auditor": "s:-sealed"},
    "ledger_entry": {"pipeline": "s i u:seq", "officer": "i", "auditor": "s"},
    "ledger_checkpoint": {"pipeline": "s i", "auditor": "s"},
    "effect": {"pipeline": "s i"},
    "outbox": {"pipeline": "s i u:done"},
    # What changed since a step last looked: triggers write it, nobody else.
    "change_consumer": {},
    "change_note": {"pipeline": "s d"},
    # Derived from parcels; triggers delete from it as well.
    "person_figure": {"pipeline": "s i u d"},
    "month_figure": {"pipeline": "s i u d"},
    # The backup repository.
    "backup": {"pipeline": "s i u:prune_id", "auditor": "s"},
    "backup_object": {"pipeline": "s i d"},
    "backup_lineage": {"pipeline": "s", "auditor": "s"},
    "backup_reference": {"pipeline": "s i d"},
    "prune": {"pipeline": "s i u:finished", "auditor": "s"},
    "generation_proof": {"pipeline": "s i", "auditor": "s"},
    "restore_drill": {"pipeline": "s i", "auditor": "s"},
}

STRICT = frozenset(
    {
        "subject",
        "parcel",
        "person_figure",
        "month_figure",
        "custody",
        "preference",
        "tombstone",
        "quarantine",
        "listing",
        "correction",
        "parcel_held",
        "restriction",
        "legal_hold",
        "access_log",
        "consent_event",
        "handover_subject",
        "subject_request",
        "erasure_subject",
        "erasure",
        "epoch_turn",
    }
)
"""Tables of which the pipeline sees nothing unless its transaction is bound to a controller."""
