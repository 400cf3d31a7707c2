"""What the environment says to Airflow: logins, what it shows, where it listens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address

from safehands.doctor.finding import Finding

__all__ = ["airflow"]

_FAB = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
_YES = ("true", "1", "t", "yes")


def airflow(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Yield what Airflow's settings in ``environ`` mean for security; ``make up`` sets the rest."""
    yield _login(environ)
    exposed = _on(environ, "AIRFLOW__API__EXPOSE_CONFIG")
    yield Finding("airflow_config", "bad" if exposed else "ok", "exposed" if exposed else "ok")
    yield _address(environ.get("AIRFLOW__API__HOST", "127.0.0.1"))


def _login(environ: Mapping[str, str]) -> Finding:
    if _on(environ, "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS"):
        return Finding("login", "bad", "none")
    manager = environ.get("AIRFLOW__CORE__AUTH_MANAGER", "")
    if environ.get("SAFEHANDS_LOGINS") == "roles" or manager == _FAB:
        return Finding("login", "ok", "roles")
    if manager.endswith("SimpleAuthManager") or not manager:
        return Finding("login", "warn", "one_admin")
    return Finding("login", "ok", "other")


def _address(host: str) -> Finding:
    try:
        local = ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    return Finding("web", "ok" if local else "warn", "ok" if local else "outside", {"host": host})


def _on(environ: Mapping[str, str], name: str) -> bool:
    return environ.get(name, "").casefold() in _YES
