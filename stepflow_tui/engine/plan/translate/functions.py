"""SQLite's functions, those whose results the two databases surely agree on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from stepflow_tui.engine.plan.quote import pg_name
from stepflow_tui.engine.plan.sqltext.nodes import Call
from stepflow_tui.engine.plan.translate.aggregates import AGGREGATES, aggregate
from stepflow_tui.engine.plan.translate.comparisons import compare
from stepflow_tui.engine.plan.translate.expressions import Context, translate
from stepflow_tui.engine.plan.translate.helpers import JSON_VALID
from stepflow_tui.engine.plan.translate.moments import moment
from stepflow_tui.engine.plan.translate.unify import unify
from stepflow_tui.engine.plan.translate.values import (
    NUMBERS,
    C,
    Sort,
    Untranslatable,
    Value,
    condition,
    constant,
    number,
    text,
    truth,
)

_MOMENTS = frozenset({"date", "time", "datetime", "julianday", "unixepoch", "strftime"})
_TYPE_NAMES = {Sort.INT: "integer", Sort.BOOL: "integer", Sort.EPOCH: "integer", Sort.REAL: "real", Sort.TEXT: "text",
               Sort.TIMESTAMP: "text", Sort.DATE: "text", Sort.BLOB: "blob"}  # fmt: skip


def call(node: Call, context: Context) -> Value:
    """The value of a function call.

    Raises:
        Untranslatable: a function without a sure counterpart.
    """
    if node.name in AGGREGATES and (node.star or len(node.args) == 1 or node.name not in ("min", "max")):
        if not context.aggregates:
            raise Untranslatable(f"{node.name}() in this place")
        inner = context.within(context.scope)
        arguments = [translate(a, inner) for a in node.args]
        condition_ = truth(translate(node.filter, inner)) if node.filter is not None else None
        return aggregate(node, arguments, condition_, utf16=context.utf16)
    if node.distinct or node.star or node.filter is not None:
        raise Untranslatable(f"{node.name}() written as an aggregate")
    arguments = [translate(a, context) for a in node.args]
    if node.name in _MOMENTS:
        return moment(node.name, arguments)
    if node.name == "json_valid":
        return _json_valid(arguments, context)
    if node.name in ("min", "max"):
        return _extreme(node.name, arguments, context)
    handler = _FUNCTIONS.get((node.name, len(arguments))) or _FUNCTIONS.get((node.name, -1))
    if handler is None:
        raise Untranslatable(f"the function {node.name}()")
    made = handler(arguments)
    return replace(made, immutable=made.immutable and all(a.immutable for a in arguments))


def _length(arguments: list[Value]) -> Value:
    value = arguments[0]
    if value.sort is Sort.BLOB:
        return Value(sql=f"octet_length({value.sql})", sort=Sort.INT, narrow=True)
    written = text(value)
    return Value(sql=f"length({written.sql})", sort=Sort.INT, narrow=True, immutable=written.immutable)


def _text_function(name: str, *, fold: bool = False) -> Callable[[list[Value]], Value]:
    def make(arguments: list[Value]) -> Value:
        written = [text(a) for a in arguments]
        sqls = [f"{w.sql} {C}" if fold else w.sql for w in written]
        return Value(sql=f"{name}({', '.join(sqls)})", sort=Sort.TEXT, immutable=all(w.immutable for w in written))

    return make


def _replace(arguments: list[Value]) -> Value:
    value, pattern, new = (text(a) for a in arguments)
    sql = f"replace({value.sql}, {pattern.sql}, {new.sql})"
    if not pattern.constant:  # with nothing to look for SQLite gives the first value back, whatever else is NULL
        if arguments[0].sort is not Sort.TEXT:
            raise Untranslatable("replace() in what isn't text, of what may be empty")
        sql = f"(case when {pattern.sql} = '' then {value.sql} else {sql} end)"
    return Value(sql=sql, sort=Sort.TEXT, immutable=value.immutable and pattern.immutable and new.immutable)


def _instr(arguments: list[Value]) -> Value:
    a, b = (text(v) for v in arguments)
    return Value(sql=f"strpos({a.sql}, {b.sql})", sort=Sort.INT, narrow=True, immutable=a.immutable and b.immutable)


def _substr(arguments: list[Value]) -> Value:
    value, start = arguments[0], arguments[1].constant
    if value.sort is Sort.BLOB:
        raise Untranslatable("substr() of binary values")
    written = text(value)
    if not isinstance(start, int) or start == 0:
        raise Untranslatable("substr() from a position that isn't constant")
    if len(arguments) == 2:
        sql = f"substr({written.sql}, {start})" if start > 0 else f"right({written.sql}, {-start})"
        return Value(sql=sql, sort=Sort.TEXT, immutable=written.immutable)
    length = arguments[2].constant
    if start < 0 or not isinstance(length, int) or length < 0:
        raise Untranslatable("substr() with a position or length that isn't a positive constant")
    return Value(sql=f"substr({written.sql}, {start}, {length})", sort=Sort.TEXT, immutable=written.immutable)


def _coalesce(arguments: list[Value]) -> Value:
    if len(arguments) < 2:
        raise Untranslatable("coalesce() of one value")
    made, sqls = unify(arguments)
    return replace(made, sql=f"coalesce({', '.join(sqls)})")


def _nullif(arguments: list[Value]) -> Value:
    a, b = arguments
    test = compare("=", replace(a, affinity=None), replace(b, affinity=None))  # a function applies no affinity
    return replace(a.plain, sql=f"(case when {test.sql} then null else {a.sql} end)", is_constant=False, constant=None)


def _iif(arguments: list[Value]) -> Value:
    results = [arguments[1], arguments[2] if len(arguments) == 3 else constant(None)]
    made, sqls = unify(results)
    return replace(made, sql=f"(case when {truth(arguments[0])} then {sqls[0]} else {sqls[1]} end)")


def _abs(arguments: list[Value]) -> Value:
    value = arguments[0]
    if value.sort not in NUMBERS:
        raise Untranslatable(f"abs() of a {value.sort.value}")
    sort = Sort.INT if value.sort in (Sort.INT, Sort.BOOL, Sort.EPOCH) else value.sort
    return Value(sql=f"abs({number(value)})", sort=sort, finite=value.finite, narrow=value.narrow)


def _round(arguments: list[Value]) -> Value:
    value = arguments[0]
    if value.sort in (Sort.INT, Sort.BOOL) and not value.is_constant:
        return Value(sql=f"({number(value)})::float8", sort=Sort.REAL, finite=True)
    raise Untranslatable("round(), which the two databases do differently")


def _typeof(arguments: list[Value]) -> Value:
    value = arguments[0]
    name = _TYPE_NAMES.get(value.sort)
    if value.is_constant and value.sort is not Sort.NULL and name:
        return constant(name)
    if name is None:
        raise Untranslatable(f"typeof() of a {value.sort.value}")
    return Value(sql=f"(case when {value.sql} is null then 'null' else '{name}' end)", sort=Sort.TEXT)


def _hex(arguments: list[Value]) -> Value:
    value = arguments[0]
    if value.sort is not Sort.BLOB:
        raise Untranslatable("hex() of what isn't binary")
    return Value(sql=f"coalesce(upper(encode({value.sql}, 'hex') {C}), '')", sort=Sort.TEXT)


_RANDOM_BYTES = "sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))"
"""32 random bytes without extensions: hashing evens out the fixed bits of a UUID."""


def _random(_: list[Value]) -> Value:
    sql = f"('x' || encode(substr({_RANDOM_BYTES}, 1, 8), 'hex'))::bit(64)::bigint"
    return Value(sql=sql, sort=Sort.INT, immutable=False)


def _random_blob(arguments: list[Value]) -> Value:
    length = arguments[0].constant
    if not isinstance(length, int) or not 1 <= length <= 32:
        raise Untranslatable("randomblob() of more than 32 bytes")
    return Value(sql=f"substr({_RANDOM_BYTES}, 1, {length})", sort=Sort.BLOB, immutable=False)


def _likelihood(arguments: list[Value]) -> Value:
    return arguments[0].plain


def _extreme(name: str, arguments: list[Value], context: Context) -> Value:
    made, sqls = unify(arguments)
    if made.sort in (Sort.MIXED, Sort.BOOL, Sort.TEXT):
        if made.sort is not Sort.TEXT or context.utf16 or any(a.collation not in (None, "BINARY") for a in arguments):
            raise Untranslatable(f"{name}() of values whose order differs")
        sqls = [f"{s} {C}" for s in sqls]
    missing = " or ".join(f"{a.sql} is null" for a in arguments)
    function = "least" if name == "min" else "greatest"
    return replace(made, sql=f"(case when {missing} then null else {function}({', '.join(sqls)}) end)")


def _json_valid(arguments: list[Value], context: Context) -> Value:
    value = arguments[0]
    if len(arguments) != 1 or value.sort is not Sort.TEXT:
        raise Untranslatable("json_valid() of what isn't text")
    context.helpers.add(JSON_VALID)
    return condition(f"{pg_name(context.helper_schema, JSON_VALID)}({value.sql})", value)


_FUNCTIONS: dict[tuple[str, int], Callable[[list[Value]], Value]] = {
    ("length", 1): _length,
    ("lower", 1): _text_function("lower", fold=True),
    ("upper", 1): _text_function("upper", fold=True),
    ("trim", 1): _text_function("btrim"),
    ("ltrim", 1): _text_function("ltrim"),
    ("rtrim", 1): _text_function("rtrim"),
    ("trim", 2): _text_function("btrim"),
    ("ltrim", 2): _text_function("ltrim"),
    ("rtrim", 2): _text_function("rtrim"),
    ("replace", 3): _replace,
    ("instr", 2): _instr,
    ("substr", 2): _substr,
    ("substr", 3): _substr,
    ("substring", 2): _substr,
    ("substring", 3): _substr,
    ("coalesce", -1): _coalesce,
    ("ifnull", 2): _coalesce,
    ("nullif", 2): _nullif,
    ("iif", 3): _iif,
    ("abs", 1): _abs,
    ("round", 1): _round,
    ("typeof", 1): _typeof,
    ("hex", 1): _hex,
    ("random", 0): _random,
    ("randomblob", 1): _random_blob,
    ("likely", 1): _likelihood,
    ("unlikely", 1): _likelihood,
}
