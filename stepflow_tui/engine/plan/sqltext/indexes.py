"""CREATE INDEX and CREATE VIRTUAL TABLE as text."""

from __future__ import annotations

from dataclasses import dataclass

from stepflow_tui.engine.plan.sqltext.cursor import Cursor
from stepflow_tui.engine.plan.sqltext.tokens import TokenKind


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedIndex:
    """The terms as text without COLLATE, ASC and DESC, and the WHERE clause."""

    terms: tuple[str, ...]
    where: str | None


def parse_index(sql: str) -> ParsedIndex:
    """Read one CREATE INDEX statement.

    Raises:
        SqlTextError: it is none, or a quote or parenthesis doesn't close.
    """
    cursor = Cursor(sql)
    cursor.expect_word("CREATE")
    cursor.word("UNIQUE")
    cursor.expect_word("INDEX")
    cursor.words("IF", "NOT", "EXISTS")
    cursor.name()
    if cursor.op("."):
        cursor.name()
    cursor.expect_word("ON")
    cursor.name()
    terms = tuple(_strip_order(part) for part in split_list(cursor))
    where = None
    if cursor.word("WHERE"):
        start = cursor.now.start
        where = sql[start:].strip().rstrip(";").strip()
    return ParsedIndex(terms=terms, where=where)


def split_list(cursor: Cursor) -> list[str]:
    """Take `( a, b, … )` and return the text of each part, split at the commas that stand in no inner parenthesis."""
    cursor.expect_op("(")
    parts: list[str] = []
    start, depth = cursor.tokens[cursor.index - 1].end, 1
    while depth:
        token = cursor.next()
        if token.kind is TokenKind.END:
            raise cursor.error("')'")
        depth += 1 if token.op("(") else -1 if token.op(")") else 0
        if depth == 0 or (depth == 1 and token.op(",")):
            parts.append(cursor.sql[start : token.start].strip())
            start = token.end
    return parts


def _strip_order(term: str) -> str:
    """The expression of an index term: its trailing ASC, DESC and COLLATE come from the PRAGMA."""
    cursor = Cursor(term)
    tokens = list(cursor.tokens[:-1])
    while tokens and tokens[-1].upper in ("ASC", "DESC"):
        tokens.pop()
    if len(tokens) > 2 and tokens[-2].upper == "COLLATE":
        del tokens[-2:]
    return term[: tokens[-1].end] if tokens else term


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedVirtual:
    """Module (lower case) and arguments of a virtual table."""

    module: str
    arguments: tuple[str, ...]


def parse_virtual(sql: str) -> ParsedVirtual:
    """Read one CREATE VIRTUAL TABLE statement; the arguments may be any text.

    Raises:
        SqlTextError: it is none.
    """
    cursor = Cursor(sql)
    cursor.expect_word("CREATE")
    cursor.expect_word("VIRTUAL")
    cursor.expect_word("TABLE")
    cursor.words("IF", "NOT", "EXISTS")
    cursor.name()
    if cursor.op("."):
        cursor.name()
    cursor.expect_word("USING")
    module = cursor.name().lower()
    arguments = tuple(a for a in split_list(cursor) if a) if cursor.now.op("(") else ()
    return ParsedVirtual(module=module, arguments=arguments)
