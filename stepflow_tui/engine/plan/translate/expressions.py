"""One SQLite expression → one PostgreSQL value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from stepflow_tui.engine.model.schema import Affinity
from stepflow_tui.engine.plan.declared import affinity as affinity_of
from stepflow_tui.engine.plan.sqltext.nodes import (
    Between,
    Binary,
    Call,
    Case,
    Cast,
    Collate,
    Exists,
    Expr,
    In,
    Like,
    Literal,
    Now,
    Ref,
    Row,
    Scalar,
    Select,
    Unary,
)
from stepflow_tui.engine.plan.translate.arithmetic import arithmetic, bits, minus
from stepflow_tui.engine.plan.translate.comparisons import compare, operands, same
from stepflow_tui.engine.plan.translate.moments import current
from stepflow_tui.engine.plan.translate.patterns import glob, like
from stepflow_tui.engine.plan.translate.scopes import Scope
from stepflow_tui.engine.plan.translate.unify import unify
from stepflow_tui.engine.plan.translate.values import (
    EXACT,
    NUMBERS,
    Sort,
    Untranslatable,
    Value,
    condition,
    constant,
    number,
    text,
    truth,
)

Subselect = Callable[[Select, Scope], tuple[str, tuple[Value, ...]]]
"""Translates a select inside an expression: its SQL and its result columns."""


@dataclass(slots=True, kw_only=True)
class Context:
    """Where an expression stands. `utf16`: the file orders text by UTF-16 bytes; `helpers` collects needed functions."""

    scope: Scope
    utf16: bool = False
    helper_schema: str = ""
    helpers: set[str] = field(default_factory=set)
    subselect: Subselect | None = None
    aggregates: bool = False

    def within(self, scope: Scope, *, aggregates: bool = False) -> Context:
        """The same in another scope; helpers are collected together."""
        return replace(self, scope=scope, aggregates=aggregates)


def translate(expression: Expr, context: Context) -> Value:
    """The PostgreSQL value of an expression.

    Raises:
        Untranslatable: no form that surely means the same.
    """
    handler = _HANDLERS.get(type(expression))
    if handler is None:
        raise Untranslatable(f"{type(expression).__name__.upper()} in this place")
    value = handler(expression, context)
    if value.sort is Sort.TEXT and isinstance(expression, Binary | Call | Case) and _holds_collate(expression):
        # SQLite lets a COLLATE deep inside decide how the whole is compared
        return replace(value, collation="inside an expression", explicit_collation=True)
    return value


def _holds_collate(node: object) -> bool:
    if isinstance(node, Collate):
        return True
    if isinstance(node, tuple):
        return any(_holds_collate(n) for n in node)
    if isinstance(node, Literal | Ref | Select) or not hasattr(node, "__dataclass_fields__"):
        return False
    return any(_holds_collate(getattr(node, name)) for name in node.__dataclass_fields__)


def _literal(node: Literal, _: Context) -> Value:
    return constant(node.value)


def _ref(node: Ref, context: Context) -> Value:
    return context.scope.resolve(node)


def _now(node: Now, _: Context) -> Value:
    return current(node.word)


def _unary(node: Unary, context: Context) -> Value:
    value = translate(node.operand, context)
    if node.op == "not":
        return condition(f"(not {truth(value)})", value)
    if node.op == "-":
        return minus(value)
    if node.op == "+":
        return replace(value, affinity=None)  # the collation stays, as SQLite documents
    return bits("~", value, None)


def _binary(node: Binary, context: Context) -> Value:
    if node.op in ("and", "or"):
        return _logical(node, context)
    if node.op in ("is", "is not"):
        return _is(node, context)
    if isinstance(node.left, Row) or isinstance(node.right, Row):
        return _rows(node, context)
    left, right = translate(node.left, context), translate(node.right, context)
    if node.op in ("=", "<>", "<", "<=", ">", ">="):
        _check_order(node.op, left, right, context)
        return compare(node.op, left, right)
    if node.op in ("+", "-", "*", "/", "%"):
        return arithmetic(node.op, left, right)
    if node.op in ("&", "|", "<<", ">>"):
        return bits(node.op, left, right)
    if node.op == "||":
        a, b = text(left), text(right)
        return Value(sql=f"({a.sql} || {b.sql})", sort=Sort.TEXT, immutable=a.immutable and b.immutable)
    raise Untranslatable(f"the operator {node.op}, whose result has another type for each value")


def _logical(node: Binary, context: Context) -> Value:
    """Long chains of one operator are flattened: fewer parentheses, no deep recursion on the way back."""
    parts: list[Expr] = []
    rest: Expr = node
    while isinstance(rest, Binary) and rest.op == node.op:
        parts.append(rest.right)
        rest = rest.left
    values = [translate(p, context) for p in [rest, *reversed(parts)]]
    return condition("(" + f" {node.op} ".join(truth(v) for v in values) + ")", *values)


def _is(node: Binary, context: Context) -> Value:
    negated = node.op == "is not"
    left = translate(node.left, context)
    if isinstance(node.right, Ref) and len(node.right.parts) == 1 and not node.right.quote:
        word = node.right.name.lower()
        if word in ("true", "false") and context.scope.lookup(node.right) is None:
            return condition(f"({truth(left)} is {'not ' if negated else ''}{word})", left)
    if isinstance(node.right, In) and not node.right.items and node.right.select is None:
        raise Untranslatable("IS beside an empty IN, which SQLite reads as IS TRUE")
    return same(left, translate(node.right, context), negated=negated)


def _check_order(op: str, left: Value, right: Value, context: Context) -> None:
    texts = {left.sort, right.sort} & {Sort.TEXT}
    if context.utf16 and texts and op not in ("=", "<>"):
        raise Untranslatable("the order of text in a UTF-16 file")


def _rows(node: Binary, context: Context) -> Value:
    if not (isinstance(node.left, Row) and isinstance(node.right, Row)) or node.op not in ("=", "<>"):
        raise Untranslatable("a comparison of row values")
    if len(node.left.items) != len(node.right.items):
        raise Untranslatable("a comparison of row values of different length")
    pairs = [
        compare("=", translate(a, context), translate(b, context))
        for a, b in zip(node.left.items, node.right.items, strict=True)
    ]
    joined = "(" + " and ".join(p.sql for p in pairs) + ")"
    return condition(joined if node.op == "=" else f"(not {joined})", *pairs)


def _between(node: Between, context: Context) -> Value:
    value = translate(node.operand, context)
    low, high = translate(node.low, context), translate(node.high, context)
    for bound in (low, high):
        _check_order(">=", value, bound, context)
    sql = f"({compare('>=', value, low).sql} and {compare('<=', value, high).sql})"
    return condition(f"(not {sql})" if node.negated else sql, value, low, high)


def _in(node: In, context: Context) -> Value:
    if isinstance(node.operand, Row):
        raise Untranslatable("IN with row values")
    value = translate(node.operand, context)
    sql = (
        _in_select(value, node.select, context)
        if node.select is not None
        else _in_list(value, node.items or (), context)
    )
    return condition(f"(not {sql})" if node.negated else sql, value)


def _in_list(value: Value, items: tuple[Expr, ...], context: Context) -> str:
    if not items:
        return "false"  # even for NULL
    if value.sort is Sort.NULL:
        return "null::boolean"
    found = [translate(i, context).plain for i in items]
    if any(not f.immutable for f in found):
        raise Untranslatable("IN with values that depend on the moment")
    rest = [f for f in found if f.sort is not Sort.NULL]
    pairs = [operands("=", value, f) for f in rest]
    left = {p.left for p in pairs}
    if len(left) == 1:
        members = [p.right for p in pairs] + ["null"] * (len(found) - len(rest))
        return f"({left.pop()} in ({', '.join(members)}))"
    tests = [f"{p.left} = {p.right}" for p in pairs] + ["null::boolean"] * (len(found) - len(rest))
    return "(" + " or ".join(tests) + ")"


def _in_select(value: Value, select: Select, context: Context) -> str:
    sql, columns = _subselect(select, context)
    if len(columns) != 1:
        raise Untranslatable("IN with a select of several columns")
    probe = replace(columns[0], sql="?")
    pair = operands("=", value, probe)
    if pair.right != "?":
        raise Untranslatable("IN with a select whose values would have to be converted")
    return f"({pair.left} in ({sql}))"


def _subselect(select: Select, context: Context) -> tuple[str, tuple[Value, ...]]:
    if context.subselect is None:
        raise Untranslatable("a select inside this expression")
    return context.subselect(select, context.scope)


def _exists(node: Exists, context: Context) -> Value:
    sql, _ = _subselect(node.select, context)
    return Value(sql=f"(exists ({sql}))", sort=Sort.BOOL, immutable=False)


def _scalar(node: Scalar, context: Context) -> Value:
    sql, columns = _subselect(node.select, context)
    if len(columns) != 1:
        raise Untranslatable("a select of several columns as a value")
    if node.select.limit is None:
        # SQLite takes the first of several rows, PostgreSQL would raise an error
        sql = f"select * from ({sql}) as first_row limit 1"
    return replace(columns[0], sql=f"({sql})", immutable=False, is_constant=False, constant=None)


def _like(node: Like, context: Context) -> Value:
    operand, pattern = translate(node.operand, context), translate(node.pattern, context)
    if node.op == "LIKE":
        escape = translate(node.escape, context) if node.escape is not None else None
        return like(operand, pattern, escape, negated=node.negated)
    if node.op == "GLOB":
        return glob(operand, pattern, negated=node.negated)
    raise Untranslatable(f"the operator {node.op}, which only the application defines")


def _case(node: Case, context: Context) -> Value:
    base = translate(node.base, context) if node.base is not None else None
    tests = [translate(when, context) for when, _ in node.whens]
    if base is not None:
        tests = [compare("=", base, test) for test in tests]
    results = [translate(then, context) for _, then in node.whens]
    results.append(translate(node.otherwise, context) if node.otherwise is not None else constant(None))
    made, sqls = unify(results)
    whens = " ".join(f"when {truth(t)} then {s}" for t, s in zip(tests, sqls, strict=False))
    stable = made.immutable and all(t.immutable for t in tests)
    return replace(made, sql=f"(case {whens} else {sqls[-1]} end)", immutable=stable)


def _collate(node: Collate, context: Context) -> Value:
    name = node.name.upper() if node.name.upper() in ("BINARY", "NOCASE", "RTRIM") else node.name
    return replace(translate(node.operand, context), collation=name, explicit_collation=True)


def _cast(node: Cast, context: Context) -> Value:
    value = translate(node.operand, context)
    wanted = affinity_of(node.type)
    if value.sort is Sort.NULL:
        return replace(value, affinity=wanted)
    if wanted is Affinity.TEXT:
        return replace(text(value), affinity=wanted)
    if wanted is Affinity.INTEGER:
        return _to_integer(value)
    if wanted is Affinity.REAL and value.sort in NUMBERS - {Sort.EPOCH}:
        exact = value.is_constant and isinstance(value.constant, int) and abs(value.constant) <= EXACT
        if exact:
            return replace(constant(float(value.constant)), affinity=wanted)  # type: ignore[arg-type]
        return Value(sql=f"({number(value)})::float8", sort=Sort.REAL, affinity=wanted, immutable=value.immutable)
    if wanted is Affinity.NUMERIC and value.sort in NUMBERS:
        return replace(value, affinity=wanted)
    if wanted is Affinity.BLOB and value.sort is Sort.BLOB:
        return replace(value, affinity=wanted)
    raise Untranslatable(f"CAST of a {value.sort.value} as {node.type}")


def _to_integer(value: Value) -> Value:
    if value.sort is Sort.MIXED and value.affinity is Affinity.INTEGER:
        raise Untranslatable("CAST of a column of numbers and text as an integer")
    if value.sort in (Sort.INT, Sort.BOOL, Sort.EPOCH) or value.integer_sql is not None:
        if value.is_constant:
            return replace(value, affinity=Affinity.INTEGER)
        return Value(sql=f"({number(value)})", sort=Sort.INT, affinity=Affinity.INTEGER, immutable=value.immutable,
                     narrow=value.narrow or value.sort is Sort.BOOL)  # fmt: skip
    if value.sort in (Sort.REAL, Sort.DECIMAL):
        return Value(
            sql=f"trunc({value.sql})::bigint", sort=Sort.INT, affinity=Affinity.INTEGER, immutable=value.immutable
        )
    raise Untranslatable(f"CAST of a {value.sort.value} as an integer")


def _call(node: Call, context: Context) -> Value:
    from stepflow_tui.engine.plan.translate.functions import (
        call,  # functions translate their arguments with this module
    )

    return call(node, context)


_HANDLERS: dict[type, Callable[..., Value]] = {
    Literal: _literal, Ref: _ref, Now: _now, Unary: _unary, Binary: _binary, Between: _between, In: _in, Like: _like,
    Case: _case, Collate: _collate, Cast: _cast, Call: _call, Exists: _exists, Scalar: _scalar,
}  # fmt: skip
