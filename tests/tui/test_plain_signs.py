"""ASCII for terminals that show nothing else: signs replaced cell by cell, and which terminals those are."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color

from screens.plain_signs import SIGNS, PlainSignsFilter
from stepflow_tui.cli.wizard import terminal_encoding
from stepflow_tui.engine.texts import language
from tests.tui.kit import wizard

BLACK = Color(0, 0, 0)


def plain(text: str, encoding: str) -> str:
    """The text as such a terminal gets it."""
    return PlainSignsFilter(encoding).apply([Segment(text)], BLACK)[0].text


def test_every_sign_takes_one_cell_and_so_does_its_stand_in() -> None:
    assert all(cell_len(sign) == len(stand_in) == 1 and stand_in.isascii() for sign, stand_in in SIGNS.items())


@pytest.mark.parametrize(("text", "encoding", "shown"), [
    ("│ ✓ café … 表", "utf-8", "| + café ~ 表"),
    ("│ ✓ café … 表", "iso-8859-1", "| + café ~ ??"),
    ("│ ✓ café … 表", "ascii", "| + caf? ~ ??"),
    ("plain", "ascii", "plain"),
    ("e\u0301", "ascii", "e"),
])  # fmt: skip
def test_lines_keep_their_width(text: str, encoding: str, shown: str) -> None:
    assert plain(text, encoding) == shown
    assert cell_len(shown) == cell_len(text)


@pytest.mark.parametrize(("env", "encoding"), [
    ({}, "utf-8"),
    ({"LANG": "en_US.UTF-8"}, "utf-8"),
    ({"LANG": "zh_CN.utf8"}, "utf-8"),
    ({"LANG": "C.UTF-8"}, "utf-8"),
    ({"LANG": "C"}, "ascii"),
    ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, "ascii"),  # so Python sets it for the locale C
    ({"LC_ALL": "POSIX", "LANG": "en_US.UTF-8"}, "ascii"),
    ({"LANG": "de_DE.ISO-8859-1"}, "ascii"),
    ({"LANG": "de_DE@euro"}, "ascii"),
    ({"LANG": "de_DE.nonsense"}, "ascii"),
    ({"LC_CTYPE": "en_US.UTF-8", "LANG": "C"}, "utf-8"),
])  # fmt: skip
def test_the_locale_tells_what_is_understood(env: dict[str, str], encoding: str) -> None:
    assert terminal_encoding(env, "utf-8") == encoding


def test_a_charset_that_python_writes_is_used() -> None:
    assert terminal_encoding({"LANG": "de_DE.ISO-8859-1"}, "iso8859-1") == "ISO-8859-1"


def test_chinese_that_was_asked_for_is_written() -> None:
    language.use("zh")
    assert terminal_encoding({"LANG": "C"}, "utf-8") == "utf-8"


@pytest.mark.parametrize("more", [{"ascii": True, "encoding": "ascii"}, {"ascii": True}])
async def test_the_first_screen_is_ascii(tmp_path: Path, more: dict[str, object]) -> None:
    app = wizard(tmp_path, **more)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        lines = [strip.text for strip in app.screen._compositor.render_strips()]
        assert all(line.isascii() for line in lines)
        assert any("StepFlow" in line for line in lines)
