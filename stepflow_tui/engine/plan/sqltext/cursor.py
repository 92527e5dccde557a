"""A position in a list of tokens, with the small moves that every parser here makes."""

from __future__ import annotations

from stepflow_tui.engine.plan.sqltext.tokens import SqlTextError, Token, TokenKind, tokenize


class Cursor:
    """Walks the tokens of one SQL text."""

    def __init__(self, sql: str) -> None:
        self.sql = sql
        self.tokens = tokenize(sql)
        self.index = 0

    @property
    def now(self) -> Token:
        """The token at the position (END at the end, for ever)."""
        return self.tokens[self.index]

    def ahead(self, distance: int = 1) -> Token:
        """The token that many places ahead."""
        return self.tokens[min(self.index + distance, len(self.tokens) - 1)]

    @property
    def at_end(self) -> bool:
        """Whether nothing is left but semicolons."""
        return all(t.kind is TokenKind.END or t.op(";") for t in self.tokens[self.index :])

    def next(self) -> Token:
        """Take the token and step on."""
        token = self.now
        if token.kind is not TokenKind.END:
            self.index += 1
        return token

    def word(self, *words: str) -> bool:
        """Take one bare word of these, if it is next."""
        if self.now.upper in words and self.now.upper:
            self.index += 1
            return True
        return False

    def words(self, *sequence: str) -> bool:
        """Take all these bare words in order, or none."""
        if all(self.ahead(i).upper == w for i, w in enumerate(sequence)):
            self.index += len(sequence)
            return True
        return False

    def op(self, *texts: str) -> bool:
        """Take one operator of these, if it is next."""
        if self.now.op(*texts):
            self.index += 1
            return True
        return False

    def expect_word(self, *words: str) -> None:
        """Take one of these words.

        Raises:
            SqlTextError: something else stands there.
        """
        if not self.word(*words):
            raise self.error(" or ".join(words))

    def expect_op(self, text: str) -> None:
        """Take that operator.

        Raises:
            SqlTextError: something else stands there.
        """
        if not self.op(text):
            raise self.error(repr(text))

    def name(self) -> str:
        """Take a name: bare, quoted in any way, or a string (SQLite allows it where a name must stand).

        Raises:
            SqlTextError: something else stands there.
        """
        if self.now.kind in (TokenKind.WORD, TokenKind.NAME, TokenKind.STRING):
            return self.next().value
        raise self.error("a name")

    def names(self) -> tuple[str, ...]:
        """Take `(name, …)`; what follows a name inside (COLLATE, ASC, DESC) is skipped."""
        found: list[str] = []
        self.expect_op("(")
        while not self.op(")"):
            found.append(self.name())
            while not self.now.op(",", ")"):
                if self.now.kind is TokenKind.END:
                    raise self.error("')'")
                self.next()
            self.op(",")
        return tuple(found)

    def inside(self) -> str:
        """Take `( … )` and return the text between, comments included.

        Raises:
            SqlTextError: no parenthesis, or none that closes it.
        """
        self.expect_op("(")
        start = self.tokens[self.index - 1].end
        depth = 1
        while depth:
            token = self.next()
            if token.kind is TokenKind.END:
                raise self.error("')'")
            depth += 1 if token.op("(") else -1 if token.op(")") else 0
        return self.sql[start : self.tokens[self.index - 1].start].strip()

    def error(self, wanted: str) -> SqlTextError:
        """The error for something else than wanted."""
        found = self.now.value if self.now.kind is not TokenKind.END else "the end"
        return SqlTextError(f"expected {wanted}, found {found!r} at position {self.now.start}")
