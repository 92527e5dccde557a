"""Owns the write gate in the target: closed until the application is switched over, and again when it goes back.

A closed gate is a statement trigger per table that refuses everybody but StepFlow; an open gate is the same trigger
disabled, so that it costs the application nothing. Both changes take a lock that waits for every transaction that has
written, and the next statement of every session sees them, whatever snapshot its transaction reads by. (A trigger that
reads a row saying "open" would let a REPEATABLE READ transaction write with an answer from before the closing.)
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepflow_tui.engine.errors import Drift, Held
from stepflow_tui.engine.failpoints import failpoint
from stepflow_tui.engine.model.live import WRITER, Owner
from stepflow_tui.engine.model.plan import TablePlan
from stepflow_tui.engine.plan.quote import pg_literal, pg_name
from stepflow_tui.engine.postgres.errors import pg_errors

if TYPE_CHECKING:
    import asyncpg

    Then = Callable[[asyncpg.Connection], Awaitable[None]]

REFUSED = "SF001"
"""SQLSTATE of a refused write."""

TRIGGER = "_stepflow_gate"
_FIRST_WAIT_MS, _LAST_WAIT_MS = 50, 800
"""For one table's lock: below deadlock_timeout (1 s), so that the application is never the one to be ended."""

_FUNCTION = f"""
create or replace function _stepflow.refuse_write() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $function$
declare
  side text;
begin
  if coalesce(current_setting('stepflow.origin', true), '') = {pg_literal(WRITER)} then
    return null;
  end if;
  select owner into side from _stepflow.gate;
  raise exception using errcode = '{REFUSED}',
    message = format('stepflow: writes to %I.%I are closed', tg_table_schema, tg_table_name),
    detail = format('Writes belong to %s while this database is being switched over.', side),
    hint = 'Ask the read switch who owns writes, wait, and try again there (stepflow_tui.client does both).';
end
$function$;
revoke all on function _stepflow.refuse_write() from public;
"""
_HOLDERS = """
select distinct l.pid, coalesce(nullif(a.application_name, ''), a.usename::text, '?') as who, a.state,
  extract(epoch from now() - a.xact_start)::bigint as seconds
from pg_locks l join pg_stat_activity a on a.pid = l.pid
where l.locktype = 'relation' and l.granted and l.relation = any($1::text[]::regclass[]::oid[])
  and l.mode in ('RowExclusiveLock', 'ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
  and l.pid <> pg_backend_pid()
order by seconds desc nulls last limit 5
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Whether the application may write to the target, which side owns writes, and the version that a change must name."""

    owner: Owner
    open: bool
    version: int


async def install_gate(conn: asyncpg.Connection, tables: Sequence[TablePlan], *, wait: float) -> None:
    """Put a closed gate on the tables, or whatever state the gate is in, if it was installed before.

    Args:
        conn: of the tables' owner, not in a transaction.
        tables: with a target.
        wait: seconds until every table's lock must have been there at once.

    Raises:
        Held: a transaction that has written to a table did not end in time; nothing has changed.
    """
    names = _names(tables)

    async def keep_state(inner: asyncpg.Connection) -> None:
        if (await gate_state(inner)).open:
            for name in names:
                await inner.execute(f"alter table {name} disable trigger {TRIGGER}")

    with pg_errors("install the write gate"):
        deadline = time.monotonic() + wait
        await _locked(conn, names, deadline, [_FUNCTION, *(_make(name) for name in names)], keep_state)


async def gate_state(conn: asyncpg.Connection) -> Gate:
    """The gate as it stands."""
    with pg_errors("read the write gate"):
        row = await conn.fetchrow("select owner, writes = 'open', version from _stepflow.gate")
    return Gate(owner=Owner(row[0]), open=row[1], version=row[2])


async def open_writes(
    conn: asyncpg.Connection, tables: Sequence[TablePlan], *, version: int, owner: Owner = Owner.POSTGRESQL, wait: float
) -> Gate:
    """Let the application write. Commits by itself.

    Args:
        version: of the gate as the caller knows it.
        owner: the side that owns writes from then on.
        wait: as `install_gate`.

    Raises:
        Drift: somebody changed the gate since. Held: as `install_gate`.
    """
    return await _turn(conn, tables, version=version, owner=owner, open_=True, wait=wait)


