"""A worker's connections: made at first use, kept between segments, thrown away when lost."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from stepflow_tui.engine.bulk import arrow
from stepflow_tui.engine.bulk.failures import target_error
from stepflow_tui.engine.bulk.outcome import application_name
from stepflow_tui.engine.model.live import WRITER
from stepflow_tui.engine.plan.quote import pg_literal
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.postgres.errors import pg_errors
from stepflow_tui.engine.sqlite.connect import open_frozen

if TYPE_CHECKING:
    import asyncpg

T = TypeVar("T")


class Session:
    """Connections of one process, by what they lead to."""

    def __init__(self) -> None:
        self._arrow_files: dict[Path, arrow.Connection] = {}
        self._arrow_targets: dict[tuple[Target, str], arrow.Connection] = {}
        self._files: dict[Path, sqlite3.Connection] = {}
        self._targets: dict[tuple[Target, str], asyncpg.Connection] = {}
        self._runner: asyncio.Runner | None = None

    def arrow_file(self, path: Path) -> arrow.Connection:
        """The frozen file through the Arrow driver."""
        if path not in self._arrow_files:
            self._arrow_files[path] = arrow.open_frozen(path)
        return self._arrow_files[path]

    def file(self, path: Path) -> sqlite3.Connection:
        """The frozen file through the standard library; TEXT arrives as `Text`."""
        if path not in self._files:
            self._files[path] = open_frozen(path, exact_rows=True)
        return self._files[path]

    def arrow_target(self, target: Target, run: str) -> arrow.Connection:
        """The target through libpq, outside autocommit, with a pinned session.

        Raises:
            StepFlowError: by cause.
        """
        key = (target, run)
        if key not in self._arrow_targets:
            try:
                connection = arrow.open_target(target.uri())
                try:
                    arrow.execute(connection, target.session_sql())
                    arrow.execute(connection, _settings(run))
                    connection.commit()  # a setting made in a transaction that is rolled back is gone
                except BaseException:
                    connection.close()
                    raise
            except arrow.AdbcError as error:
                raise target_error(error, "connect to the target", target) from None
            self._arrow_targets[key] = connection
        return self._arrow_targets[key]

    async def target(self, target: Target, run: str) -> asyncpg.Connection:
        """The target through asyncpg, with a pinned session; lives in `wait`'s event loop.

        Raises:
            StepFlowError: by cause.
        """
        key = (target, run)
        known = self._targets.get(key)
        if known is not None and not known.is_closed():
            return known
        connection = await target.connect()
        with pg_errors("pin the session", target):
            await connection.execute(_settings(run))
        self._targets[key] = connection
        return connection

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in this process' one event loop."""
        if self._runner is None:
            self._runner = asyncio.Runner()
        return self._runner.run(work)

    def drop_targets(self) -> None:
        """Forget the connections to the target: one was lost, or stands in an unknown state."""
        for connection in self._arrow_targets.values():
            with suppress(arrow.AdbcError):
                connection.close()
        self._arrow_targets.clear()
        for link in self._targets.values():
            link.terminate()
        self._targets.clear()


def _settings(run: str) -> str:
    # what was committed without a flush is flushed once, before the engine calls a table done; the write gate and the
    # reverse log of a live run know our own writes by their origin
    return (
        "select set_config('synchronous_commit','off',false),"
        f" set_config('stepflow.origin',{pg_literal(WRITER)},false),"
        f" set_config('application_name',{pg_literal(application_name(run))},false)"
    )


SESSION = Session()
"""This process' connections."""
