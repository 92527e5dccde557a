"""Texts of scripts without blanks fill their rows; a help's table shows its sentences whole."""

from __future__ import annotations

import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text
from textual.app import App, ComposeResult

from screens.widgets.folded import Fold, Folded

CHINESE = "源从经过恢复和检查的备份复制；copy 模式下不观察它的 WAL。"
ENGLISH = "Everything here has a safe default; F8 takes them as they are."


class _Texts(App[None]):
    CSS = "Folded { width: 24; height: auto; }"

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        yield Folded(self._text, markup=False)


async def _rows(text: str, width: int = 24) -> list[str]:
    app = _Texts(text)
    async with app.run_test(size=(80, 24)) as pilot:
        folded = app.query_one(Folded)
        folded.styles.width = width
        await pilot.pause()
        return [folded.render_line(y).text.rstrip() for y in range(folded.size.height)]


async def test_a_chinese_text_fills_its_rows() -> None:
    assert await _rows(CHINESE) == ["源从经过恢复和检查的备份", "复制；copy 模式下不观察", "它的 WAL。"]


async def test_it_is_cut_anew_for_another_width() -> None:
    rows = await _rows(CHINESE, 40)
    assert rows == ["源从经过恢复和检查的备份复制；copy 模式", "下不观察它的 WAL。"]


async def test_an_english_text_is_cut_at_blanks() -> None:
    assert await _rows(ENGLISH) == ["Everything here has a", "safe default; F8 takes", "them as they are."]


@pytest.mark.parametrize("width", [30, 44])
def test_no_sentence_of_a_table_is_cut_off(width: int) -> None:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    sentence = "撤销运行所做的一切；显示会丢失什么，并要求输入运行的名称。 [stepflow rollback]"
    table.add_row(Text("R"), Fold(Text(sentence)))
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(table)
    shown = "".join(line[3:].rstrip() for line in captured.get().splitlines())
    assert shown.replace(" ", "") == sentence.replace(" ", "")
