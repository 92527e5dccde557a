"""Comparisons inside index expressions: in a trigger, `new.x` has the column's value but not its affinity.

`code = 1` over a TEXT column compares '1' with '1' in the index, and '1' with 1 over `new.code`: other results, and so a
conflict that a BEFORE trigger can't see. Comparisons of like with like need no affinity and come out the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass

from stepflow_tui.engine.model.schema import Affinity, SourceTable
from stepflow_tui.engine.plan.sqltext.expressions import parse_expression
from stepflow_tui.engine.plan.sqltext.nodes import Between, Binary, Call, Case, Collate, Expr, In, Literal, Ref, Unary
from stepflow_tui.engine.plan.sqltext.tokens import SqlTextError

_COMPARING = frozenset({"=", "<>", "<", "<=", ">", ">=", "is", "is not"})
_COUNTING = frozenset({"+", "-", "*", "/", "%", "&", "|", "<<", ">>", "and", "or"})
_NUMBERS = frozenset({"abs", "instr", "length", "round", "unicode"})
_TEXTS = frozenset(
    {"hex", "lower", "ltrim", "printf", "quote", "replace", "rtrim", "substr", "trim", "typeof", "upper"}
)
_COLUMNS = {
    Affinity.INTEGER: "numbers",
    Affinity.REAL: "numbers",
    Affinity.NUMERIC: "numbers",
    Affinity.TEXT: "texts",
    Affinity.BLOB: "anything",
}
_LIKE_WITH_LIKE = frozenset(
    {("numbers", "number"), ("numbers", "numbers"), ("texts", "text"), ("texts", "texts"),
     ("anything", "number"), ("anything", "text"), ("anything", "other"), ("anything", "anything")}
)  # fmt: skip


def compares_alike(table: SourceTable, text: str) -> bool:
    """Whether this expression gives the same over the values of `new` as over a row of the table."""
    try:
        tree = parse_expression(text)
    except (SqlTextError, RecursionError):
        return False
    pairs = list(_pairs(tree))
    if pairs and table.unparsed is not None:  # collations of its columns are unknown
        return False
    return all(_alike(table, left, right) for left, right in pairs)


def _pairs(node: object) -> Iterator[tuple[Expr, Expr | None]]:
    """Every two operands that are compared with each other; None for rows of a SELECT."""
    match node:
        case Binary(op, left, right) if op.lower() in _COMPARING:
            yield left, right
        case Between(operand, low, high):
            yield from ((operand, low), (operand, high))
        case In(operand, items, select):
            yield from ((operand, item) for item in items or ())
            if select is not None:
                yield operand, None
        case Case(base, whens) if base is not None:
            yield from ((base, when) for when, _ in whens)
    yield from (pair for child in _children(node) for pair in _pairs(child))


def _children(node: object) -> Iterator[object]:
    if isinstance(node, tuple):
        yield from node
    elif is_dataclass(node):
        yield from (getattr(node, f.name) for f in fields(node))


def _alike(table: SourceTable, left: Expr, right: Expr | None) -> bool:
    if right is None:
        return False
    one, two = _kind(table, left), _kind(table, right)
    if "null" in (one, two) or not {one, two} & set(_COLUMNS.values()):
        return True
    return (one, two) in _LIKE_WITH_LIKE or (two, one) in _LIKE_WITH_LIKE


def _kind(table: SourceTable, node: Expr) -> str:
    """numbers, texts, anything: a column of that affinity; number, text: a value of that class; null; other."""
    match node:
        case Literal(value=None):
            return "null"
        case Literal(value=int() | float()):
            return "number"
        case Literal(value=str()):
            return "text"
        case Ref():
            return _column(table, node)
        case Collate(operand):
            return _kind(table, operand)
        case Unary(op) if op in ("-", "~", "not"):
            return "number"
        case Binary(op="||"):
            return "text"
        case Binary(op) if op.lower() in _COUNTING | _COMPARING:
            return "number"
        case Call(name) if name in _NUMBERS | _TEXTS:
            return "number" if name in _NUMBERS else "text"
    return "other"


def _column(table: SourceTable, ref: Ref) -> str:
    try:
        return _COLUMNS[table.column(ref.name).affinity]
    except KeyError:
        return "text" if ref.quote == '"' else "other"
