"""What the preflight checks need to know about the target, read once. Changes nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.postgres.control import Owner, system_identifier
from stepflow_tui.engine.postgres.control import owner as read_owner
from stepflow_tui.engine.postgres.errors import pg_errors
from stepflow_tui.engine.postgres.existing import ExistingTable, read_existing
from stepflow_tui.engine.postgres.type_names import refused_types

if TYPE_CHECKING:
    import asyncpg

OLD_PREFIX = "_stepflow_old_"
"""Tables that a rollback kept under another name."""


class Pooler(StrEnum):
    """What stands between us and the server."""

    NONE = "none"
    SESSION = "session"
    TRANSACTION = "transaction"  # settings, locks and prepared statements don't survive a transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the run is going to need.

    `tables` are the target names of the mapped tables, None when they aren't known yet. `own_runs` are runs whose
    marker on the target counts as ours (this run; runs that are over and may be replaced).
    `connections` is how many the run opens at once; `source_bytes` the size of the source file.
    """

    existing: bool = False
    tables: frozenset[str] | None = None
    own_runs: frozenset[str] = frozenset()
    connections: int = 6
    source_bytes: int = 0
    owner: str | None = None
    grant: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)  # by the place in the config that names them


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleFacts:
    """What a role named in the config is. `reachable`: we may hand tables over to it."""

    name: str
    exists: bool
    reachable: bool
    may_create: bool  # in the target schema, which an owner needs


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Connections: the server's for ordinary roles, the role's and the database's (None: no limit), and those in use.

    `maximum` is the server's max_connections, `reserved` what of it ordinary roles never get.
    """

    maximum: int = 0
    reserved: int = 0
    server: int = 0
    server_used: int = 0
    role: int | None = None
    role_used: int = 0
    database: int | None = None
    database_used: int = 0

    @property
    def free(self) -> int:
        """How many more may be opened."""
        left = [self.server - self.server_used]
        left += [self.role - self.role_used] if self.role is not None else []
        left += [self.database - self.database_used] if self.database is not None else []
        return max(0, min(left))


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetView:
    """Facts about the target. With `error` set, the server could not be asked and all else is empty."""

    target: Target
    wanted: Wanted
    error: StepFlowError | None = None
    version_number: int = 0  # 180006
    version: str = ""
    user: str = ""
    encoding: str = ""
    superuser: bool = False
    bypass_rls: bool = False
    in_recovery: bool = False
    read_only: bool = False
    system_identifier: str = "unknown"
    pooler: Pooler = Pooler.NONE
    encrypted: bool = False
    schema_exists: bool = False
    control_exists: bool = False
    rights: frozenset[str] = (
        frozenset()
    )  # of: database_create, schema_usage, schema_create, control_usage, control_create
    table_rights: Mapping[str, frozenset[str]] = field(default_factory=dict)  # table → SELECT, INSERT, TRUNCATE held
    tables: tuple[ExistingTable, ...] = ()
    other_objects: tuple[str, ...] = ()  # views, sequences, functions, types of the schema, "view x"
    owner: Owner | None = None
    limits: Limits = Limits()
    free_bytes: int | None = None  # None: unknown
    roles: tuple[RoleFacts, ...] = ()
    refused_types: Mapping[str, str] = field(default_factory=dict)  # place in the config → why

    @property
    def ours(self) -> bool:
        """Whether what is there was made by this run (or by one it replaces)."""
        return self.owner is not None and self.owner.run in self.wanted.own_runs

    @property
    def mapped(self) -> tuple[ExistingTable, ...]:
        """Tables made beforehand that rows will go to."""
        names = self.wanted.tables
        return tuple(t for t in self.tables if not t.bookkeeping and (names is None or t.name in names))


_FACTS = """
select current_setting('server_version_num')::int as version_number, current_setting('server_version') as version,
       current_user::text as "user", current_setting('server_encoding') as encoding,
       r.rolsuper as superuser, r.rolsuper or r.rolbypassrls as bypass_rls, pg_is_in_recovery() as in_recovery,
       current_setting('transaction_read_only')::bool as read_only,
       exists (select 1 from pg_namespace where nspname = $1) as schema_exists,
       to_regclass('_stepflow.owner') is not null as control_exists,
       coalesce((select ssl from pg_stat_ssl where pid = pg_backend_pid()), false) as encrypted,
       pg_backend_pid() as backend
  from pg_roles r where r.rolname = current_user
"""
_RIGHTS = """
select name from (values
  ('database_create', has_database_privilege(current_database(), 'create')),
  ('schema_usage', (select has_schema_privilege(oid, 'usage') from pg_namespace where nspname = $1)),
  ('schema_create', (select has_schema_privilege(oid, 'create') from pg_namespace where nspname = $1)),
  ('control_usage', (select has_schema_privilege(oid, 'usage') from pg_namespace where nspname = '_stepflow')),
  ('control_create', (select has_schema_privilege(oid, 'create') from pg_namespace where nspname = '_stepflow'))
) v (name, held) where held
"""
_TABLE_RIGHTS = """
select c.relname, array(select p from unnest(array['SELECT', 'INSERT', 'TRUNCATE']) p where has_table_privilege(c.oid, p))
  from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relkind in ('r', 'p')
