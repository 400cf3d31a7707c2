"""Check evidence: a document offline with a public key alone, or this installation's own trail."""

from __future__ import annotations

import json
from pathlib import Path

from safehands import journal
from safehands.errors import LedgerBroken
from safehands.installation import Clock, open_installation
from safehands.ledger import (
    VerifierKey,
    fingerprint,
    load_document,
    open_checkpoint,
    verify_document,
)
from safehands.messages import say
from safehands.settings import Settings

__all__ = ["verifier_from", "verify_file", "verify_installation"]


def verifier_from(given: str | None, own: Path) -> VerifierKey:
    """Return the public key from the option (a key or a file with one), or the installation's."""
    if given is None:
        given = str(own)
    path = Path(given)
    text = path.read_text(encoding="ascii").strip() if path.is_file() else given
    return VerifierKey.parse(text)


def verify_file(path: Path, verifier: VerifierKey, lang: str) -> str:
    """Check one evidence document or signed checkpoint and return what it proves.

    Raises ``LedgerBroken`` with the reason when it does not check.
    """
    try:
        content = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise LedgerBroken("verify.not_text", file=path.name) from None
    if content.lstrip().startswith("{"):
        if not _enveloped(content):
            raise LedgerBroken("verify.unsigned", file=path.name)
        evidence = verify_document(load_document(content), verifier)
        index, size = evidence.index, evidence.checkpoint.size
        return say(
            "verify.document", lang, file=path.name, kind=evidence.kind, index=index, size=size
        )
    checkpoint = open_checkpoint(content, verifier)
    return say("verify.checkpoint", lang, file=path.name, size=checkpoint.size)


def _enveloped(content: str) -> bool:
    """Say whether JSON has a signature at its top; what is no JSON at all is left to the check."""
    try:
        found = json.loads(content)
    except ValueError:
        return True
    return "signature" in found


def verify_installation(settings: Settings, clock: Clock, lang: str) -> str:
    """Recompute the ledger of this installation against every checkpoint it signed."""
    inst = open_installation(settings, clock)
    try:
        verifier = journal.signing_key(inst.provider).verifier
        checkpoint = journal.verify(inst.store, verifier)
    finally:
        inst.close()
    return say("verify.ledger", lang, size=checkpoint.size, key=fingerprint(verifier))
