"""SQLite's expressions: text → tree, by precedence climbing with the precedences of SQLite's grammar."""

from __future__ import annotations

from collections.abc import Callable

from stepflow_tui.engine.plan.sqltext.cursor import Cursor
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
    Raise,
    Ref,
    Result,
    Row,
    Scalar,
    Select,
    Unary,
)
from stepflow_tui.engine.plan.sqltext.tokens import SqlTextError, TokenKind

_OR, _AND, _NOT, _EQUAL, _ORDER, _BITS, _ADD, _MULTIPLY, _CONCAT, _COLLATE, _UNARY = range(1, 12)

_BINARY = {
    "=": (_EQUAL, "="), "==": (_EQUAL, "="), "<>": (_EQUAL, "<>"), "!=": (_EQUAL, "<>"),
    "<": (_ORDER, "<"), "<=": (_ORDER, "<="), ">": (_ORDER, ">"), ">=": (_ORDER, ">="),
    "&": (_BITS, "&"), "|": (_BITS, "|"), "<<": (_BITS, "<<"), ">>": (_BITS, ">>"),
    "+": (_ADD, "+"), "-": (_ADD, "-"), "*": (_MULTIPLY, "*"), "/": (_MULTIPLY, "/"), "%": (_MULTIPLY, "%"),
    "||": (_CONCAT, "||"), "->": (_CONCAT, "->"), "->>": (_CONCAT, "->>"),
}  # fmt: skip
_LIKES = ("LIKE", "GLOB", "REGEXP", "MATCH")
_NEVER_NAMES = frozenset(
    {"SELECT", "FROM", "WHERE", "GROUP", "ORDER", "HAVING", "LIMIT", "UNION", "EXCEPT", "INTERSECT", "THEN", "ELSE", "WHEN",
     "AND", "OR", "IN", "IS", "BETWEEN", "ON", "USING", "JOIN", "SET", "VALUES", "INTO", "AS", "COLLATE", "CHECK"}
)  # fmt: skip


def parse_expression(sql: str) -> Expr:
    """Read one whole expression.

    Raises:
        SqlTextError: it isn't one, or something follows it.
    """
    cursor = Cursor(sql)
    expression = expression_at(cursor)
    if not cursor.at_end:
        raise cursor.error("the end of the expression")
    return expression


def expression_at(cursor: Cursor, minimum: int = _OR) -> Expr:
    """Read the expression at the cursor, taking operators that bind at least as strongly as `minimum`."""
    left = _prefix(cursor)
    while True:
        more = _infix(cursor, left, minimum)
        if more is None:
            return left
        left = more


def _infix(cursor: Cursor, left: Expr, minimum: int) -> Expr | None:
    token = cursor.now
    if token.kind is TokenKind.OP and token.value in _BINARY:
        strength, op = _BINARY[token.value]
        if strength < minimum:
            return None
        cursor.next()
        return Binary(op, left, expression_at(cursor, strength + 1))
    if minimum <= _OR and cursor.word("OR"):
        return Binary("or", left, expression_at(cursor, _OR + 1))
    if minimum <= _AND and cursor.word("AND"):
        return Binary("and", left, expression_at(cursor, _AND + 1))
    if minimum <= _COLLATE and cursor.word("COLLATE"):
        return Collate(left, cursor.name())
    return _equality(cursor, left) if minimum <= _EQUAL else None


def _equality(cursor: Cursor, left: Expr) -> Expr | None:
    null = Literal(None, "null")
    if cursor.word("ISNULL"):
        return Binary("is", left, null)
    if cursor.word("NOTNULL") or cursor.words("NOT", "NULL"):
        return Binary("is not", left, null)
    if cursor.word("IS"):
        return _is(cursor, left)
    negated = cursor.now.upper == "NOT" and cursor.ahead().upper in ("IN", "BETWEEN", *_LIKES)
    if negated:
        cursor.next()
    if cursor.word("IN"):
        return _in(cursor, left, negated)
    if cursor.word("BETWEEN"):
        low = expression_at(cursor, _EQUAL)
        cursor.expect_word("AND")
        return Between(left, low, expression_at(cursor, _ORDER), negated)
    if cursor.now.upper in _LIKES:
        op = cursor.next().upper
        pattern = expression_at(cursor, _ORDER)
        escape = expression_at(cursor, _BITS) if cursor.word("ESCAPE") else None
        return Like(op, left, pattern, escape, negated)
    return None


