"""The tokenizer: every character is accounted for, quotes and comments are SQLite's."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepflow_tui.engine.plan.quote import lite_ident, lite_literal
from stepflow_tui.engine.plan.sqltext.tokens import SqlTextError, TokenKind, tokenize


def kinds(sql: str) -> list[tuple[TokenKind, str]]:
    return [(t.kind, t.value) for t in tokenize(sql)[:-1]]


def test_every_sort_of_quote_is_taken_off() -> None:
    assert kinds("\"a\"\"b\" [c d] `e``f` 'it''s' x'00fF'") == [
        (TokenKind.NAME, 'a"b'),
        (TokenKind.NAME, "c d"),
        (TokenKind.NAME, "e`f"),
        (TokenKind.STRING, "it's"),
        (TokenKind.BLOB, "00fF"),
    ]


def test_comments_vanish_even_an_unclosed_one() -> None:
    assert kinds("a -- ) ' \n /* b ' */ c /* open") == [(TokenKind.WORD, "a"), (TokenKind.WORD, "c")]


@pytest.mark.parametrize("number", ["1", "1.", ".5", "1e9", "1.5E-3", "0xFF", "12_000"])
def test_numbers_stay_whole(number: str) -> None:
    assert kinds(number) == [(TokenKind.NUMBER, number)]


def test_operators_are_taken_greedily() -> None:
    assert [v for _, v in kinds("a->>b->c||d<>e!=f==g<=h<<i")][1::2] == [
        "->>",
        "->",
        "||",
        "<>",
        "!=",
        "==",
        "<=",
        "<<",
    ]


@pytest.mark.parametrize("sql", ["'open", '"open', "`open", "[open", "a ^ b", "\x00"])
def test_what_sqlite_would_refuse_is_refused(sql: str) -> None:
    with pytest.raises(SqlTextError):
        tokenize(sql)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=30))
def test_quoted_names_and_texts_come_back(text: str) -> None:
    assert kinds(lite_ident(text)) == [(TokenKind.NAME, text)]
    assert kinds(lite_literal(text)) == [(TokenKind.STRING, text)]


@given(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=20))
def test_sqlite_reads_the_same_name(name: str) -> None:
    connection = sqlite3.connect(":memory:")
    try:
        cursor = connection.execute(f"select 1 as {lite_ident(name)}")
        assert cursor.description[0][0] == name == tokenize(lite_ident(name))[0].value
    finally:
        connection.close()
