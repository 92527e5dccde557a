"""CREATE VIEW and CREATE TRIGGER as text → trees."""

from __future__ import annotations

from stepflow_tui.engine.plan.sqltext.cursor import Cursor
from stepflow_tui.engine.plan.sqltext.expressions import expression_at
from stepflow_tui.engine.plan.sqltext.nodes import Action, Delete, Expr, Insert, Timing, Trigger, Update, View
from stepflow_tui.engine.plan.sqltext.selects import select_at
from stepflow_tui.engine.plan.sqltext.tokens import SqlTextError


def parse_view(sql: str) -> View:
    """Read one CREATE VIEW statement.

    Raises:
        SqlTextError: it is none, or its select can't be read.
    """
    cursor = Cursor(sql)
    name = _head(cursor, "VIEW")
    columns = cursor.names() if cursor.now.op("(") else ()
    cursor.expect_word("AS")
    select = select_at(cursor)
    if not cursor.at_end:
        raise cursor.error("the end of the view")
    return View(name, columns, select)


def _head(cursor: Cursor, kind: str) -> str:
    cursor.expect_word("CREATE")
    cursor.word("TEMP", "TEMPORARY")
    cursor.expect_word(kind)
    cursor.words("IF", "NOT", "EXISTS")
    name = cursor.name()
    return cursor.name() if cursor.op(".") else name


def parse_trigger(sql: str) -> Trigger:
    """Read one CREATE TRIGGER statement.

    Raises:
        SqlTextError: it is none, or a statement of its body can't be read.
    """
    cursor = Cursor(sql)
    name = _head(cursor, "TRIGGER")
    timing = _timing(cursor)
    event, of = _event(cursor)
    cursor.expect_word("ON")
    table = cursor.name()
    if cursor.op("."):
        table = cursor.name()
    cursor.words("FOR", "EACH", "ROW")
    when = expression_at(cursor) if cursor.word("WHEN") else None
    cursor.expect_word("BEGIN")
    body: list[Action] = []
    while not cursor.word("END"):
        body.append(_action(cursor))
        cursor.expect_op(";")
    return Trigger(name, timing, event, of, table, when, tuple(body))


def _timing(cursor: Cursor) -> Timing:
    if cursor.word("AFTER"):
        return Timing.AFTER
    if cursor.words("INSTEAD", "OF"):
        return Timing.INSTEAD
    cursor.word("BEFORE")
    return Timing.BEFORE


def _event(cursor: Cursor) -> tuple[str, tuple[str, ...]]:
    event = cursor.next().value.lower()
    if event not in ("insert", "update", "delete"):
        raise SqlTextError(f"an unknown trigger event ({event})")
    of: list[str] = []
    if cursor.word("OF"):
        of.append(cursor.name())
        while cursor.op(","):
            of.append(cursor.name())
    return event, tuple(of)


def _action(cursor: Cursor) -> Action:
    if cursor.now.upper == "WITH":
        raise SqlTextError("a WITH clause in a trigger")
    if cursor.word("INSERT"):
        return _insert(cursor, _conflict(cursor))
    if cursor.word("REPLACE"):
        return _insert(cursor, "REPLACE")
    if cursor.word("UPDATE"):
        return _update(cursor)
    if cursor.words("DELETE", "FROM"):
        table = cursor.name()
        return Delete(table, _where(cursor))
    return select_at(cursor)


def _conflict(cursor: Cursor) -> str:
    return cursor.next().upper if cursor.word("OR") else ""


def _insert(cursor: Cursor, action: str) -> Insert:
    cursor.expect_word("INTO")
    table = cursor.name()
    columns = cursor.names() if cursor.now.op("(") else ()
    if cursor.words("DEFAULT", "VALUES"):
        return Insert(action, table, columns, None)
    select = select_at(cursor)
    if cursor.now.upper == "ON":
        raise SqlTextError("an ON CONFLICT clause in a trigger")
    return Insert(action, table, columns, select)


def _update(cursor: Cursor) -> Update:
    action = _conflict(cursor)
    table = cursor.name()
    cursor.expect_word("SET")
    assignments: list[tuple[str, Expr]] = []
    while True:
        if cursor.now.op("("):
            raise SqlTextError("an UPDATE of several columns at once")
        column = cursor.name()
        cursor.expect_op("=")
        assignments.append((column, expression_at(cursor)))
        if not cursor.op(","):
            break
    if cursor.now.upper == "FROM":
        raise SqlTextError("UPDATE … FROM in a trigger")
    return Update(action, table, tuple(assignments), _where(cursor))


def _where(cursor: Cursor) -> Expr | None:
    return expression_at(cursor) if cursor.word("WHERE") else None
