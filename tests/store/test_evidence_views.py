"""The views for dashboards that somebody already has: as documented, and with nobody in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from nights import BUSINESS_DATE
from safehands import pipeline
from safehands.installation import Installation
from safehands.sample.canaries import write_canary_landing
from safehands.settings import PROJECT
from safehands.store import Store

PAGE = (PROJECT / "docs" / "dashboards-sql.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### (evidence_\w+)\n(.*?)(?=^### |\Z)", PAGE, re.M | re.S))
QUERIES = [q for part in SECTIONS.values() for q in re.findall(r"```sql\n(.*?)```", part, re.S)]
# As Grafana writes its macro out, for a month around the night of all tests.
RANGE = r"\1 BETWEEN '2026-11-01T16:00:00Z' AND '2026-11-30T15:59:59Z'"
PERSONAL = re.compile(
    r"subject|person|phone|lookup|token|waybill|sealed|salt|address|sender|receiver|file|label"
    r"|by_whom|name|reason|request$|purpose"
)


def described(part: str) -> list[tuple[str, str]]:
    return re.findall(r"^\| `(\w+)` \| ([a-z ]+) \|", part, re.M)


def columns(store: Store) -> dict[str, list[tuple[str, str]]]:
    query = (
        "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_class c"
        " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0"
        " WHERE c.relkind = 'v' AND c.relnamespace = 'public'::regnamespace ORDER BY 1, a.attnum"
    )
    found: dict[str, list[tuple[str, str]]] = {}
    with store.admin().connect() as connection:
        for view, column, kind in connection.execute(text(query)):
            found.setdefault(view, []).append((column, kind))
    return found


def test_the_page_names_exactly_the_views_that_exist_with_their_columns(store: Store) -> None:
    assert {view: described(part) for view, part in SECTIONS.items()} == columns(store)
    assert len(SECTIONS) == 13
    assert all("```sql" in part for part in SECTIONS.values())


def test_no_column_is_named_after_a_person_a_token_or_a_file(store: Store) -> None:
    found = {c for view in columns(store).values() for c, _ in view if PERSONAL.search(c)}
    assert found == set()


def test_views_read_only_what_the_auditor_may_and_with_the_askers_rights(store: Store) -> None:
    query = (
        "SELECT DISTINCT d.refobjid::regclass::text, a.attname FROM pg_rewrite r"
        " JOIN pg_class v ON v.oid = r.ev_class AND v.relkind = 'v'"
        " AND v.relnamespace = 'public'::regnamespace"
        " JOIN pg_depend d ON d.objid = r.oid AND d.refclassid = 'pg_class'::regclass"
        " AND d.refobjsubid > 0"
        " JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid"
        " WHERE NOT has_column_privilege('safehands_auditor', d.refobjid, a.attnum, 'SELECT')"
    )
    plain = (
        "SELECT relname FROM pg_class WHERE relkind = 'v'"
        " AND relnamespace = 'public'::regnamespace"
        " AND NOT coalesce(reloptions, '{}') @> ARRAY['security_invoker=true']"
    )
    with store.admin().connect() as connection:
        assert connection.execute(text(query)).all() == []
        assert connection.execute(text(plain)).all() == []


@pytest.mark.parametrize("role", ["pipeline", "analyst", "officer", "backup"])
def test_nobody_but_the_auditor_is_let_in(store: Store, role: str) -> None:
    query = "SELECT relname FROM pg_class WHERE relkind = 'v' AND has_table_privilege(:r, oid, :p)"
    values = {"r": f"safehands_{role}", "p": "SELECT, INSERT, UPDATE, DELETE"}
    ours = f"{query} AND relnamespace = 'public'::regnamespace"
    with store.admin().connect() as connection:
        assert connection.execute(text(ours), values).all() == []


@contextmanager
def tool(store: Store) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """The page's own login, under a name of this test's database."""
    url = make_url(store.url)
    login = f"grafana_{url.database}"
    [words] = re.findall(r"```sql login\n(.*?)```", PAGE, re.S)
    with store.admin().begin() as connection:
        connection.execute(text(words.replace("grafana", login)))
        connection.execute(text(f"GRANT CONNECT ON DATABASE {url.database} TO {login}"))
    asked = url.set(username=login, password="choose-a-long-one", drivername="postgresql")
    plain = asked.difference_update_query(["passfile"]).render_as_string(hide_password=False)
    try:
        with psycopg.connect(plain, autocommit=True) as connection:
            yield connection
    finally:
        with store.admin().begin() as connection:
            connection.execute(text(f"DROP OWNED BY {login}"))
            connection.execute(text(f"DROP ROLE {login}"))


def test_every_documented_query_runs_and_tells_of_the_night(
    install: Callable[[], Installation],
) -> None:
    inst = install()
    write_canary_landing(inst.settings.landing, BUSINESS_DATE)
    pipeline.nightly(inst, BUSINESS_DATE, lambda step, shard, event: None)
    assert len(QUERIES) >= len(SECTIONS)
    found = {}
    with tool(inst.store) as grafana:
        for query in QUERIES:
            written_out = re.sub(r"\$__timeFilter\((\w+)\)", RANGE, query)
            found[query] = grafana.execute(written_out.encode()).fetchall()
            with inst.store.begin("safehands_auditor") as connection:
                asked = connection.exec_driver_sql(written_out.replace("%", "%%")).all()
            assert [tuple(row) for row in asked] == found[query]
        ask = "SELECT sum(checks), sum(failed) FROM evidence_{} WHERE business_date = %s"
        sums = {
            view: grafana.execute(ask.format(view).encode(), (BUSINESS_DATE,)).fetchone()
            for view in ("quality", "rules")
        }
        kept = grafana.execute("SELECT retention, keep_days FROM evidence_held").fetchall()
    # What one night without drill, hand-over and request leaves empty is known.
    empty = {re.findall(r"evidence_\w+", q)[0] for q, rows in found.items() if not rows}
    assert empty == {"evidence_drills", "evidence_handovers", "evidence_requests"}
    assert sums["quality"] == sums["rules"]
    assert kept
    assert all(inst.policy.retention[str(rule)].keep_days == days for rule, days in kept)


def test_the_login_writes_nothing_sees_no_person_and_can_be_bound(store: Store) -> None:
    owners = "INSERT INTO controller (code, name, kind) VALUES ('owner-1', '', ''), ('B', '', '')"
    held = "INSERT INTO held_figure SELECT id, '2026-11-23', 'quarantine', 3, 1, 0, 30"
    with store.admin().begin() as connection:
        connection.execute(text(owners))
        connection.execute(text(f"{held} FROM controller"))
    with tool(store) as grafana:
        for forbidden in ("SELECT 1 FROM subject", "SELECT sealed FROM quarantine"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                grafana.execute(forbidden.encode())
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            grafana.execute("CREATE TEMPORARY TABLE t (n int)")
        seen = "SELECT owner FROM evidence_held ORDER BY 1"
        assert grafana.execute(seen).fetchall() == [("B",), ("owner-1",)]
        [words] = re.findall(r"```sql bind\n(.*?)```", PAGE, re.S)
        with store.admin().begin() as connection:
            connection.execute(text(words.replace("'grafana'", f"'{grafana.info.user}'")))
        grafana.execute("SELECT set_config('safehands.controller', '2', false)")
        assert grafana.execute(seen).fetchall() == [("owner-1",)]
