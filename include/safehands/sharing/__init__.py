"""Sharing: who else gets what, under which agreement, and what must come back.

==============  ================================================================================
``agreements``  agreements as reviewed policy; nothing is given without one in force
``people``      who has a basis, and their rows, opened as the officer
``abroad``      leaving the mainland: people per calendar year against the law's thresholds
``plan``        the table of one disclosure: agreed fields, own tokens, masking, class size
``disclose``    the encrypted file with its data sheet, and the register
``recall``      what a recipient must destroy, and what it says it destroyed
``marks``       the recipient's stars in masked forms
``trace``       whose copy a leaked file is
==============  ================================================================================
"""

from safehands.sharing.agreements import (
    Agreement,
    ShareBook,
    digest_of,
    ending,
    in_force,
    load_share_book,
)
from safehands.sharing.disclose import Disclosed, disclose
from safehands.sharing.gate import ask_gate
from safehands.sharing.plan import Plan, plan
from safehands.sharing.recall import Recall, acknowledge, recall, recall_everything, recalls
from safehands.sharing.register import Line, disclosures
from safehands.sharing.trace import Traced, text_of, trace

__all__ = [
    "Agreement",
    "Disclosed",
    "Line",
    "Plan",
    "Recall",
    "ShareBook",
    "Traced",
    "acknowledge",
    "ask_gate",
    "digest_of",
    "disclose",
    "disclosures",
    "ending",
    "in_force",
    "load_share_book",
    "plan",
    "recall",
    "recall_everything",
    "recalls",
    "text_of",
    "trace",
]
