"""CREATE TABLE as text → what the PRAGMAs don't tell: constraint names, collations, CHECKs, expressions, DEFERRABLE.

Tolerant: an odd token inside a column definition is stepped over, as types in real files hold almost any words.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from stepflow_tui.engine.plan.sqltext.cursor import Cursor
from stepflow_tui.engine.plan.sqltext.tokens import TokenKind

_COLUMN_WORDS = frozenset(
    {"CONSTRAINT", "DEFAULT", "NULL", "NOT", "PRIMARY", "UNIQUE", "CHECK", "REFERENCES", "COLLATE", "GENERATED", "AS", "DEFERRABLE", "ON"}
)  # fmt: skip
_TABLE_WORDS = frozenset({"CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"})


@dataclass(slots=True, kw_only=True)
class ParsedColumn:
    """What the text says about one column."""

    name: str
    collation: str | None = None
    expression: str | None = None
    default: str | None = None  # text of the default, parentheses kept


@dataclass(slots=True, kw_only=True)
class ParsedForeignKey:
    """One REFERENCES or FOREIGN KEY clause, in the order of the text."""

    columns: tuple[str, ...]
    ref_table: str
    ref_columns: tuple[str, ...] = ()
    name: str | None = None
    deferrable: bool = False
    initially_deferred: bool = False


@dataclass(slots=True, kw_only=True)
class ParsedTable:
    """What the text says about one table."""

    name: str
    columns: list[ParsedColumn] = field(default_factory=list)
    checks: list[tuple[str | None, str]] = field(default_factory=list)  # name, text between the parentheses
    uniques: list[tuple[str | None, tuple[str, ...]]] = field(default_factory=list)
    foreign_keys: list[ParsedForeignKey] = field(default_factory=list)
    primary_key_name: str | None = None
    autoincrement: bool = False
    without_rowid: bool = False
    strict: bool = False


def parse_table(sql: str) -> ParsedTable:
    """Read one CREATE TABLE statement.

    Raises:
        SqlTextError: it is no CREATE TABLE with a list of columns, or a quote or parenthesis doesn't close.
    """
    cursor = Cursor(sql)
    table = ParsedTable(name=_head(cursor))
    cursor.expect_op("(")
    while not cursor.op(")"):
        if cursor.now.kind is TokenKind.END:
            raise cursor.error("')'")
        if cursor.op(","):
            continue
        if cursor.now.upper in _TABLE_WORDS:
            _table_constraint(cursor, table)
        else:
            _column(cursor, table)
    _options(cursor, table)
    return table


def _head(cursor: Cursor) -> str:
    cursor.expect_word("CREATE")
    cursor.word("TEMP", "TEMPORARY")
    cursor.expect_word("TABLE")
    cursor.words("IF", "NOT", "EXISTS")
    name = cursor.name()
    return cursor.name() if cursor.op(".") else name


def _options(cursor: Cursor, table: ParsedTable) -> None:
    while not cursor.at_end:
        if cursor.words("WITHOUT", "ROWID"):
            table.without_rowid = True
        elif cursor.word("STRICT"):
            table.strict = True
        else:
            cursor.next()


def _column(cursor: Cursor, table: ParsedTable) -> None:
    column = ParsedColumn(name=cursor.name())
    table.columns.append(column)
    while cursor.now.upper not in _COLUMN_WORDS and not _ends(cursor):
        cursor.inside() if cursor.now.op("(") else cursor.next()
    name: str | None = None
    while not _ends(cursor):
        if cursor.word("CONSTRAINT"):
            name = cursor.name()
            continue
        if not _column_constraint(cursor, table, column, name):
            cursor.inside() if cursor.now.op("(") else cursor.next()
        name = None


def _ends(cursor: Cursor) -> bool:
    return cursor.now.op(",", ")") or cursor.now.kind is TokenKind.END


def _column_constraint(cursor: Cursor, table: ParsedTable, column: ParsedColumn, name: str | None) -> bool:
    if cursor.word("COLLATE"):
        column.collation = cursor.name()
    elif cursor.word("DEFAULT"):
        column.default = _default(cursor)
    elif cursor.words("NOT", "NULL") or cursor.word("NULL"):
        _conflict(cursor)
    elif cursor.words("PRIMARY", "KEY"):
        cursor.word("ASC", "DESC")
        _conflict(cursor)
        table.autoincrement = cursor.word("AUTOINCREMENT") or table.autoincrement
        table.primary_key_name = name
    elif cursor.word("UNIQUE"):
        _conflict(cursor)
        table.uniques.append((name, (column.name,)))
    elif cursor.word("CHECK"):
        table.checks.append((name, cursor.inside()))
        _conflict(cursor)
    elif cursor.word("REFERENCES"):
        table.foreign_keys.append(_references(cursor, (column.name,), name))
    elif cursor.words("GENERATED", "ALWAYS", "AS") or cursor.word("AS"):
        column.expression = cursor.inside()
    elif cursor.words("NOT", "DEFERRABLE") or cursor.now.upper == "DEFERRABLE":
        _deferrable(cursor, table.foreign_keys[-1] if table.foreign_keys else None)
    else:
        return False
    return True


def _default(cursor: Cursor) -> str:
    start = cursor.now.start
    if cursor.now.op("("):
        cursor.inside()
    else:
        cursor.op("+", "-")
        cursor.next()
    return cursor.sql[start : cursor.tokens[cursor.index - 1].end]


def _conflict(cursor: Cursor) -> None:
    if cursor.words("ON", "CONFLICT"):
        cursor.next()


def _table_constraint(cursor: Cursor, table: ParsedTable) -> None:
    name = cursor.name() if cursor.word("CONSTRAINT") else None
    if cursor.words("PRIMARY", "KEY"):
        table.primary_key_name = name
        table.autoincrement = _has_autoincrement(cursor) or table.autoincrement
        cursor.names()
        _conflict(cursor)
    elif cursor.word("UNIQUE"):
        table.uniques.append((name, cursor.names()))
        _conflict(cursor)
    elif cursor.word("CHECK"):
        table.checks.append((name, cursor.inside()))
        _conflict(cursor)
    elif cursor.words("FOREIGN", "KEY"):
        columns = cursor.names()
        cursor.expect_word("REFERENCES")
        key = _references(cursor, columns, name)
        table.foreign_keys.append(key)
        _deferrable(cursor, key)
    elif name is None:
        raise cursor.error("a table constraint")


def _has_autoincrement(cursor: Cursor) -> bool:
    place = cursor.index
    while not cursor.now.op(")") and cursor.now.kind is not TokenKind.END:
        if cursor.next().upper == "AUTOINCREMENT":
            cursor.index = place
            return True
    cursor.index = place
    return False


def _references(cursor: Cursor, columns: tuple[str, ...], name: str | None) -> ParsedForeignKey:
    key = ParsedForeignKey(columns=columns, ref_table=cursor.name(), name=name)
    if cursor.now.op("("):
        key.ref_columns = cursor.names()
    while True:
        if cursor.word("ON"):
            cursor.next()  # DELETE, UPDATE or INSERT; the action itself comes from the PRAGMA
            if not (cursor.words("SET", "NULL") or cursor.words("SET", "DEFAULT") or cursor.words("NO", "ACTION")):
                cursor.next()
        elif cursor.word("MATCH"):
            cursor.next()
        else:
            break
    _deferrable(cursor, key)
    return key


def _deferrable(cursor: Cursor, key: ParsedForeignKey | None) -> None:
    negated = cursor.words("NOT", "DEFERRABLE")
    if not negated and not cursor.word("DEFERRABLE"):
        return
    deferred = False
    if cursor.word("INITIALLY"):
        deferred = cursor.next().upper == "DEFERRED"
    if key is not None:
        key.deferrable, key.initially_deferred = not negated, deferred and not negated