def _is(cursor: Cursor, left: Expr) -> Expr:
    negated = cursor.word("NOT")
    if cursor.words("DISTINCT", "FROM"):
        negated = not negated
    return Binary("is not" if negated else "is", left, expression_at(cursor, _ORDER))


def _in(cursor: Cursor, left: Expr, negated: bool) -> Expr:
    if not cursor.now.op("("):
        from_table = Ref((cursor.name(),))
        raise SqlTextError(f"IN {from_table.name}: a table without parentheses")
    cursor.next()
    if cursor.now.upper in ("SELECT", "VALUES", "WITH"):
        select = _select(cursor)
        cursor.expect_op(")")
        return In(left, None, select, negated)
    return In(left, _arguments(cursor), None, negated)


def _arguments(cursor: Cursor) -> tuple[Expr, ...]:
    """The expressions up to the closing parenthesis, which is taken too."""
    found: list[Expr] = []
    if cursor.op(")"):
        return ()
    while True:
        found.append(expression_at(cursor))
        if cursor.op(")"):
            return tuple(found)
        cursor.expect_op(",")


def _prefix(cursor: Cursor) -> Expr:
    token = cursor.now
    if token.kind is TokenKind.OP:
        if cursor.op("-", "+", "~"):
            return Unary(token.value, expression_at(cursor, _UNARY))
        if cursor.op("("):
            return _parenthesis(cursor)
        raise cursor.error("an expression")
    if token.kind is TokenKind.NUMBER:
        return _number(cursor.next().value)
    if token.kind is TokenKind.STRING:
        return Literal(cursor.next().value, "string")
    if token.kind is TokenKind.BLOB:
        return _blob(cursor)
    if token.kind in (TokenKind.WORD, TokenKind.NAME):
        return _word(cursor)
    raise cursor.error("an expression")


def _blob(cursor: Cursor) -> Expr:
    try:
        return Literal(bytes.fromhex(cursor.now.value), cursor.next().value)
    except ValueError as exc:
        raise cursor.error("a blob literal") from exc


def _number(text: str) -> Literal:
    plain = text.replace("_", "")
    if plain[:2].lower() == "0x":
        value = int(plain, 16)
        return Literal(value - 2**64 if value >= 2**63 else value, text)
    if plain.isdigit() and int(plain) < 2**63:
        return Literal(int(plain), text)
    return Literal(float(plain), text)


def _parenthesis(cursor: Cursor) -> Expr:
    if cursor.now.upper in ("SELECT", "VALUES", "WITH"):
        select = _select(cursor)
        cursor.expect_op(")")
        return Scalar(select)
    items = _arguments(cursor)
    return items[0] if len(items) == 1 else Row(items)


def _word(cursor: Cursor) -> Expr:
    special = _SPECIAL.get(cursor.now.upper)
    if special is not None:
        found = special(cursor)
        if found is not None:
            return found
    token = cursor.now
    if token.upper in _NEVER_NAMES:
        raise cursor.error("an expression")
    cursor.next()
    if cursor.now.op("("):
        cursor.next()
        return _call(cursor, token.value.lower())
    parts, quote = [token.value], token.quote
    while cursor.now.op(".") and len(parts) < 3:
        cursor.next()
        quote = cursor.now.quote
        parts.append(cursor.name())
    return Ref(tuple(parts), quote)