async def close_writes(
    conn: asyncpg.Connection, tables: Sequence[TablePlan], *, version: int, owner: Owner | None = None, wait: float
) -> Gate:
    """Refuse the application's writes. When this returns, every transaction that had written has ended, and none writes
    any more: what is visible then is all there is. Commits by itself.

    Args, Raises: as `open_writes`; `owner` None leaves it.
    """
    return await _turn(conn, tables, version=version, owner=owner, open_=False, wait=wait)


async def remove_gate(conn: asyncpg.Connection, tables: Sequence[TablePlan], *, wait: float) -> None:
    """Take the triggers and their function away; writes are free. Raises Held as `install_gate`."""
    names = _names(tables)
    with pg_errors("remove the write gate"):
        drops = [f"drop trigger if exists {TRIGGER} on {name}" for name in names]
        drops.append("drop function if exists _stepflow.refuse_write()")
        await _locked(conn, names, time.monotonic() + wait, drops)


async def _turn(
    conn: asyncpg.Connection, tables: Sequence[TablePlan], *, version: int, owner: Owner | None, open_: bool, wait: float
) -> Gate:
    names = _names(tables)
    verb = "disable" if open_ else "enable always"

    async def record(inner: asyncpg.Connection) -> None:
        row = await inner.fetchrow(
            "update _stepflow.gate set writes = $1, owner = coalesce($2, owner), version = version + 1,"
            " changed_at = clock_timestamp() where version = $3 returning version",
            "open" if open_ else "closed", owner.value if owner else None, version,
        )  # fmt: skip
        if row is None:
            raise Drift(
                "Somebody else changed the write gate of the target.",
                detail=f"expected version {version}",
                hint="Look at it with `stepflow status`, then try again.",
                code="gate_changed",
            )
        failpoint("gate_turned")

    with pg_errors("open the write gate" if open_ else "close the write gate"):
        turns = [f"alter table {name} {verb} trigger {TRIGGER}" for name in names]
        await _locked(conn, names, time.monotonic() + wait, turns, record)
        return await gate_state(conn)


async def _locked(
    conn: asyncpg.Connection, names: list[str], deadline: float, statements: list[str], then: Then | None = None
) -> None:
    """Runs the statements under locks of all tables that exclude writers.

    Each try gives up its locks before it tries again, so that the application waits for as long as one try at most.
    """
    import asyncpg

    patience = _FIRST_WAIT_MS
    while True:
        try:
            async with conn.transaction():
                await conn.execute(f"set local lock_timeout = '{patience}ms'")
                if names:
                    await conn.execute(f"lock table {', '.join(names)} in share row exclusive mode")
                for statement in statements:
                    await conn.execute(statement)
                if then is not None:
                    await then(conn)
                return
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            if time.monotonic() >= deadline:
                raise await _held(conn, names) from None
        await asyncio.sleep(min(0.05, max(0.0, deadline - time.monotonic())))
        patience = min(patience * 2, _LAST_WAIT_MS)


async def _held(conn: asyncpg.Connection, names: list[str]) -> Held:
    found = await conn.fetch(_HOLDERS, names)
    shown = ", ".join(f"backend {r['pid']} ({r['who']}, {r['state']}, for {r['seconds']} s)" for r in found)
    return Held(
        "Transactions that write to the target did not end in time.",
        detail=shown or "they ended just now",
        hint="End them (pg_terminate_backend), then try again; nothing has changed.",
        code="gate_busy",
    )


def _make(name: str) -> str:
    """The trigger, closed. A statement trigger fires before any row is looked at, for COPY, MERGE and TRUNCATE too."""
    return (
        f"drop trigger if exists {TRIGGER} on {name};"
        f" create trigger {TRIGGER} before insert or update or delete or truncate on {name}"
        f" for each statement execute function _stepflow.refuse_write();"
        f" alter table {name} enable always trigger {TRIGGER}"
    )


def _names(tables: Sequence[TablePlan]) -> list[str]:
    """Qualified names in one order for everybody, so that two of ours can't wait for each other."""
    return sorted(pg_name(t.schema, t.name) for t in tables if t.impossible is None)
