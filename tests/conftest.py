"""Fixtures every test may use: a PostgreSQL server shared by all workers, and a fresh database per test."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import secrets
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest

from stepflow_tui.engine.errors import Held, StepFlowError
from stepflow_tui.engine.postgres import embedded_server
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.postgres.embedded import Embedded
from stepflow_tui.engine.texts import language
from tests.long import LONG

T = TypeVar("T")

SERVER_OPTIONS = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "256MB", "max_connections": "100"}
_PREFIX = f"stepflow-test-{os.getuid()}-"
_ENOUGH_BYTES = 1 << 30


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine from a sync fixture, in a loop of its own thread, whatever loop the test has."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def _memory_folder() -> Path | None:
    shm = Path("/dev/shm")
    try:
        facts = os.statvfs(shm)
    except OSError:
        return None
    return shm if facts.f_bavail * facts.f_frsize >= _ENOUGH_BYTES and os.access(shm, os.W_OK | os.X_OK) else None


def _remove_abandoned(parent: Path, mine: Path) -> None:
    """Clusters of test sessions that were killed: nobody holds their lock any more.

    Several workers do this at once, so what one of them finds may be gone a moment later: that is no reason to fail.
    """
    for base in parent.glob(f"{_PREFIX}*"):
        if base == mine:
            continue
        with contextlib.suppress(StepFlowError, OSError):
            fd = os.open(base / "in-use.lock", os.O_RDWR)
            try:
                free = embedded_server.try_lock(fd, fcntl.LOCK_EX)
            finally:
                os.close(fd)
            if free:
                run_async(Embedded(base, base=base).remove())


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the long ones, before `-m` chooses."""
    for item in items:
        if any(part in item.nodeid for part in LONG):
            item.add_marker(pytest.mark.long)


class Server:
    """The session's server: hands out fresh databases."""

    def __init__(self, embedded: Embedded, *, in_memory: bool) -> None:
        self._embedded = embedded
        # copying files is the fastest way in memory, and the slowest on a disk that syncs
        self._strategy = "file_copy" if in_memory else "wal_log"

    def create(self, prefix: str = "t") -> Target:
        """A new empty database."""
        name = f"{prefix}_{secrets.token_hex(6)}"
        self.sql(f'create database "{name}" template template0 strategy {self._strategy}')
        return self._embedded.target(name)

    def drop(self, target: Target) -> None:
        """Drops it, whoever is still connected."""
        self.sql(f'drop database if exists "{target.database}" with (force)')

    def sql(self, statement: str) -> None:
        """Runs one statement as administrator."""
        run_async(self._sql(statement))

    async def _sql(self, statement: str) -> None:
        connection = await self.admin.connect()
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    @property
    def admin(self) -> Target:
        """The maintenance database, as superuser."""
        return self._embedded.target("postgres")


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    """Every test begins in English: a command run in the test's own process leaves its language behind."""
    language.use("en")
    yield
    language.use("en")


@pytest.fixture(scope="session")
def pg_server() -> Iterator[Server]:
    """One server for all workers of this session, in memory where there is room; the last worker removes it."""
    memory = _memory_folder()
    parent = memory or Path("/var/tmp")
    session = os.environ.get("PYTEST_XDIST_TESTRUNUID", "") or secrets.token_hex(8)
    base = parent / f"{_PREFIX}{session[:8]}"
    _remove_abandoned(parent, base)
    embedded = Embedded(base, base=base, options=SERVER_OPTIONS)
    run_async(embedded.start())
    try:
        yield Server(embedded, in_memory=memory is not None)
    finally:
        if run_async(embedded.release()):
            with contextlib.suppress(Held):  # another worker has just started it again
                run_async(embedded.remove())


@pytest.fixture
def pg_target(pg_server: Server) -> Iterator[Target]:
    """A fresh database, dropped afterwards."""
    target = pg_server.create()
    yield target
    pg_server.drop(target)


@pytest.fixture
def pg_dsn(pg_target: Target) -> str:
    """The URI of a fresh database, with its password; short enough that every driver takes it."""
    return pg_target.application_uri()
