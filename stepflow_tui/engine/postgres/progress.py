"""Where the tail stands in the target: the watermark, its epoch, the quarantine, storage classes, and marks in time.

All of it lives in the transaction that writes the rows, so that data and watermark can't part.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepflow_tui.engine.errors import Held
from stepflow_tui.engine.postgres.errors import pg_errors

if TYPE_CHECKING:
    import asyncpg

ORIGIN = "stepflow"
"""What `stepflow.origin` holds in transactions of ours, which the reverse log and the write fence let pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The newest log entry that is applied, under which engine's epoch, and how many entries were applied so far."""

    epoch: int
    w: int
    changes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Poison:
    """A row that the target can't hold: it is missing there until it applies.

    `table` and `column` are source names; `key` is as it may be shown; `n` the log entry that names the row.
    """

    table: str
    key: tuple[str, ...]
    column: str | None
    reason: str
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageClass:
    """The storage class of a value that the target's column does not tell. `table` and `column` are source names,
    `key` is the target's text form of the key."""

    table: str
    key: tuple[str, ...]
    column: str
    storage: str


async def start(conn: asyncpg.Connection, run: str, epoch: int, w0: int) -> int:
    """The tail of a starting engine: makes the row at `w0`, or takes it over with what was applied before. Commits by itself.

    An older engine's step that is under way is waited for; what it tries afterwards finds no row.

    Returns:
        The watermark.

    Raises:
        Held: a newer engine has it.
    """
    with pg_errors("take over the watermark"):
        async with conn.transaction():
            # a vanished predecessor's transaction must not make us wait for ever
            await conn.execute("set local lock_timeout = '60s'")
            w = await conn.fetchval(
                "insert into _stepflow.progress as p (run, epoch, w) values ($1, $2, $3) on conflict (run) do update"
                " set epoch = excluded.epoch where p.epoch <= excluded.epoch returning w",
                run, epoch, w0,
            )  # fmt: skip
    if w is None:
        raise superseded(epoch)
    return int(w)


async def read(conn: asyncpg.Connection, run: str) -> Progress | None:
    """Where the tail stands, None before it was started."""
    with pg_errors("read the watermark"):
        row = await conn.fetchrow("select epoch, w, changes from _stepflow.progress where run = $1", run)
    return Progress(epoch=row[0], w=row[1], changes=row[2]) if row else None


async def claim(conn: asyncpg.Connection, run: str, epoch: int) -> int:
    """Locks the watermark until the end of the caller's transaction, and marks that as ours.

    Returns:
        The watermark.

    Raises:
        Held: a newer engine has it.
    """
    w = await conn.fetchval(
        "select w from _stepflow.progress, set_config('stepflow.origin', $3, true)"
        " where run = $1 and epoch = $2 for update of progress",
        run, epoch, ORIGIN,
    )  # fmt: skip
    if w is None:
        raise superseded(epoch)
    return int(w)


async def advance(conn: asyncpg.Connection, run: str, epoch: int, *, old: int, new: int, changes: int) -> None:
    """Moves the watermark, in the caller's transaction, which writes the rows.

    Raises:
        Held: it does not stand where the caller's step began, or a newer engine has it.
    """
    status = await conn.execute(
        "update _stepflow.progress set w = $4, changes = changes + $5, applied_at = clock_timestamp()"
        " where run = $1 and epoch = $2 and w = $3",
        run, epoch, old, new, changes,
    )  # fmt: skip
    if status != "UPDATE 1":
        raise superseded(epoch)


async def rewind(conn: asyncpg.Connection, run: str, epoch: int, w0: int) -> None:
    """Sets the watermark to the position of a new copy of all tables, and forgets what belonged to the old one.

    Raises:
        Held: a newer engine has it.
    """
    with pg_errors("set the watermark back"):
        async with conn.transaction():
            await claim(conn, run, epoch)
            await conn.execute("update _stepflow.progress set w = $2 where run = $1", run, w0)
            await conn.execute("delete from _stepflow.poison where run = $1", run)
            await conn.execute("delete from _stepflow.mark where run = $1", run)
            await conn.execute("delete from _stepflow.class")


async def jump(conn: asyncpg.Connection, run: str, epoch: int, w: int) -> None:
    """Sets the watermark to an entry at which both sides are known to be equal.

    Raises:
        Held: a newer engine has it.
    """
    with pg_errors("move the watermark"):
        async with conn.transaction():
            await claim(conn, run, epoch)
            await conn.execute("update _stepflow.progress set w = $2 where run = $1", run, w)
            await conn.execute("delete from _stepflow.mark where run = $1", run)


def superseded(epoch: int) -> Held:
    """The error for a watermark that is no longer this engine's."""
    return Held(
        "Another engine has taken over this run.",
        detail=f"the watermark is not at the expected place in epoch {epoch}",
        hint="This one ends without having applied the changes; `stepflow attach` follows the other.",
        code="superseded",
    )


