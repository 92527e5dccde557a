"""The reverse log: which rows changed in PostgreSQL since a snapshot. Keys only; the state is read later, in one snapshot.

Sequence numbers are drawn before the commit, so "id > last" skips rows that commit later, and waiting for the oldest
running transaction stands still while one session idles. The rule here is PgQ's: log rows carry their transaction's id,
and a step takes what is visible in its own snapshot and was not in the one before (pgq: batch_event_sql).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepflow_tui.engine.errors import Drift
from stepflow_tui.engine.failpoints import failpoint
from stepflow_tui.engine.model.live import WRITER
from stepflow_tui.engine.model.plan import TablePlan
from stepflow_tui.engine.model.types import Kind
from stepflow_tui.engine.plan.quote import pg_ident, pg_literal, pg_name
from stepflow_tui.engine.postgres import touched
from stepflow_tui.engine.postgres.errors import pg_errors
from stepflow_tui.engine.postgres.reverse_rows import Key, key_columns, key_form
from stepflow_tui.engine.postgres.table_locks import names_of, without_writers

if TYPE_CHECKING:
    import asyncpg

ROW_TRIGGER, TRUNCATE_TRIGGER = "zzz_stepflow_log", "zzz_stepflow_truncate"
"""Triggers of one kind fire by name: these see what the application's own have made of the row."""

