"""Indexes and foreign keys of the catalog."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from stepflow_tui.engine.model.schema import IndexTerm, SourceForeignKey, SourceIndex, SourceTable
from stepflow_tui.engine.plan.sqltext.indexes import ParsedIndex, parse_index
from stepflow_tui.engine.plan.sqltext.tables import ParsedForeignKey, ParsedTable
from stepflow_tui.engine.plan.sqltext.tokens import SqlTextError
from stepflow_tui.engine.sqlite.catalog_reader import CatalogReader

BUILT_IN_COLLATIONS = frozenset({"BINARY", "NOCASE", "RTRIM"})


def built_in_upper(name: str | None) -> str:
    """A collation's name, in capitals if it is one of SQLite's own."""
    if name is None:
        return "BINARY"
    return name.upper() if name.upper() in BUILT_IN_COLLATIONS else name


def read_indexes(
    reader: CatalogReader, table: str, parsed: ParsedTable, index_sql: dict[str, str]
) -> tuple[SourceIndex, ...]:
    """The table's indexes in the order they were made; constraints get their written name."""
    uniques = list(parsed.uniques)
    found = []
    for _seq, name, unique, origin, _partial in reversed(reader.about("index_list", table)):
        sql = index_sql.get(name)
        text = _parse(sql)
        terms = _terms(reader, name, text)
        found.append(
            SourceIndex(
                name=name,
                table=table,
                unique=bool(unique),
                origin=origin,
                terms=terms,
                where=text.where if text else None,
                sql=sql,
                constraint=_constraint(uniques, terms) if origin == "u" else None,
            )
        )
    return tuple(found)


def _parse(sql: str | None) -> ParsedIndex | None:
    if sql is None:
        return None
    try:
        return parse_index(sql)
    except SqlTextError:
        return None


def _terms(reader: CatalogReader, name: str, text: ParsedIndex | None) -> tuple[IndexTerm, ...]:
    terms = []
    for seqno, cid, column, desc, collation, key in reader.about("index_xinfo", name):
        if not key:
            continue
        # -2 is an expression; -1, the rowid, has no column name either
        expression = (text.terms[seqno] if text and seqno < len(text.terms) else "") if cid == -2 else None
        terms.append(
            IndexTerm(
                column=("rowid" if cid == -1 else column) if cid != -2 else None,
                expression=expression,
                desc=bool(desc),
                collation=built_in_upper(collation),
            )
        )
    return tuple(terms)


def _constraint(uniques: list[tuple[str | None, tuple[str, ...]]], terms: tuple[IndexTerm, ...]) -> str | None:
    columns = tuple((t.column or "").lower() for t in terms)
    for item in uniques:
        if tuple(c.lower() for c in item[1]) == columns:
            uniques.remove(item)
            return item[0]
    return None


def read_foreign_keys(reader: CatalogReader, table: str, parsed: ParsedTable) -> tuple[SourceForeignKey, ...]:
    """The table's foreign keys in the order of the text; `ref_columns` as written, `resolve_parents` completes them."""
    by_id: dict[int, list[tuple[int, str, str, str | None, str, str]]] = {}
    for key_id, seq, parent, column, to, on_update, on_delete, _how in reader.about("foreign_key_list", table):
        by_id.setdefault(key_id, []).append((seq, parent, column, to, on_update, on_delete))
    texts = list(parsed.foreign_keys)
    found = []
    for key_id in sorted(by_id, reverse=True):  # SQLite numbers them from the last written to the first
        rows = sorted(by_id[key_id], key=lambda r: r[0])
        columns = tuple(r[2] or "" for r in rows)
        text = _match(texts, columns, rows[0][1])
        found.append(
            SourceForeignKey(
                columns=columns,
                ref_table=rows[0][1],
                ref_columns=tuple(r[3] for r in rows if r[3] is not None),
                on_update=rows[0][4],
                on_delete=rows[0][5],
                deferrable=text.deferrable if text else False,
                initially_deferred=text.initially_deferred if text else False,
                name=text.name if text else None,
            )
        )
    return tuple(found)


def _match(texts: list[ParsedForeignKey], columns: tuple[str, ...], parent: str) -> ParsedForeignKey | None:
    wanted = tuple(c.lower() for c in columns)
    for text in texts:
        if tuple(c.lower() for c in text.columns) == wanted and text.ref_table.lower() == parent.lower():
            texts.remove(text)
            return text
    return None


def resolve_parents(tables: Sequence[SourceTable]) -> tuple[SourceTable, ...]:
    """Foreign keys with their parents' names and columns as the catalog writes them; an omitted list of columns means
    the parent's primary key. `ref_columns` stay empty where the parent or such columns don't exist."""
    by_name = {t.name.lower(): t for t in tables}
    return tuple(replace(t, foreign_keys=tuple(_resolve(k, by_name) for k in t.foreign_keys)) for t in tables)


def _resolve(key: SourceForeignKey, by_name: dict[str, SourceTable]) -> SourceForeignKey:
    parent = by_name.get(key.ref_table.lower())
    if parent is None:
        return replace(key, ref_columns=())
    names = {c.name.lower(): c.name for c in parent.columns}
    wanted = key.ref_columns or parent.primary_key
    resolved = tuple(names[c.lower()] for c in wanted if c.lower() in names)
    complete = len(resolved) == len(key.columns)
    return replace(key, ref_table=parent.name, ref_columns=resolved if complete else ())
