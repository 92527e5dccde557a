"""Which rows could a statement remove to make room for a new one? One predicate per unique key, for BEFORE triggers.

Each predicate stands in a statement of its own, written so that the key's own index answers it: an OR over all keys would
make every insert read the whole table as soon as one of them has no index to use.
"""

from __future__ import annotations

from dataclasses import dataclass

from stepflow_tui.engine.model.schema import Affinity, Generated, IndexTerm, SourceColumn, SourceIndex, SourceTable
from stepflow_tui.engine.plan.quote import lite_ident, lite_literal
from stepflow_tui.engine.plan.sqltext.tokens import SqlTextError, TokenKind, tokenize

_WORDS = frozenset({"NULL", "TRUE", "FALSE", "CURRENT_TIMESTAMP", "CURRENT_DATE", "CURRENT_TIME"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """`where`: a predicate over the table's rows and `new`; true for rows that a conflict over one key may remove.

    `moved`: over `old` and `new`; where it is false, an UPDATE leaves the key as it was, and meets no conflict over it.
    """

    where: str
    moved: str | None = None


def hints(table: SourceTable) -> tuple[Hint, ...]:
    """The predicates of all keys of a table; rows that match none can't be removed by a conflict."""
    found: list[Hint] = []
    rowid = None if table.without_rowid else table.rowid_alias or table.rowid_name
    if rowid is not None:
        name = lite_ident(rowid)
        found.append(Hint(where=f"{name} = new.{name}", moved=f"new.{name} <> old.{name}"))
    keys = [i for i in table.indexes if i.unique]
    found += [Hint(where=_conflict(table, index), moved=_moved(table, index)) for index in keys]
    found += [Hint(where=_defaulted(column)) for column in _in_expressions(table, keys)]
    return tuple(found)


def _conflict(table: SourceTable, index: SourceIndex) -> str:
    """The existing row's terms equal the new row's, as the index compares them. NULL never equals, as in UNIQUE itself.

    A partial index holds only rows that meet its own WHERE, so only such rows can be in the way; whether the new row
    meets it is not asked.
    """
    terms = [_expression(table, t) if t.expression is not None else _plain(table, t) for t in index.terms]
    where = [_inside(index.where)] if index.where is not None else []
    return " AND ".join([*terms, *where, *_mentioned(table, index)])


def _moved(table: SourceTable, index: SourceIndex) -> str | None:
    """Plain columns compared as the index compares them; None where more than its terms decides what it holds."""
    plain = [_find(table, t.column or "") for t in index.terms]
    if index.where is not None or any(c is None or c.generated is not Generated.NO for c in plain):
        return None
    parts = [
        f"{_new(c)} COLLATE {lite_ident(t.collation)} IS NOT old.{lite_ident(c.name)}"
        for c, t in zip(plain, index.terms, strict=True)
        if c is not None
    ]
    return f"({' OR '.join(parts)})"


def _mentioned(table: SourceTable, index: SourceIndex) -> list[str]:
    """Always true, for each column that a generated column of the key is computed from.

    Before an UPDATE, SQLite loads only those columns of `new` that a BEFORE trigger mentions, and computes generated ones
    from what it loaded.
    """
    used = columns_of(index)
    made = [c for c in table.columns if c.generated is not Generated.NO and c.name.lower() in used]
    names = set().union(*(feeds(table, c) for c in made))
    fed = [lite_ident(c.name) for c in table.columns if c.name.lower() in names and c.generated is Generated.NO]
    return [f"(new.{name} IS NULL OR new.{name} IS NOT NULL)" for name in fed]


def columns_of(index: SourceIndex) -> set[str]:
    """Lower-case names of the columns that an index's terms use."""
    names = {t.column.lower() for t in index.terms if t.column is not None}
    for term in index.terms:
        names |= words(term.expression) if term.expression is not None else set()
    return names


def feeds(table: SourceTable, column: SourceColumn) -> set[str]:
    """Lower-case names of everything a generated column may be computed from, by way of other generated columns too."""
    if column.expression is None:  # its text could not be read: any column may be in it
        return {c.name.lower() for c in table.columns}
    found, todo = set[str](), words(column.expression)
    while todo:
        name = todo.pop()
        if name in found:
            continue
        found.add(name)
        inner = next((c for c in table.columns if c.name.lower() == name and c.generated is not Generated.NO), None)
        if inner is not None:
            todo |= feeds(table, inner) if inner.expression is None else words(inner.expression)
    return found


def _plain(table: SourceTable, term: IndexTerm) -> str:
    name = term.column or ""
    column = _find(table, name)
    new = f"new.{lite_ident(name)}" if column is None else _new(column)
    return f"{lite_ident(name)} COLLATE {lite_ident(term.collation)} = {new}"


def _expression(table: SourceTable, term: IndexTerm) -> str:
    """The same expression over a row made of the new values, in which its column names mean those."""
    text = term.expression or ""
    names = words(text)
    columns = [c for c in table.columns if c.name.lower() in names]
    row = ", ".join(f"{_new(c)} COLLATE {lite_ident(c.collation)} AS {lite_ident(c.name)}" for c in columns)
    value = f"(SELECT {_inside(text)} FROM (SELECT {row}))" if row else _inside(text)
    return f"{_inside(text)} COLLATE {lite_ident(term.collation)} = {value}"


def _new(column: SourceColumn) -> str:
    """The value the row will get: a NULL in a NOT NULL column becomes the default under REPLACE."""
    name = f"new.{lite_ident(column.name)}"
    return f"coalesce({name}, {default_sql(column)})" if defaulted(column) else name


def _defaulted(column: SourceColumn) -> str:
    """Rows that hold the default itself, under any collation: stored, it got the column's affinity, which an expression
    over it may tell (`typeof`). SQLite looks at the first condition once per statement."""
    name, value = lite_ident(column.name), default_sql(column)
    either = " OR ".join(f"{name} = {value}{c}" for c in ("", " COLLATE NOCASE", " COLLATE RTRIM"))
    return f"new.{name} IS NULL AND ({either})"


def _in_expressions(table: SourceTable, keys: list[SourceIndex]) -> list[SourceColumn]:
    """NOT NULL DEFAULT columns in expressions of unique keys whose default is stored as something else than it reads.

    Plain terms need no more than `_new`: they compare with the column's affinity.
    """
    used: set[str] = set()
    for index in keys:
        for term in index.terms:
            used |= words(term.expression) if term.expression is not None else set()
    return [c for c in table.columns if defaulted(c) and c.name.lower() in used and not stored_as_written(c)]


def stored_as_written(column: SourceColumn) -> bool:
    """Whether the column's affinity leaves its default as it is: a text in TEXT, a whole number in INTEGER and so on."""
    tokens = [t for t in tokenize(column.default or "NULL") if not t.op("-", "+")][:-1]
    if len(tokens) != 1:
        return column.affinity is Affinity.BLOB
    token = tokens[0]
    if token.upper == "NULL" or token.kind is TokenKind.BLOB or column.affinity is Affinity.BLOB:
        return True
    if token.kind is TokenKind.NUMBER:
        real = not token.value.isdigit()
        return column.affinity in ((Affinity.REAL,) if real else (Affinity.INTEGER, Affinity.NUMERIC))
    if token.upper in ("TRUE", "FALSE"):
        return column.affinity in (Affinity.INTEGER, Affinity.NUMERIC)
    return column.affinity is Affinity.TEXT


def defaulted(column: SourceColumn) -> bool:
    """Whether REPLACE puts a default in the place of NULL in it."""
    return column.not_null and column.default is not None and column.generated is Generated.NO


def default_sql(column: SourceColumn) -> str:
    """The default as an expression: a bare or double-quoted word is a text there, but would be a name in a trigger."""
    text = column.default or "NULL"
    tokens = tokenize(text)
    first = tokens[0]
    single = len(tokens) == 2
    if single and (first.kind is TokenKind.NAME or (first.kind is TokenKind.WORD and first.upper not in _WORDS)):
        return lite_literal(first.value)
    return _inside(text)


def _inside(text: str) -> str:
    """In parentheses that a comment at the text's end can't swallow."""
    return f"({text}\n)" if "--" in text else f"({text})"


def words(text: str) -> set[str]:
    """Every word and quoted name in a piece of SQL, in lower case: a superset of the columns it uses."""
    try:
        return {t.value.lower() for t in tokenize(text) if t.kind in (TokenKind.WORD, TokenKind.NAME)}
    except SqlTextError:
        return set()


def _find(table: SourceTable, name: str) -> SourceColumn | None:
    return next((c for c in table.columns if c.name.lower() == name.lower()), None)
