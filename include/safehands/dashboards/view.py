"""How a page is looked at: language, theme, owner, and what else stands around its content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from safehands.messages import say
from safehands.policy import Policy
from safehands.report.page import Texts

__all__ = ["THEMES", "Theme", "View", "Words"]

Theme = Literal["auto", "light", "dark"]
THEMES: tuple[Theme, ...] = ("auto", "light", "dark")


@dataclass(frozen=True)
class View:
    """``page``: name in the navigation. ``pages``: those that the reader may open. ``base``: where
    the application is mounted, with a slash at both ends; empty in a file that stands alone.
    ``here``: the address of this very page below ``base``. ``owner``: an owner's code, empty for
    all; ``owners``: the codes to choose from. ``may_act``: the reader may send this page's forms.
    """

    page: str
    lang: str
    policy: Policy
    theme: Theme = "auto"
    pages: Sequence[str] = ()
    base: str = ""
    here: str = ""
    owner: str = ""
    owners: Sequence[str] = ()
    may_act: bool = False

    @property
    def alone(self) -> bool:
        """Say whether this is a file without a server behind it."""
        return not self.base

    @property
    def other(self) -> str:
        """Return the other language."""
        return "en" if self.lang == "zh" else "zh"

    def words(self) -> Words:
        """Return what templates say."""
        return Words(self.lang, self.policy)


class Words(Texts):
    """The report's words, and the sentences ``dash.<key>``."""

    def dash(self, key: str, /, **params: Any) -> str:
        """Return the sentence ``dash.<key>``; whole numbers are shown with separators."""
        shown = {
            name: self.number(value) if isinstance(value, int) else value
            for name, value in params.items()
        }
        return say(f"dash.{key}", self.lang, **shown)

    def or_key(self, prefix: str, key: str) -> str:
        """Return the sentence ``<prefix>.<key>``, or the bare key of something newer."""
        return self.known(f"{prefix}.{key}") or key

    def percent(self, part: int, whole: int) -> str:
        """Return a share of counts with two digits, never rounded to 0 or 100."""
        if not whole:
            return "–"
        value = part * 10_000 // whole
        if part and not value:
            return "< 0.01 %"
        return f"{value / 100:.2f} %" if value < 10_000 else "100 %"

    def band(self, low: int, high: int) -> str:
        """Return the size of a group of people in words; ``high`` 0 stands for "and more"."""
        if low == high == 1:
            return self.dash("band.alone")
        key = "band.more" if high == 0 else "band"
        return self.dash(key, low=low, high=high)

    def megabytes(self, count: int | None) -> str:
        """Return bytes in megabytes; a dash for nothing known."""
        return "–" if count is None else f"{count / 1_000_000:,.1f} MB"
