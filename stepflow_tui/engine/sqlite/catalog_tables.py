"""One table of the catalog: columns, keys, indexes and constraints, PRAGMAs and text put together."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field

from stepflow_tui.engine.errors import Refused
from stepflow_tui.engine.model.schema import (
    Affinity,
    Generated,
    SourceCheck,
    SourceColumn,
    SourceIndex,
    SourceTable,
    TableKind,
)
from stepflow_tui.engine.plan.quote import lite_ident
from stepflow_tui.engine.plan.sqltext.tables import ParsedTable, parse_table
from stepflow_tui.engine.plan.sqltext.tokens import SqlTextError
from stepflow_tui.engine.sqlite.catalog_keys import BUILT_IN_COLLATIONS, built_in_upper, read_foreign_keys, read_indexes
from stepflow_tui.engine.sqlite.catalog_reader import CatalogReader

_HIDDEN = {0: Generated.NO, 1: Generated.HIDDEN, 2: Generated.VIRTUAL, 3: Generated.STORED}


@dataclass(frozen=True, slots=True, kw_only=True)
class TableEntry:
    """What is known of a table before its PRAGMAs are asked; None means that the text has to tell."""

    name: str
    sql: str
    kind: TableKind
    without_rowid: bool | None
    strict: bool | None
    module: str | None = None
    module_args: tuple[str, ...] = ()
    sequence: int | None = None
    index_sql: dict[str, str] = field(default_factory=dict)


def affinity_of(declared: str, *, strict: bool = False) -> Affinity:
    """The affinity of a declared type, by the five rules of SQLite's datatype page."""
    upper = declared.upper()
    if strict and upper == "ANY":
        return Affinity.BLOB
    if "INT" in upper:
        return Affinity.INTEGER
    if any(word in upper for word in ("CHAR", "CLOB", "TEXT")):
        return Affinity.TEXT
    if "BLOB" in upper or not upper:
        return Affinity.BLOB
    if any(word in upper for word in ("REAL", "FLOA", "DOUB")):
        return Affinity.REAL
    return Affinity.NUMERIC


def read_table(reader: CatalogReader, entry: TableEntry) -> SourceTable:
    """One table; whatever is wrong with it stands in `unreadable` or `unparsed`."""
    parsed, unparsed = _parse(entry)
    wr = entry.without_rowid if entry.without_rowid is not None else parsed.without_rowid
    strict = entry.strict if entry.strict is not None else parsed.strict
    try:
        columns = _columns(reader, entry, parsed, strict)
        indexes = read_indexes(reader, entry.name, parsed, entry.index_sql)
        keys = read_foreign_keys(reader, entry.name, parsed)
    except sqlite3.Error as exc:
        return SourceTable(
            name=entry.name, kind=entry.kind, columns=(), sql=entry.sql, module=entry.module,
            module_args=entry.module_args, unreadable=str(exc), unparsed=unparsed)  # fmt: skip
    virtual = entry.kind is TableKind.VIRTUAL
    primary = tuple(c.name for c in sorted((c for c in columns if c.pk), key=lambda c: c.pk))
    alias = _rowid_alias(columns, indexes, wr) if not virtual else None
    return SourceTable(
        name=entry.name,
        kind=entry.kind,
        columns=columns,
        sql=entry.sql,
        without_rowid=wr,
        strict=strict,
        rowid_alias=alias,
        rowid_name=None if wr else _rowid_name(columns),
        autoincrement=parsed.autoincrement and alias is not None,
        sequence=entry.sequence,
        primary_key=primary,
        indexes=indexes,
        foreign_keys=keys,
        checks=tuple(SourceCheck(expression=text, name=name) for name, text in parsed.checks),
        module=entry.module,
        module_args=entry.module_args,
        primary_key_name=parsed.primary_key_name,
        unparsed=unparsed,
        unreadable=_unreadable(reader, entry.name, columns, ordered=wr),
    )


def _parse(entry: TableEntry) -> tuple[ParsedTable, str | None]:
    if entry.kind is TableKind.VIRTUAL:
        return ParsedTable(name=entry.name), None
    try:
        return parse_table(entry.sql), None
    except SqlTextError as exc:
        return ParsedTable(name=entry.name), str(exc)


def _columns(reader: CatalogReader, entry: TableEntry, parsed: ParsedTable, strict: bool) -> tuple[SourceColumn, ...]:
    texts = {c.name.lower(): c for c in parsed.columns}
    found = []
    for _cid, name, declared, not_null, default, pk, hidden in reader.about("table_xinfo", entry.name):
        text = texts.get(name.lower())
        found.append(
            SourceColumn(
                name=name,
                declared=declared or "",
                affinity=affinity_of(declared or "", strict=strict),
                not_null=bool(not_null),
                default=default,
                pk=pk,
                collation=built_in_upper(text.collation if text else None),
                generated=_HIDDEN.get(hidden, Generated.HIDDEN),
                expression=text.expression if text else None,
            )
        )
    return tuple(found)


def _rowid_alias(
    columns: tuple[SourceColumn, ...], indexes: tuple[SourceIndex, ...], without_rowid: bool
) -> str | None:
    """The INTEGER PRIMARY KEY. `INTEGER PRIMARY KEY DESC` is none: SQLite gives it an index of its own."""
    keys = [c for c in columns if c.pk]
    if without_rowid or len(keys) != 1 or keys[0].declared.upper() != "INTEGER":
        return None
    return None if any(i.origin == "pk" for i in indexes) else keys[0].name


def _rowid_name(columns: tuple[SourceColumn, ...]) -> str | None:
    taken = {c.name.lower() for c in columns}
    return next((n for n in ("rowid", "_rowid_", "oid") if n not in taken), None)


def _unreadable(reader: CatalogReader, name: str, columns: tuple[SourceColumn, ...], *, ordered: bool) -> str | None:
    """Why no row can be read. `ordered`: rows lie in the order of the primary key (WITHOUT ROWID)."""
    if reader.broken(name) or any(reader.broken(c.name) for c in columns):
        return "a name of it is not valid UTF-8"
    try:
        refusal = reader.refusal(f"select * from {lite_ident(name)}")
    except Refused as exc:
        return exc.message
    foreign = [c.collation for c in columns if c.pk and c.collation not in BUILT_IN_COLLATIONS]
    if refusal and ordered and foreign:  # SQLite's own words are "no query solution"
        return f"its rows lie in the order of the collation {foreign[0]}, which only the application has"
    return refusal
