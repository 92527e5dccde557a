"""Owns how StepFlow takes locks on tables that an application writes to: briefly, in one order, giving way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from stepflow_tui.engine.errors import Held
from stepflow_tui.engine.model.plan import TablePlan
from stepflow_tui.engine.plan.quote import pg_name

if TYPE_CHECKING:
    import asyncpg

    Then = Callable[[asyncpg.Connection], Awaitable[None]]

_FIRST_WAIT_MS, _LAST_WAIT_MS = 50, 800
"""For one table's lock: below deadlock_timeout (1 s), so that the application is never the one to be ended."""

_PAUSE_SECONDS = 0.05
_HOLDERS = """
select distinct l.pid, coalesce(nullif(a.application_name, ''), a.usename::text, '?') as who, a.state,
  extract(epoch from now() - a.xact_start)::bigint as seconds
from pg_locks l join pg_stat_activity a on a.pid = l.pid
where l.locktype = 'relation' and l.granted and l.relation = any($1::text[]::regclass[]::oid[])
  and ($2 or l.mode not in ('AccessShareLock', 'RowShareLock')) and l.pid <> pg_backend_pid()
order by seconds desc nulls last limit 5
"""


def names_of(tables: Sequence[TablePlan]) -> list[str]:
    """Qualified names in one order for everybody, so that two of ours can't wait for each other."""
    return sorted(pg_name(t.schema, t.name) for t in tables if t.impossible is None)


async def without_writers(
    conn: asyncpg.Connection, names: list[str], statements: Sequence[str], *, wait: float, then: Then | None = None
) -> None:
    """Runs the statements in a transaction that begins after every writer of the tables has ended and keeps others out.

    Each try gives up its locks before it tries again, so that the application waits for as long as one try at most.

    Args:
        conn: not in a transaction.
        wait: seconds after which no new try is made.
        then: the rest of the transaction.

    Raises:
        Held: transactions that have written did not end in time; nothing has changed.
    """

    async def alone(conn: asyncpg.Connection) -> None:
        if names:
            await conn.execute(f"lock table {', '.join(names)} in share row exclusive mode")
        for statement in statements:
            await conn.execute(statement)
        if then is not None:
            await then(conn)

    await in_tries(conn, names, alone, wait=wait, readers=False)


async def in_tries(
    conn: asyncpg.Connection, names: list[str], body: Then, *, wait: float, readers: bool = True
) -> None:
    """Runs `body` in a transaction that gives up and starts anew rather than queue for a lock: all who come later, readers
    too, would queue behind it.

    Args:
        conn: not in a transaction.
        names: the tables whose holders a refusal names.
        body: may run several times; only the last one counts.
        wait: seconds after which no new try is made.
        readers: whether readers are in its way too.

    Raises:
        Held: `target_writers`; nothing has changed.
    """
    import asyncpg

    deadline, patience = time.monotonic() + wait, _FIRST_WAIT_MS
    while True:
        try:
            async with conn.transaction():
                await conn.execute(f"set local lock_timeout = '{patience}ms'")
                await body(conn)
                return
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            if time.monotonic() >= deadline:
                raise await _held(conn, names, readers=readers) from None
        await asyncio.sleep(_PAUSE_SECONDS)
        patience = min(patience * 2, _LAST_WAIT_MS)


async def _held(conn: asyncpg.Connection, names: list[str], *, readers: bool) -> Held:
    found = await conn.fetch(_HOLDERS, names, readers)
    shown = ", ".join(f"backend {r['pid']} ({r['who']}, {r['state']}, for {r['seconds']} s)" for r in found)
    return Held(
        "Transactions that use the target's tables did not end in time.",
        detail=shown or "they ended just now",
        hint="End them (pg_terminate_backend), then try again; nothing has changed.",
        code="target_writers",
    )