def _call(cursor: Cursor, name: str) -> Expr:
    star = cursor.op("*")
    distinct = cursor.word("DISTINCT")
    if star:
        cursor.expect_op(")")
    arguments = () if star else _arguments(cursor)
    condition = None
    if cursor.now.upper == "FILTER" and cursor.ahead().op("("):
        cursor.next()
        cursor.next()
        cursor.expect_word("WHERE")
        condition = expression_at(cursor)
        cursor.expect_op(")")
    if cursor.now.upper == "OVER":
        raise SqlTextError("a window function")
    return Call(name, arguments, distinct, star, condition)


def _not(cursor: Cursor) -> Expr:
    cursor.next()
    return Unary("not", expression_at(cursor, _NOT))


def _case(cursor: Cursor) -> Expr:
    cursor.next()
    base = None if cursor.now.upper == "WHEN" else expression_at(cursor)
    whens = []
    while cursor.word("WHEN"):
        condition = expression_at(cursor)
        cursor.expect_word("THEN")
        whens.append((condition, expression_at(cursor)))
    otherwise = expression_at(cursor) if cursor.word("ELSE") else None
    cursor.expect_word("END")
    return Case(base, tuple(whens), otherwise)


def _cast(cursor: Cursor) -> Expr | None:
    if not cursor.ahead().op("("):
        return None
    cursor.next()
    cursor.next()
    operand = expression_at(cursor)
    cursor.expect_word("AS")
    start = cursor.now.start
    while not cursor.now.op(")"):
        if cursor.now.kind is TokenKind.END:
            raise cursor.error("')'")
        if cursor.now.op("("):
            cursor.inside()
        else:
            cursor.next()
    declared = cursor.sql[start : cursor.now.start].strip()
    cursor.next()
    return Cast(operand, declared)


def _exists(cursor: Cursor) -> Expr | None:
    if not cursor.ahead().op("("):
        return None
    cursor.next()
    cursor.next()
    select = _select(cursor)
    cursor.expect_op(")")
    return Exists(select)


def _raise(cursor: Cursor) -> Expr | None:
    if not cursor.ahead().op("("):
        return None
    cursor.next()
    cursor.next()
    action = cursor.next().upper
    message = ""
    if cursor.op(","):
        if cursor.now.kind not in (TokenKind.STRING, TokenKind.NAME, TokenKind.WORD):
            raise cursor.error("a message")
        message = cursor.next().value
    cursor.expect_op(")")
    return Raise(action, message)


def _null(cursor: Cursor) -> Expr:
    cursor.next()
    return Literal(None, "null")


def _now(cursor: Cursor) -> Expr:
    return Now(cursor.next().upper)


def _select(cursor: Cursor) -> Select:
    from stepflow_tui.engine.plan.sqltext.selects import select_at  # the two grammars need each other

    return select_at(cursor)


_SPECIAL: dict[str, Callable[[Cursor], Expr | None]] = {
    "NOT": _not, "CASE": _case, "CAST": _cast, "EXISTS": _exists, "RAISE": _raise, "NULL": _null,
    "CURRENT_TIMESTAMP": _now, "CURRENT_DATE": _now, "CURRENT_TIME": _now,
}  # fmt: skip


def result_at(cursor: Cursor) -> Result:
    """Read one result column of a SELECT."""
    if cursor.op("*"):
        return Result(None, star_of="")
    if cursor.now.kind in (TokenKind.WORD, TokenKind.NAME) and cursor.ahead().op(".") and cursor.ahead(2).op("*"):
        table = cursor.name()
        cursor.next()
        cursor.next()
        return Result(None, star_of=table)
    start = cursor.now.start
    expression = expression_at(cursor)
    text = cursor.sql[start : cursor.tokens[cursor.index - 1].end]
    if cursor.word("AS"):
        return Result(expression, cursor.name(), text=text)
    bare = cursor.now.kind in (TokenKind.NAME, TokenKind.STRING) or (
        cursor.now.kind is TokenKind.WORD and cursor.now.upper not in _NEVER_NAMES
    )
    return Result(expression, cursor.name() if bare else None, text=text)
