"""Claim what is new for each channel, and send what waits.

``announce`` writes a claim and an outbox row in one transaction: the same alert found again, now or
by another process, writes nothing. ``deliver`` locks one channel, sends one message about what
waits for it, and marks it done in the same transaction.

The rule for a crash: **at least once**. Killed before the message was taken, nothing is marked and
the next run sends it. Killed between the service's yes and the commit, it is sent a second time,
with the same numbers, so that a reader sees the repeat. It is never marked as sent unsent.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, text

from safehands.alerts.book import AlertBook, load_alert_book
from safehands.alerts.channels import Address, Channel, read_channels, send
from safehands.alerts.compose import fitting, message
from safehands.alerts.found import Found
from safehands.alerts.watch import find
from safehands.errors import StepFailed
from safehands.installation import Installation
from safehands.settings import Settings
from safehands.store import Store, lock
from safehands.store.effects import Claim, input_digest, make
from safehands.store.effects import find as claimed

__all__ = ["announce", "deliver", "pending", "tell", "tell_now", "unclaimed", "unsent"]

_MOST_MESSAGES = 10
"""A robot takes twenty messages a minute; what is left goes out with the next run."""


def tell(inst: Installation, day: date, now: datetime) -> dict[str, int]:
    """Find, claim and send; return counts. A channel that fails doesn't keep back the others.

    Raises ``StepFailed`` (retryable) after all channels were tried when one did not take it.
    """
    book = load_alert_book(inst.settings.policy)
    address = read_channels(inst.settings.channels, book)
    found = find(inst, book, day, now)
    fresh = announce(inst.store, address, book, found)
    sent = _all(inst.store, address, book)
    return {"found": len(found), "new": fresh, "sent": sent, "channels": len(address.channels)}


def tell_now(inst: Installation, found: Found) -> int:
    """Claim and send one alert at once; return how many channels took it.

    Raises ``StepFailed`` when one did not: the next ``tell`` sends it.
    """
    book = load_alert_book(inst.settings.policy)
    address = read_channels(inst.settings.channels, book)
    announce(inst.store, address, book, [found])
    return _all(inst.store, address, book)


def unclaimed(settings: Settings, found: Found) -> int:
    """Send one alert without a claim, for when there is no store to claim in; return how many.

    Once the store is back, ``tell`` may send it again: at least once.
    """
    book = load_alert_book(settings.policy)
    address = read_channels(settings.channels, book)
    wanted = [one for one in address.channels if one.wants(found.kind, book)]
    for channel in wanted:
        told = message(channel, address, book, [("-", found)])
        send(channel, told.title, told.body)
    return len(wanted)


def announce(store: Store, address: Address, book: AlertBook, found: Iterable[Found]) -> int:
    """Put what each channel was not told yet into the outbox; return how many rows were new."""
    fresh = 0
    with store.begin() as connection:
        for one in found:
            for channel in address.channels:
                if channel.wants(one.kind, book):
                    fresh += _claim(connection, channel, one)
    return fresh


def deliver(store: Store, channel: Channel, address: Address, book: AlertBook) -> int:
    """Send one message about what waits for ``channel``; return how many alerts it told.

    Raises ``StepFailed`` when it was not taken; then it waits on.
    """
    with store.begin() as connection:
        # Another process that sends to this channel is waited for: it leaves nothing to send.
        lock(connection, f"safehands.alerts.{channel.name}")
        waiting = pending(connection, channel.name)
        if not waiting:
            return 0
        now = waiting[: fitting(channel, address, book, waiting)]
        told = message(channel, address, book, now)
        send(channel, told.title, told.body)
        done = [int(number) for number, _ in now]
        connection.execute(
            text("UPDATE outbox SET done = true WHERE id = ANY (:ids)"), {"ids": done}
        )
    return len(now)


def pending(connection: Connection, channel: str) -> list[tuple[str, Found]]:
    """Return what waits for ``channel``: the outbox row's number and the alert, oldest first."""
    rows = connection.execute(text(_WAITING), {"channel": channel})
    return [(str(number), _found(payload)) for number, payload in rows]


def unsent(
    connection: Connection, channel: Channel, book: AlertBook, found: Iterable[Found]
) -> list[Found]:
    """Return what ``channel`` wants of ``found`` and nobody claimed yet. Writes nothing."""
    return [
        one
        for one in found
        if channel.wants(one.kind, book) and claimed(connection, _claim_of(channel, one)) is None
    ]


def _all(store: Store, address: Address, book: AlertBook) -> int:
    sent, failed = 0, None
    for channel in address.channels:
        try:
            for _ in range(_MOST_MESSAGES):
                told = deliver(store, channel, address, book)
                sent += told
                if not told:
                    break
        except StepFailed as error:
            failed = error
    if failed is not None:
        raise failed
    return sent


def _claim_of(channel: Channel, found: Found) -> Claim:
    return Claim("alert", channel.name, input_digest(found.kind, found.key), "-")


def _claim(connection: Connection, channel: Channel, found: Found) -> int:
    payload = {
        "channel": channel.name,
        "kind": found.kind,
        "key": found.key,
        "params": dict(found.params),
        "runbook": found.runbook,
    }
    if not make(connection, _claim_of(channel, found), {}):
        return 0
    told = json.dumps(payload, ensure_ascii=False, sort_keys=True)
    connection.execute(text(_PUT), {"payload": told})
    return 1


def _found(payload: dict[str, Any]) -> Found:
    return Found(payload["kind"], payload["key"], payload["params"], payload["runbook"])


_PUT = "INSERT INTO outbox (kind, payload) VALUES ('alert', CAST(:payload AS jsonb))"
_WAITING = (
    "SELECT id, payload FROM outbox WHERE kind = 'alert' AND NOT done"
    " AND payload->>'channel' = :channel ORDER BY id"
)
