"""An item accepted by --yes is told apart from one that somebody ticked, by sign and by word, wherever it is shown."""

from __future__ import annotations

from typing import Any

from screens.glyphs import ASCII, UNICODE
from screens.pages.checklist import item_blocks
from screens.panels.steps import step_rows
from stepflow_tui.engine.report.html import _checklist as html
from stepflow_tui.engine.report.markdown import _checklist as markdown


def item(name: str, state: str) -> dict[str, Any]:
    return {
        "id": name, "title": name.title(), "state": state, "kind": "manual", "phase": "before", "by": "--yes", "at": None,
        "note": None, "params": {"when": "before"}, "at_ms": None,
    }  # fmt: skip


ITEMS = [item("told", "ticked"), item("tried", "accepted"), item("tested", "open")]


def test_in_the_steps_panel() -> None:
    for glyphs in (UNICODE, ASCII):
        rows = [r.line.text for r in step_rows({"checklist": ITEMS}, 40, glyphs) if r.id.startswith("item:")]
        assert rows[0].strip() == "[x] Told"
        assert rows[1].startswith(" [~] Tried")
        assert rows[1].endswith(" unticked")
        assert rows[2].strip() == "[ ] Tested"


def test_on_the_checklist_page_it_does_not_count_as_done() -> None:
    lines = [line.text.plain for line in item_blocks(ITEMS, UNICODE)]
    assert lines[0] == "Before the migration  1/3 ticked, 1 accepted unticked"
    assert any(line.startswith(" [~] accepted unticked  Tried") for line in lines)


def test_in_the_reports() -> None:
    report = {"checklist": ITEMS}
    assert "| accepted unticked |" in markdown(report)
    assert '<td class="accepted unticked">accepted unticked</td>' in html(report)
    assert '<td class="ticked">ticked</td>' in html(report)
