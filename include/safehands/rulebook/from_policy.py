"""Measures that follow from the policy files and from code: no store, no clock."""

from __future__ import annotations

from collections.abc import Iterator

from safehands.masking import mask_name, mask_phone
from safehands.organisation.catalogue import Organisation
from safehands.policy import FieldRule, Policy
from safehands.rulebook.matrix import Matrices

__all__ = ["policy_measures"]

_GRADES = {"general": 1, "important": 2, "core": 3}
# Invented names of every shape the mask distinguishes, and a number of a range nobody is given.
_NAMES = ("张伟", "欧阳修远", "李", "Anna Lee")
_PHONE = "10000000000"


def policy_measures(
    policy: Policy, organisation: Organisation, matrices: Matrices
) -> dict[str, float]:
    """Return the measures ``policy.*`` and ``matrix.*``."""
    kept = list(_kept(policy))
    sensitive = matrices.sensitive.fields
    fields = [
        (name, field) for block in policy.datasets.values() for name, field in block.fields.items()
    ]
    consent = {name for name, purpose in policy.purposes.items() if purpose.basis == 1}
    rights = ("grave", "serious", "ordinary")
    grades = [matrices.national_grade.grade("rights", harm) for harm in rights]
    return {
        "policy.fields_without_purpose": sum(not field.purposes for _, _, field in kept),
        "policy.waybill_identity_fields": sum(
            dataset == "parcels" and name.startswith("receiver_") for dataset, name, _ in kept
        )
        + sum(dataset == "parcels" and name in sensitive for dataset, name, _ in kept),
        "policy.unlabelled_fields": sum(
            not (field.label.zh.strip() and field.label.en.strip()) for _, field in fields
        ),
        "policy.sensitive_groups": len(matrices.sensitive.groups),
        "policy.sensitive_unmarked": sum(
            name in sensitive and not field.sensitive for name, field in fields
        ),
        "policy.sensitive_kept": sum(field.sensitive for _, _, field in kept),
        "policy.uses_without_basis": sum(
            purpose not in policy.purposes or policy.purposes[purpose].basis not in range(1, 8)
            for _, _, field in kept
            for purpose in field.purposes
        ),
        "policy.consent_purposes": len(
            consent & {purpose for _, _, field in kept for purpose in field.purposes}
        ),
        "policy.evidence_years": organisation.keep_years.number,
        "policy.phone_digits_hidden": len(_PHONE) - sum(c.isdigit() for c in mask_phone(_PHONE)),
        "policy.name_characters_hidden": min(
            len(name) - len(mask_name(name).replace("*", "")) for name in _NAMES
        ),
        "policy.addresses_kept_in_full": sum(
            field.type == "address" and field.treatment not in {"district", "seal"}
            for _, _, field in kept
        ),
        "matrix.customer_grade": max(_GRADES[grade] for grade in grades),
    }


def _kept(policy: Policy) -> Iterator[tuple[str, str, FieldRule]]:
    for dataset, block in policy.datasets.items():
        for name, field in block.fields.items():
            if field.treatment != "drop":
                yield dataset, name, field
