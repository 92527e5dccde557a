"""The read switch in the target: its one true row, the functions that applications call, and the reports they bring.

Every change names the version it was decided on, so that of two writers one fails and looks again.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stepflow_tui.engine.plan.quote import pg_ident
from stepflow_tui.engine.postgres.errors import pg_errors

if TYPE_CHECKING:
    import asyncpg

MOST_REPORTS = 20_000
"""So many batches wait at most for an engine; later ones are dropped."""

_FUNCTIONS = f"""
create or replace function _stepflow.bucket(salt text, key bytea) returns integer
language sql immutable strict parallel safe as $function$
  with hash as (
    select pg_catalog.substr(pg_catalog.sha256(
      pg_catalog.convert_to(pg_catalog.octet_length(pg_catalog.convert_to(salt, 'UTF8'))::text || ':' || salt, 'UTF8') || key
    ), 1, 8) as head
  )
  select ((
    ('x' || pg_catalog.encode(pg_catalog.substr(head, 1, 4), 'hex'))::bit(32)::bigint % 10000 * 7296
    + ('x' || pg_catalog.encode(pg_catalog.substr(head, 5, 4), 'hex'))::bit(32)::bigint
  ) % 10000)::integer from hash
$function$;
comment on function _stepflow.bucket(text, bytea) is
  'Reads the new side iff bucket < share: first 8 bytes of sha256(length of salt, colon, salt, key), big-endian, modulo 10000';
create or replace function _stepflow.report(text, text) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $function$
begin
  if octet_length($1) > 64 or octet_length($2) > 65536
     or (select max(id) - min(id) from _stepflow.reads) > {MOST_REPORTS} then
    return false;
  end if;
  insert into _stepflow.reads (router, body) values ($1, $2);
  return true;
end
$function$;
comment on function _stepflow.report(text, text) is 'Figures of an application''s reads: name of its router, and JSON';
revoke all on function _stepflow.report(text, text) from public;
"""
# 7296 is 2^32 modulo 10,000: the upper half of the eight bytes, carried over


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchRow:
    """The read switch as it is. `share` in hundredths of a per cent; `stage` counts the strategy's stages from 0.

    `armed` is false after an automatic rollback, until a person arms it again; `held` is true while a person keeps the
    share where it is.
    """

    version: int
    strategy: str
    stage: int
    share: int
    salt: str
    groups: tuple[str, ...]
    rollbacks: int
    armed: bool
    held: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A batch of one router, as it came: JSON that nobody has checked."""

    router: str
    body: str


async def install_switch(conn: asyncpg.Connection, roles: Sequence[str] = ()) -> None:
    """Make the functions and let these roles call them; the tables of a live run must be there. Harmless to repeat.

    Args:
        roles: roles of the application besides the one that connects here.
    """
    with pg_errors("make the functions of the read switch"):
        async with conn.transaction():
            await conn.execute(_FUNCTIONS)
            for role in (pg_ident(role) for role in roles):
                await conn.execute(
                    f"grant usage on schema _stepflow to {role};"
                    f" grant execute on function _stepflow.report(text, text), _stepflow.bucket(text, bytea) to {role}"
                )


async def take_over(conn: asyncpg.Connection, strategy: str, groups: Sequence[str]) -> SwitchRow:
    """The row for a starting engine: made at a share of 0 with a salt of its own, or as it was, under a new version: what
    an engine before this one still tries to write fails. Reports from before are dropped. Commits by itself.

    A changed strategy begins at its first stage, whatever the share is.
    """
    with pg_errors("take over the read switch"):
        async with conn.transaction():
            row = await conn.fetchrow(
                """
                insert into _stepflow.switch as s (strategy, salt, groups) values ($1, $2, $3::jsonb)
                on conflict (one) do update set version = s.version + 1, groups = excluded.groups,
                  strategy = excluded.strategy, stage = case when s.strategy = excluded.strategy then s.stage else 0 end
                returning *
                """,
                strategy,
                secrets.token_hex(8),
                json.dumps(list(groups)),
            )
            await conn.execute("delete from _stepflow.reads")
    return _row(row)


async def read_switch(conn: asyncpg.Connection) -> SwitchRow | None:
    """The row; None before the first `take_over`."""
    with pg_errors("read the read switch"):
        row = await conn.fetchrow("select * from _stepflow.switch")
    return _row(row) if row is not None else None


async def change_switch(
    conn: asyncpg.Connection, before: SwitchRow, after: SwitchRow, *, above: int = 0
) -> SwitchRow | None:
    """Write `after` (its version doesn't matter) if the row is still at the version of `before`.

    Args:
        above: the new version is higher than this too.

    Returns:
        The new row; None when somebody else has changed it meanwhile: read it and decide anew.
    """
    with pg_errors("change the read switch"):
        row = await conn.fetchrow(
            """
            update _stepflow.switch set version = greatest(version, $9) + 1, strategy = $2, stage = $3, share = $4,
              groups = $5::jsonb, rollbacks = $6, armed = $7, held = $8, changed_at = now()
            where version = $1 returning *
            """,
            before.version,
            after.strategy,
            after.stage,
            after.share,
            json.dumps(list(after.groups)),
            after.rollbacks,
            after.armed,
            after.held,
            above,
        )
    return _row(row) if row is not None else None


async def take_reports(conn: asyncpg.Connection, limit: int = 500) -> list[Report]:
    """The oldest batches, which are then gone. By deletion, not by number: numbers become visible out of order."""
    with pg_errors("take the reports of reads"):
        rows = await conn.fetch(
            """
            with taken as (
              delete from _stepflow.reads where id in (select id from _stepflow.reads order by id limit $1)
              returning id, router, body
            )
            select router, body from taken order by id
            """,
            limit,
        )
    return [Report(router=row[0], body=row[1]) for row in rows]


def _row(row: Any) -> SwitchRow:
    return SwitchRow(
        version=row["version"],
        strategy=row["strategy"],
        stage=row["stage"],
        share=row["share"],
        salt=row["salt"],
        groups=tuple(json.loads(row["groups"])),
        rollbacks=row["rollbacks"],
        armed=row["armed"],
        held=row["held"],
    )