async def add_poison(conn: asyncpg.Connection, run: str, rows: Iterable[Poison]) -> None:
    """Quarantines rows, in the caller's transaction; a row that is there already gets the newer reason."""
    await conn.executemany(
        "insert into _stepflow.poison (run, tb, k, col, reason, n) values ($1, $2, $3, $4, $5, $6)"
        " on conflict (run, tb, k) do update set col = excluded.col, reason = excluded.reason, n = excluded.n",
        [(run, p.table, list(p.key), p.column, p.reason, p.n) for p in rows],
    )


async def remove_poison(conn: asyncpg.Connection, run: str, table: str, keys: Sequence[tuple[str, ...]]) -> None:
    """Forgets rows that are about to be applied again, in the caller's transaction."""
    await conn.execute(
        f"delete from _stepflow.poison where run = $1 and tb = $2 and k in (select {_array(keys)} from {_unnest(keys, 3)})",
        run, table, *_columns(keys),
    )  # fmt: skip


async def poison_entries(conn: asyncpg.Connection, run: str, *, per_table: int) -> dict[str, tuple[int, ...]]:
    """Log entries of quarantined rows, the oldest of each table that has any."""
    rows = await conn.fetch(
        "select tb, (array_agg(n order by n))[:$2] from _stepflow.poison where run = $1 group by tb", run, per_table
    )
    return {tb: tuple(entries) for tb, entries in rows}


async def list_poison(conn: asyncpg.Connection, run: str, *, limit: int = 1_000) -> list[Poison]:
    """Quarantined rows, the oldest first."""
    with pg_errors("read the quarantine"):
        rows = await conn.fetch(
            "select tb, k, col, reason, n from _stepflow.poison where run = $1 order by n, tb, k limit $2", run, limit
        )
    return [Poison(table=r[0], key=tuple(r[1]), column=r[2], reason=r[3], n=r[4]) for r in rows]


async def count_poison(conn: asyncpg.Connection, run: str) -> dict[str, int]:
    """Quarantined rows by table; empty when there is none."""
    with pg_errors("count the quarantine"):
        return {
            r[0]: r[1]
            for r in await conn.fetch("select tb, count(*) from _stepflow.poison where run = $1 group by tb", run)
        }


async def classed_tables(conn: asyncpg.Connection) -> frozenset[str]:
    """Tables of which storage classes are kept."""
    return frozenset(r[0] for r in await conn.fetch("select distinct tb from _stepflow.class"))


async def remove_classes(conn: asyncpg.Connection, table: str, keys: Sequence[tuple[str, ...]]) -> None:
    """Forgets the storage classes of rows that are about to be applied again, in the caller's transaction."""
    await conn.execute(
        f"delete from _stepflow.class where tb = $1 and k in (select {_array(keys)} from {_unnest(keys, 2)})",
        table, *_columns(keys),
    )  # fmt: skip


async def add_classes(conn: asyncpg.Connection, classes: Iterable[StorageClass]) -> None:
    """Keeps storage classes, in the caller's transaction."""
    await conn.executemany(
        "insert into _stepflow.class (tb, k, col, class) values ($1, $2, $3, $4)"
        " on conflict (tb, k, col) do update set class = excluded.class",
        [(c.table, list(c.key), c.column, c.storage) for c in classes],
    )


async def add_mark(conn: asyncpg.Connection, run: str, w: int) -> None:
    """Remembers when the watermark was where, in the caller's transaction: the log's retention is counted in it."""
    await conn.execute("insert into _stepflow.mark (run, w) values ($1, $2) on conflict do nothing", run, w)


async def prunable(conn: asyncpg.Connection, run: str, *, keep_seconds: float) -> int | None:
    """The newest log entry that was applied longer than `keep_seconds` ago and names no quarantined row, None without one.

    It is counted by this server's own rows and clock: a server restored to an older point knows older ones only.
    """
    with pg_errors("look for the end of the log's retention"):
        n = await conn.fetchval(
            "select least(max(m.w), (select min(n) - 1 from _stepflow.poison where run = $1),"
            " (select w from _stepflow.progress where run = $1)) from _stepflow.mark m"
            " where m.run = $1 and m.at <= clock_timestamp() - make_interval(secs => $2) having max(m.w) is not null",
            run, keep_seconds,
        )  # fmt: skip
    return None if n is None else int(n)


async def forget_marks(conn: asyncpg.Connection, run: str, below: int) -> None:
    """Drops marks whose log entries are gone."""
    with pg_errors("drop old marks"):
        await conn.execute("delete from _stepflow.mark where run = $1 and w < $2", run, below)


def _columns(keys: Sequence[tuple[str, ...]]) -> list[list[str]]:
    return [list(part) for part in zip(*keys, strict=True)]


def _array(keys: Sequence[tuple[str, ...]]) -> str:
    return f"array[{','.join(f'd.k{i}' for i in range(len(keys[0])))}]"


def _unnest(keys: Sequence[tuple[str, ...]], first: int) -> str:
    width = len(keys[0])
    arrays = ",".join(f"${first + i}::text[]" for i in range(width))
    return f"unnest({arrays}) as d({','.join(f'k{i}' for i in range(width))})"
