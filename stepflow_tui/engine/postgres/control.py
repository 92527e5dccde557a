"""The schema `_stepflow` in the target: who owns it, the epoch, statements done, the audit anchor.

The ledger of segments and the rejects live in `ledger.py`. Every function takes an open connection of the caller's;
whether it stands in the caller's transaction is said where it matters.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepflow_tui.engine.errors import Held, OutcomeUnknown, Refused, StepFlowError
from stepflow_tui.engine.model.plan import Statement
from stepflow_tui.engine.postgres.errors import pg_errors, sqlstate

if TYPE_CHECKING:
    import asyncpg

SCHEMA = "_stepflow"

_TABLES = """
create schema if not exists _stepflow;
comment on schema _stepflow is 'Bookkeeping of a StepFlow migration; removed when it is complete';
create table if not exists _stepflow.owner (
  one boolean primary key default true check (one),
  run text not null,
  target_schema text not null,
  system_identifier text not null,
  claimed_at timestamptz not null default now()
);
create table if not exists _stepflow.epoch (run text primary key, epoch integer not null);
create table if not exists _stepflow.ledger (
  run text not null, segment integer not null, tb text not null,
  mode text not null check (mode in ('fast', 'slow')),
  lo text, hi text,
  state text not null default 'open' check (state in ('open', 'done')),
  epoch integer not null, rows bigint, rejected bigint,
  primary key (run, segment)
);
create table if not exists _stepflow.action (
  run text not null, id text not null, stage text not null, sha256 text not null,
  done_at timestamptz not null default now(),
  primary key (run, id)
);
create table if not exists _stepflow.reject (
  n bigint generated always as identity primary key,
  run text not null, segment integer not null, tb text not null,
  key text not null, col text, reason text not null, value bytea
);
create index if not exists reject_run_segment on _stepflow.reject (run, segment);
create table if not exists _stepflow.digest (
  run text not null, tb text not null, n integer not null,
  lo text, hi text, rows bigint not null, sha256 text not null,
  primary key (run, tb, n)
);
create table if not exists _stepflow.anchor (run text primary key, entries bigint not null, head text not null);
"""
LOCK_SPACE = 0x53746570
"""First key of our advisory locks ("Step")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Which run owns the target."""

    run: str
    target_schema: str
    system_identifier: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementOutcome:
    """What became of a statement: done now, done before (`skipped`), or refused with the server's words."""

    skipped: bool = False
    refused: str = ""
    sqlstate: str = ""


def lock_key(schema: str) -> int:
    """Second key of the advisory lock of a target schema (a signed 32-bit number; the database is part of the lock)."""
    return int.from_bytes(hashlib.sha256(schema.encode()).digest()[:4], "big", signed=True)


async def installed(conn: asyncpg.Connection) -> bool:
    """Whether the control schema is there."""
    with pg_errors("look for the schema _stepflow"):
        return bool(await conn.fetchval("select to_regclass('_stepflow.owner') is not null"))


async def install(conn: asyncpg.Connection, run_id: str) -> None:
    """Makes the control schema unless it is there, and this run's row of `epoch`.

    Raises:
        Refused: no right to make a schema in the database.
    """
    with pg_errors("make the schema _stepflow"):
        async with conn.transaction():
            # two engines that start at once must not trip over each other's half-made schema
            await conn.execute("select pg_advisory_xact_lock($1, 0)", LOCK_SPACE)
            if not await conn.fetchval("select to_regclass('_stepflow.anchor') is not null"):
                await conn.execute(_TABLES)
            await conn.execute("insert into _stepflow.epoch values ($1, 0) on conflict do nothing", run_id)


async def owner(conn: asyncpg.Connection) -> Owner | None:
    """The run that owns the target, None without one."""
    if not await installed(conn):
        return None
    with pg_errors("read the owner of the target"):
        row = await conn.fetchrow("select run, target_schema, system_identifier from _stepflow.owner")
    return Owner(run=row[0], target_schema=row[1], system_identifier=row[2]) if row else None


