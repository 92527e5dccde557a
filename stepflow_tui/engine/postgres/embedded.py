"""The embedded PostgreSQL of a state directory: one cluster, one database per run name.

The server outlives whoever started it, is found again by its postmaster.pid, and stops when its last user lets go,
unless it is pinned. Users hold a shared lock on `in-use.lock`; the kernel drops it when they die.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from stepflow_tui.engine.errors import Held, Refused
from stepflow_tui.engine.plan.quote import pg_ident
from stepflow_tui.engine.postgres import embedded_server
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.postgres.embedded_home import Home, base_folder, prepare, service_account
from stepflow_tui.engine.postgres.embedded_server import ROLE, Server
from stepflow_tui.engine.postgres.errors import pg_errors


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedStatus:
    """What `doctor` and `embedded` show."""

    running: bool
    pid: int | None
    pinned: bool
    version: str
    folder: str


class Embedded:
    """The embedded PostgreSQL of one state directory.

    Args:
        state_dir: absolute path; its real path names the cluster.
        base: another folder for the cluster itself (tests keep theirs in memory).
        options: further server settings, given on the command line when we start it.
    """

    def __init__(self, state_dir: Path, *, base: Path | None = None, options: Mapping[str, str] | None = None) -> None:
        self._state_dir = state_dir
        self._base = base
        self._options = dict(options or {})
        self._home: Home | None = None
        self._server: Server | None = None
        self._in_use: int | None = None

    @classmethod
    def exists(cls, state_dir: Path) -> bool:
        """Whether this state directory ever had a cluster; looking makes nothing."""
        return (base_folder(state_dir, service_account()) / "data" / "PG_VERSION").exists()

    async def start(self, *, tcp: bool = False) -> None:
        """Starts the server or finds it running, and registers us as one of its users until `release()`.

        Args:
            tcp: when it has to be started, let it listen on a free port of 127.0.0.1 as well.

        Raises:
            UsageError: the wheel isn't installed (code `embedded_missing`).
            Refused: a data folder of another version or owner.
            StepFailed: it doesn't start.
        """
        await asyncio.to_thread(self._start, tcp)
        connection = await self.target("postgres").connect()
        await connection.close()

    def _start(self, tcp: bool) -> None:
        home = self._prepared()
        with embedded_server.exclusive(home.base / "start.lock"):
            if not home.sockets.exists():  # the one we waited for has removed the cluster
                home = self._home = prepare(self._state_dir, self._base)
            if self._in_use is None:
                self._in_use = os.open(home.base / "in-use.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                # only whoever stops the server takes it exclusively, and that one holds the start lock
                fcntl.flock(self._in_use, fcntl.LOCK_SH)
            self._server = embedded_server.start(home, self._options, tcp=tcp)

    def _prepared(self) -> Home:
        if self._home is None:
            self._home = prepare(self._state_dir, self._base)
        return self._home

    def target(self, database: str, *, schema: str = "public", tcp: bool = False) -> Target:
        """How to reach a database of the running server. Call `start()` first.

        Args:
            database: its name.
            tcp: through 127.0.0.1 instead of the socket; only if it was started so.
        """
        home, server = self._running()
        try:
            password = home.password_file.read_text(encoding="ascii").strip()
        except FileNotFoundError as exc:
            raise Refused(
                "The password of the embedded PostgreSQL is lost.",
                detail=str(home.password_file),
                hint="Use another --state-dir; the data folder beside it can be removed when nothing in it is needed.",
                code="embedded_password",
            ) from exc
        host = "127.0.0.1" if tcp else str(home.sockets)
        return Target(hosts=((host, server.port),), database=database, user=ROLE, password=password, schema=schema)

    def _running(self) -> tuple[Home, Server]:
        if self._home is None or self._server is None:
            raise RuntimeError("Embedded.start() has not been called")
        return self._home, self._server

    async def ensure_database(self, name: str) -> bool:
        """Makes the database unless it exists. Returns whether it was made."""
        import asyncpg

        admin = self.target("postgres")
        connection = await admin.connect()
        try:
            with pg_errors(f"create database {name}", admin):
                if await connection.fetchval("select 1 from pg_database where datname = $1", name):
                    return False
                try:
                    await connection.execute(f"create database {pg_ident(name)}")
                except (asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
                    return False  # another process made it in the same moment
                return True
        finally:
            await connection.close()

    async def drop_database(self, name: str) -> None:
        """Drops the database, ending its sessions; nothing happens when it doesn't exist."""
        admin = self.target("postgres")
        connection = await admin.connect()
        try:
            with pg_errors(f"drop database {name}", admin):
                await connection.execute(f"drop database if exists {pg_ident(name)} with (force)")
        finally:
            await connection.close()

    async def pin(self) -> None:
        """From now on only `stop()` ends the server."""
        home, _ = self._running()
        await asyncio.to_thread(home.pin.touch, 0o600)

    async def release(self) -> bool:
        """We no longer use the server; the last user stops it unless it is pinned. Returns whether it was stopped."""
        return await asyncio.to_thread(self._release)

    def _release(self) -> bool:
        if self._in_use is None:
            return False
        home = self._prepared()
        with embedded_server.exclusive(home.base / "start.lock"):
            try:
                if home.pin.exists() or not embedded_server.try_lock(self._in_use):
                    return False
                return embedded_server.stop(home)
            finally:
                os.close(self._in_use)
                self._in_use = self._server = None

    async def stop(self) -> bool:
        """Ends the server, pinned or not. Returns whether one was running.

        Raises:
            Held: a run or a front end uses it.
        """
        return await asyncio.to_thread(self._stop)

    def _stop(self) -> bool:
        home = self._prepared()
        with embedded_server.exclusive(home.base / "start.lock"), self._sole_user(home):
            home.pin.unlink(missing_ok=True)
            self._server = None
            return embedded_server.stop(home)

    @contextlib.contextmanager
    def _sole_user(self, home: Home) -> Iterator[None]:
        if self._in_use is not None:
            os.close(self._in_use)
            self._in_use = None
        fd = os.open(home.base / "in-use.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not embedded_server.try_lock(fd):
                raise Held(
                    "The embedded PostgreSQL is in use.",
                    detail=str(home.base),
                    hint="`stepflow runs` shows which run uses it; end or abort it first.",
                    code="embedded_in_use",
                )
            yield
        finally:
            os.close(fd)

    async def remove(self) -> None:
        """Ends the server and removes the cluster with all its databases.

        Raises:
            Held: a run or a front end uses it.
        """
        await asyncio.to_thread(self._remove)

    def _remove(self) -> None:
        home = self._prepared()
        with embedded_server.exclusive(home.base / "start.lock"), self._sole_user(home):
            self._server = None
            embedded_server.stop(home, immediate=True)
            shutil.rmtree(home.sockets, ignore_errors=True)
            shutil.rmtree(home.base)
        self._home = None

    async def status(self) -> EmbeddedStatus:
        """Whether it runs. Makes its folders when they are missing."""
        return await asyncio.to_thread(self._status)

    def _status(self) -> EmbeddedStatus:
        home = self._prepared()
        server = embedded_server.find(home)
        return EmbeddedStatus(
            running=server is not None and server.ready,
            pid=server.pid if server else None,
            pinned=home.pin.exists(),
            version=home.version,
            folder=str(home.base),
        )
