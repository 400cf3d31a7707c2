"""Who sits in front of a page, and what every answer of ours carries.

A page is opened through ``reader(name)``, a form is received through ``doer(name)``; both are
FastAPI dependencies that give a ``Seat``. Nobody logged in is 401; a role that may not, 403; a form
that was sent from another site, 403. Pages of other parts of the program use the same two and
return ``seat.page(template, figures)``.

Roles. Airflow's simple login knows four: ``viewer`` is our auditor, ``user`` the operator, ``op``
operator and officer, ``admin`` all three. Any other login system (FAB with LDAP or OAuth) is asked
for a permission on the view ``safehands.<page>``: ``can_read`` to look, ``can_create`` to act.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, cast
from urllib.parse import urlsplit

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import HTTPException, Request
from fastapi.responses import HTMLResponse, Response

from safehands.dashboards import PAGES, THEMES, Books, View, find_page, open_books, render
from safehands.dashboards.view import Theme
from safehands.installation import database_url, key_sources
from safehands.keys.choose import choose
from safehands.messages import LANGUAGES
from safehands.settings import Settings
from safehands.store import EvidenceStore, Store

__all__ = ["SAFE", "Place", "Seat", "chosen_view", "doer", "open_to", "place", "reader", "remember"]

SAFE = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self';"
        " frame-ancestors 'self'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}

_SIMPLE: Mapping[str, frozenset[str]] = {
    "viewer": frozenset(("auditor",)),
    "user": frozenset(("operator",)),
    "op": frozenset(("operator", "officer")),
    "admin": frozenset(("operator", "officer", "auditor")),
}
_YEAR = 31_536_000


@dataclass(frozen=True)
class Place:
    """What a process opens once: settings, books and the store. Nothing is migrated or made."""

    settings: Settings
    books: Books
    store: Store


@cache
def place() -> Place:
    """Open them. Raises ``SafehandsError`` for policy that does not hold."""
    settings = Settings.read(os.environ)
    provider = choose(settings.keys_url, key_sources(settings))
    if settings.evidence_url:
        store: Store = EvidenceStore(settings.evidence_url, provider)
    else:
        store = Store(database_url(settings), provider)
    return Place(settings, open_books(settings), store)


@dataclass(frozen=True)
class Seat:
    """A person in front of a page: ``user`` is the login's id, ``view`` how they look at it."""

    user: str
    view: View
    place: Place
    cookies: Mapping[str, str] = field(default_factory=dict)

    def page(self, template: str, figures: Mapping[str, Any], status: int = 200) -> Response:
        """Return a page of ours, with all headers."""
        return self.answer(render(template, self.view, figures), status)

    def answer(self, html: str, status: int = 200) -> Response:
        """Return HTML with all headers; what was chosen (language, theme) is remembered."""
        return remember(HTMLResponse(html, status, headers=SAFE), self.cookies, self.view.base)

    def at(self, here: str, owners: tuple[str, ...] = ()) -> Seat:
        """Return the same seat before a page below the one it was opened for."""
        return replace(self, view=replace(self.view, here=here, owners=owners))


def reader(page: str) -> Callable[..., Seat]:
    """Return the dependency of a route that shows ``page``."""

    def seat(request: Request, user: GetUserDep) -> Seat:
        return _seat(request, user, page, "GET")

    return seat


def doer(page: str) -> Callable[..., Seat]:
    """Return the dependency of a route that receives a form of ``page``."""

    def seat(request: Request, user: GetUserDep) -> Seat:
        if not _same_site(request):
            raise HTTPException(403)
        return _seat(request, user, page, "POST")

    return seat


def _seat(request: Request, user: Any, page: str, method: str) -> Seat:
    if not _may(user, page, method):
        raise HTTPException(403)
    found = place()
    chosen, asked = chosen_view(request, found.settings.lang)
    view = View(
        page=page,
        lang=chosen["lang"],
        policy=found.books.policy,
        theme=cast(Theme, chosen["theme"]),
        pages=open_to(user),
        base=f"{request.scope.get('root_path', '')}/",
        here=page,
        owner=request.query_params.get("owner", ""),
        may_act=_may(user, page, "POST"),
    )
    return Seat(str(user.get_id()), view, found, asked)


def open_to(user: Any) -> tuple[str, ...]:
    """Return the names of the pages that ``user`` may look at, in order."""
    return tuple(page.name for page in PAGES if _may(user, page.name, "GET"))


def chosen_view(request: Request, lang: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return language and theme of a request, and which of them its address asks for.

    ``lang``: the language where nothing was chosen.
    """
    chosen = {
        "lang": _chosen(request, "lang", LANGUAGES, lang),
        "theme": _chosen(request, "theme", THEMES, "auto"),
    }
    return chosen, {name: v for name, v in chosen.items() if name in request.query_params}


def remember(response: Response, cookies: Mapping[str, str], base: str) -> Response:
    """Let the browser keep what was chosen, for the pages below ``base``."""
    for name, value in cookies.items():
        response.set_cookie(
            f"safehands_{name}", value, max_age=_YEAR, path=base, httponly=True, samesite="lax"
        )
    return response


def _chosen(request: Request, name: str, known: tuple[str, ...], otherwise: str) -> str:
    """Return what the address asks for, else what was chosen before, else the default."""
    for value in (request.query_params.get(name), request.cookies.get(f"safehands_{name}")):
        if value in known:
            return str(value)
    return otherwise


def _may(user: Any, page: str, method: str) -> bool:
    """Say whether ``user`` may look at ``page`` (GET) or send its forms (POST)."""
    manager = get_auth_manager()
    name = f"safehands.{page}"
    if not manager.is_authorized_custom_view(method=method, resource_name=name, user=user):  # type: ignore[arg-type]
        return False
    entry = find_page(page)
    wanted = entry.readers if method == "GET" else entry.doers
    if type(manager).__name__ != "SimpleAuthManager":
        return bool(wanted)
    role = str(getattr(user, "role", "") or "").lower()
    return bool(wanted & _SIMPLE.get(role, frozenset()))


def _same_site(request: Request) -> bool:
    """Say whether a form comes from a page of this server: its origin is the host it was sent to.

    The login's cookie is SameSite=Lax, and this is the second lock.
    """
    fetched = request.headers.get("sec-fetch-site")
    if fetched is not None and fetched != "same-origin":
        return False
    origin = request.headers.get("origin")
    if origin is None:
        return fetched == "same-origin"
    return urlsplit(origin).netloc == request.headers.get("host")