async def take_lock(conn: asyncpg.Connection, schema: str) -> None:
    """One engine per target: an advisory lock that lives as long as this session.

    It can be lost with the session unnoticed, so the epoch guards every commit besides.

    Raises:
        Held: another session has it.
    """
    with pg_errors("lock the target"):
        taken = await conn.fetchval("select pg_try_advisory_lock($1, $2)", LOCK_SPACE, lock_key(schema))
        holder = None if taken else await _lock_holder(conn, schema)
    if not taken:
        raise Held(
            "Another run works on this target.",
            detail=f"schema {schema}; the lock is held by {holder or 'another session'}",
            hint="`stepflow runs` shows it, on the machine where it was started; wait for it or abort it.",
            code="target_held",
        )


async def _lock_holder(conn: asyncpg.Connection, schema: str) -> str | None:
    found: str | None = await conn.fetchval(
        "select format('backend %s (%s%s, since %s)', a.pid, a.usename, coalesce(' from ' || a.client_addr::text, ''), a.backend_start)"
        " from pg_locks l join pg_stat_activity a using (pid) where l.locktype = 'advisory' and l.granted"
        " and l.classid::bigint = $1 and l.objid::bigint = $2"
        " and l.database = (select oid from pg_database where datname = current_database())",
        LOCK_SPACE,
        lock_key(schema) & 0xFFFFFFFF,
    )
    return found


async def claim(
    conn: asyncpg.Connection, run_id: str, schema: str, *, takes_over: frozenset[str] = frozenset()
) -> None:
    """Locks the target for this session and writes the ownership marker. Commits by itself.

    Args:
        run_id: the run.
        schema: the target schema.
        takes_over: runs that are known to be over (rolled back, aborted) and may be replaced as owner.

    Raises:
        Held: another session works on the target.
        Refused: another run owns it, or the marker comes from another server (a restored copy).
    """
    await install(conn, run_id)
    await take_lock(conn, schema)
    identifier = await system_identifier(conn)
    with pg_errors("claim the target"):
        await conn.execute(
            "insert into _stepflow.owner (run, target_schema, system_identifier) values ($1, $2, $3)"
            " on conflict (one) do update set run = excluded.run, target_schema = excluded.target_schema,"
            " system_identifier = excluded.system_identifier, claimed_at = now() where owner.run = any($4)",
            run_id, schema, identifier, list(takes_over),
        )  # fmt: skip
        row = await conn.fetchrow("select run, target_schema, system_identifier from _stepflow.owner")
    if row is None or (row[0], row[1]) != (run_id, schema):
        raise Refused(
            "The target belongs to another run.",
            detail=f"run {row[0]}, schema {row[1]}" if row else "the ownership marker vanished",
            hint="`stepflow rollback` that run, or give another database or schema.",
            code="target_owned",
        )
    if row[2] != identifier:
        raise Refused(
            "The target is a copy of the database this run works on, on another server.",
            detail=f"marked on server {row[2]}, this is {identifier}",
            hint="Give the address of the server the run was started on, or start a new run with an empty database.",
            code="target_other_server",
        )


async def system_identifier(conn: asyncpg.Connection) -> str:
    """Tells servers apart, even restored copies under the same address; "unknown" where the role may not ask."""
    with pg_errors("read the server's identifier"):
        if not await conn.fetchval("select has_function_privilege('pg_control_system()', 'execute')"):
            return "unknown"
        return str(await conn.fetchval("select system_identifier from pg_control_system()"))


async def raise_epoch(conn: asyncpg.Connection, run_id: str) -> int:
    """The epoch of a starting engine. Committed before the ledger is read: commits of a killed predecessor that are
    still under way are either visible then, or fail because their epoch is no longer the ledger's."""
    with pg_errors("raise the epoch"):
        async with conn.transaction():
            # a vanished predecessor's transaction must not make us wait for ever
            await conn.execute("set local lock_timeout = '60s'")
            epoch = await conn.fetchval(
                "insert into _stepflow.epoch values ($1, 1) on conflict (run) do update set epoch = epoch.epoch + 1 returning epoch",
                run_id,
            )
            await conn.execute(
                "update _stepflow.ledger set epoch = $2 where run = $1 and state = 'open'", run_id, epoch
            )
    return int(epoch)


