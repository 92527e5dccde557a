"""Reads back from pg_catalog what a schema holds. Changes nothing, takes no value from a sequence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepflow_tui.engine.plan.quote import pg_name
from stepflow_tui.engine.postgres.errors import pg_errors

if TYPE_CHECKING:
    import asyncpg


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogColumn:
    """One column. `type` is as `format_type` writes it, `base` the bare type name (of a domain: of its base type),
    `modifier` what `length` or `precision, scale` were given. `default` and `generated` are expressions."""

    name: str
    type: str
    base: str
    type_schema: str
    kind: str  # pg_type.typtype: b base, c composite, d domain, e enum, r range, m multirange
    not_null: bool
    default: str | None
    generated: str | None
    identity: str  # "", "a" (always) or "d" (by default)
    collation: str | None  # None: the type's own
    length: int | None  # of varchar(n), char(n)
    precision: int | None  # of numeric(p, s)
    scale: int | None
    labels: tuple[str, ...] = ()  # of an enum


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogConstraint:
    """One constraint. `type`: p primary key, u unique, f foreign key, c check, x exclusion, n not null."""

    table: str
    name: str
    type: str
    columns: tuple[str, ...]
    definition: str
    valid: bool
    deferrable: bool
    deferred: bool
    ref_table: str | None = None  # schema.name, unquoted
    ref_columns: tuple[str, ...] = ()
    on_delete: str = ""  # a no action, r restrict, c cascade, n set null, d set default


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogIndex:
    """One index; `constraint` tells that it belongs to one."""

    table: str
    name: str
    definition: str
    unique: bool
    valid: bool
    constraint: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogSequence:
    """One sequence. `next` is the value the next INSERT gets, computed without asking for it."""

    name: str
    table: str | None
    column: str | None
    last_value: int
    is_called: bool
    increment: int

    @property
    def next(self) -> int:
        """The next value."""
        return self.last_value + self.increment if self.is_called else self.last_value


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogView:
    """One view."""

    name: str
    definition: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogTrigger:
    """One trigger of a person's making; `enabled`: O origin, D disabled, R replica, A always."""

    table: str
    name: str
    definition: str
    function: str
    enabled: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogTable:
    """One table with its columns. `partitioned`: its rows, or writes to them, may go by the name of another table."""

    name: str
    partitioned: bool
    columns: tuple[CatalogColumn, ...]
    row_security: bool
    row_security_forced: bool
    owner: str
    of_extension: bool

    def column(self, name: str) -> CatalogColumn:
        """The column of that name."""
        return next(c for c in self.columns if c.name == name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """Everything in one schema."""

    schema: str
    tables: tuple[CatalogTable, ...] = ()
    constraints: tuple[CatalogConstraint, ...] = ()
    indexes: tuple[CatalogIndex, ...] = ()
    sequences: tuple[CatalogSequence, ...] = ()
    views: tuple[CatalogView, ...] = ()
    triggers: tuple[CatalogTrigger, ...] = ()

    def table(self, name: str) -> CatalogTable:
        """The table of that name."""
        return next(t for t in self.tables if t.name == name)

    def of_table(self, name: str, types: str = "pufcxn") -> tuple[CatalogConstraint, ...]:
        """A table's constraints of those types."""
        return tuple(c for c in self.constraints if c.table == name and c.type in types)

    def primary_key(self, table: str) -> tuple[str, ...]:
        """The primary key's columns, empty without one."""
        return next((c.columns for c in self.of_table(table, "p")), ())


_IN = "select oid from pg_namespace where nspname = $1"
_TABLES = f"""
select c.oid, c.relname, c.relkind = 'p' or exists (select from pg_inherits i where c.oid in (i.inhrelid, i.inhparent)), c.relrowsecurity, c.relforcerowsecurity, pg_get_userbyid(c.relowner),
       exists (select 1 from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
  from pg_class c where c.relnamespace = ({_IN}) and c.relkind in ('r', 'p') order by c.relname collate "C"
"""
_COLUMNS = f"""
select a.attrelid, a.attname, format_type(a.atttypid, a.atttypmod), b.typname, n.nspname, t.typtype::text, a.attnotnull,
       case when a.attgenerated = '' then pg_get_expr(d.adbin, d.adrelid) end,
       case when a.attgenerated <> '' then pg_get_expr(d.adbin, d.adrelid) end,
       a.attidentity::text,
       case when a.attcollation <> t.typcollation then (select collname from pg_collation where oid = a.attcollation) end,
       case when b.typname in ('varchar', 'bpchar') and m.typmod > 4 then m.typmod - 4 end,
       case when b.typname = 'numeric' and m.typmod >= 4 then ((m.typmod - 4) >> 16) & 65535 end,
       -- eleven bits with a sign since 15, sixteen without one before
       case when b.typname = 'numeric' and m.typmod >= 4 then
         case when current_setting('server_version_num')::int >= 150000
              then (((m.typmod - 4) & 2047) # 1024) - 1024 else (m.typmod - 4) & 65535 end end,
       array(select e.enumlabel::text from pg_enum e where e.enumtypid = b.oid order by e.enumsortorder)
  from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_type t on t.oid = a.atttypid
  join pg_namespace n on n.oid = t.typnamespace
  join pg_type b on b.oid = case when t.typtype = 'd' then t.typbasetype else t.oid end
  cross join lateral (select case when t.typtype = 'd' then t.typtypmod else a.atttypmod end typmod) m
  left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
 where c.relnamespace = ({_IN}) and c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped
 order by a.attrelid, a.attnum
"""
_NAMES = """
array(select a.attname::text from unnest(x.{keys}) with ordinality k(num, ord)
        join pg_attribute a on a.attrelid = x.{of} and a.attnum = k.num order by k.ord)
"""
_CONSTRAINTS = f"""
select c.relname, x.conname, x.contype::text, {_NAMES.format(keys="conkey", of="conrelid")},
       pg_get_constraintdef(x.oid), x.convalidated, x.condeferrable, x.condeferred,
       (select format('%s.%s', rn.nspname, r.relname) from pg_class r join pg_namespace rn on rn.oid = r.relnamespace where r.oid = x.confrelid),
       {_NAMES.format(keys="confkey", of="confrelid")}, x.confdeltype::text
  from pg_constraint x join pg_class c on c.oid = x.conrelid
 where c.relnamespace = ({_IN}) and x.contype in ('p', 'u', 'f', 'c', 'x', 'n') and c.relkind in ('r', 'p')
 order by c.relname collate "C", x.conname collate "C"
"""
_INDEXES = f"""
select t.relname, c.relname, pg_get_indexdef(c.oid), i.indisunique, i.indisvalid,
       exists (select 1 from pg_constraint x where x.conindid = c.oid and x.contype in ('p', 'u', 'x'))
  from pg_index i join pg_class c on c.oid = i.indexrelid join pg_class t on t.oid = i.indrelid
 where c.relnamespace = ({_IN}) order by t.relname collate "C", c.relname collate "C"
"""
_SEQUENCES = f"""
select c.relname, t.relname, a.attname, s.seqincrement
  from pg_sequence s join pg_class c on c.oid = s.seqrelid
  left join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = c.oid and d.refclassid = 'pg_class'::regclass
                       and d.deptype in ('a', 'i') and d.refobjsubid > 0
  left join pg_class t on t.oid = d.refobjid
  left join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
 where c.relnamespace = ({_IN}) order by c.relname collate "C"
"""
_VIEWS = f"""
select c.relname, pg_get_viewdef(c.oid),
       array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped order by a.attnum)
  from pg_class c where c.relnamespace = ({_IN}) and c.relkind in ('v', 'm')
   and not exists (select 1 from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
 order by c.relname collate "C"
"""
_TRIGGERS = f"""
select c.relname, g.tgname, pg_get_triggerdef(g.oid), p.proname, g.tgenabled::text
  from pg_trigger g join pg_class c on c.oid = g.tgrelid join pg_proc p on p.oid = g.tgfoid
 where c.relnamespace = ({_IN}) and not g.tgisinternal order by c.relname collate "C", g.tgname collate "C"
"""


async def read_catalog(conn: asyncpg.Connection, schema: str) -> Catalog:
    """Reads one schema in one read-only snapshot; a schema that doesn't exist is an empty catalog.

    Args:
        conn: not inside a transaction.
        schema: its name, unquoted.
    """
    with pg_errors(f"read the catalog of schema {schema}"):
        async with conn.transaction(isolation="repeatable_read", readonly=True):
            return Catalog(
                schema=schema,
                tables=await _tables(conn, schema),
                constraints=tuple(_constraint(r) for r in await conn.fetch(_CONSTRAINTS, schema)),
                indexes=tuple(
                    CatalogIndex(table=r[0], name=r[1], definition=r[2], unique=r[3], valid=r[4], constraint=r[5])
                    for r in await conn.fetch(_INDEXES, schema)
                ),
                sequences=tuple([await _sequence(conn, schema, r) for r in await conn.fetch(_SEQUENCES, schema)]),
                views=tuple(
                    CatalogView(name=r[0], definition=r[1], columns=tuple(r[2]))
                    for r in await conn.fetch(_VIEWS, schema)
                ),
                triggers=tuple(
                    CatalogTrigger(table=r[0], name=r[1], definition=r[2], function=r[3], enabled=r[4])
                    for r in await conn.fetch(_TRIGGERS, schema)
                ),
            )


async def _tables(conn: asyncpg.Connection, schema: str) -> tuple[CatalogTable, ...]:
    columns: dict[int, list[CatalogColumn]] = {}
    for row in await conn.fetch(_COLUMNS, schema):
        columns.setdefault(row[0], []).append(_column(row))
    return tuple(
        CatalogTable(
            name=r[1], partitioned=r[2], columns=tuple(columns.get(r[0], ())),
            row_security=r[3], row_security_forced=r[4], owner=r[5], of_extension=r[6],
        )
        for r in await conn.fetch(_TABLES, schema)
    )  # fmt: skip


def _column(r: asyncpg.Record) -> CatalogColumn:
    return CatalogColumn(
        name=r[1], type=r[2], base=r[3], type_schema=r[4], kind=r[5], not_null=r[6], default=r[7], generated=r[8],
        identity=r[9], collation=r[10], length=r[11], precision=r[12], scale=r[13], labels=tuple(r[14]),
    )  # fmt: skip


def _constraint(r: asyncpg.Record) -> CatalogConstraint:
    return CatalogConstraint(
        table=r[0], name=r[1], type=r[2], columns=tuple(r[3]), definition=r[4], valid=r[5], deferrable=r[6],
        deferred=r[7], ref_table=r[8], ref_columns=tuple(r[9]), on_delete=r[10].strip(),
    )  # fmt: skip


async def _sequence(conn: asyncpg.Connection, schema: str, r: asyncpg.Record) -> CatalogSequence:
    # the relation itself: pg_sequences hides whether the last value was handed out
    state = await conn.fetchrow(f"select last_value, is_called from {pg_name(schema, r[0])}")
    assert state is not None
    return CatalogSequence(
        name=r[0], table=r[1], column=r[2], increment=r[3], last_value=state[0], is_called=state[1]
    )  # fmt: skip