_TABLES = """
create table if not exists _stepflow.blocker (
  run text not null, tb text not null, k text[] not null, col text, reason text not null,
  since timestamptz not null default now(), primary key (run, tb, k)
);
create table if not exists _stepflow.shape (tb text primary key, columns text not null, triggers text not null);
create table if not exists _stepflow.purged (one boolean primary key default true check (one), snapshot text not null);
"""
# session settings that the text of a key may depend on
_PINNED = (
    " set datestyle = 'ISO, YMD' set intervalstyle = 'postgres' set timezone = 'UTC' set extra_float_digits = 3"
    " set bytea_output = 'hex'"
)
_TRIGGERS = """
select n.nspname, c.relname, g.tgname, g.tgenabled = 'A' and g.tgqual is null and g.tgattr = '' and p.prosecdef as sound,
  g.tgtype, p.prosrc, concat_ws(':', g.oid, g.xmin, p.oid, p.xmin) as version
from unnest($1::text[], $2::text[]) as wanted (s, r) join pg_catalog.pg_namespace n on n.nspname = wanted.s
  join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = wanted.r
  join pg_catalog.pg_trigger g on g.tgrelid = c.oid join pg_catalog.pg_proc p on p.oid = g.tgfoid
where g.tgname in ('zzz_stepflow_log', 'zzz_stepflow_truncate') and not g.tgisinternal
"""
_SHAPE = """
select n.nspname, c.relname, json_agg(json_build_array(a.attnum, a.attname, format_type(a.atttypid, a.atttypmod),
  a.attnotnull, a.attgenerated::text) order by a.attnum)::text
from unnest($1::text[], $2::text[]) as wanted (s, r) join pg_catalog.pg_namespace n on n.nspname = wanted.s
  join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = wanted.r
  join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
group by 1, 2
"""
_PURGE = f"""
with gone as (
  delete from _stepflow.clog
  where xid < pg_snapshot_xmax($1::text::pg_snapshot) and pg_visible_in_snapshot(xid, $1::text::pg_snapshot)
  returning tb, k
), added as (
  insert into _stepflow.touched (tb, h, k) select distinct tb, {touched.HASH}, k from gone on conflict do nothing returning 1
)
update _stepflow.kept set keys = keys + (select count(*) from added)
"""
# AFTER, bits as in pg_trigger: ROW 1, INSERT 4, DELETE 8, UPDATE 16, TRUNCATE 32
_TYPES = {ROW_TRIGGER: 1 | 4 | 8 | 16, TRUNCATE_TRIGGER: 32}


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What committed between two snapshots: `keys` by source table; `whole` tables were emptied in between (TRUNCATE)."""

    snapshot: str
    keys: Mapping[str, frozenset[Key]]
    whole: frozenset[str]

    @property
    def count(self) -> int:
        """Distinct keys; an emptied table counts once."""
        return sum(map(len, self.keys.values())) + len(self.whole)


async def install_changelog(
    conn: asyncpg.Connection, tables: Sequence[TablePlan], *, wait: float, again: bool = False
) -> str:
    """Log every later change of these tables. Installed before the application's first write; silent for our own.

    Args:
        conn: of the tables' owner, not in a transaction.
        tables: each with a `live_key`.
        wait: seconds until every table's lock must have been there at once.
        again: the application has written since: any row may have changed unseen.

    Returns:
        A snapshot taken after the triggers were committed: where the first step begins.

    Raises:
        Held: writers did not end in time; nothing has changed.
    """
    with pg_errors("install the reverse log"):

        async def remember(inner: asyncpg.Connection) -> None:
            await inner.execute("delete from _stepflow.shape")
            shapes, versions = await _shapes(inner, tables), _versions(tables, await _triggers(inner, tables))
            rows = [(tb, columns, versions[tb]) for tb, columns in shapes.items()]
            await inner.executemany("insert into _stepflow.shape (tb, columns, triggers) values ($1, $2, $3)", rows)
            if again and await touched.is_sound(inner):
                await touched.mark_whole(inner, shapes)
            elif not again:
                await touched.begin(inner)

        made = [_TABLES, touched.TABLES, *(sql for table in tables for sql in _install(table))]
        await without_writers(conn, names_of(tables), made, wait=wait, then=remember)
        failpoint("changelog_installed")
        return await snapshot_now(conn)


async def remove_changelog(conn: asyncpg.Connection, tables: Sequence[TablePlan], *, wait: float) -> None:
    """Take triggers and functions away and forget what they logged."""
    with pg_errors("remove the reverse log"):
        gone = [sql for table in tables for sql in _remove(table)]
        emptied = ("clog", "blocker", "shape", "purged", "touched", "kept")
        gone += [_TABLES, touched.TABLES, f"truncate {', '.join(f'_stepflow.{name}' for name in emptied)}"]
        await without_writers(conn, names_of(tables), gone, wait=wait)


async def pin_tables(conn: asyncpg.Connection, tables: Sequence[TablePlan]) -> None:
    """Keeps DDL and TRUNCATE out of the caller's transaction, whose snapshot is taken after this.

    TRUNCATE is not bound to snapshots: a transaction that looks at the table later finds it empty.
    """
    await conn.execute(f"lock table {', '.join(names_of(tables))} in access share mode")


async def check_changelog(conn: asyncpg.Connection, tables: Sequence[TablePlan]) -> None:
    """That the log is complete and the tables are as they were when it was installed.

    Raises:
        Drift: `changelog_trigger` (dropped, disabled, altered) or `target_schema_changed`; the way back is blocked.
    """
    await check_shapes(conn, tables)
    await _check_triggers(conn, tables)


async def check_shapes(conn: asyncpg.Connection, tables: Sequence[TablePlan]) -> None:
    """That no column came, went or changed since the log was installed.

    Raises:
        Drift: `target_schema_changed`.
    """
    known = {row[0]: row[1] for row in await conn.fetch("select tb, columns from _stepflow.shape")}
    now = await _shapes(conn, tables)
    for table in tables:
        if now.get(table.source) != known.get(table.source):
            raise Drift(
                f"The table {table.target} was altered in PostgreSQL: SQLite can't follow, the way back is blocked.",
                detail=_difference(known.get(table.source), now.get(table.source)),
                hint="Undo the change in PostgreSQL, or give up the way back with `stepflow cleanup`.",
                code="target_schema_changed",
            )


async def _check_triggers(conn: asyncpg.Connection, tables: Sequence[TablePlan]) -> None:
    found = await _triggers(conn, tables)
    versions = _versions(tables, found)
    known = {row[0]: row[1] for row in await conn.fetch("select tb, triggers from _stepflow.shape")}
    for table in tables:
        for name, kind in _TYPES.items():
            row = found.get((table.schema, table.name, name))
            if row is None:
                raise _disturbed(table, name, "missing")
            if not row["sound"] or row["tgtype"] != kind or row["prosrc"] != _body(table):
                raise _disturbed(table, name, "disabled or altered")
        if versions[table.source] != known.get(table.source):
            raise _disturbed(table, ROW_TRIGGER, "it was altered for a while and put back, or made anew")


def _disturbed(table: TablePlan, name: str, detail: str) -> Drift:
    return Drift(
        f"The trigger {name} on {table.target} is gone or altered: changes may be missing in the reverse log.",
        detail=detail,
        hint="Find out who altered it: the way back is blocked until every table has been brought over as a whole.",
        code="changelog_trigger",
    )


async def _triggers(
    conn: asyncpg.Connection, tables: Sequence[TablePlan]
) -> dict[tuple[str, str, str], asyncpg.Record]:
    return {(row[0], row[1], row[2]): row for row in await conn.fetch(_TRIGGERS, *_places(tables))}


def _versions(tables: Sequence[TablePlan], found: Mapping[tuple[str, str, str], asyncpg.Record]) -> dict[str, str]:
    """By source table, which catalog rows its triggers are: DISABLE and ENABLE again leaves another version of them."""
    rows = {t.source: [found.get((t.schema, t.name, name)) for name in _TYPES] for t in tables}
    return {tb: " ".join(row["version"] for row in triggers if row is not None) for tb, triggers in rows.items()}


async def changes_between(conn: asyncpg.Connection, prev: str) -> Changes:
    """What is visible now and was not at `prev`. In the caller's REPEATABLE READ transaction, as are its later reads.

    Raises:
        Drift: `prev` is of another server, or entries that it lacks are gone.
    """
    row = await conn.fetchrow(
        "select pg_current_snapshot()::text,"
        " pg_snapshot_xmax($1::text::pg_snapshot) > pg_snapshot_xmax(pg_current_snapshot()),"
        " (select pg_snapshot_xmax(snapshot::pg_snapshot) > pg_snapshot_xmax($1::text::pg_snapshot) or exists"
        "   (select from pg_snapshot_xip($1::text::pg_snapshot) x where pg_visible_in_snapshot(x, snapshot::pg_snapshot))"
        "  from _stepflow.purged)",
        prev,
    )  # fmt: skip
    assert row is not None
    current, ahead, purged = row
    if ahead or purged:
        raise Drift(
            "The reverse log does not go on where SQLite stands.",
            detail="the snapshot in SQLite comes from another server"
            if ahead
            else "entries it lacks were removed: the file is an older copy of itself",
            hint="Put the newest file back, or give up the way back with `stepflow cleanup`.",
            code="reverse_gap",
        )
    rows = await conn.fetch(
        "select distinct tb, k from _stepflow.clog where xid >= pg_snapshot_xmin($1::text::pg_snapshot)"
        " and pg_visible_in_snapshot(xid, $2::text::pg_snapshot) and not pg_visible_in_snapshot(xid, $1::text::pg_snapshot)",
        prev, current,
    )  # fmt: skip
    keys: dict[str, set[Key]] = {}
    for tb, k in rows:
        keys.setdefault(tb, set()).add(tuple(k))
    whole = frozenset(tb for tb, found in keys.items() if () in found)
    return Changes(snapshot=current, keys={tb: frozenset(found - {()}) for tb, found in keys.items()}, whole=whole)


async def snapshot_now(conn: asyncpg.Connection) -> str:
    """The snapshot of the caller's transaction."""
    return str(await conn.fetchval("select pg_current_snapshot()::text"))


