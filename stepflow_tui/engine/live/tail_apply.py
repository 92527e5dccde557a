"""What one step writes: of each table first all deletes, then all inserts, because a unique value may move between rows."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass

from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.failpoints import failpoint
from stepflow_tui.engine.live.convert import Codec, Line
from stepflow_tui.engine.live.tail_job import TailJob
from stepflow_tui.engine.live.tail_source import SourceSide, Span
from stepflow_tui.engine.live.tail_target import TargetSide
from stepflow_tui.engine.postgres import progress
from stepflow_tui.engine.postgres.errors import pg_errors
from stepflow_tui.engine.postgres.progress import Poison

BLOCK_ROWS = 5_000
BLOCK_BYTES = 4 << 20

_RETRIED_POISON = 200
"""Quarantined rows that are tried again beside new changes of their table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What a step wrote: distinct keys, rows it put into the quarantine, and how many are there now (None: not looked)."""

    rows: int = 0
    poisoned: int = 0
    quarantined: int | None = None


class Applier:
    """Writes inside the step's two transactions.

    Args:
        job: what and where.
        source: with an open read transaction.
        target: with an open transaction.
    """

    def __init__(self, job: TailJob, source: SourceSide, target: TargetSide) -> None:
        self._job = job
        self._source = source
        self._target = target
        self._codecs = {t.source: Codec(t, job) for t in job.tables}
        # what the target holds of both, as this engine alone writes them; None: to be asked
        self._classed: set[str] | None = None
        self._quarantined: int | None = None
        self._refused: Poison | None = None  # the newest row that the server refused

    def forget(self) -> None:
        """What was written was rolled back."""
        self._classed = self._quarantined = None

    async def apply(self, span: Span, *, whole: bool) -> Applied:
        """Write the changes of these log entries.

        Args:
            span: the entries.
            whole: they are the whole backlog.

        Raises:
            ValueMoved: a unique value is still taken, and the backlog is not whole.
            StepFlowError: by cause.
        """
        unknown = sorted(set(span.counts) - set(self._codecs))
        if unknown:
            raise StepFailed(
                "The source's change log holds changes of tables that this run does not know.",
                detail=", ".join(unknown),
                hint="This is a defect: please report it with the detail above.",
                code="unknown_table",
            )
        again = await self._kept()
        rows, poisoned = 0, 0
        for name in span.counts:
            codec, tried = self._codecs[name], again.get(name, ())
            rows += await self._clear(codec, span, tried)
            failpoint("tail_deleted")
            poisoned += await self._fill(codec, span, tried, whole=whole)
            failpoint("tail_inserted")
        if again or poisoned:
            counted = await self._target.ask(progress.count_poison(self._target.connection, self._job.run))
            self._quarantined = sum(counted.values())
        return Applied(rows=rows, poisoned=poisoned, quarantined=self._quarantined or 0)

    async def _kept(self) -> dict[str, tuple[int, ...]]:
        """Log entries of quarantined rows by table; which tables have storage classes is looked up beside."""
        connection, again = self._target.connection, dict[str, tuple[int, ...]]()
        with pg_errors("apply changes", self._job.target):
            if self._quarantined != 0:
                again = await self._target.ask(
                    progress.poison_entries(connection, self._job.run, per_table=_RETRIED_POISON)
                )
                self._quarantined = sum(map(len, again.values()))
            if self._classed is None:
                self._classed = set(await self._target.ask(progress.classed_tables(connection)))
        return again

    async def _clear(self, codec: Codec, span: Span, again: tuple[int, ...]) -> int:
        """Delete what the target has of the keys that may have changed. Returns how many keys."""
        connection, name = self._target.connection, codec.table.source
        assert self._classed is not None
        count = 0
        async with aclosing(self._source.keys(codec.table, span, again)) as parts:
            async for part in parts:
                values = [row[:-1] for row in part]
                count += len(part)
                keys = [key for v in values if (key := codec.key(v)) is not None]
                await self._target.delete(codec, keys)
                with pg_errors("apply changes", self._job.target, codec.hidden):
                    if again:
                        shown = [codec.shown(v) for v in values]
                        await self._target.ask(progress.remove_poison(connection, self._job.run, name, shown))
                    if name in self._classed and keys:
                        await self._target.ask(progress.remove_classes(connection, name, keys))
        return count

    async def _fill(self, codec: Codec, span: Span, again: tuple[int, ...], *, whole: bool) -> int:
        """Insert the present rows of those keys. Returns how many went to the quarantine."""
        poisoned = refused = size = 0
        block: list[Line] = []
        async with aclosing(self._source.rows(codec.table, span, again)) as parts:
            async for part in parts:
                lines = [codec.line(row[:-1], row[-1]) for row in part]
                bad = [line for line in lines if isinstance(line, Poison)]
                poisoned += len(bad)
                await self._quarantine(bad)
                for line in lines:
                    if isinstance(line, Poison):
                        continue
                    block.append(line)
                    size += line.csv.size
                    if len(block) >= BLOCK_ROWS or size >= BLOCK_BYTES:
                        refused += await self._send(codec, block, whole=whole)
                        block, size = [], 0
        refused += await self._send(codec, block, whole=whole)
        if refused > self._job.poison_limit:
            raise StepFailed(
                f"The target refuses too many rows of {codec.table.source}: the type of a column is wrong.",
                detail=f"{refused} rows of one step{_last(self._refused)}",
                hint="Correct the type in `types`, then start a new run.",
                code="rows_refused",
            )
        return poisoned + refused

    async def _send(self, codec: Codec, lines: list[Line], *, whole: bool) -> int:
        bad = await self._target.insert(codec, lines, whole=whole)
        self._refused = bad[-1] if bad else self._refused
        await self._quarantine(bad)
        refused = {p.n for p in bad}
        classes = [c for line in lines if line.n not in refused for c in line.classes]
        if classes:
            assert self._classed is not None
            with pg_errors("keep storage classes", self._job.target):
                await self._target.ask(progress.add_classes(self._target.connection, classes))
            self._classed.add(codec.table.source)
        return len(bad)

    async def _quarantine(self, bad: list[Poison]) -> None:
        if bad:
            with pg_errors("quarantine rows", self._job.target):
                await self._target.ask(progress.add_poison(self._target.connection, self._job.run, bad))


def _last(row: Poison | None) -> str:
    return (
        f", last: key {', '.join(row.key)}, column {row.column or 'unknown'}: {row.reason}" if row is not None else ""
    )
