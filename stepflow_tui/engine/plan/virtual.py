"""Virtual tables: which ones hold rows of their own, and what is said about the others and their storage."""

from __future__ import annotations

import re

from stepflow_tui.engine.model.plan import ObjectType
from stepflow_tui.engine.model.schema import Generated, SourceSchema, SourceTable, TableKind
from stepflow_tui.engine.plan.parts import Parts
from stepflow_tui.engine.plan.quote import pg_ident, pg_name

FULL_TEXT = frozenset({"fts3", "fts4", "fts5"})
RTREE = frozenset({"rtree", "rtree_i32", "geopoly"})
_INTERFACES = frozenset({"virtualspatialindex", "virtualelementary", "virtualknn", "virtualknn2"})
"""Modules of SpatiaLite that only answer queries about other tables: every database it makes has some of them."""

_CONTENT = re.compile(r"\s*content\s*=", re.IGNORECASE)


def carried(table: SourceTable) -> bool:
    """Whether its rows are copied: ordinary tables, FTS and R-tree tables with their own content, and those whose module is
    missing (which are then named as impossible: there may be rows behind them)."""
    if only_answers(table):
        return False
    if table.kind is not TableKind.VIRTUAL or table.unreadable:
        return table.kind is not TableKind.SHADOW
    return table.module in FULL_TEXT | RTREE and not _foreign_content(table)


def only_answers(table: SourceTable) -> bool:
    """Whether it is known to hold no rows at all, whether or not its module is there."""
    return table.kind is TableKind.VIRTUAL and table.module in _INTERFACES


def _foreign_content(table: SourceTable) -> bool:
    return table.module in FULL_TEXT and any(_CONTENT.match(a) for a in table.module_args)


def rowid_source(table: SourceTable) -> str | None:
    """The source column that holds a virtual table's rowid: its first one in an R-tree, `rowid` in full text."""
    if table.kind is not TableKind.VIRTUAL or table.unreadable:
        return None
    if table.module in ("rtree", "rtree_i32") and table.columns:
        return table.columns[0].name
    return table.rowid_name


def add_virtual(schema: SourceSchema, names: dict[str, str], parts: Parts) -> None:
    """Name every virtual table and its storage.

    Args:
        names: target name of the carried tables, by source name.
    """
    for table in schema.tables:
        if table.kind is TableKind.SHADOW:
            reason = "storage of a virtual table, whose rows are carried or named themselves"
            parts.object(ObjectType.SHADOW_TABLE, table.name, table.name, carried=False, reason=reason, sql=table.sql)
        if table.kind is TableKind.VIRTUAL:
            is_carried = table.name in names and not table.unreadable
            reason = _reason(table, names.get(table.name), parts.schema)
            parts.object(
                ObjectType.VIRTUAL_TABLE, table.name, table.name, carried=is_carried, reason=reason, sql=table.sql
            )


def _reason(table: SourceTable, name: str | None, schema: str) -> str:
    if only_answers(table):
        return f"it holds no rows: the module {table.module} answers queries about other tables"
    if table.unreadable:
        return f"no row of it can be read: {table.unreadable}"
    if _foreign_content(table):
        return "its content lies in another table, which is carried by itself, or nowhere"
    if name is None:
        return f"a table of the module {table.module}, which has no rows of its own or isn't selected"
    if table.module in RTREE:
        return "as a plain table of its columns, without the spatial index"
    columns = [c.name for c in table.columns if c.generated is not Generated.HIDDEN]
    document = " || ' ' || ".join(f"coalesce({pg_ident(c)}, '')" for c in columns) or "''"
    return (
        "as a plain table of its columns and rowid; full-text search on request: "
        f"alter table {pg_name(schema, name)} add column {pg_ident('tsv')} tsvector generated always as "
        f"(to_tsvector('simple', {document})) stored; create index on {pg_name(schema, name)} using gin ({pg_ident('tsv')})"
    )
