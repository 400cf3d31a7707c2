"""Privacy notices: versioned documents made from policy, and what changed between two of them."""

from safehands.notices.book import ConsentBook, NoticeBook, load_consent_book, load_notice_book
from safehands.notices.compose import compose, missing, terms_of
from safehands.notices.differ import Change, difference
from safehands.notices.render import html, sms
from safehands.notices.versions import Notice, current, publish, versions

__all__ = [
    "Change",
    "ConsentBook",
    "Notice",
    "NoticeBook",
    "compose",
    "current",
    "difference",
    "html",
    "load_consent_book",
    "load_notice_book",
    "missing",
    "publish",
    "sms",
    "terms_of",
    "versions",
]
