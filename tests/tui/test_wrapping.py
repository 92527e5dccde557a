"""Wrapping: nothing is lost, no line is too wide, in scripts with and without blanks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from screens.widgets.wrapping import wrapped


def plain(text: str, width: int, hang: int = 0) -> list[str]:
    return [t.plain for t in wrapped(Text(text), width, hang)]


@pytest.mark.parametrize(
    ("text", "width", "hang", "expected"),
    [
        ("short", 10, 2, ["short"]),
        ("one two three", 8, 2, ["one two", "  three"]),
        ("  /a/very/long/path", 10, 2, ["  /a/very/", "  long/pat", "  h"]),
        ("数据库迁移，完成。", 8, 0, ["数据库迁", "移，完", "成。"]),
        ("数据库（迁移）", 8, 0, ["数据库", "（迁移）"]),
        ("表 orders 的列", 8, 0, ["表", "orders", "的列"]),
    ],
)
def test_lines_break_where_people_expect(text: str, width: int, hang: int, expected: list[str]) -> None:
    assert plain(text, width, hang) == expected


@given(st.text(st.sampled_from("ab  /-数据，。́"), max_size=80), st.integers(4, 30), st.integers(0, 12))
def test_every_character_but_blanks_is_kept_and_no_line_is_too_wide(text: str, width: int, hang: int) -> None:
    lines = plain(text, width, hang)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    if len(lines) > 1:
        assert all(cell_len(line) <= width for line in lines)


def test_styles_stay_with_their_words() -> None:
    text = Text("plain ")
    text.append("green words here", "green")
    first, second = wrapped(text, 12, 2)
    assert (first.plain, second.plain) == ("plain green", "  words here")
    assert [(s.start, s.end, s.style) for s in second.spans] == [(2, 12, "green")]
