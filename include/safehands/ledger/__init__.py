"""The audit trail: a Merkle tree of entries, signed checkpoints, evidence that checks offline.

In the order of dependence: ``merkle`` (the tree), ``note`` (keys and signed notes),
``checkpoint`` (signed size and root), ``canonical`` (one spelling of JSON), ``evidence``
(certificates and exports). None of them knows a database, a clock or a person.
"""

from __future__ import annotations

from safehands.ledger.canonical import Json, canonical_json, parse_canonical
from safehands.ledger.checkpoint import (
    Checkpoint,
    check_fingerprint,
    fingerprint,
    open_checkpoint,
    sign_checkpoint,
)
from safehands.ledger.evidence import (
    DOCUMENT_FIELD,
    Evidence,
    body_digest,
    load_document,
    make_document,
    refuse_personal_values,
    verify_document,
    verify_export,
    verify_extension,
)
from safehands.ledger.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    verify_consistency,
    verify_inclusion,
)
from safehands.ledger.note import SigningKey, VerifierKey, open_note, sign

__all__ = [
    "DOCUMENT_FIELD",
    "EMPTY_ROOT",
    "Checkpoint",
    "Evidence",
    "Frontier",
    "Json",
    "SigningKey",
    "VerifierKey",
    "body_digest",
    "canonical_json",
    "check_fingerprint",
    "consistency_proof",
    "fingerprint",
    "inclusion_proof",
    "leaf_hash",
    "load_document",
    "make_document",
    "open_checkpoint",
    "open_note",
    "parse_canonical",
    "refuse_personal_values",
    "sign",
    "sign_checkpoint",
    "verify_consistency",
    "verify_document",
    "verify_export",
    "verify_extension",
    "verify_inclusion",
]
