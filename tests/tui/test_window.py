"""The window over lines: nothing is lost by wrapping, the cursor is always seen, older and newer lines leave it in place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from screens.widgets.cells import cut
from screens.widgets.columns import Column, heading, rest, row_line
from screens.widgets.flow import Line, wrapped
from screens.widgets.window import Window

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cf", "Mn", "Me", "Cs")), max_size=60)


def lines(*texts: str) -> list[Line]:
    return [Line(t) for t in texts]


def numbered(count: int, start: int = 0) -> list[Line]:
    return lines(*(f"line {n}" for n in range(start, start + count)))


def texts_seen(window: Window) -> list[str]:
    return [row.line.text[row.start : row.end] for row in window.visible()]


@given(TEXTS, st.integers(2, 30), st.integers(0, 10))
def test_wrapping_loses_nothing_but_blanks_and_fits(text: str, width: int, indent: int) -> None:
    rows = wrapped(text, width, indent)
    assert "".join(text[a:b] for a, b in rows).replace(" ", "") == text.replace(" ", "")
    assert all(cell_len(text[a:b]) <= width for a, b in rows)


@given(TEXTS, st.integers(1, 30))
def test_cut_texts_fit_and_say_that_they_are_cut(text: str, width: int) -> None:
    shown = cut(text, width)
    assert cell_len(shown) <= width
    assert shown == text or shown.endswith("…")


@given(
    st.lists(st.sampled_from(["up", "down", "page_up", "page_down", "first", "last"]), max_size=30),
    st.integers(0, 50),
    st.integers(1, 12),
    st.booleans(),
)
def test_the_cursor_is_always_seen(moves: list[str], count: int, height: int, wrap: bool) -> None:
    window = Window(cursor=0, wrap=wrap)
    window.resize(4, height)
    window.replace(numbered(count))
    for how in moves:
        window.move(how)
        assert any(row.selected for row in window.visible()) or not count
        assert len(window.visible()) == min(height, window.total)


def test_following_ends_when_somebody_scrolls_up_and_the_new_lines_are_counted() -> None:
    window = Window(follow=True)
    window.resize(20, 3)
    window.append(numbered(10), 100)
    assert texts_seen(window) == ["line 7", "line 8", "line 9"]
    window.move("up")
    window.append(numbered(5, 10), 100)
    assert (texts_seen(window), window.unseen) == (["line 6", "line 7", "line 8"], 5)
    window.move("last")
    assert (texts_seen(window), window.unseen, window.follow) == (["line 12", "line 13", "line 14"], 0, True)


def test_forgotten_lines_do_not_move_what_is_read() -> None:
    window = Window()
    window.resize(20, 2)
    window.append(numbered(10), 10)
    window.move("page_down")
    window.move("page_down")
    before = texts_seen(window)
    window.append(numbered(1, 10), 10)
    assert texts_seen(window) == before
    window.append(numbered(50, 11), 10)
    assert len(window.lines) == 10
    assert texts_seen(window) == ["line 51", "line 52"]


@pytest.mark.parametrize("wrap", [False, True])
def test_older_lines_leave_the_cursor_on_its_line(wrap: bool) -> None:
    window = Window(cursor=0, wrap=wrap)
    window.resize(6, 4)
    window.replace(numbered(20, 100))
    window.select(2)
    before = texts_seen(window)
    window.prepend(numbered(30, 70), 40)
    assert texts_seen(window) == before
    assert window.cursor is not None
    assert window.lines[window.cursor].text == "line 102"
    assert len(window.lines) == 40


def test_searching_goes_to_the_last_place_and_round_and_round() -> None:
    window = Window()
    window.resize(20, 2)
    window.replace(lines("One [x]", "two", "ONE", "three", "one"))
    assert window.find("one") == 3
    assert window.at == 4
    window.step(1)
    assert window.at == 0
    window.step(-1)
    assert window.at == 4
    window.step(-1)
    assert window.at == 2
    assert window.find("[x]") == 1
    assert window.find("") == 0
    assert window.at is None


def test_wrapping_keeps_the_first_line_that_is_seen() -> None:
    window = Window()
    window.resize(4, 2)
    window.replace(lines("aaaabbbb", "c", "d", "e"))
    window.move("down")
    window.set_wrap(True)
    assert texts_seen(window) == ["c", "d"]
    window.set_wrap(False)
    assert texts_seen(window) == ["c", "d"]


def test_columns_are_filled_and_cut_to_the_cell() -> None:
    columns = [Column(name="name", width=6), Column(name="rows", width=4, right=True)]
    assert heading(columns) == "name   rows"
    assert row_line(columns, ["客户名单", "12"]).text == "客户…    12"
    assert row_line(columns, ["ab", "12"], ["", "bad"]).marks == ((7, 11, "bad"),)
    assert rest(30, columns, 2) == (30 - 7 - 5 - 1) // 2
