"""The panel of row differences: order, filter, only what changed is drawn, a thousand tables, hostile names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from screens.panels.base import Value
from screens.panels.diffs import MOST_ROWS, DiffsPanel
from screens.widgets.line_list import LineList
from stepflow_tui.engine.texts import language
from tests.tui.conftest import Snap
from tests.tui.kit import SIZES, snapshot
from tests.tui.panel_kit import count_rows, shown
from tests.tui.run_rows import HOSTILE, seen

WIDE, NARROW = (120, 40), (80, 24)


def table(source: str, state: str = "copying", **more: Any) -> dict[str, Any]:
    """A table as the status has it."""
    given = {"source_rows": 1000, "target_rows": None, "diff": None, "verified": "not_verified", "as_of": None}
    return {"source": source, "target": f"public.{source}", "state": state} | given | more


def compared(source: str, verdict: str, diff: int = 0) -> dict[str, Any]:
    """A table that was compared."""
    more = {"verified": verdict, "target_rows": 1000 + diff, "diff": diff, "as_of": "2026-11-22T12:03:40.000Z"}
    return table(source, "verified", **more)


FOUR = [
    compared("order_items", "equal"),
    table("orders", source_rows=50_000_112),
    compared("customers", "different", -2),
    compared("invoices", "equal"),
    table("audit", "left_out"),
    table("later", "pending"),
]


def names(panel: DiffsPanel) -> list[str]:
    return [line.text.split()[0] for line in panel.listed.lines]


async def test_what_was_written_to_meanwhile_is_not_shown_as_equal(tmp_path: Path) -> None:
    """In place the application works on: of such a table only the conversion is proved, and it says so."""
    rows = [compared("items", "equal"), compared("orders", "equal") | {"source_rows": None, "diff": None}]
    rows[1]["apart_from"] = "application_writes"
    async with shown(tmp_path, DiffsPanel(), NARROW) as (pilot, panel):
        panel.apply(snapshot(tables=rows, kind="sqlite-wal", level=None))
        await pilot.pause()
        panel.focus()
        await pilot.pause()
        lines = {line.text.split()[0]: line for line in panel.listed.lines}
        assert lines["items"].text.split()[-2:] == ["✓", "equal"]
        assert lines["orders"].text.split()[-3:] == ["~", "written", "to"]
        assert [any(role == "good" for *_, role in lines[name].marks) for name in ("items", "orders")] == [True, False]
        assert "orders: its rows were not compared" in seen(pilot.app)
        await pilot.press("down")
        await pilot.pause()
        assert "2 tables · 0 differ · 1 written to" in seen(pilot.app)


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
async def test_differences_come_first_then_what_runs(
    tmp_path: Path, snap: Snap, size: tuple[int, int], request: pytest.FixtureRequest
) -> None:
    async with shown(tmp_path, DiffsPanel(), size) as (pilot, panel):
        panel.apply(snapshot(tables=FOUR, level="detailed"))
        await pilot.pause()
        assert names(panel) == ["customers", "audit", "orders", "later", "order_items", "invoices"]
        assert "6 tables · 2 differ · level detailed" in seen(pilot.app)
        assert panel.listed.lines[0].text.split()[-5:] == ["998", "-2", "12:03:40", "!", "differs"]
        snap(pilot.app, f"diffs-{size[0]}x{size[1]}")


async def test_unknown_numbers_are_never_zero(tmp_path: Path) -> None:
    async with shown(tmp_path, DiffsPanel(), WIDE) as (pilot, panel):
        panel.apply(snapshot(tables=[table("a", source_rows=None)]))
        await pilot.pause()
        assert panel.listed.lines[0].text.split()[2:6] == ["-", "-", "-", "-"]


async def test_a_count_that_is_off_differs_before_it_is_compared(tmp_path: Path) -> None:
    tables = [table("a", "copied", target_rows=1000, diff=0), table("b", "copied", target_rows=990, diff=-10)]
    async with shown(tmp_path, DiffsPanel(), WIDE) as (pilot, panel):
        panel.apply(snapshot(tables=tables))
        await pilot.pause()
        assert names(panel) == ["b", "a"]
        assert "differs" in panel.listed.lines[0].text


async def test_without_tables_it_says_what_will_come(tmp_path: Path) -> None:
    async with shown(tmp_path, DiffsPanel(), NARROW) as (pilot, panel):
        panel.apply(snapshot(tables=[]))
        await pilot.pause()
        assert "Tables come with the plan" in seen(pilot.app)
        await pilot.press("enter", "j", "G", "f")
        assert panel.selected is None


async def test_only_the_row_that_changed_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = [table(f"t{n:04}", target_rows=n) for n in range(1200)]
    async with shown(tmp_path, DiffsPanel(), WIDE) as (pilot, panel):
        panel.apply(snapshot(tables=tables))
        await pilot.pause()
        assert len(panel.listed.lines) == MOST_ROWS + 1
        assert panel.listed.lines[-1].text == "… and 1,000 more (filter with /)"
        drawn = count_rows(monkeypatch)
        panel.apply(snapshot(tables=[dict(t) for t in tables]))
        assert drawn == []
        panel.apply(snapshot(tables=[*tables[:5], table("t0005", target_rows=777), *tables[6:]]))
        assert drawn == [5]
        drawn.clear()
        panel.apply(snapshot(tables=[*tables[:700], table("t0700", target_rows=1), *tables[701:]]))
        assert len(drawn) <= 1  # t0005 went back; what is not seen is not drawn


async def test_an_unchanged_status_makes_no_rows_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with shown(tmp_path, DiffsPanel(), WIDE) as (pilot, panel):
        panel.apply(snapshot(tables=FOUR))
        await pilot.pause()
        made: list[int] = []
        monkeypatch.setattr(DiffsPanel, "show", lambda self: made.append(1))
        panel.apply(snapshot(tables=[dict(t) for t in FOUR]))
        assert made == []
        panel.apply(snapshot(tables=FOUR[1:]))
        assert made == [1]


async def test_the_filter_finds_names_and_states_and_escape_clears_it(tmp_path: Path) -> None:
    async with shown(tmp_path, DiffsPanel(), NARROW) as (pilot, panel):
        panel.apply(snapshot(tables=FOUR))
        await pilot.press("slash", *"ORDER")
        assert names(panel) == ["orders", "order_items"]
        await pilot.press("enter")
        assert panel.has_focus
        assert "filter: ORDER" in seen(pilot.app)
        await pilot.press("slash", "escape")
        assert len(panel.listed.lines) == len(FOUR)
        assert pilot.app.screen is panel.screen
        await pilot.press("slash", *"equal", "enter")
        assert names(panel) == ["order_items", "invoices"]
        await pilot.press("slash", *"x", "enter")
        assert "No table fits the filter." in seen(pilot.app)


async def test_f_shows_only_what_differs(tmp_path: Path) -> None:
    async with shown(tmp_path, DiffsPanel(), NARROW) as (pilot, panel):
        panel.apply(snapshot(tables=FOUR))
        await pilot.press("f")
        assert names(panel) == ["customers", "audit"]
        await pilot.press("f")
        assert len(panel.listed.lines) == len(FOUR)


async def test_the_cursor_stays_on_its_table_when_the_order_changes(tmp_path: Path) -> None:
    tables = [table("a"), table("b"), table("c")]
    async with shown(tmp_path, DiffsPanel(), NARROW) as (pilot, panel):
        panel.apply(snapshot(tables=tables))
        await pilot.press("j")
        assert panel.selected is not None
        assert panel.selected.key == "b"
        panel.apply(snapshot(tables=[table("a"), table("b"), compared("c", "different", 5)]))
        assert names(panel) == ["c", "a", "b"]
        assert panel.selected.key == "b"
        await pilot.press("g")
        assert panel.selected.key == "c"
        await pilot.press("G")
        assert panel.selected.key == "b"


async def test_names_are_text_whatever_they_hold(tmp_path: Path) -> None:
    async with shown(tmp_path, DiffsPanel(), WIDE) as (pilot, panel):
        panel.apply(snapshot(tables=[table(name) for name in HOSTILE]))
        await pilot.pause()
        screen = seen(pilot.app)
        assert "[red]not re" in screen
        assert not set(screen) & set("\x1b\x07\x00\x9b\u202e\u2066")
        frame = {line.rstrip()[-1] for line in screen.splitlines() if line.startswith("│")}
        assert frame == {"│"}  # wide characters push nothing out of the frame
        assert "\x1b" not in panel.copy_text()
        await pilot.press("slash", *"[red]", "enter")
        assert len(panel.listed.lines) == 1


async def test_the_mouse_selects(tmp_path: Path) -> None:
    async with shown(tmp_path, DiffsPanel(), NARROW) as (pilot, panel):
        panel.apply(snapshot(tables=[table("a"), table("b"), table("c")]))
        await pilot.pause()
        await pilot.click(LineList, offset=(3, 2))
        assert panel.selected is not None
        assert panel.selected.key == "c"


async def test_chinese(tmp_path: Path, snap: Snap) -> None:
    language.use("zh")
    async with shown(tmp_path, DiffsPanel(), NARROW) as (pilot, panel):
        panel.apply(snapshot(tables=[*FOUR, compared("客户和订单", "different", 3)], level="detailed"))
        await pilot.pause()
        assert panel.query_one("#foot", Value).content_size.height == 1
        snap(pilot.app, "diffs-zh")


async def test_ascii_signs(tmp_path: Path) -> None:
    async with shown(tmp_path, DiffsPanel(), NARROW, ascii=True) as (pilot, panel):
        panel.apply(snapshot(tables=[*FOUR, table("a_very_long_name_that_has_no_room_in_here_at_all")]))
        await pilot.pause()
        assert "\n".join(line.text for line in panel.listed.lines).isascii()
