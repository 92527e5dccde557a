"""What another database needs to be measured with the same rows: tables, types by what is stored, and a full-text index."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from stepflow_tui.engine.model.schema import SourceTable, TableKind
from stepflow_tui.engine.plan.quote import lite_ident
from stepflow_tui.engine.sqlite.bench_rows import columns_of, key_of, listed
from stepflow_tui.engine.sqlite.bench_script import encoded
from stepflow_tui.engine.sqlite.bench_shape import Shape
from stepflow_tui.engine.sqlite.catalog import read_schema

TEXT_TABLE = "_stepflow_bench_text"
MOST_TEXTS = 200_000
_SAMPLE, _WORDS, _LEAST_LENGTH = 1_000, 200, 10
_WORD = re.compile(r"[A-Za-z]{3,20}")
_TYPES = {
    frozenset({"integer"}): "bigint",
    frozenset({"real"}): "double precision",
    frozenset({"real", "integer"}): "double precision",
    frozenset({"blob"}): "bytea",
}
"""PostgreSQL's type by the storage classes that a column holds; everything else is text."""


def for_both_sides(conn: sqlite3.Connection, shape: Shape, plain: dict[str, Any]) -> dict[str, Any]:
    """What `postgres/bench.py` makes its tables of; fills the full-text index of this side.

    Returns:
        copies: tables with `select`, `columns`, `types`, `key`, `indexes`; written and joined: which of them.
    """
    used = list({t.name: t for t in (shape.written.table, shape.joined.child, shape.joined.parent)}.values())
    copies = [_copy_of(conn, table) for table in used]
    at = {table.name: i for i, table in enumerate(used)}
    joined = _joined(shape, at, copies)
    found = {"copies": copies, "written": at[shape.written.table.name], "join": joined}
    if source := _longest_text(conn):
        found["words"] = _fill(conn, *source)
    if found.get("words") and source:
        found["tables"] = plain["tables"] | {"text": f"{source[0].name}.{source[1]}"}
        found["text_copy"] = text_copy()
        found["sql"] = plain["sql"] | {"text": f"select rowid from {TEXT_TABLE} where {TEXT_TABLE} match ? limit 20"}
    return found


def rows_of(conn: sqlite3.Connection, copy: dict[str, Any], size: int) -> Iterator[list[Any]]:
    """The rows of one of the copies, JSON-ready, in portions."""
    cursor = conn.execute(copy["select"])
    while rows := cursor.fetchmany(size):
        yield encoded(rows)


def text_copy() -> dict[str, Any]:
    """The texts of the full-text index, as a copy."""
    return {"select": f"select rowid, body from {TEXT_TABLE}", "columns": ["id", "body"], "types": ["bigint", "text"]}


def _copy_of(conn: sqlite3.Connection, table: SourceTable) -> dict[str, Any]:
    columns = columns_of(table)
    folded = [c.lower() for c in columns]
    name = lite_ident(table.name)
    kinds = conn.execute(
        f"select {', '.join(f'group_concat(distinct typeof({lite_ident(c)}))' for c in columns)} from {name}"
    ).fetchone()
    indexes = [([t.column.lower() for t in i.terms if t.column], i) for i in table.indexes if i.origin != "pk"]
    return {
        "select": f"select {listed(columns)} from {name}",
        "columns": columns,
        "types": [_type(kind) for kind in kinds],
        "key": [folded.index(k.lower()) for k in key_of(table)],
        "indexes": [
            {"columns": [folded.index(c) for c in names], "unique": index.unique}
            for names, index in indexes
            if index.where is None and len(names) == len(index.terms) and set(names) <= set(folded)
        ],
    }


def _type(kinds: str | None) -> str:
    return _TYPES.get(frozenset((kinds or "").split(",")) - {"null"}, "text")


def _joined(shape: Shape, at: dict[str, int], copies: list[dict[str, Any]]) -> dict[str, Any]:
    joined = shape.joined
    child, parent = copies[at[joined.child.name]], copies[at[joined.parent.name]]
    pairs = [
        (_at(child["columns"], ours), _at(parent["columns"], theirs))
        for ours, theirs in zip(joined.link.columns, joined.link.ref_columns, strict=True)
    ]
    for ours, theirs in pairs:
        if child["types"][ours] != parent["types"][theirs]:
            child["types"][ours] = parent["types"][theirs] = "text"
    shown = None if joined.shown is None else _at(parent["columns"], joined.shown)
    return {"child": at[joined.child.name], "parent": at[joined.parent.name], "on": pairs, "shown": shown}


def _at(columns: Sequence[str], name: str) -> int:
    return [c.lower() for c in columns].index(name.lower())


def _longest_text(conn: sqlite3.Connection) -> tuple[SourceTable, str] | None:
    """The column whose texts are longest on average; short ones are no texts to search."""
    best: tuple[float, SourceTable, str] | None = None
    for table in read_schema(conn).tables:
        if table.kind is not TableKind.ORDINARY or table.unreadable:
            continue
        for column in table.columns:
            length = _length(conn, table, column.name)
            if length >= _LEAST_LENGTH and (best is None or length > best[0]):
                best = (length, table, column.name)
    return best and best[1:]


def _length(conn: sqlite3.Connection, table: SourceTable, column: str) -> float:
    name = lite_ident(column)
    sample = f"select {name} as v from {lite_ident(table.name)} limit {_SAMPLE}"
    try:
        [found] = conn.execute(
            f"select avg(length(v)) from ({sample}) where typeof(v) = 'text' and v glob '* *'"
        ).fetchone()
    except sqlite3.Error:
        return 0.0  # a column that this library can't read has no texts to search
    return float(found or 0)


def _fill(conn: sqlite3.Connection, table: SourceTable, column: str) -> list[str]:
    """Make the full-text index; the words that will be looked for, [] where this SQLite has none."""
    if not conn.execute("select sqlite_compileoption_used('ENABLE_FTS5')").fetchone()[0]:
        return []
    name = lite_ident(column)
    conn.execute(f"create virtual table {TEXT_TABLE} using fts5(body)")
    conn.execute(
        f"insert into {TEXT_TABLE}(rowid, body) select row_number() over (), v from"
        f" (select {name} as v from {lite_ident(table.name)} where typeof({name}) = 'text' limit {MOST_TEXTS})"
    )
    words: set[str] = set()
    for (body,) in conn.execute(f"select body from {TEXT_TABLE} where rowid % 7 = 1 limit {_SAMPLE}"):
        words.update(w.lower() for w in _WORD.findall(body))
    return sorted(words)[:: max(1, len(words) // _WORDS)]
