"""Where triggers can't tell everything: tables refused by name, and tables that are compared as a whole before cutover."""

from __future__ import annotations

from collections.abc import Sequence

from stepflow_tui.engine.model.schema import Generated, SourceIndex, SourceTable, SourceTrigger
from stepflow_tui.engine.plan.capture_compare import compares_alike
from stepflow_tui.engine.plan.capture_hints import columns_of, defaulted, feeds, stored_as_written, words
from stepflow_tui.engine.plan.sqltext.nodes import Select, Timing
from stepflow_tui.engine.plan.sqltext.objects import parse_trigger
from stepflow_tui.engine.plan.sqltext.tokens import SqlTextError, Token, TokenKind, tokenize

_BUILT_IN = frozenset({"BINARY", "NOCASE", "RTRIM"})
_REPEATABLE = frozenset(
    {"abs", "cast", "char", "coalesce", "concat", "concat_ws", "date", "datetime", "format", "hex", "ifnull", "iif", "instr",
     "json", "json_array", "json_object", "julianday", "length", "lower", "ltrim", "max", "min", "nullif", "printf", "quote",
     "replace", "round", "rtrim", "strftime", "substr", "substring", "time", "trim", "typeof", "unicode", "unixepoch",
     "upper", "zeroblob"}
)  # fmt: skip
"""Functions that give the same again within one statement (SQLite's clock stands still during one)."""

_ENOUGH_RANDOM_BYTES = 8


def unread_index(table: SourceTable) -> str | None:
    """A unique key whose expression could not be read: nobody can say which rows stand in a new one's way."""
    for index in _unique(table):
        texts = [t.expression for t in index.terms if t.expression is not None]
        if any(not text or not _readable(text) for text in texts):
            return f"the expression of its unique index {index.name} can't be read"
    for column in table.columns:
        if defaulted(column) and not _readable(column.default or ""):
            return f"the default of its column {column.name} can't be read"
    return None


def _readable(text: str) -> bool:
    try:
        return bool(tokenize(text))
    except SqlTextError:
        return False


def foreign_collation(table: SourceTable) -> str | None:
    """An index in an order that only the application knows: StepFlow could neither look rows up in it nor write them back."""
    for index in table.indexes:
        for term in index.terms:
            if term.collation not in _BUILT_IN:
                return f"its index {index.name} uses the collation {term.collation}, which only the application has"
    return None


def lost_conflicts(table: SourceTable, triggers: Sequence[SourceTrigger]) -> str | None:
    """Why a row removed by REPLACE may be missing in the log."""
    keys = _unique(table)
    used: set[str] = set()
    for index in keys:
        used |= columns_of(index)
    return (
        _by_generated(table, used)
        or _by_default(table, used)
        or _by_number(table, keys)
        or _by_expression(table, keys)
        or _by_trigger(table, keys, triggers)
    )


def _by_generated(table: SourceTable, used: set[str]) -> str | None:
    """A generated column in a unique key, computed from a column whose NULL becomes its default: in a BEFORE trigger it
    still holds what follows from NULL."""
    for column in table.columns:
        if column.generated is Generated.NO or column.name.lower() not in used:
            continue
        fed = [c.name for c in table.columns if defaulted(c) and c.name.lower() in feeds(table, column)]
        if fed:
            return f"its unique key over {column.name} is computed from {fed[0]}, where NULL turns into a default"
    return None


def _by_default(table: SourceTable, used: set[str]) -> str | None:
    """A default that gives another value each time it is computed, and not one that nobody ever meets again."""
    for column in table.columns:
        if defaulted(column) and column.name.lower() in used and _unrepeatable(column.default or ""):
            return f"its unique key uses {column.name}, whose default gives another value each time"
    return None


def _unrepeatable(text: str) -> bool:
    tokens = tokenize(text)
    calls = [
        (t.value.lower(), tokens[i + 2])
        for i, t in enumerate(tokens[:-2])
        if t.kind in (TokenKind.WORD, TokenKind.NAME) and tokens[i + 1].op("(")
    ]
    if all(name in _REPEATABLE for name, _ in calls):
        return False
    return not _never_twice(calls) or any(t.op("%", "&", "/") for t in tokens)


def _never_twice(calls: list[tuple[str, Token]]) -> bool:
    """`lower(hex(randomblob(16)))` and its like: enough random bytes, and nothing else that varies."""
    sizes = [size.value for name, size in calls if name == "randomblob"]
    others = [name for name, _ in calls if name != "randomblob" and name not in _REPEATABLE]
    return not others and sum(int(s) for s in sizes if s.isdigit()) >= _ENOUGH_RANDOM_BYTES


def _by_number(table: SourceTable, keys: list[SourceIndex]) -> str | None:
    """An expression over the row number: a BEFORE trigger fires before SQLite has given one."""
    if table.rowid_alias is None:
        return None
    alias = table.rowid_alias.lower()
    numbered = {c.name.lower() for c in table.columns if c.generated is not Generated.NO and alias in feeds(table, c)}
    for index in keys:
        plain = {t.column.lower() for t in index.terms if t.column is not None}
        if numbered & columns_of(index) or alias in columns_of(index) - plain:
            return f"its unique index {index.name} computes something from {table.rowid_alias}"
    return None


def _by_expression(table: SourceTable, keys: list[SourceIndex]) -> str | None:
    for index in keys:
        texts = [t.expression for t in index.terms if t.expression is not None]
        if not all(compares_alike(table, text) for text in texts):
            return f"its unique index {index.name} compares values of different types"
        used = set().union(*(words(text) for text in texts))
        odd = [c.name for c in table.columns if defaulted(c) and c.name.lower() in used and not stored_as_written(c)]
        if odd:
            return f"its unique index {index.name} computes from {odd[0]}, whose default is stored in another form"
    return None


def _by_trigger(table: SourceTable, keys: list[SourceIndex], triggers: Sequence[SourceTrigger]) -> str | None:
    """A BEFORE UPDATE trigger may change the very row: SQLite then takes the columns that the statement doesn't set from
    the changed row, and meets another conflict than the one that could be seen before."""
    if all(_single(table, i) for i in keys):
        return None
    for trigger in triggers:
        if trigger.table.lower() == table.name.lower() and _writes_before_update(trigger.sql):
            return f"its trigger {trigger.name} writes before an update, which may change what a unique key compares"
    return None


def _single(table: SourceTable, index: SourceIndex) -> bool:
    """Whether the key is one plain column: a statement either sets it or leaves it alone."""
    name = index.terms[0].column if len(index.terms) == 1 else None
    return name is not None and all(
        c.generated is Generated.NO for c in table.columns if c.name.lower() == name.lower()
    )


def _writes_before_update(sql: str) -> bool:
    try:
        trigger = parse_trigger(sql)
    except (SqlTextError, RecursionError):
        return {"before", "update"} <= words(sql)
    before = trigger.timing is Timing.BEFORE and trigger.event == "update"
    return before and any(not isinstance(action, Select) for action in trigger.body)


def _unique(table: SourceTable) -> list[SourceIndex]:
    return [i for i in table.indexes if i.unique]
