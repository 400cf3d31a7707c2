"""Who listens: nothing of ours may be reached from outside unless somebody chose so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_address

import psutil

from safehands.doctor.finding import Finding

__all__ = ["Listener", "listeners", "ports"]

Listener = tuple[str, int, str]
"""Address, port and what it is."""

_OURS = ("airflow", "celery", "safehands", "postgres", "redis-server", "valkey-server", "weed")


def ports(found: Iterable[Listener]) -> Finding:
    """Judge ``found``: every listener of ours has to be on the loopback address."""
    outside = [one for one in found if not ip_address(one[0]).is_loopback]
    if not outside:
        return Finding("ports", "ok", "ok")
    shown = ", ".join(sorted({f"{name} {address}:{port}" for address, port, name in outside}))
    return Finding("ports", "bad", "outside", {"count": len(outside), "shown": shown})


def listeners() -> Iterator[Listener]:
    """Yield what listens here and is Airflow, a worker, a database, a broker or SeaweedFS.

    An ordinary user sees processes of their own only: run it as root to see all.
    """
    for process in psutil.process_iter(["name", "cmdline"]):
        words = [process.info["name"] or "", *(process.info["cmdline"] or [])[:4]]
        name = next((n for n in _OURS if any(n in word.rsplit("/", 1)[-1] for word in words)), None)
        if name is None:
            continue
        try:
            links = process.net_connections(kind="inet")
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        for link in links:
            if link.status == psutil.CONN_LISTEN:
                yield link.laddr.ip, link.laddr.port, name
