"""Consent: what people answered, who may be processed for what, and who may be asked."""

from safehands.consent.answers import Answer, answers, history, may_ask, record
from safehands.consent.figures import night_figures
from safehands.consent.settle import settle
from safehands.consent.sheet import Read, import_sheet
from safehands.consent.standing import Standing, basis, standing

__all__ = [
    "Answer",
    "Read",
    "Standing",
    "answers",
    "basis",
    "history",
    "import_sheet",
    "may_ask",
    "night_figures",
    "record",
    "settle",
    "standing",
]
