"""From a task to the page that shows its result: a button on the task's own page in Airflow.

The address is the same for every run, so nothing of a run is in it; who may not see a page is told
so by the page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs
from airflow.sdk import BaseOperatorLink, conf

from safehands.messages import say

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

__all__ = ["PageLink", "lead_to"]

_MOUNTED = "/safehands"


@attrs.define(frozen=True)
class PageLink(BaseOperatorLink):
    """A button that opens ``page`` of the dashboards; its name is told in zh and en."""

    page: str

    @property
    def name(self) -> str:
        """The words on the button."""
        zh, en = (say(f"dash.page.{self.page}", lang) for lang in ("zh", "en"))
        return f"查看{zh} · {en}"

    @property
    def xcom_key(self) -> str:
        """Where Airflow keeps the address; a task may have a button for each of several pages."""
        return f"_link_{self.page}"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:  # noqa: ARG002
        """Return the page's address on this server, below the path where Airflow is served."""
        below = urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/")
        return f"{below}{_MOUNTED}/{self.page}"


def lead_to(*pages: str) -> tuple[PageLink, ...]:
    """Return the buttons of these pages, named as in ``safehands.dashboards.navigation``."""
    # Not looked up there: it would load pandas whenever a DAG is parsed. A test knows the pages.
    return tuple(PageLink(page) for page in pages)
