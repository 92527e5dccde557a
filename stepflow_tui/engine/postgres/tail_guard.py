"""What in the target would destroy data while rows are deleted and inserted again: looked for before anything is applied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stepflow_tui.engine.errors import Refused
from stepflow_tui.engine.model.plan import TablePlan
from stepflow_tui.engine.postgres.control import SCHEMA

if TYPE_CHECKING:
    import asyncpg

_FOUND = """
with named as (
  select c.oid, format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
), mine as (
  select c.oid from unnest($1::text[], $2::text[]) as t(s, r)
  join pg_namespace n on n.nspname = t.s join pg_class c on c.relnamespace = n.oid and c.relname = t.r
)
select 'foreign key ' || format('%I', con.conname) || ' of ' || child.name || ' on ' || parent.name
from pg_constraint con join named child on child.oid = con.conrelid join named parent on parent.oid = con.confrelid
where con.contype = 'f' and con.conparentid = 0
  and (con.conrelid in (select oid from mine) or con.confrelid in (select oid from mine))
union all
select 'trigger ' || format('%I', t.tgname) || ' of ' || named.name
from pg_trigger t join named on named.oid = t.tgrelid join pg_proc p on p.oid = t.tgfoid join pg_namespace n on n.oid = p.pronamespace
where not t.tgisinternal and t.tgenabled in ('O', 'A') and n.nspname <> $3 and t.tgrelid in (select oid from mine)
union all
select 'rule ' || format('%I', r.rulename) || ' of ' || named.name
from pg_rewrite r join named on named.oid = r.ev_class where r.rulename <> '_RETURN' and r.ev_class in (select oid from mine)
order by 1
"""
"""Triggers of ours stand aside for `stepflow.origin`. Any foreign key counts: ON DELETE CASCADE and SET NULL destroy the
children of a parent that is deleted and inserted again, and the others refuse its deletion."""


async def refuse_unsafe(conn: asyncpg.Connection, tables: Sequence[TablePlan]) -> None:
    """Look at foreign keys, triggers and rules of the tables that changes are applied to.

    Raises:
        Refused: there is one; the detail names them all.
    """
    found = await conn.fetch(_FOUND, [t.schema for t in tables], [t.name for t in tables], SCHEMA)
    if found:
        raise Refused(
            "Changes can't be applied to tables with foreign keys, triggers or rules: a changed row is deleted and"
            " inserted again, which they would act on.",
            detail="; ".join(row[0] for row in found),
            hint="Drop them until the cutover, which makes planned ones again; others you make again afterwards.",
            code="target_acts",
        )
