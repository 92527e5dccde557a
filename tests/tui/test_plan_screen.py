"""The plan screen: every page at both sizes, found, filtered, copied, exported; previews that can be given up."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from screens.modals.details import DetailsDialog
from screens.modals.export import ExportDialog
from screens.modals.tick import TickDialog
from screens.pages.view import PlanView
from screens.plan import PlanScreen
from screens.widgets.reader import Reader
from stepflow_tui.engine.model.codec import from_plain
from stepflow_tui.engine.model.plan import ColumnPlan, Plan
from stepflow_tui.engine.texts import language
from stepflow_tui.facade import facade
from tests.tui.conftest import Snap
from tests.tui.kit import SIZES, drawn, snapshot
from tests.tui.plans import HOSTILE, drawn_with_keys, plan_view, recording, shown

PAGES = ("Steps", "Types", "SQL", "Not carried", "Findings", "Estimate", "Checklist", "Risks")


async def opened(pilot: Pilot[Any], view: PlanView) -> PlanScreen:
    """The plan screen over this view, as for the open run."""
    await pilot.pause()
    screen = PlanScreen()
    await pilot.app.push_screen(screen)
    screen.show(view)
    screen.apply(snapshot(step="plan"))
    await drawn_with_keys(pilot)
    return screen


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
async def test_every_page_looks_as_it_did(tmp_path: Path, size: tuple[int, int], snap: Snap) -> None:
    app, _sent = recording(tmp_path)
    async with app.run_test(size=size) as pilot:
        await opened(pilot, await plan_view(tmp_path))
        for name in PAGES:
            assert f"[{name}]" in shown(app)
            snap(app, name)
            await pilot.press("right")
            await pilot.pause()
            await pilot.pause()
        assert "[Steps]" in shown(app), "the last page is followed by the first"
        await pilot.press("left_square_bracket")
        await pilot.pause()
        assert "[Risks]" in shown(app)


async def test_in_chinese_it_fits(tmp_path: Path, snap: Snap) -> None:
    language.use("zh")
    app, _sent = recording(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, await plan_view(tmp_path))
        await pilot.press("left", "left")
        await pilot.pause()
        snap(app, "checklist")


async def test_a_filter_leaves_what_fits_and_escape_takes_it_back(tmp_path: Path) -> None:
    app, _sent = recording(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, await plan_view(tmp_path))
        await pilot.press("right", "slash", *"total", "enter")
        await pilot.pause()
        assert ("total" in shown(app), "joined" in shown(app)) == (True, False)
        assert isinstance(app.focused, Reader)
        await pilot.press("escape")
        await pilot.pause()
        assert "joined" in shown(app)
        assert app.screen is screen


async def test_a_search_goes_from_match_to_match_and_on_to_other_pages(tmp_path: Path) -> None:
    app, _sent = recording(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, await plan_view(tmp_path))
        await pilot.press("right", "right", "slash", *"CONSTRAINT", "enter")
        await pilot.pause()
        found = len(screen.reader.document.found)
        assert found > 1
        at = []
        for _ in range(found):
            at.append(screen.reader._at)
            await pilot.press("n")
        assert sorted(set(at)) == at, "each n goes one match further"
        await pilot.press("N")
        await pilot.press("slash", *["backspace"] * 10, *"load_extension", "enter", "n")
        await pilot.pause()
        assert "[Not carried]" in shown(app)


async def test_columns_with_hostile_names_are_text(tmp_path: Path) -> None:
    app, _sent = recording(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot, await plan_view(tmp_path, HOSTILE))
        for _page in PAGES:
            text = shown(app)
            assert not set(text) & set("\x1b\x07\x9b\u202e")
            await pilot.press("right")
            await pilot.pause()
        await pilot.press("right")
        await pilot.pause()
        assert "[red]x[/] [31mgnp.exe" in shown(app), "markup is shown, not obeyed"
        await pilot.press("right")
        await pilot.pause()
        assert "[link=http://x]a[/link]" in shown(app)


async def test_space_asks_for_a_note_and_sends_the_tick(tmp_path: Path) -> None:
    app, sent = recording(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, await plan_view(tmp_path))
        await pilot.press("space")
        assert app.screen is screen, "no item is selected on the first page"
        await pilot.press("left", "left", "space")
        await pilot.pause()
        assert app.screen is screen, "a check decides the first item"
        await pilot.press("down", "space")
        await pilot.pause()
        assert isinstance(app.screen, TickDialog)
        drawn(app)
        await pilot.press(*"tar on db2", "enter")
        await pilot.pause()
        assert sent == [("tick", {"item": "backup-config", "note": "tar on db2"})]


async def test_enter_tells_all_about_an_item_and_changes_nothing(tmp_path: Path) -> None:
    app, sent = recording(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, await plan_view(tmp_path))
        await pilot.press("left", "left", "enter")
        await pilot.pause()
        assert isinstance(app.screen, DetailsDialog)
        assert "Data is lost" in shown(app)
        await pilot.press("escape")
        await pilot.pause()
        assert sent == []


async def test_the_plan_is_written_as_sql_and_as_json_and_never_over_a_file(tmp_path: Path) -> None:
    app, _sent = recording(tmp_path)
    view = await plan_view(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, view)
        for _ in range(2):
            await pilot.press("x")
            await pilot.pause()
            assert isinstance(app.screen, ExportDialog)
            drawn(app)
            await pilot.press("enter")
            await app.workers.wait_for_complete([w for w in app.workers if w.group == "save"])
            await pilot.pause()
            (tmp_path / "plan-shop.sql").write_text((tmp_path / "plan-shop.sql").read_text() + "-- mine\n")
    sql = (tmp_path / "plan-shop.sql").read_text()
    assert sql.startswith("-- schema\ncreate schema")
    assert sql.count("-- mine") == 2, "the second export left the file alone"
    kept = json.loads((tmp_path / "plan-shop.json").read_text())
    assert from_plain(Plan, kept) == view.plan
    assert [r["id"] for r in kept["risks"]][:2] == ["data-loss", "incomplete-migration"]


async def test_going_back_asks_for_the_name_and_says_that_nothing_was_changed(tmp_path: Path) -> None:
    app, sent = recording(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, await plan_view(tmp_path))
        app.snapshot = snapshot(step="claim-target", state="waiting")
        await pilot.press("b")
        await pilot.pause()
        assert "Nothing was changed yet" in shown(app)
        drawn(app)
        await pilot.press("enter")
        assert sent == [], "nothing typed, nothing done"
        await pilot.press(*"shop", "enter")
        await pilot.pause()
        assert sent == [("abort", {"confirm": "shop"})]
        assert app.screen is screen


async def test_without_a_plan_it_says_what_is_still_missing(tmp_path: Path) -> None:
    view = replace(await plan_view(tmp_path), plan=None, missing=("The plan is not made yet; the run is running.",))
    app, _sent = recording(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, view)
        assert "The plan is not made yet" in shown(app)
        await pilot.press("x")
        await pilot.pause()
        assert not isinstance(app.screen, ExportDialog)
        await pilot.press("left")
        await pilot.pause()
        assert "Data is lost" in shown(app), "risks are known without a plan"


async def test_ten_thousand_columns_are_shown_in_part_and_found_by_filter(tmp_path: Path) -> None:
    view = await plan_view(tmp_path)
    assert view.plan is not None
    orders = view.plan.table("orders")
    tables = tuple(
        replace(orders, source=f"t{n}", name=f"t{n}", columns=_renamed(orders.columns, n)) for n in range(2500)
    )
    app, _sent = recording(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, replace(view, plan=replace(view.plan, tables=tables)))
        await pilot.press("right", "G")
        await pilot.pause()
        assert "and 2,300 more tables; / finds them" in shown(app)
        await pilot.press("slash", *"total2499", "enter")
        await pilot.pause()
        assert "t2499" in shown(app)


def _renamed(columns: tuple[ColumnPlan, ...], number: int) -> tuple[ColumnPlan, ...]:
    return tuple(replace(c, source=f"{c.source}{number}") for c in columns)


async def test_a_preview_of_a_config_is_a_real_plan_and_starts_nothing_by_itself(tmp_path: Path) -> None:
    view = await plan_view(tmp_path)
    config = tmp_path / "stepflow.yaml"
    config.write_text(
        "version: 1\nname: shop\nkind: sqlite-to-postgres\nsource: {path: shop.db}\ntarget: {dsn: postgresql://u@127.0.0.1:1/x, schema: app}\n"
    )
    app, sent = recording(tmp_path / "state")
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        screen = PlanScreen(config)
        await app.push_screen(screen)
        assert "nothing is changed" in shown(app)
        await app.workers.wait_for_complete([w for w in app.workers if w.group == "make"])
        await pilot.pause()
        assert screen.view is not None
        assert screen.view.plan is not None
        assert [t.source for t in screen.view.plan.tables] == [t.source for t in view.plan.tables if view.plan]  # type: ignore[union-attr]
        assert any(f.code == "target_unreachable" for f in screen.view.findings)
        await pilot.press("escape")
        await pilot.pause()
        assert app.screen is not screen
        assert sent == []
    assert not (tmp_path / "state" / "runs").exists() or not list((tmp_path / "state" / "runs").iterdir())


async def test_escape_gives_up_a_preview_that_is_still_looking(tmp_path: Path) -> None:
    from asyncio import CancelledError, Event

    ended: list[str] = []

    class Slow:
        def __getattr__(self, name: str) -> Any:
            return getattr(facade(), name)

        async def plan(self, loaded: Any, *, state: Path) -> Any:
            try:
                await Event().wait()
            except CancelledError:
                ended.append(loaded.config.name)
                raise

    await plan_view(tmp_path)
    config = tmp_path / "stepflow.yaml"
    config.write_text(
        "version: 1\nname: shop\nkind: sqlite-to-postgres\nsource: {path: shop.db}\ntarget: {embedded: true}\n"
    )
    app, _sent = recording(tmp_path / "state")
    app.api = Slow()  # type: ignore[assignment]
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        screen = PlanScreen(config)
        await app.push_screen(screen)
        while screen._preview is None or screen._preview._task is None:
            await pilot.pause()
        await pilot.press("escape")
        await pilot.pause()
        assert app.screen is not screen
        while not ended:
            await pilot.pause(0.01)
    assert ended == ["shop"]


async def test_a_preview_asks_before_it_starts_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app, _sent = recording(tmp_path)
    begun: list[Path] = []
    monkeypatch.setattr(app, "begin", begun.append)
    config = tmp_path / "missing.yaml"
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        screen = PlanScreen(config)
        await app.push_screen(screen)
        await app.workers.wait_for_complete([w for w in app.workers if w.group == "make"])
        await pilot.pause()
        assert "There is no plan" in shown(app), "a config that can't be read is an error on the screen"
        await pilot.press("c")
        await pilot.pause()
        drawn(app)
        await pilot.press("enter")
        await pilot.pause()
        assert begun == [], "the dialog begins at Cancel"
        await pilot.press("c")
        await pilot.pause()
        drawn(app)
        await pilot.press("right", "enter")
        await pilot.pause()
    assert begun == [config]


async def test_a_read_only_session_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app, _sent = recording(tmp_path, read_only=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        screen = PlanScreen(tmp_path / "missing.yaml")
        await app.push_screen(screen)
        await pilot.press("c")
        await pilot.pause()
        assert app.screen is screen
        assert any("read-only" in n.message for n in app._notifications)


async def test_names_of_pages_can_be_clicked_and_long_lines_cut(tmp_path: Path) -> None:
    app, _sent = recording(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, await plan_view(tmp_path))
        column = shown(app).splitlines()[1].index("Findings")
        await pilot.click("Sections", offset=(column, 0))
        await pilot.pause()
        assert "[Findings]" in shown(app)
        wrapped = shown(app)
        await pilot.press("w")
        await pilot.pause()
        cut = shown(app)
        assert cut != wrapped
        await pilot.press("shift+right", "shift+right")
        await pilot.pause()
        assert shown(app) != cut, "what is cut can be scrolled to"
        await pilot.press("z")
        await pilot.pause()
        assert "[Findings]" not in shown(app), "zoomed, only the page is there"


async def test_news_leave_the_reader_where_he_reads(tmp_path: Path) -> None:
    view = await plan_view(tmp_path)
    app, _sent = recording(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, view)
        await pilot.press("left", "left", *["down"] * 12)
        await pilot.pause()
        selected, top = screen.reader.selected, screen.reader.scroll_offset.y
        assert (selected != "backup-database", top > 0) == (True, True)
        items = [
            {**i, "state": "ticked", "by": "bo", "note": "done"} if i["id"] == "backup-config" else i
            for i in view.items
        ]
        screen.show(replace(view, items=items))
        await pilot.pause()
        assert (screen.reader.selected, screen.reader.scroll_offset.y) == (selected, top)


async def test_tab_goes_from_page_to_page_and_all_fits_on_the_smallest_terminal(tmp_path: Path) -> None:
    app, _sent = recording(tmp_path)
    async with app.run_test(size=(80, 20)) as pilot:
        await opened(pilot, await plan_view(tmp_path))
        for name in PAGES:
            assert f"[{name}]" in shown(app)
            assert len(shown(app).splitlines()) == 20
            await pilot.press("tab")
            await pilot.pause()
        await pilot.press("shift+tab")
        await pilot.pause()
        assert "[Risks]" in shown(app)
