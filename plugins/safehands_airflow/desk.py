"""Requests of people inside Airflow: a form to register one, and what is to be done with it next.

Mounted by :mod:`safehands_airflow.pages`. Who may use it is asked of Airflow's auth manager twice:
the view ``safehands.requests``, and whether they may start the DAG ``subject_request`` (the role
"user" and above). A phone number, a code and a corrected value come in the body of a POST, go into
the store and nowhere else: no address, log, cookie or answer shows them.

Against forged forms: the browser has to call the POST one of the same origin, and the form carries
a token that is signed for its user and holds a working day.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import (
    DagAccessEntity,
    DagDetails,
)
from airflow.api_fastapi.core_api.security import GetUserDep
from airflow.configuration import conf
from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from itsdangerous import BadSignature, URLSafeTimedSerializer

from safehands import erasure, guard, journal
from safehands.errors import AccessRefused, SafehandsError, SetupProblem
from safehands.installation import Installation, database_url, key_sources
from safehands.keys.choose import choose
from safehands.night import SHANGHAI
from safehands.policy import load_policy
from safehands.rights.book import RightsBook, load_rights_book
from safehands.rights.carry import Given, carry_out
from safehands.rights.desk import Desk, desk_style, form, one_request
from safehands.rights.identity import confirm, send_code, verify_code
from safehands.rights.requests import find, list_requests, register
from safehands.rights.senders import sender_of
from safehands.settings import Settings
from safehands.store import Store
from safehands.store.register import owners
from safehands_airflow.seat import chosen_view, open_to, remember

__all__ = ["router"]

_T = TypeVar("_T")
_SAFE = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self';"
        " frame-ancestors 'self'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_BASE = "/safehands/"
_HERE = f"{_BASE}requests"
_HOURS = 10
_TYPED = ("correct", "supplement")


def _user(user: GetUserDep) -> Any:
    """Return who is logged in. Raises 403 for somebody who may not start ``subject_request``."""
    manager = get_auth_manager()
    may_see = manager.is_authorized_custom_view(
        method="GET", resource_name="safehands.requests", user=user
    )
    may_start = manager.is_authorized_dag(
        method="POST",
        access_entity=DagAccessEntity.RUN,
        details=DagDetails(id="subject_request"),
        user=user,
    )
    if not (may_see and may_start):
        raise HTTPException(403)
    return user


async def _form(request: Request) -> dict[str, str]:
    """Return the fields of the form; read here, so that no error of a model repeats a value."""
    fields = await request.form(max_files=0, max_fields=20, max_part_size=10_000)
    return {name: value for name, value in fields.items() if isinstance(value, str)}


Officer = Annotated[Any, Depends(_user)]
Fields = Annotated[dict[str, str], Depends(_form)]
router = APIRouter(prefix="/requests")


@router.get("/desk.css")
def css() -> Response:
    """Return the style sheet; it holds nothing of anybody, so it needs no login."""
    return Response(
        desk_style(), media_type="text/css", headers={"X-Content-Type-Options": "nosniff"}
    )


@router.get("", response_class=HTMLResponse)
def show(request: Request, user: Officer) -> Response:
    """Return the form, and what is still open."""
    return _form_page(request, user)


@router.post("", response_class=HTMLResponse)
def take(request: Request, user: Officer, fields: Fields) -> Response:
    """Register a request, and lead to its own page; a mistake is said above the form."""
    _check_ours(request, user, fields)
    done = _tried(lambda inst, book: _register(inst, book, fields, user.get_name()))
    if isinstance(done, SafehandsError):
        return _form_page(request, user, done)
    number, fresh = done
    return _led(request, number, "" if fresh else "&known=1")


@router.get("/{number}", response_class=HTMLResponse)
def one(request: Request, user: Officer, number: str) -> Response:
    """Return one request and what is to be done next."""
    return _request_page(request, user, number)


@router.post("/{number}/code", response_class=HTMLResponse)
def code(request: Request, user: Officer, fields: Fields, number: str) -> Response:
    """Send a one-time code to the number that was typed."""
    _check_ours(request, user, fields)
    done = _tried(
        lambda inst, book: send_code(
            inst,
            book,
            find(inst.store, number).request,
            fields.get("phone", ""),
            sender_of(inst.settings, number),
            user.get_name(),
            secrets.randbelow,
        )
    )
    return _answered(request, user, number, done, "&sent=1")


@router.post("/{number}/identity", response_class=HTMLResponse)
def identity(request: Request, user: Officer, fields: Fields, number: str) -> Response:
    """Take a code that the person read out, or record how a person checked who it is."""
    _check_ours(request, user, fields)

    def work(inst: Installation, book: RightsBook) -> None:
        how, who = fields.get("how", ""), user.get_name()
        if how:
            confirm(inst, book, number, how, fields.get("evidence", "").strip(), who)
        else:
            verify_code(inst, book, number, fields.get("code", ""), who)

    return _answered(request, user, number, _tried(work))


@router.post("/{number}/value", response_class=HTMLResponse)
def value(request: Request, user: Officer, fields: Fields, number: str) -> Response:
    """Carry out a correction that was granted, with the value that was typed."""
    _check_ours(request, user, fields)

    def work(inst: Installation, _: RightsBook) -> None:
        found = find(inst.store, number)
        if found.kind not in _TYPED:
            raise AccessRefused("rights.wrong_state", request=found.request, state=found.state)
        given = Given(
            secrets.token_bytes(16),
            inst.settings.home / "answers",
            field_name=fields.get("field", ""),
            value=fields.get("value", "").strip(),
        )
        carry_out(inst, number, user.get_name(), inst.clock(), given)

    return _answered(request, user, number, _tried(work))


def _register(
    inst: Installation, book: RightsBook, fields: Mapping[str, str], by: str
) -> tuple[str, bool]:
    code = fields.get("owner", "")
    owner = owners(inst.store).get(code)
    if owner is None:
        raise AccessRefused("rights.desk.no_owner")
    found, _ = erasure.find_subjects(inst.store, owner, fields.get("phone", ""))
    if not found:
        raise AccessRefused("vault.nobody")
    return register(
        inst.store,
        book,
        code,
        fields.get("kind", ""),
        found[0],
        by,
        inst.clock(),
        secrets.token_bytes(4),
        behalf=fields.get("behalf", ""),
        channel="page",
        evidence=fields.get("evidence", "").strip(),
        purpose=fields.get("purpose", ""),
    )


def _form_page(request: Request, user: Any, problem: SafehandsError | None = None) -> Response:
    inst, book = _opened()
    shown = _desk(request, user, inst, book, problem)
    known = [(owner.code, owner.name) for owner in owners(inst.store).values()]
    page = form(shown, known, list_requests(inst.store))
    return _answer(request, page, 400 if problem else 200)


def _request_page(
    request: Request, user: Any, number: str, problem: SafehandsError | None = None
) -> Response:
    inst, book = _opened()
    try:
        found = find(inst.store, number)
    except AccessRefused:
        raise HTTPException(404) from None
    shown = _desk(request, user, inst, book, problem)
    asked = request.query_params
    page = one_request(shown, found, known="known" in asked, sent="sent" in asked)
    return _answer(request, page, 400 if problem else 200)


def _answered(
    request: Request, user: Any, number: str, done: SafehandsError | None, more: str = ""
) -> Response:
    if done is not None:
        return _request_page(request, user, number, done)
    return _led(request, number, more)


def _led(request: Request, number: str, more: str = "") -> Response:
    """Lead on with GET: going back or loading again registers nothing."""
    lang = chosen_view(request, _opened()[0].settings.lang)[0]["lang"]
    return RedirectResponse(f"{_HERE}/{number}?lang={lang}{more}", 303, headers=_SAFE)


def _tried(work: Callable[[Installation, RightsBook], _T]) -> _T | SafehandsError:
    """Return what ``work`` gives, or the sentence that says why not; no foreign text gets out."""
    inst, book = _opened()
    try:
        result = guard.guarded("request", lambda: work(inst, book))
    except SafehandsError as error:
        return error
    journal.sequence(inst.store, inst.clock())
    return result


def _check_ours(request: Request, user: Any, fields: Mapping[str, str]) -> None:
    """Raise 403 unless the form came from this page, for this user."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin")
    foreign = origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    if site != "same-origin" or foreign:
        raise HTTPException(403)
    try:
        signed = _signer().loads(fields.get("token", ""), max_age=_HOURS * 3600)
    except BadSignature:
        raise HTTPException(403) from None
    if signed != user.get_name():
        raise HTTPException(403)


