"""What the rule book wants to know of notices and consent, counted every night."""

from __future__ import annotations

from datetime import date

from sqlalchemy import Connection, text

from safehands.installation import Installation
from safehands.notices import ConsentBook, current, load_consent_book, terms_of
from safehands.notices.compose import ITEMS, missing
from safehands.rulebook.from_register import record_figure
from safehands.rulebook.load import load_rulebook
from safehands.store.register import Owner, owners

__all__ = ["night_figures"]


def night_figures(inst: Installation, day: date, run: str) -> None:
    """Record each owner's figures for ``day``; the same run again replaces its own.

    ``consent.incomplete``: people whom a station's export calls consenting without any answer on
    record. ``consent.stale``: consents whose terms changed. ``consent.used_after_withdrawal``:
    people with something left that rested on a consent they took back. ``notice.missing_items``:
    all of them while no notice holds. ``consent.marketing_without``: people on the list for
    messages without a consent that holds. ``consent.minors_without_guardian``: people for whom a
    guardian once answered, still processed although none agrees any more.
    ``consent.asked_after_refusal``: people with an answer to a campaign for a purpose that they had
    refused or taken back less than ``pause_days`` before (CON-04). ``consent.sensitive_missing``:
    people without a separate consent, on the terms of today, for a purpose that a sensitive field
    is kept for (PIPL 29); nobody while no such field is kept. ``delivery.unflagged``: parcels in
    custody of people who asked for the door or a locker, not marked as an exception (CON-08).
    """
    names = load_rulebook(inst.settings.policy).figures
    for owner in owners(inst.store).values():
        with inst.store.begin(controller=owner.id) as connection:
            for name, (number, source) in _numbers(inst, connection, owner, day).items():
                record_figure(
                    connection, names, owner, name, number, day=day, run=run, source=source
                )


def _numbers(
    inst: Installation, connection: Connection, owner: Owner, day: date
) -> dict[str, tuple[float, str]]:
    book = load_consent_book(inst.settings.policy, inst.policy)
    asked = list(inst.policy.consent_purposes)
    terms = {name: terms_of(inst.policy, book, name) for name in asked}
    listed = [terms[name] for name in asked]
    values = {"day": day, "asked": asked, "terms": listed, "pause": book.pause_days}
    notice = current(connection, owner.id, day)
    lacking = len(missing(notice.document)) if notice else len(ITEMS)
    counts = connection.execute(text(_COUNTS), values).one()
    sensitive = _separate_terms(inst, book)
    found = connection.execute(
        text(_SENSITIVE), {"day": day, "asked": list(sensitive), "terms": list(sensitive.values())}
    ).one()
    return {
        "consent.sensitive_missing": (found[0], "subject, consent_event"),
        "delivery.unflagged": (found[1], "parcel, preference"),
        "consent.incomplete": (counts[0], "preference, consent_event"),
        "consent.stale": (counts[1], "consent_event"),
        "consent.used_after_withdrawal": (counts[2], "preference, consent_event"),
        # What rested on a consent goes in the transaction that records its end.
        "consent.withdrawal_nights": (0 if not counts[2] else 2, "preference, consent_event"),
        "consent.marketing_without": (counts[3], "preference, consent_event"),
        "consent.minors_without_guardian": (counts[4], "subject, consent_event"),
        "consent.asked_after_refusal": (counts[5], "consent_event"),
        "notice.missing_items": (lacking, "notice_version"),
    }


def _separate_terms(inst: Installation, book: ConsentBook) -> dict[str, str]:
    """Return the purposes of sensitive fields that are kept, with the terms a consent must have.

    Where policy asks no separate consent for a purpose, no consent can be on its terms: empty.
    """
    kept = {
        purpose
        for dataset in inst.policy.datasets.values()
        for field in dataset.fields.values()
        if field.sensitive and field.treatment != "drop"
        for purpose in field.purposes
    }
    return {
        name: terms_of(inst.policy, book, name) if book.purposes[name].separate else ""
        for name in sorted(kept)
    }


# 2 and 3: to the door, in a locker; 1: in custody.
_SENSITIVE = (
    "WITH needed AS (SELECT * FROM unnest(CAST(:asked AS text[]), CAST(:terms AS text[]))"
    " t (purpose, terms))"
    " SELECT (SELECT count(*) FROM subject s WHERE EXISTS (SELECT FROM needed n WHERE NOT EXISTS"
    " (SELECT FROM last_answers(:day) a WHERE a.subject_id = s.subject_id AND a.kind = 'granted'"
    " AND (a.purpose, a.terms) = (n.purpose, n.terms)))),"
    " (SELECT count(*) FROM parcel p JOIN preference w USING (controller_id, subject_id)"
    " WHERE p.status = 1 AND w.delivery_choice IN (2, 3))"
)
_COUNTS = (
    "WITH last AS (SELECT * FROM last_answers(:day) WHERE purpose = ANY (:asked))"
    " SELECT (SELECT count(*) FROM preference p WHERE p.marketing = 1 AND NOT EXISTS"
    " (SELECT FROM last a WHERE a.subject_id = p.subject_id)),"
    " (SELECT count(*) FROM last a WHERE a.kind = 'granted' AND NOT EXISTS (SELECT FROM"
    " unnest(CAST(:asked AS text[]), CAST(:terms AS text[])) t (purpose, terms)"
    " WHERE t.purpose = a.purpose AND t.terms = a.terms)),"
    " (SELECT count(*) FROM last a JOIN preference p USING (subject_id)"
    " WHERE a.kind <> 'granted' AND (p.marketing = 1 OR p.time_window <> 0)),"
    " (SELECT count(*) FROM preference p WHERE p.marketing = 1 AND NOT EXISTS (SELECT FROM last a"
    " JOIN unnest(CAST(:asked AS text[]), CAST(:terms AS text[])) t (purpose, terms)"
    " USING (purpose, terms) WHERE a.subject_id = p.subject_id AND a.kind = 'granted')),"
    " (SELECT count(*) FROM subject s WHERE EXISTS (SELECT FROM consent_event e"
    " WHERE e.subject_id = s.subject_id AND e.guardian <> '') AND NOT EXISTS"
    " (SELECT FROM last_answers(:day) a WHERE a.subject_id = s.subject_id"
    " AND a.kind = 'granted' AND a.guardian <> '')),"
    " (SELECT count(DISTINCT e.subject_id) FROM consent_event e JOIN consent_event n"
    " USING (controller_id, subject_id, purpose) WHERE n.kind IN ('refused', 'withdrawn')"
    " AND e.campaign <> '' AND e.campaign <> n.campaign AND e.at > n.at"
    " AND e.at < n.at + :pause * interval '1 day')"
)
