"""Storage classes of the rows that the backfill brought over: the tail keeps those of the rows that it applies itself."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

from stepflow_tui.engine.bulk.reader import exact_columns, exact_values
from stepflow_tui.engine.live.convert import Codec
from stepflow_tui.engine.live.tail_job import TailJob
from stepflow_tui.engine.model.plan import TableFacts, TablePlan
from stepflow_tui.engine.model.types import Kind
from stepflow_tui.engine.plan.quote import lite_ident
from stepflow_tui.engine.postgres.errors import pg_errors
from stepflow_tui.engine.postgres.progress import StorageClass, claim
from stepflow_tui.engine.sqlite.connect import open_frozen

_BLOCK = 5_000


async def keep_classes(job: TailJob, frozen: Path, facts: Mapping[str, TableFacts]) -> int:
    """Keep the storage class of every value whose column in the target does not tell it. Replaces what was kept before.

    Called once after the backfill, before the first step of the tail.

    Args:
        job: the tail's.
        frozen: the file that the backfill read.
        facts: what the census counted in it; columns without a value that breaks its type's term are left out.

    Returns:
        How many values.

    Raises:
        StepFlowError: by cause.
    """
    connection = await job.target.connect()
    count = 0
    try:
        with pg_errors("keep storage classes", job.target):
            async with connection.transaction():
                await claim(connection, job.run, job.epoch)
                await connection.execute(
                    "delete from _stepflow.class where tb = any($1::text[])", [t.source for t in job.tables]
                )
                for table in job.tables:
                    rows = _classes(job, frozen, table, facts.get(table.source))
                    while block := await asyncio.to_thread(_some, rows):
                        records = [(c.table, list(c.key), c.column, c.storage) for c in block]
                        await connection.copy_records_to_table(
                            "class", schema_name="_stepflow", records=records, columns=["tb", "k", "col", "class"]
                        )
                        count += len(block)
    finally:
        connection.terminate()
    return count


def _some(rows: Iterator[StorageClass]) -> list[StorageClass]:
    block: list[StorageClass] = []
    for one in rows:
        block.append(one)
        if len(block) >= _BLOCK:
            break
    return block


def _classes(job: TailJob, frozen: Path, table: TablePlan, facts: TableFacts | None) -> Iterator[StorageClass]:
    wanted = [c.source for c in table.copied if c.type.kind is Kind.MIXED_TEXT or _odd(facts, c.source)]
    if not wanted or not table.live_key:
        return
    codec = Codec(table, job)
    columns = exact_columns([lite_ident(c.source) for c in table.copied], wide=job.codec != "utf-8")
    sql = (
        f"select {columns} from {lite_ident(table.source)} where {' or '.join(_unlike_text(table, c) for c in wanted)}"
    )
    with closing(open_frozen(frozen, exact_rows=True)) as conn:
        yield from _read(conn.execute(sql), codec, job)


def _odd(facts: TableFacts | None, column: str) -> bool:
    counted = facts.columns.get(column) if facts is not None else None
    return counted is None or counted.violations > 0


def _unlike_text(table: TablePlan, source: str) -> str:
    """Rows worth looking at: text is the class that mixed columns have unless another one is kept."""
    column = next(c for c in table.copied if c.source == source)
    x = lite_ident(source)
    return f"typeof({x}) not in ('text','null')" if column.type.kind is Kind.MIXED_TEXT else f"{x} is not null"


def _read(rows: sqlite3.Cursor, codec: Codec, job: TailJob) -> Iterator[StorageClass]:
    for raw in rows:
        values = exact_values(raw, job.codec)
        yield from codec.classes([values[i] for i in codec.places], values)
