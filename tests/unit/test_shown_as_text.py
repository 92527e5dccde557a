"""Names and values from databases on stdout and in Markdown: text, and one line where one line is meant."""

from __future__ import annotations

import pytest

from stepflow_tui.cli import diagnostics, output
from stepflow_tui.engine.report.html import text
from stepflow_tui.engine.report.markdown import cell, code, paragraph, table


def test_a_line_stays_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    output.emit_text("different  two\nequal  users\r\n\x85\u2028x\x1b[2J\u202ey")
    diagnostics.say("error: no table two\nhint: rm -rf")
    shown = capsys.readouterr()
    assert shown.out == "different  two equal  users x[2Jy\n"
    assert shown.err == "error: no table two hint: rm -rf\n"
    output.emit_block("a\nb")
    assert capsys.readouterr().out == "a\nb\n"


def test_one_endless_name_does_not_widen_every_line(capsys: pytest.CaptureFixture[str]) -> None:
    output.emit_table(("name", "rows"), [("long" * 2_500, 1), ("short", 2)])
    head, endless, short = capsys.readouterr().out.splitlines()
    assert len(endless) > 10_000
    assert len(head) == len(short) < 120


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a|b", "a\\|b"),
        ("`x` *y* _z_ ~q~ $m$", "\\`x\\` \\*y\\* \\_z\\_ \\~q\\~ \\$m\\$"),
        ("<script>&lt;", "\\<script\\>\\&lt;"),
        ("![i](u)", "!\\[i\\](u)"),
        ("two\nlines\x1b\u202e", "two lines  "),
        ("back\\slash", "back\\\\slash"),
        ("#fp:0123456789", "#fp:0123456789"),
        (None, ""),
    ],
)
def test_a_cell_has_no_markup_of_its_own(value: object, shown: str) -> None:
    assert cell(value) == shown
    assert len(table(("x",), [(value,)]).splitlines()) == 3


@pytest.mark.parametrize(
    ("value", "shown"), [("# x", "\\# x"), ("- x", "\\- x"), ("12. x", "12\\. x"), ("x - y", "x - y")]
)
def test_a_paragraph_is_no_heading_and_no_list(value: str, shown: str) -> None:
    assert paragraph(value) == shown


def test_code_can_not_be_closed_from_inside() -> None:
    assert code("/tmp/shop.db") == "`/tmp/shop.db`"
    assert code("/tmp/a`b") == "``/tmp/a`b``"
    assert code("`a``") == "``` `a`` ```"


def test_html_shows_marks_and_drops_controls() -> None:
    assert text("<b>&'\"\x1b[31m\u202e") == "&lt;b&gt;&amp;&#x27;&quot; [31m "
