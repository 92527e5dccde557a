"""SQLite's SELECT: text → tree. Window functions and table-valued functions are not read."""

from __future__ import annotations

from stepflow_tui.engine.plan.sqltext.cursor import Cursor
from stepflow_tui.engine.plan.sqltext.expressions import expression_at, result_at
from stepflow_tui.engine.plan.sqltext.nodes import Core, Cte, Expr, Order, Select, Source
from stepflow_tui.engine.plan.sqltext.tokens import SqlTextError, TokenKind

_AFTER_SOURCE = frozenset(
    {"WHERE", "GROUP", "ORDER", "HAVING", "LIMIT", "UNION", "EXCEPT", "INTERSECT", "ON", "USING", "JOIN", "LEFT", "RIGHT", "FULL",
     "INNER", "CROSS", "NATURAL", "WINDOW", "SET", "END", "INDEXED", "NOT", "AS"}
)  # fmt: skip


def select_at(cursor: Cursor) -> Select:
    """Read the select at the cursor.

    Raises:
        SqlTextError: it isn't one, or holds what this grammar leaves out.
    """
    recursive, ctes = _with(cursor)
    cores = [("", _core(cursor))]
    while cursor.now.upper in ("UNION", "EXCEPT", "INTERSECT"):
        op = cursor.next().value.lower()
        if op == "union" and cursor.word("ALL"):
            op = "union all"
        cores.append((op, _core(cursor)))
    order = _order(cursor) if cursor.words("ORDER", "BY") else ()
    limit: Expr | None = None
    offset: Expr | None = None
    if cursor.word("LIMIT"):
        limit = expression_at(cursor)
        if cursor.word("OFFSET"):
            offset = expression_at(cursor)
        elif cursor.op(","):
            limit, offset = expression_at(cursor), limit
    return Select(tuple(cores), order, limit, offset, ctes, recursive)


def _with(cursor: Cursor) -> tuple[bool, tuple[Cte, ...]]:
    if not cursor.word("WITH"):
        return False, ()
    recursive = cursor.word("RECURSIVE")
    ctes = []
    while True:
        name = cursor.name()
        columns = cursor.names() if cursor.now.op("(") else ()
        cursor.expect_word("AS")
        if not cursor.words("NOT", "MATERIALIZED"):
            cursor.word("MATERIALIZED")
        cursor.expect_op("(")
        ctes.append(Cte(name, columns, select_at(cursor)))
        cursor.expect_op(")")
        if not cursor.op(","):
            return recursive, tuple(ctes)


def _core(cursor: Cursor) -> Core:
    if cursor.word("VALUES"):
        return Core(False, (), values=_values(cursor))
    cursor.expect_word("SELECT")
    distinct = cursor.word("DISTINCT")
    if not distinct:
        cursor.word("ALL")
    results = [result_at(cursor)]
    while cursor.op(","):
        results.append(result_at(cursor))
    sources = _sources(cursor) if cursor.word("FROM") else ()
    where = expression_at(cursor) if cursor.word("WHERE") else None
    group_by = _list(cursor) if cursor.words("GROUP", "BY") else ()
    having = expression_at(cursor) if cursor.word("HAVING") else None
    if cursor.now.upper == "WINDOW":
        raise SqlTextError("a window function")
    return Core(distinct, tuple(results), sources, where, group_by, having)


def _values(cursor: Cursor) -> tuple[tuple[Expr, ...], ...]:
    rows = []
    while True:
        cursor.expect_op("(")
        row = _list(cursor)
        cursor.expect_op(")")
        rows.append(row)
        if not cursor.op(","):
            return tuple(rows)


def _list(cursor: Cursor) -> tuple[Expr, ...]:
    found = [expression_at(cursor)]
    while cursor.op(","):
        found.append(expression_at(cursor))
    return tuple(found)


def _order(cursor: Cursor) -> tuple[Order, ...]:
    found = []
    while True:
        expression = expression_at(cursor)
        desc = cursor.word("DESC")
        if not desc:
            cursor.word("ASC")
        nulls = ("first" if cursor.word("FIRST") else cursor.next().value.lower()) if cursor.word("NULLS") else ""
        found.append(Order(expression, desc, nulls))
        if not cursor.op(","):
            return tuple(found)


def _sources(cursor: Cursor) -> tuple[Source, ...]:
    found = list(_source(cursor, ""))
    while True:
        join = _join(cursor)
        if join is None:
            return tuple(found)
        found.extend(_source(cursor, join))


def _join(cursor: Cursor) -> str | None:
    if cursor.op(","):
        return "cross"
    if cursor.now.upper == "NATURAL":
        raise SqlTextError("a NATURAL join")
    for word in ("LEFT", "RIGHT", "FULL"):
        if cursor.now.upper == word:
            cursor.next()
            cursor.word("OUTER")
            cursor.expect_word("JOIN")
            return word.lower()
    if cursor.words("CROSS", "JOIN") or cursor.words("INNER", "JOIN") or cursor.word("JOIN"):
        return "inner"
    return None


def _source(cursor: Cursor, join: str) -> list[Source]:
    table: str | None = None
    select: Select | None = None
    if cursor.op("("):
        if cursor.now.upper not in ("SELECT", "VALUES", "WITH"):
            raise SqlTextError("a join in parentheses")
        select = select_at(cursor)
        cursor.expect_op(")")
    else:
        table = cursor.name()
        if cursor.op("."):
            if table.lower() != "main":
                raise SqlTextError(f"a table of another database ({table})")
            table = cursor.name()
        if cursor.now.op("("):
            raise SqlTextError("a table-valued function")
    alias = _alias(cursor)
    if cursor.words("INDEXED", "BY"):
        cursor.name()
    else:
        cursor.words("NOT", "INDEXED")
    on = expression_at(cursor) if cursor.word("ON") else None
    using = cursor.names() if cursor.word("USING") else ()
    return [Source(table, select, alias, join, on, using)]


def _alias(cursor: Cursor) -> str | None:
    if cursor.word("AS"):
        return cursor.name()
    bare = cursor.now.kind in (TokenKind.NAME, TokenKind.STRING) or (
        cursor.now.kind is TokenKind.WORD and cursor.now.upper not in _AFTER_SOURCE
    )
    return cursor.name() if bare else None