async def pending(conn: asyncpg.Connection, prev: str) -> int:
    """Log entries that are committed and not in `prev`."""
    with pg_errors("read the reverse log"):
        return int(
            await conn.fetchval(
                "select count(*) from _stepflow.clog where xid >= pg_snapshot_xmin($1::text::pg_snapshot)"
                " and not pg_visible_in_snapshot(xid, $1::text::pg_snapshot)",
                prev,
            )
        )


async def size(conn: asyncpg.Connection) -> int:
    """Bytes of the log on disk, with its indexes: what has to be brought over before anything can be removed."""
    with pg_errors("look at the reverse log"):
        return int(await conn.fetchval("select pg_total_relation_size('_stepflow.clog')"))


async def purge(conn: asyncpg.Connection, durable: str) -> None:
    """Remove what is visible in a snapshot that SQLite holds durably, keep its keys, and note how far. Commits by itself."""
    with pg_errors("purge the reverse log"):
        async with conn.transaction():
            await conn.execute(_PURGE, durable)
            await conn.execute(
                "insert into _stepflow.purged (snapshot) values ($1) on conflict (one) do update set snapshot = excluded.snapshot",
                durable,
            )


def _install(table: TablePlan) -> list[str]:
    function, name = _function(table), pg_name(table.schema, table.name)
    settings = "" if all(c.type.kind in (Kind.INTEGER, Kind.TEXT) for c in key_columns(table)) else _PINNED
    return [
        *_drop_triggers(table),
        (
            f"create or replace function {function}() returns trigger language plpgsql security definer"
            f" set search_path = pg_catalog, pg_temp{settings} as {pg_literal(_body(table))}"
        ),
        f"revoke all on function {function}() from public",
        f"create trigger {ROW_TRIGGER} after insert or update or delete on {name} for each row execute function {function}()",
        f"create trigger {TRUNCATE_TRIGGER} after truncate on {name} for each statement execute function {function}()",
        f"alter table {name} enable always trigger {ROW_TRIGGER}, enable always trigger {TRUNCATE_TRIGGER}",
    ]