async def run_statement(
    conn: asyncpg.Connection, run_id: str, statement: Statement, hidden: Collection[str] = ()
) -> StatementOutcome:
    """Runs a planned statement once: it and its record in `_stepflow.action` are one transaction.

    An optional statement that the server refuses returns the server's words instead of raising; `hidden` columns are not
    quoted in them.

    Raises:
        StepFlowError: by cause. OutcomeUnknown if the connection broke at the commit: look with `done_statements`.
    """
    digest = hashlib.sha256(statement.sql.encode()).hexdigest()
    try:
        with pg_errors(f"run {statement.id}", None, hidden):
            async with conn.transaction():
                # a killed engine's transaction may still be under way: wait for it, then look
                await conn.execute(
                    "select pg_advisory_xact_lock(hashtextextended($1, $2))", f"{run_id} {statement.id}", LOCK_SPACE
                )
                if await _is_done(conn, run_id, statement, digest):
                    return StatementOutcome(skipped=True)
                await conn.execute(statement.sql)
                await conn.execute(
                    "insert into _stepflow.action (run, id, stage, sha256) values ($1, $2, $3, $4)",
                    run_id, statement.id, statement.stage.value, digest,
                )  # fmt: skip
    except StepFlowError as exc:
        state = sqlstate(exc)
        if exc.code == "connection_lost":
            raise OutcomeUnknown(
                "The connection broke while a statement was under way.", detail=f"{statement.id}; {exc.detail}"
            ) from exc
        if statement.optional and state and _says_no(state):
            return StatementOutcome(refused=_server_words(exc), sqlstate=state)
        raise
    return StatementOutcome()


def _says_no(state: str) -> bool:
    """Whether the server judged the statement itself: no lack of disk, memory, connections, locks or operators."""
    return state[:2] not in ("53", "57", "58", "08", "40", "XX") and state not in ("55P03", "25006")


def _server_words(exc: BaseException) -> str:
    cause = exc.__cause__
    message = str(cause.args[0]) if cause is not None and cause.args else str(exc)
    detail = getattr(cause, "detail", None)
    return f"{message} ({detail})" if detail else message


async def _is_done(conn: asyncpg.Connection, run_id: str, statement: Statement, digest: str) -> bool:
    found = await conn.fetchval("select sha256 from _stepflow.action where run = $1 and id = $2", run_id, statement.id)
    if found is not None and found != digest:
        raise Refused(
            f"The statement {statement.id} was run with another text before.",
            detail=f"recorded {found[:12]}, now {digest[:12]}",
            hint="The plan changed under the run: `stepflow rollback`, then start anew.",
            code="statement_changed",
        )
    return found is not None


async def done_statements(conn: asyncpg.Connection, run_id: str) -> frozenset[str]:
    """Ids of the statements that were done."""
    with pg_errors("read the statements done"):
        return frozenset(r[0] for r in await conn.fetch("select id from _stepflow.action where run = $1", run_id))


async def forget_statements(conn: asyncpg.Connection, run_id: str, ids: list[str]) -> None:
    """Takes the records back, in the caller's transaction, beside whatever undoes the statements."""
    with pg_errors("forget statements"):
        await conn.execute("delete from _stepflow.action where run = $1 and id = any($2)", run_id, ids)


async def set_anchor(conn: asyncpg.Connection, run_id: str, entries: int, head: str) -> None:
    """Anchors the audit chain's count and head; a smaller count never replaces a greater one."""
    with pg_errors("anchor the audit chain"):
        await conn.execute(
            "insert into _stepflow.anchor values ($1, $2, $3) on conflict (run) do update set entries = excluded.entries,"
            " head = excluded.head where anchor.entries <= excluded.entries",
            run_id, entries, head,
        )  # fmt: skip


async def anchor(conn: asyncpg.Connection, run_id: str) -> tuple[int, str] | None:
    """The anchored count and head."""
    with pg_errors("read the audit anchor"):
        row = await conn.fetchrow("select entries, head from _stepflow.anchor where run = $1", run_id)
    return (row[0], row[1]) if row else None


async def flush_commits(conn: asyncpg.Connection) -> None:
    """Makes all earlier commits durable, also those made with `synchronous_commit=off` in other sessions."""
    with pg_errors("flush commits"):
        async with conn.transaction():
            await conn.execute("set local synchronous_commit = on")
            # a transaction that writes nothing flushes nothing
            await conn.execute("select pg_logical_emit_message(true, 'stepflow', 'flush')")


async def drop_control_schema(conn: asyncpg.Connection) -> None:
    """Removes `_stepflow` with everything in it. Nothing of StepFlow is left in the database then."""
    with pg_errors("drop the schema _stepflow"):
        await conn.execute("drop schema if exists _stepflow cascade")
