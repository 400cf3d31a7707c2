"""Alerts: what a person should know without looking, told once per channel, and nothing else.

``find`` reads evidence and says what holds; ``queue.announce`` claims what is new and
``queue.deliver`` sends it. Messages hold counts, dates and ids; never whose data.
"""

from __future__ import annotations

from safehands.alerts.book import AlertBook, load_alert_book
from safehands.alerts.channels import Address, Channel, read_channels
from safehands.alerts.compose import message
from safehands.alerts.found import Found
from safehands.alerts.queue import announce, deliver, pending, tell, tell_now
from safehands.alerts.watch import find

__all__ = [
    "Address",
    "AlertBook",
    "Channel",
    "Found",
    "announce",
    "deliver",
    "find",
    "load_alert_book",
    "message",
    "pending",
    "read_channels",
    "tell",
    "tell_now",
]