def _remove(table: TablePlan) -> list[str]:
    return [*_drop_triggers(table), f"drop function if exists {_function(table)}()"]


def _drop_triggers(table: TablePlan) -> list[str]:
    name = pg_name(table.schema, table.name)
    return [f"drop trigger if exists {pg_ident(trigger)} on {name}" for trigger in _TYPES]


def _function(table: TablePlan) -> str:
    return f"_stepflow.log_{hashlib.sha256(table.source.encode()).hexdigest()[:16]}"


def _body(table: TablePlan) -> str:
    """A DELETE logs the key the row had, an INSERT the one it has, an UPDATE both where they differ.

    An empty key stands for the whole table: TRUNCATE has no rows to name.
    """
    tb, columns = pg_literal(table.source), key_columns(table)
    was, now = (
        "array[" + ", ".join(key_form(c, f"{row}.{pg_ident(c.target)}") for c in columns) + "]"
        for row in ("old", "new")
    )
    return f"""
declare
  was text[];
  became text[];
begin
  if coalesce(current_setting('stepflow.origin', true), '') = {pg_literal(WRITER)} then
    return null;
  end if;
  if tg_op = 'TRUNCATE' then
    insert into _stepflow.clog (tb, k) values ({tb}, '{{}}');
    return null;
  end if;
  if tg_op <> 'INSERT' then
    was := {was};
  end if;
  if tg_op <> 'DELETE' then
    became := {now};
    insert into _stepflow.clog (tb, k) values ({tb}, became);
  end if;
  if was is distinct from became and was is not null then
    insert into _stepflow.clog (tb, k) values ({tb}, was);
  end if;
  return null;
end
"""


async def _shapes(conn: asyncpg.Connection, tables: Sequence[TablePlan]) -> dict[str, str]:
    by_name = {(t.schema, t.name): t.source for t in tables}
    rows = await conn.fetch(_SHAPE, *_places(tables))
    return {by_name[row[0], row[1]]: row[2] for row in rows}


def _places(tables: Sequence[TablePlan]) -> tuple[list[str], list[str]]:
    return [t.schema for t in tables], [t.name for t in tables]


def _difference(known: str | None, now: str | None) -> str:
    """Which columns changed, as `name type`."""
    if now is None:
        return "the table is gone"
    before, after = ({tuple(c) for c in json.loads(text or "[]")} for text in (known, now))
    parts = [f"gone: {c[1]} {c[2]}" for c in sorted(before - after)]
    return "; ".join([*parts, *(f"new: {c[1]} {c[2]}" for c in sorted(after - before))])
