"""Where alerts go: the address book, whose URLs are secrets, and the one door to apprise.

The file (``SAFEHANDS_CHANNELS``, mode 0600)::

    version: 1
    address: https://airflow.example.cn      # optional: pages are named with it
    channels:
      duty: {url: "wecombot://KEY", lang: zh}
      office: {url: "mailtos://…", kinds: [request_soon, request_late]}

An apprise URL is a password. It is in no ``repr``, no log and no error: while apprise works,
logging is off, because it quotes URLs, and none of its exceptions leaves this module.
"""

from __future__ import annotations

import logging
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, SecretStr

from safehands.alerts.book import AlertBook
from safehands.errors import SetupProblem, StepFailed
from safehands.organisation.files import Frozen, checked, read_yaml

if TYPE_CHECKING:
    from apprise import NotifyBase

__all__ = ["Address", "Channel", "read_channels", "send"]

Tongue = Literal["zh", "en", "both"]

_SECONDS = 15.0


class _Entry(Frozen):
    url: SecretStr
    lang: Tongue = "both"
    kinds: tuple[str, ...] = ()
    urgent_only: bool = False


class _File(Frozen):
    address: str = Field(default="", pattern=r"^(https?://[A-Za-z0-9.:\[\]-]+)?$")
    channels: dict[str, _Entry] = Field(default_factory=dict)


@dataclass(frozen=True)
class Channel:
    """One place to send to. ``kinds`` empty: all of them."""

    name: str
    service: str
    lang: Tongue
    kinds: tuple[str, ...]
    urgent_only: bool
    url: SecretStr = field(repr=False)

    def wants(self, kind: str, book: AlertBook) -> bool:
        """Say whether alerts of ``kind`` are sent here."""
        listed = kind in self.kinds or not self.kinds
        return listed and (book.kinds[kind].urgent or not self.urgent_only)


@dataclass(frozen=True)
class Address:
    """The address book: the channels by name, and where the pages are."""

    page_root: str = ""
    channels: tuple[Channel, ...] = ()


def read_channels(path: Path, book: AlertBook) -> Address:
    """Return the address book; an empty one when there is no file.

    Raises ``SetupProblem`` for a file that others may read and a service that policy doesn't list,
    ``PolicyError`` for an entry that is wrong. No error quotes an address.
    """
    if not path.exists():
        return Address()
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise SetupProblem("alerts.open_to_others", file=str(path))
    given = checked(_File, read_yaml(path), path.name, "-")
    made = [_channel(name, entry, book) for name, entry in given.channels.items()]
    return Address(given.address.rstrip("/"), tuple(made))


def send(channel: Channel, title: str, body: str) -> None:
    """Send one message. Raises ``StepFailed`` (retryable) when it was not taken.

    Taken means that the service said so. WeCom and DingTalk say so for a wrong key as well, which
    is why ``safehands alerts test`` asks a person to look.
    """
    with _quiet():
        try:
            taken = bool(_plugin(channel.url).notify(body=body, title=title))
        except Exception:  # noqa: BLE001 - a foreign error here may quote the address
            taken = False
    if not taken:
        raise StepFailed("alerts.not_taken", channel=channel.name, service=channel.service)


def _channel(name: str, entry: _Entry, book: AlertBook) -> Channel:
    service = entry.url.get_secret_value().partition("://")[0].lower()
    if service not in book.services:
        raise SetupProblem("alerts.service", channel=name, known=", ".join(book.services))
    unknown = [kind for kind in entry.kinds if kind not in book.kinds]
    if unknown:
        raise SetupProblem("alerts.kind_unknown", channel=name, kind=unknown[0])
    return Channel(name, service, entry.lang, entry.kinds, entry.urgent_only, entry.url)


def _plugin(url: SecretStr) -> NotifyBase:
    # apprise takes a third of a second to import: not for a night that has nothing to tell.
    from apprise import Apprise, AppriseAsset

    asset = AppriseAsset(app_id="Safehands", app_desc="安驿 Safehands", async_mode=False)
    made: Any = Apprise.instantiate(url.get_secret_value(), asset=asset)
    made.socket_connect_timeout = made.socket_read_timeout = _SECONDS
    return made  # type: ignore[no-any-return]


@contextmanager
def _quiet() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
