"""The truth about segments: `_stepflow.ledger`, with the rejects and the digests of the compared ranges."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from stepflow_tui.engine.errors import Held
from stepflow_tui.engine.model.codec import dumps, from_plain
from stepflow_tui.engine.model.discrepancy import RangeDigest, Reject, Scalar
from stepflow_tui.engine.postgres.errors import pg_errors

if TYPE_CHECKING:
    import asyncpg


class Mode(StrEnum):
    """Which way a segment's rows go."""

    FAST = "fast"
    SLOW = "slow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One row of the ledger. `lo` (exclusive) and `hi` (inclusive) are JSON; None leaves that side open.

    `rows` and `rejected` are None until it is done.
    """

    n: int
    table: str
    mode: Mode
    lo: str | None = None
    hi: str | None = None
    done: bool = False
    rows: int | None = None
    rejected: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TableCount:
    """What the ledger says about one table."""

    table: str
    segments: int
    done: int
    rows: int
    rejected: int


FINISH_SQL = (
    "update _stepflow.ledger set state = 'done', rows = $4, rejected = $5"
    " where run = $1 and segment = $2 and epoch = $3 and state = 'open'"
)
"""Belongs into the transaction that writes the rows, and must touch exactly one row."""

_COLUMNS = "segment, tb, mode, lo, hi, state, rows, rejected"


async def add_segments(conn: asyncpg.Connection, run_id: str, epoch: int, segments: Iterable[Segment]) -> None:
    """Adds open segments, all or none; those that are there already stay as they are.

    Raises:
        Held: a newer engine has raised the epoch.
    """
    rows = [(run_id, s.n, s.table, s.mode.value, s.lo, s.hi, epoch) for s in segments]
    with pg_errors("write the ledger"):
        async with conn.transaction():
            # held until the commit, so that the epoch can't move under the rows
            now = await conn.fetchval("select epoch from _stepflow.epoch where run = $1 for share", run_id)
            if now != epoch:
                raise superseded(rows[0][1] if rows else 0, epoch)
            await conn.executemany(
                "insert into _stepflow.ledger (run, segment, tb, mode, lo, hi, epoch) values ($1, $2, $3, $4, $5, $6, $7)"
                " on conflict do nothing",
                rows,
            )


def _segment(row: asyncpg.Record) -> Segment:
    return Segment(
        n=row[0], table=row[1], mode=Mode(row[2]), lo=row[3], hi=row[4], done=row[5] == "done", rows=row[6], rejected=row[7]
    )  # fmt: skip


async def segments(conn: asyncpg.Connection, run_id: str, *, table: str | None = None) -> list[Segment]:
    """All segments in order, of one table or of all."""
    with pg_errors("read the ledger"):
        rows = await conn.fetch(
            f"select {_COLUMNS} from _stepflow.ledger where run = $1 and ($2::text is null or tb = $2) order by segment",
            run_id, table,
        )  # fmt: skip
    return [_segment(row) for row in rows]


async def open_segments(conn: asyncpg.Connection, run_id: str) -> list[Segment]:
    """The segments that remain to be done, in order. Raise the epoch first."""
    with pg_errors("read the ledger"):
        rows = await conn.fetch(
            f"select {_COLUMNS} from _stepflow.ledger where run = $1 and state = 'open' order by segment", run_id
        )
    return [_segment(row) for row in rows]


async def newest_segment(conn: asyncpg.Connection, run_id: str) -> int:
    """The largest segment number of the run, 0 without any."""
    with pg_errors("read the ledger"):
        return int(await conn.fetchval("select coalesce(max(segment), 0) from _stepflow.ledger where run = $1", run_id))


async def drop_table(conn: asyncpg.Connection, run_id: str, table: str) -> None:
    """Drops all segments and rejects of a table that is to be cut anew; beside the TRUNCATE, in the caller's transaction."""
    with pg_errors(f"cut {table} anew"):
        await conn.execute("delete from _stepflow.ledger where run = $1 and tb = $2", run_id, table)
        await conn.execute("delete from _stepflow.reject where run = $1 and tb = $2", run_id, table)


