"""Reads what a SQLite file holds: the catalog by PRAGMA, and from the CREATE texts what PRAGMAs don't tell.

One odd object never stops the others: what can't be read says so in its own entry.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from stepflow_tui.engine.model.live import CTL, OURS
from stepflow_tui.engine.model.schema import SourceSchema, SourceTable, SourceTrigger, SourceView, TableKind
from stepflow_tui.engine.plan.quote import lite_ident
from stepflow_tui.engine.plan.sqltext.indexes import ParsedVirtual, parse_virtual
from stepflow_tui.engine.plan.sqltext.tokens import SqlTextError
from stepflow_tui.engine.sqlite.catalog_keys import resolve_parents
from stepflow_tui.engine.sqlite.catalog_reader import CatalogReader, catalog_reader
from stepflow_tui.engine.sqlite.catalog_tables import TableEntry, read_table

SHADOW_SUFFIXES: dict[str, tuple[str, ...]] = {
    "fts3": ("content", "segments", "segdir", "docsize", "stat"),
    "fts4": ("content", "segments", "segdir", "docsize", "stat"),
    "fts5": ("data", "idx", "content", "docsize", "config"),
    "rtree": ("node", "parent", "rowid"),
    "rtree_i32": ("node", "parent", "rowid"),
    "geopoly": ("node", "parent", "rowid"),
}
"""Storage tables of the built-in virtual tables, for libraries that don't know the module (or `table_list`)."""


def read_schema(connection: sqlite3.Connection) -> SourceSchema:
    """Everything the catalog of the main database says.

    Runs single short reads in the calling thread; call it in a thread or child process. The caller decides whether they
    share one read transaction. A schema that SQLite calls malformed is read with `writable_schema` on, which makes SQLite
    step over the entries it can't parse; the setting stays on for this connection.

    Raises:
        sqlite3.DatabaseError: the file itself can't be read.
    """
    with catalog_reader(connection) as reader:
        try:
            reader.rows("select 1 from sqlite_master limit 1")
        except UnicodeDecodeError:  # the message itself quotes a name that isn't UTF-8
            connection.execute("pragma writable_schema=on")
        except sqlite3.DatabaseError as exc:
            if "malformed database schema" not in str(exc):
                raise
            connection.execute("pragma writable_schema=on")
        return _read(reader)


@dataclass(frozen=True, slots=True)
class _Entry:
    type: str
    name: str
    table: str
    sql: str


def _read(reader: CatalogReader) -> SourceSchema:
    entries = [_Entry(*(v if isinstance(v, str) else "" for v in row)) for row in
               reader.rows("select type, name, tbl_name, sql from sqlite_master order by rowid")]  # fmt: skip
    entries = _without_capture(entries)
    return SourceSchema(
        encoding=str(reader.value("encoding")),
        page_size=int(reader.value("page_size")),
        page_count=int(reader.value("page_count")),
        journal_mode=str(reader.value("journal_mode")),
        schema_version=int(reader.value("schema_version")),
        user_version=int(reader.value("user_version")),
        application_id=int(reader.value("application_id")),
        tables=resolve_parents(_tables(reader, entries)),
        views=tuple(_view(reader, e) for e in entries if e.type == "view"),
        triggers=tuple(SourceTrigger(name=e.name, table=e.table, sql=e.sql) for e in entries if e.type == "trigger"),
    )


def _without_capture(entries: list[_Entry]) -> list[_Entry]:
    """What a live run of ours made in the file belongs to no application: it is never planned, copied or compared."""
    if all(e.name != CTL for e in entries):
        return entries
    return [e for e in entries if not e.name.startswith(OURS)]


def _tables(reader: CatalogReader, entries: list[_Entry]) -> list[SourceTable]:
    listed = _table_list(reader)
    sequences = _sequences(reader)
    index_sql = {e.name: e.sql for e in entries if e.type == "index" and e.sql}
    tables = [e for e in entries if e.type == "table" and not e.name.lower().startswith("sqlite_")]
    virtual = {e.name: _virtual(e) for e in tables}
    shadows = _shadow_names({name: v.module for name, v in virtual.items() if v})
    found = []
    for entry in tables:
        kind, wr, strict = listed.get(entry.name, ("table", None, None))
        module = virtual[entry.name]
        table_kind = TableKind.VIRTUAL if module else TableKind.ORDINARY
        if kind == "shadow" or (entry.name.lower() in shadows and not module):
            table_kind = TableKind.SHADOW
        found.append(read_table(reader, TableEntry(
            name=entry.name, sql=entry.sql, kind=table_kind, without_rowid=wr, strict=strict,
            module=module.module if module else None, module_args=module.arguments if module else (),
            sequence=sequences.get(entry.name), index_sql=index_sql)))  # fmt: skip
    return found


def _table_list(reader: CatalogReader) -> dict[str, tuple[str, bool | None, bool | None]]:
    """Type, WITHOUT ROWID and STRICT by name; empty before SQLite 3.37, where the texts tell."""
    if sqlite3.sqlite_version_info < (3, 37):
        return {}
    rows = reader.rows("select name, type, wr, strict from pragma_table_list where schema = 'main'")
    return {name: (kind, bool(wr), bool(strict)) for name, kind, wr, strict in rows}


def _sequences(reader: CatalogReader) -> dict[str, int]:
    """`seq` by table name; anything else but integers in that table is no sequence."""
    try:
        rows = reader.rows("select name, seq from sqlite_sequence")
    except sqlite3.OperationalError:  # no table was ever AUTOINCREMENT
        return {}
    return {str(name): seq for name, seq in rows if isinstance(seq, int)}


def _virtual(entry: _Entry) -> ParsedVirtual | None:
    if not entry.sql[:40].upper().lstrip().startswith("CREATE VIRTUAL"):
        return None
    try:
        return parse_virtual(entry.sql)
    except SqlTextError:
        return ParsedVirtual(module="?", arguments=())


def _shadow_names(modules: dict[str, str]) -> set[str]:
    return {
        f"{name}_{suffix}".lower() for name, module in modules.items() for suffix in SHADOW_SUFFIXES.get(module, ())
    }


def _view(reader: CatalogReader, entry: _Entry) -> SourceView:
    try:
        broken = reader.refusal(f"select * from {lite_ident(entry.name)}")
        columns = () if broken else tuple(row[1] for row in reader.about("table_xinfo", entry.name))
    except (sqlite3.Error, ValueError):
        columns = ()
    return SourceView(name=entry.name, sql=entry.sql, columns=columns)
