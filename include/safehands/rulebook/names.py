"""The names of measures: what a check may ask for.

===========  ====================================================================
``policy.``  a number that follows from the policy files
``matrix.``  a number from the tables of standards
``settings.``  a number from the installation's settings and folders
``rulebook.``  a number about the rule book itself
``store.``   SQL over evidence tables, or counts of one owner's rows
``register.``  pieces of evidence of a kind that are in date
``declared.``  the owner's newest declaration that still holds
``figure.``  the newest count that another part recorded
===========  ====================================================================
"""

from __future__ import annotations

from collections.abc import Mapping

from safehands.messages import say
from safehands.organisation.catalogue import Organisation
from safehands.rulebook.model import FigureKind

__all__ = ["FIXED", "measure_exists", "measure_label"]

FIXED = frozenset(
    (
        "policy.fields_without_purpose",
        "policy.waybill_identity_fields",
        "policy.unlabelled_fields",
        "policy.sensitive_groups",
        "policy.sensitive_unmarked",
        "policy.sensitive_kept",
        "policy.uses_without_basis",
        "policy.consent_purposes",
        "policy.evidence_years",
        "policy.phone_digits_hidden",
        "policy.name_characters_hidden",
        "policy.addresses_kept_in_full",
        "matrix.customer_grade",
        "settings.clear_exports",
        "settings.report_hits",
        "rulebook.past_review",
        "store.unexpected_columns",
        "store.clear_numbers",
        "store.phone_share",
        "store.name_share",
        "store.quality_share",
        "store.quarantined_share",
        "store.roles_unknown",
        "store.roles_entrusted",
        "store.roles_joint",
        "store.backup_age",
        "store.purge_age",
        "store.overdue_rows",
        "store.restore_age",
        "store.restricted_people",
        "store.held_reads",
        "store.people_total",
        "store.risk_k",
        "store.risk_highest",
        "store.risk_overall_controlled",
        "store.risk_overall_public",
        "store.assessments_sensitive",
        "store.findings_overdue",
        "store.evidence_expiring",
    )
)
"""Measures that are not made of a register's, declaration's or figure's name."""


def measure_exists(
    name: str, organisation: Organisation, figures: Mapping[str, FigureKind]
) -> bool:
    """Say whether a check may name this measure."""
    family, _, rest = name.partition(".")
    if family == "register":
        return rest in organisation.kinds
    if family == "declared":
        return rest in organisation.declarations
    if family == "figure":
        return rest in figures
    return name in FIXED


def measure_label(
    name: str, organisation: Organisation, figures: Mapping[str, FigureKind], lang: str
) -> str:
    """Return what a measure is called; the fixed ones stand in the message catalogue."""
    family, _, rest = name.partition(".")
    if family in {"register", "declared"}:
        return say(f"rulebook.{family}", lang, what=organisation.label(rest, lang))
    if family == "figure":
        return figures[rest].label.say(lang)
    return say(f"rulebook.measure.{name}", lang)