async def counts(conn: asyncpg.Connection, run_id: str) -> dict[str, TableCount]:
    """Per table: segments, segments done, rows written, rows rejected."""
    with pg_errors("read the ledger"):
        rows = await conn.fetch(
            "select tb, count(*), count(*) filter (where state = 'done'), coalesce(sum(rows), 0)::bigint,"
            " coalesce(sum(rejected), 0)::bigint from _stepflow.ledger where run = $1 group by tb",
            run_id,
        )
    return {r[0]: TableCount(table=r[0], segments=r[1], done=r[2], rows=r[3], rejected=r[4]) for r in rows}


async def finish_segment(
    conn: asyncpg.Connection, run_id: str, n: int, epoch: int, *, rows: int, rejected: int = 0
) -> None:
    """Marks a segment done, in the caller's transaction, which writes its rows.

    Raises:
        Held: the segment isn't open in this epoch: a newer engine has taken over, or it is done. Roll back and end.
    """
    with pg_errors(f"finish segment {n}"):
        status = await conn.execute(FINISH_SQL, run_id, n, epoch, rows, rejected)
    if status != "UPDATE 1":
        raise superseded(n, epoch)


def superseded(n: int, epoch: int) -> Held:
    """The error for a ledger update that did not touch exactly one row."""
    return Held(
        "Another engine has taken over this run.",
        detail=f"segment {n} is not open in epoch {epoch}",
        hint="This one ends without having written the segment; `stepflow attach` follows the other.",
        code="superseded",
    )


async def forget_table(conn: asyncpg.Connection, run_id: str, table: str) -> None:
    """Opens all segments of a table again and drops its rejects; beside the TRUNCATE, in the caller's transaction."""
    with pg_errors(f"start {table} from zero"):
        await conn.execute(
            "update _stepflow.ledger set state = 'open', rows = null, rejected = null where run = $1 and tb = $2",
            run_id,
            table,
        )
        await conn.execute("delete from _stepflow.reject where run = $1 and tb = $2", run_id, table)


async def add_rejects(conn: asyncpg.Connection, run_id: str, n: int, rejects: Sequence[Reject]) -> None:
    """Records refused rows, in the caller's transaction, which finishes their segment."""
    rows = [(run_id, n, r.table, dumps(r.key), r.column, r.reason, r.value) for r in rejects]
    with pg_errors("record rejects"):
        await conn.executemany(
            "insert into _stepflow.reject (run, segment, tb, key, col, reason, value) values ($1, $2, $3, $4, $5, $6, $7)",
            rows,
        )


async def forget_rejects(conn: asyncpg.Connection, run_id: str, table: str) -> None:
    """Drops the rejects of a table whose rows have all arrived since."""
    with pg_errors("forget the rejects"):
        await conn.execute("delete from _stepflow.reject where run = $1 and tb = $2", run_id, table)


async def rejects(conn: asyncpg.Connection, run_id: str, *, table: str | None = None) -> list[Reject]:
    """Refused rows in the order they were met."""
    with pg_errors("read the rejects"):
        rows = await conn.fetch(
            "select tb, key, col, reason, value from _stepflow.reject where run = $1 and ($2::text is null or tb = $2)"
            " order by segment, n",
            run_id, table,
        )  # fmt: skip
    return [Reject(table=r[0], key=_key(r[1]), column=r[2], reason=r[3], value=r[4]) for r in rows]


def _key(text: str) -> dict[str, Scalar]:
    key: dict[str, Scalar] = from_plain(dict[str, Scalar], json.loads(text))
    return key


async def put_digests(conn: asyncpg.Connection, run_id: str, table: str, ranges: Sequence[RangeDigest]) -> None:
    """Replaces the digests of a table's compared ranges, in one transaction."""
    with pg_errors("record digests"):
        async with conn.transaction():
            await conn.execute("delete from _stepflow.digest where run = $1 and tb = $2", run_id, table)
            await conn.executemany(
                "insert into _stepflow.digest (run, tb, n, lo, hi, rows, sha256) values ($1, $2, $3, $4, $5, $6, $7)",
                [(run_id, table, r.n, r.lo, r.hi, r.rows, r.sha256) for r in ranges],
            )


async def digests(conn: asyncpg.Connection, run_id: str, table: str) -> tuple[RangeDigest, ...]:
    """The digests of a table's compared ranges, in order."""
    with pg_errors("read digests"):
        rows = await conn.fetch(
            "select n, lo, hi, rows, sha256 from _stepflow.digest where run = $1 and tb = $2 order by n", run_id, table
        )
    return tuple(RangeDigest(n=r[0], lo=r[1], hi=r[2], rows=r[3], sha256=r[4]) for r in rows)