"""
_OTHERS = """
select kind || ' ' || name from (
  select case c.relkind when 'v' then 'view' when 'm' then 'materialized view' when 'S' then 'sequence' else 'foreign table' end kind,
         c.relname::text as name, 'pg_class'::regclass::oid classid, c.oid
    from pg_class c where c.relnamespace = (select oid from pg_namespace where nspname = $1) and c.relkind in ('v', 'm', 'S', 'f')
     and not exists (select 1 from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype in ('a', 'i'))
  union all
  select 'type', t.typname::text, 'pg_type'::regclass, t.oid from pg_type t
   where t.typnamespace = (select oid from pg_namespace where nspname = $1) and t.typtype in ('e', 'd')
) x where not exists (select 1 from pg_depend d where d.classid = x.classid and d.objid = x.oid and d.deptype = 'e')
order by 1
"""
_LIMITS = """
select current_setting('max_connections')::int as maximum,
       current_setting('superuser_reserved_connections')::int
       + coalesce(nullif(current_setting('reserved_connections', true), '')::int, 0) as reserved,
       current_setting('max_connections')::int
       - case when r.rolsuper then 0 else current_setting('superuser_reserved_connections')::int
              + coalesce(nullif(current_setting('reserved_connections', true), '')::int, 0) end as server,
       (select count(*)::int from pg_stat_activity where backend_type = 'client backend') as server_used,
       nullif(r.rolconnlimit, -1) as role,
       (select count(*)::int from pg_stat_activity where usename = current_user and backend_type = 'client backend') as role_used,
       nullif(d.datconnlimit, -1) as database,
       (select count(*)::int from pg_stat_activity where datname = d.datname and backend_type = 'client backend') as database_used
  from pg_roles r, pg_database d where r.rolname = current_user and d.datname = current_database()
"""
_ROLES = """
select w.name, r.oid is not null as exists,
       coalesce(pg_has_role(current_user, r.oid, 'member'), false) as reachable,
       coalesce((select has_schema_privilege(r.oid, n.oid, 'create') from pg_namespace n where n.nspname = $2),
                has_database_privilege(r.oid, current_database(), 'create'), false) as may_create
  from unnest($1::text[]) w (name) left join pg_roles r on r.rolname = w.name
"""


async def look(target: Target, wanted: Wanted | None = None) -> TargetView:
    """Reads everything the checks need. A target that can't be reached is a view with its `error`."""
    wanted = wanted or Wanted()
    try:
        connection = await target.connect()
    except StepFlowError as exc:
        return TargetView(target=target, wanted=wanted, error=exc)
    try:
        with pg_errors("look at the target", target):
            return await _read(connection, target, wanted)
    except StepFlowError as exc:
        return TargetView(target=target, wanted=wanted, error=exc)
    finally:
        await connection.close()


async def _read(conn: asyncpg.Connection, target: Target, wanted: Wanted) -> TargetView:
    facts: dict[str, Any] = dict(await conn.fetchrow(_FACTS, target.schema) or {})
    backend = facts.pop("backend")
    view = TargetView(target=target, wanted=wanted, **facts)
    rights = await conn.fetch(_RIGHTS, target.schema)
    limits = dict(await conn.fetchrow(_LIMITS) or {})
    return replace(
        view,
        system_identifier=await system_identifier(conn),
        pooler=await _pooler(conn, target, backend),
        rights=frozenset(r[0] for r in rights),
        table_rights={r[0]: frozenset(r[1]) for r in await conn.fetch(_TABLE_RIGHTS, target.schema)},
        tables=await _tables(conn, target.schema, wanted),
        other_objects=tuple(r[0] for r in await conn.fetch(_OTHERS, target.schema)),
        owner=await _owner(conn) if view.control_exists else None,
        limits=Limits(**limits),
        free_bytes=await _free_bytes(conn, target),
        roles=await _roles(conn, target, wanted),
        refused_types=await refused_types(conn, wanted.types),
    )


async def _tables(conn: asyncpg.Connection, schema: str, wanted: Wanted) -> tuple[ExistingTable, ...]:
    tables = await read_existing(conn, schema, look_for_rows=wanted.existing)
    return tuple(t for t in tables if not t.name.startswith(OLD_PREFIX))


async def _owner(conn: asyncpg.Connection) -> Owner | None:
    if not await conn.fetchval("select has_table_privilege('_stepflow.owner', 'select')"):
        # somebody's marker that we may not read is still a marker
        return Owner(run="(not readable)", target_schema="", system_identifier="")
    return await read_owner(conn)


async def _roles(conn: asyncpg.Connection, target: Target, wanted: Wanted) -> tuple[RoleFacts, ...]:
    names = [*([wanted.owner] if wanted.owner else []), *(n for n in wanted.grant if n.lower() != "public")]
    return tuple(RoleFacts(**dict(r)) for r in await conn.fetch(_ROLES, names, target.schema))


async def _pooler(conn: asyncpg.Connection, target: Target, backend: int) -> Pooler:
    """A pooler answers with a process id of its own making. Whether it changes servers between transactions shows when
    another session takes the server that we just gave back."""
    if conn.get_server_pid() == backend:
        return Pooler.NONE
    other = await target.connect()
    try:
        async with other.transaction():
            await other.fetchval("select pg_backend_pid()")
            again = await conn.fetchval("select pg_backend_pid()")
    finally:
        await other.close()
    return Pooler.SESSION if again == backend else Pooler.TRANSACTION


async def _free_bytes(conn: asyncpg.Connection, target: Target) -> int | None:
    """Room on the target's disk, known only if the server runs on this machine and we may look."""
    if not target.is_local or not await conn.fetchval(
        "select pg_has_role(current_user, 'pg_read_all_settings', 'member')"
    ):
        return None
    row = await conn.fetchrow(
        "select current_setting('data_directory'), extract(epoch from pg_postmaster_start_time())::bigint"
    )
    assert row is not None
    folder = Path(row[0])
    try:
        started = int((folder / "postmaster.pid").read_text(encoding="utf-8").splitlines()[2])
        facts = os.statvfs(folder)
    except (OSError, ValueError, IndexError):
        return None
    # a forwarded port may lead elsewhere while another server's folder of that name is here
    return facts.f_bavail * facts.f_frsize if abs(started - row[1]) <= 5 else None
