"""Owns the write gate in the target: closed until the application is switched over, and again when it goes back.

A closed gate is a statement trigger per table that refuses everybody but StepFlow; an open gate is the same trigger
disabled, so that it costs the application nothing. Both changes take a lock that waits for every transaction that has
written, and the next statement of every session sees them, whatever snapshot its transaction reads by. (A trigger that
reads a row saying "open" would let a REPEATABLE READ transaction write with an answer from before the closing.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepflow_tui.engine.errors import Drift
from stepflow_tui.engine.failpoints import failpoint
from stepflow_tui.engine.model.live import WRITER, Owner
from stepflow_tui.engine.model.plan import TablePlan
from stepflow_tui.engine.plan.quote import pg_literal
from stepflow_tui.engine.postgres.errors import pg_errors
from stepflow_tui.engine.postgres.table_locks import names_of, without_writers

if TYPE_CHECKING:
    import asyncpg

REFUSED = "SF001"
"""SQLSTATE of a refused write."""

TRIGGER = "_stepflow_gate"
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
    names = names_of(tables)

    async def keep_state(inner: asyncpg.Connection) -> None:
        if (await gate_state(inner)).open:
            for quoted in names:
                await inner.execute(f"alter table {quoted} disable trigger {TRIGGER}")

    with pg_errors("install the write gate"):
        made = [_FUNCTION, *(_make(quoted) for quoted in names)]
        await without_writers(conn, names, made, wait=wait, then=keep_state)


async def gate_state(conn: asyncpg.Connection) -> Gate:
    """The gate as it stands."""
    with pg_errors("read the write gate"):
        row = await conn.fetchrow("select owner, writes = 'open', version from _stepflow.gate")
    assert row is not None
    return Gate(owner=Owner(row[0]), open=row[1], version=row[2])


async def decide_owner(conn: asyncpg.Connection, *, wait: float) -> Gate:
    """The gate, decided: a turn of it that is still under way (its answer may have been lost) is waited for, and one that
    comes later fails, because it names the version before. Reading alone could see the owner of a moment ago.

    Args:
        wait: seconds until a turn under way must have ended.

    Raises:
        Held: `lock_held`, it did not end in time: nobody knows who owns writes yet.
    """
    with pg_errors("ask who owns writes"):
        async with conn.transaction():
            await conn.execute(f"set local lock_timeout = '{int(wait * 1000)}ms'")
            row = await conn.fetchrow(
                "update _stepflow.gate set version = version + 1 returning owner, writes = 'open', version"
            )
    if row is None:
        raise Drift(
            "The target no longer says who owns writes: the row of its gate is gone.",
            hint="Was the database restored from a backup? Bring back the one of this run.",
            code="gate_missing",
        )
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
    names = names_of(tables)
    with pg_errors("remove the write gate"):
        drops = [f"drop trigger if exists {TRIGGER} on {quoted}" for quoted in names]
        drops.append("drop function if exists _stepflow.refuse_write()")
        await without_writers(conn, names, drops, wait=wait)


async def _turn(
    conn: asyncpg.Connection,
    tables: Sequence[TablePlan],
    *,
    version: int,
    owner: Owner | None,
    open_: bool,
    wait: float,
) -> Gate:
    names = names_of(tables)
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
        turns = [f"alter table {quoted} {verb} trigger {TRIGGER}" for quoted in names]
        await without_writers(conn, names, turns, wait=wait, then=record)
        return await gate_state(conn)


def _make(quoted: str) -> str:
    """The trigger, closed. A statement trigger fires before any row is looked at, for COPY, MERGE and TRUNCATE too."""
    return (
        f"drop trigger if exists {TRIGGER} on {quoted};"
        f" create trigger {TRIGGER} before insert or update or delete or truncate on {quoted}"
        f" for each statement execute function _stepflow.refuse_write();"
        f" alter table {quoted} enable always trigger {TRIGGER}"
    )
