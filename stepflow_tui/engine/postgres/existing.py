"""Tables made beforehand by an ORM: what they look like, whether they are empty, which ones are not ours to touch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepflow_tui.engine.plan.existing import MadeColumn, MadeTable
from stepflow_tui.engine.plan.quote import pg_name
from stepflow_tui.engine.postgres.catalog import Catalog, CatalogColumn, CatalogConstraint, CatalogTrigger, read_catalog
from stepflow_tui.engine.postgres.errors import pg_errors

if TYPE_CHECKING:
    import asyncpg

BOOKKEEPING = frozenset({
    "_prisma_migrations", "django_migrations", "alembic_version", "schema_migrations", "ar_internal_metadata",
    "knex_migrations", "knex_migrations_lock", "flyway_schema_history", "databasechangelog", "databasechangeloglock",
    "sequelizemeta", "sequelizedata", "typeorm_metadata", "migrations", "__efmigrationshistory", "goose_db_version",
    "gorp_migrations", "__drizzle_migrations", "_sqlx_migrations", "__diesel_schema_migrations", "mikro_orm_migrations",
    "doctrine_migration_versions", "phinxlog", "south_migrationhistory", "aerich", "seaql_migrations", "atlas_schema_revisions",
    "pgmigrations", "kysely_migration", "kysely_migration_lock", "peewee_migratehistory", "yoyo_migration", "_yoyo_migration",
    "_yoyo_log", "_yoyo_version", "yoyo_lock",
})  # fmt: skip
"""Tables in which migration tools of frameworks keep their own state, lower case: left alone on both sides.

`migrations` counts only with the columns such tools give it, see `is_bookkeeping`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExistingTable:
    """A table made beforehand. `has_rows` is None where its rows may not be read; `partitioned` counts inheritance, too."""

    schema: str
    name: str
    columns: tuple[CatalogColumn, ...]
    primary_key: tuple[str, ...]
    constraints: tuple[CatalogConstraint, ...]
    triggers: tuple[CatalogTrigger, ...]
    has_rows: bool | None
    bookkeeping: bool
    partitioned: bool
    row_security: bool
    row_security_forced: bool
    owner: str

    def column(self, name: str) -> CatalogColumn:
        """The column of that name.

        Raises:
            StopIteration: there is none.
        """
        return next(c for c in self.columns if c.name == name)

    def made(self) -> MadeTable:
        """The same as the planner wants it."""
        return MadeTable(name=self.name, columns=tuple(map(_made, self.columns)), primary_key=self.primary_key)

    @property
    def cascades(self) -> bool:
        """Whether deleting here deletes elsewhere, or a trigger of somebody's fires on writes."""
        return bool(self.triggers) or any(c.type == "f" and c.on_delete in ("c", "n", "d") for c in self.constraints)


def _made(column: CatalogColumn) -> MadeColumn:
    return MadeColumn(
        name=column.name,
        sql=column.type,
        enum=column.kind == "e",
        not_null=column.not_null,
        filled=bool(column.default or column.identity or column.generated),
        serial=bool(column.identity) or (column.default or "").startswith("nextval("),
        generated=column.generated is not None,
        collation=column.collation,
    )


def is_bookkeeping(name: str, columns: tuple[str, ...]) -> bool:
    """Whether a table is a migration tool's own."""
    folded = name.lower()
    if folded == "migrations":  # a plain word: only with the columns TypeORM or Laravel give it
        return {c.lower() for c in columns} in ({"id", "timestamp", "name"}, {"id", "migration", "batch"})
    return folded in BOOKKEEPING


async def read_existing(
    conn: asyncpg.Connection, schema: str, *, look_for_rows: bool = True
) -> tuple[ExistingTable, ...]:
    """All tables of the schema that no extension owns, partitions' parents included.

    Args:
        conn: not inside a transaction.
        schema: its name.
        look_for_rows: read one row of each to see whether it is empty.
    """
    catalog = await read_catalog(conn, schema)
    tables = []
    for table in catalog.tables:
        if not table.of_extension:
            has_rows = await _has_rows(conn, schema, table.name) if look_for_rows else None
            tables.append(_existing(catalog, table.name, has_rows))
    return tuple(tables)


def _existing(catalog: Catalog, name: str, has_rows: bool | None) -> ExistingTable:
    table = catalog.table(name)
    return ExistingTable(
        schema=catalog.schema,
        name=name,
        columns=table.columns,
        primary_key=catalog.primary_key(name),
        constraints=catalog.of_table(name),
        triggers=tuple(t for t in catalog.triggers if t.table == name),
        has_rows=has_rows,
        bookkeeping=is_bookkeeping(name, tuple(c.name for c in table.columns)),
        partitioned=table.partitioned,
        row_security=table.row_security,
        row_security_forced=table.row_security_forced,
        owner=table.owner,
    )


async def _has_rows(conn: asyncpg.Connection, schema: str, name: str) -> bool | None:
    import asyncpg

    with pg_errors(f"look for rows in {schema}.{name}"):
        try:
            return bool(await conn.fetchval(f"select exists (select from {pg_name(schema, name)})"))
        except asyncpg.InsufficientPrivilegeError:  # the check of rights reports it
            return None
