"""What a message says: a sentence, what to do, and where to look, in the channel's language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from safehands.alerts.book import AlertBook
from safehands.alerts.channels import Address, Channel
from safehands.alerts.found import Found, Value
from safehands.messages import LANGUAGES, say

__all__ = ["Message", "fitting", "message", "paragraph", "tongues"]

_BYTES = {"wecombot": 2000}
"""A robot of WeCom takes 2,048 bytes of text; the others and e-mail take far more."""

_MOST_BYTES = 12_000


@dataclass(frozen=True)
class Message:
    """Subject and text."""

    title: str
    body: str


def message(
    channel: Channel, address: Address, book: AlertBook, alerts: Sequence[tuple[str, Found]]
) -> Message:
    """Return one message about ``alerts``: pairs of their number, which tells repeats, and what."""
    langs = tongues(channel)
    title = " / ".join(say("alerts.title", lang, count=len(alerts)) for lang in langs)
    parts = [paragraph(number, found, book, address, langs) for number, found in alerts]
    return Message(title, "\n\n".join(parts))


def tongues(channel: Channel) -> tuple[str, ...]:
    """Return the languages of a channel."""
    return LANGUAGES if channel.lang == "both" else (channel.lang,)


def fitting(
    channel: Channel, address: Address, book: AlertBook, alerts: Sequence[tuple[str, Found]]
) -> int:
    """Return how many of ``alerts``, from the first, fit into one message; at least one."""
    most = _BYTES.get(channel.service, _MOST_BYTES)
    count = 1
    while count < len(alerts):
        longer = message(channel, address, book, alerts[: count + 1])
        if len(f"{longer.title}\n{longer.body}".encode()) > most:
            break
        count += 1
    return count


def paragraph(
    number: str, found: Found, book: AlertBook, address: Address, langs: Sequence[str]
) -> str:
    """Return what is told of one alert."""
    kind = book.kinds[found.kind]
    lines = []
    for lang in langs:
        urgent = say("alerts.urgent", lang) if kind.urgent else ""
        params = _in(lang, found)
        told = say(f"alerts.kind.{found.kind}", lang, **params)
        lines += [f"{urgent}{told}", say(f"alerts.todo.{found.kind}", lang, **params)]
    page = f"{address.page_root}/safehands/{kind.page}"
    where = {"page": page, "runbook": f"docs/{found.runbook or kind.runbook}", "number": number}
    return "\n".join([*lines, say("alerts.where", langs[0], **where)])


def _in(lang: str, found: Found) -> dict[str, Value]:
    """Return the parameters; of ``clock_zh`` and ``clock_en`` the one in ``lang``, as ``clock``."""
    chosen = {name.removesuffix(f"_{lang}"): value for name, value in found.params.items()}
    return {**found.params, **chosen}