def _signer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(conf.get_mandatory_value("api", "secret_key"), salt=__name__)


def _desk(
    request: Request,
    user: Any,
    inst: Installation,
    book: RightsBook,
    problem: SafehandsError | None,
) -> Desk:
    chosen, _ = chosen_view(request, inst.settings.lang)
    lang, day = chosen["lang"], inst.clock().astimezone(SHANGHAI).date()
    said = problem.say(lang) if problem else ""
    token = str(_signer().dumps(user.get_name()))
    return Desk(book, inst.policy, lang, day, token, said, open_to(user), chosen["theme"])


def _answer(request: Request, page: str, status: int) -> Response:
    _, asked = chosen_view(request, "")
    return remember(HTMLResponse(page, status, headers=_SAFE), asked, _BASE)


@cache
def _opened() -> tuple[Installation, RightsBook]:
    """Open policy, keys and store once per process; nothing is migrated or made here."""
    settings = Settings.read(os.environ)
    if settings.evidence_url:
        # A server without keys cannot open anybody's record.
        problem = SetupProblem("setup.evidence_only", role="safehands_officer")
        raise HTTPException(503, problem.say(settings.lang))
    provider = choose(settings.keys_url, key_sources(settings))
    policy = load_policy(settings.policy, settings.mappings)
    store = Store(database_url(settings), provider)
    inst = Installation(settings, policy, provider, store, lambda: datetime.now(UTC))
    return inst, load_rights_book(settings.policy)
