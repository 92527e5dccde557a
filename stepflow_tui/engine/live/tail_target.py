"""The tail's side of the target: one transaction per step, which holds rows, quarantine, storage classes and watermark."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from stepflow_tui.engine.bulk.failures import refused_column, refuses_rows
from stepflow_tui.engine.bulk.lines import pieces
from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.live.convert import Codec, Line
from stepflow_tui.engine.live.tail_job import TailJob
from stepflow_tui.engine.plan.quote import pg_ident, pg_name
from stepflow_tui.engine.postgres import progress
from stepflow_tui.engine.postgres.errors import discreet, pg_errors
from stepflow_tui.engine.postgres.progress import Poison
from stepflow_tui.engine.postgres.tail_guard import refuse_unsafe

if TYPE_CHECKING:
    import asyncpg

T = TypeVar("T")

_BYTES_PER_SECOND = 1_000_000
"""The slowest line that a large value is waited for on."""

_ROLLBACK_SECONDS = 5.0

_SESSION = (
    "select set_config('application_name', 'stepflow tail', false), set_config('lock_timeout', $1, false),"
    # the server gives up a transaction whose client vanished without a word, so that the next attempt can begin
    " set_config('idle_in_transaction_session_timeout', $2, false),"
    # few keys of a table are looked up by its key's index, whatever the statistics of a table just loaded say
    " set_config('enable_hashjoin', 'off', false), set_config('enable_mergejoin', 'off', false),"
    " set_config('enable_seqscan', 'off', false)"
)


class ValueMoved(Exception):
    """A unique value moves between rows of which only some belong to this step: it must take the whole backlog."""


class TargetSide:
    """The connection, made when needed, thrown away when in doubt."""

    def __init__(self, job: TailJob) -> None:
        self._job = job
        self._connection: asyncpg.Connection | None = None
        self._hidden = frozenset(c.target for t in job.tables for c in t.columns if job.mask.covers(t.source, c.source))

    async def begin(self) -> int:
        """Begin a step's transaction and lock the watermark, which is returned.

        Raises:
            Held: a newer engine has taken over.
            StepFlowError: by cause.
        """
        with self._errors():
            if self._connection is None or self._connection.is_closed():
                async with asyncio.timeout(self._job.answer_seconds):
                    self._connection = await self._job.target.connect()
                await self.ask(self._connection.fetchrow(_SESSION, *self._limits()))
                await self.ask(refuse_unsafe(self._connection, self._job.tables))
            await self.ask(self.connection.execute("begin"))
            return await self.ask(progress.claim(self.connection, self._job.run, self._job.epoch))

    def _limits(self) -> tuple[str, str]:
        """Of a lock's wait, and of a transaction without a client."""
        return f"{round(self._job.lock_seconds * 1000)}ms", f"{round(self._job.answer_seconds * 1000)}ms"

    @property
    def connection(self) -> asyncpg.Connection:
        """The open connection."""
        assert self._connection is not None
        return self._connection

    async def ask(self, answer: Awaitable[T], *, size: int = 0) -> T:
        """An answer of the server in time; `size` in bytes is what is sent for it."""
        async with asyncio.timeout(self._job.answer_seconds + size / _BYTES_PER_SECOND):
            return await answer

    async def delete(self, codec: Codec, keys: Sequence[tuple[str, ...]]) -> None:
        """Delete rows by key, through the key's index."""
        table = codec.table
        if not keys:
            return
        types = {c.source: c.type.sql for c in table.columns}
        parts = range(codec.width)
        on = " and ".join(
            f"t.{pg_ident(target)} = d.k{i}::{types[source]}"
            for i, source, target in zip(parts, table.live_key, table.live_targets, strict=True)
        )
        arrays = ",".join(f"${i + 1}::text[]" for i in parts)
        names = ",".join(f"k{i}" for i in parts)
        sql = f"delete from {pg_name(table.schema, table.name)} as t using unnest({arrays}) as d({names}) where {on}"
        with self._errors():
            await self.ask(self.connection.execute(sql, *[list(column) for column in zip(*keys, strict=True)]))

    async def insert(self, codec: Codec, lines: list[Line], *, whole: bool) -> list[Poison]:
        """Insert rows, halving a refused block until the refused ones stand alone.

        Args:
            codec: the table's.
            lines: the rows.
            whole: the step takes the whole backlog, so that what breaks a unique key breaks it for good.

        Returns:
            The rows that the server refuses.

        Raises:
            ValueMoved: a unique value is taken, and the step is not whole.
        """
        with self._errors():
            return await self._insert(codec, lines, whole=whole)

    async def _insert(self, codec: Codec, lines: list[Line], *, whole: bool) -> list[Poison]:
        import asyncpg

        if not lines:
            return []
        await self.ask(self.connection.execute("savepoint rows"))
        try:
            await self._copy(codec, lines)
        except asyncpg.PostgresError as error:
            if not refuses_rows(error.sqlstate or ""):
                raise
            if error.sqlstate == "23505" and not whole:
                raise ValueMoved from error
            await self.ask(self.connection.execute("rollback to savepoint rows; release savepoint rows"))
            if len(lines) == 1:
                return [self._refused(codec, lines[0], error)]
        else:
            await self.ask(self.connection.execute("release savepoint rows"))
            return []
        middle = len(lines) // 2
        refused = await self._insert(codec, lines[:middle], whole=whole)
        return refused + await self._insert(codec, lines[middle:], whole=whole)

    async def _copy(self, codec: Codec, lines: list[Line]) -> None:
        table = codec.table
        size = sum(line.csv.size for line in lines)
        status = await self.ask(
            self.connection.copy_to_table(
                table.name, schema_name=table.schema, columns=[c.target for c in table.copied], format="csv",
                source=pieces(line.csv for line in lines),
            ),
            size=size,
        )  # fmt: skip
        if status != f"COPY {len(lines)}":
            raise StepFailed(
                f"The target took another number of rows of {table.source} than were sent.",
                detail=f"sent {len(lines)}, answer {status}",
                hint="Look for a trigger or rule on the target table that drops rows.",
                code="rows_written",
            )

    def _refused(self, codec: Codec, line: Line, error: asyncpg.PostgresError) -> Poison:
        sources = {c.target: c.source for c in codec.table.copied}
        column = refused_column(error, sources)
        said = discreet(error, codec.hidden, column=column)
        reason = f"PostgreSQL {error.sqlstate}: {said.args[0] if said.args else ''}"
        return codec.poison(line.key, line.n, sources.get(column or ""), reason)

    async def commit(self) -> None:
        """Commit. Where this fails, only the watermark tells whether it happened."""
        with self._errors():
            await self.ask(self.connection.execute("commit"))

    async def undo(self) -> None:
        """Leave no transaction behind; a connection that does not answer is given up."""
        connection = self._connection
        if connection is None:
            return
        try:
            async with asyncio.timeout(_ROLLBACK_SECONDS):
                await connection.execute("rollback")
        except Exception:
            self.drop()
        except BaseException:
            self.drop()
            raise

    def drop(self) -> None:
        """Give the connection up."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                await connection.close(timeout=_ROLLBACK_SECONDS)
            connection.terminate()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        with pg_errors("apply changes", self._job.target, self._hidden):
            yield
