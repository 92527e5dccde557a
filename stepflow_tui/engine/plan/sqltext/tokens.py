"""SQLite's tokenizer, following the rules of its own `tokenize.c`. Every character is either in a token or is space."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class SqlTextError(ValueError):
    """A piece of SQL that can't be read; the message says what stood where."""


class TokenKind(StrEnum):
    """What a token is."""

    WORD = "word"  # a bare identifier or keyword
    NAME = "name"  # an identifier in "…", […] or `…`
    STRING = "string"  # '…'
    NUMBER = "number"
    BLOB = "blob"  # x'…'
    VARIABLE = "variable"  # ? :a @a $a
    OP = "op"
    END = "end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One token. `value` is the text without quotes (NAME, STRING), the hex digits (BLOB), else the text itself."""

    kind: TokenKind
    value: str
    start: int
    end: int
    quote: str = ""  # the opening quote of a NAME

    @property
    def upper(self) -> str:
        """The upper-case word if this can be a keyword, else "" (quoted names never are keywords)."""
        return self.value.upper() if self.kind is TokenKind.WORD else ""

    def op(self, *texts: str) -> bool:
        """Whether this is one of these operators."""
        return self.kind is TokenKind.OP and self.value in texts


_PATTERN = re.compile(
    r"""
    (?P<space>[ \t\n\f\r]+|--[^\n]*|/\*.*?(?:\*/|\Z)|\ufeff)
  | (?P<blob>[xX]'[^']*')
  | (?P<string>'(?:[^']|'')*')
  | (?P<dquote>"(?:[^"]|"")*")
  | (?P<tick>`(?:[^`]|``)*`)
  | (?P<bracket>\[[^\]]*\])
  | (?P<number>0[xX][0-9a-fA-F_]+|(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:[eE][+-]?\d+)?)
  | (?P<variable>\?\d*|[:@#$][A-Za-z0-9_$\x80-\U0010ffff]+)
  | (?P<word>[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*)
  | (?P<op>->>|->|\|\||<<|>>|<=|>=|<>|!=|==|[-+*/%&|~<>=(),;.])
    """,
    re.VERBOSE | re.DOTALL,
)

_QUOTED = {"dquote": '"', "tick": "`", "bracket": "["}


def tokenize(sql: str) -> tuple[Token, ...]:
    """All tokens of a text, comments and space left out, an END token last.

    Raises:
        SqlTextError: a character that SQLite doesn't know, or a quote without its end.
    """
    tokens: list[Token] = []
    position = 0
    while position < len(sql):
        match = _PATTERN.match(sql, position)
        if match is None or match.lastgroup is None:
            raise SqlTextError(f"unknown character {sql[position]!r} at position {position}")
        if match.lastgroup != "space":
            tokens.append(_token(match.lastgroup, match.group(), position, match.end()))
        position = match.end()
    tokens.append(Token(kind=TokenKind.END, value="", start=len(sql), end=len(sql)))
    return tuple(tokens)


def _token(group: str, text: str, start: int, end: int) -> Token:
    if group in _QUOTED:
        quote = _QUOTED[group]
        inner = text[1:-1] if quote == "[" else text[1:-1].replace(quote * 2, quote)
        return Token(kind=TokenKind.NAME, value=inner, start=start, end=end, quote=quote)
    if group == "string":
        return Token(kind=TokenKind.STRING, value=text[1:-1].replace("''", "'"), start=start, end=end)
    if group == "blob":
        return Token(kind=TokenKind.BLOB, value=text[2:-1], start=start, end=end)
    return Token(kind=TokenKind(group), value=text, start=start, end=end)
