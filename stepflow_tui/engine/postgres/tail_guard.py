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
with mine as (
  select c.oid, n.nspname, c.relname from unnest($1::text[], $2::text[]) as t(s, r)
  join pg_namespace n on n.nspname = t.s join pg_class c on c.relnamespace = n.oid and c.relname = t.r
)
select 'foreign key ' || format('%I', con.conname) || ' of ' || con.conrelid::regclass::text || ' on '
       || con.confrelid::regclass::text
from pg_constraint con where con.contype = 'f' and con.conparentid = 0
  and (con.conrelid in (select oid from mine) or con.confrelid in (select oid from mine))
union all
select 'trigger ' || format('%I', t.tgname) || ' of ' || t.tgrelid::regclass::text
from pg_trigger t join pg_proc p on p.oid = t.tgfoid join pg_namespace n on n.oid = p.pronamespace
where not t.tgisinternal and t.tgenabled in ('O', 'A') and n.nspname <> $3 and t.tgrelid in (select oid from mine)
union all
select 'rule ' || format('%I', r.rulename) || ' of ' || r.ev_class::regclass::text
from pg_rewrite r where r.rulename <> '_RETURN' and r.ev_class in (select oid from mine)
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
