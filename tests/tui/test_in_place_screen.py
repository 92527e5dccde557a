"""The run and plan screens of a database that stays where it is: their words, the keys that have no use, and the two ways back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from textual.widgets import Button, Input

from screens.key_words import help_of, is_senseless, label_of
from screens.modals.confirm import ConfirmTyped
from screens.modals.export import ExportDialog
from screens.modals.rollback import RollbackDialog
from screens.modals.wal_back import WalBack
from screens.pages.view import PlanView
from screens.plan import PlanScreen
from screens.plan_reading import wal_of
from stepflow_tui.actions import BY_ID
from stepflow_tui.engine.config import load_config
from stepflow_tui.engine.model.finding import Finding, info
from stepflow_tui.engine.model.plan import PlannedPhase, PlannedStep
from stepflow_tui.engine.model.schema import SourceSchema
from stepflow_tui.engine.plan.in_place import plan_in_place
from stepflow_tui.engine.texts import language
from stepflow_tui.render.in_place import conversion_lines
from tests.tui.conftest import Snap
from tests.tui.kit import SIZES, drawn, wizard
from tests.tui.plans import drawn_with_keys, recording
from tests.tui.plans import shown as text_of
from tests.tui.run_states import CHECKLIST, OnScreen, on_screen
from tests.tui.wal_states import PHASES, in_place

WIDE, NARROW = SIZES["120x40"], SIZES["80x24"]
MADE_AT = datetime(2026, 11, 22, 11, 58, 2, tzinfo=UTC)
AT = MADE_AT.astimezone().strftime("%H:%M")
ITEMS: tuple[dict[str, Any], ...] = tuple(item for item in CHECKLIST if item["id"] != "disk-space")
BACKED_UP: dict[str, Any] = {
    "checklist": (
        *ITEMS,
        {"id": "backup-database", "title": "Current database backed up", "phase": "before", "before": "", "kind": "auto",
         "state": "ticked", "by": "check", "at": "2026-11-22T12:30:00Z", "note": ""},
    ),
    "rollback": {"possible": True, "loses": [], "backup_at": MADE_AT.isoformat().replace("+00:00", "Z")},
}  # fmt: skip


def table(name: str, before: int, after: int, verified: str = "equal") -> dict[str, Any]:
    return {
        "source": name, "target": f"main.{name}", "source_rows": before, "target_rows": after, "diff": after - before,
        "state": "verified", "verified": verified,
    }  # fmt: skip


def ended(tables: Sequence[dict[str, Any]], state: str = "completed") -> Any:
    made = in_place("settle-checklist", state, tables=tables, result=state, wal=None)
    phases = [
        {**p, "state": "done", "steps": [{**s, "state": "done"} for s in p["steps"]]} for p in made.status["phases"]
    ]
    return replace(made, status={**made.status, "phases": phases})


async def opened(shown: OnScreen, *keys: str) -> None:
    await shown.press(*keys)
    drawn(shown.app)


async def chosen(shown: OnScreen, name: str) -> None:
    shown.app.screen.query_one(f"#{name}", Button).focus()
    await shown.press("enter")
    drawn(shown.app)


def flat(shown: OnScreen) -> str:
    return " ".join(" ".join(line.strip("│ ") for line in shown.lines).split())


@pytest.mark.parametrize("size", SIZES)
async def test_it_speaks_of_modes_not_of_sides(tmp_path: Path, snap: Snap, size: str) -> None:
    async with on_screen(wizard(tmp_path), in_place("convert", **BACKED_UP), SIZES[size]) as shown:
        snap(shown.app, f"in-place-{size}")
        assert "Convert to WAL" in shown.text
        for word in ("PostgreSQL", "target", "Cut over", "Switch reads"):
            assert word not in shown.text
        last = shown.lines[-1]
        assert "B Go back" in last
        assert "Switch" not in last
        if size == "120x40":
            for title in ("SQLite → WAL", "Try on a copy", "Watch"):
                assert title in shown.text


async def test_keys_that_have_no_use_here_say_why(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path), in_place(), WIDE) as shown:
        for key in ("s", "U"):
            await shown.press(key)
            assert "Nothing is switched here" in shown.said.pop()
        assert shown.sent == []
        assert "only the journal mode changes" in shown.screen.panel_number(3).copy_text()


async def test_one_key_twice_goes_back_to_the_old_mode(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path), in_place(**BACKED_UP), NARROW) as shown:
        await opened(shown, "B")
        assert isinstance(shown.app.screen, WalBack)
        assert "nothing that was written is lost" in flat(shown)
        assert shown.sent == []
        await shown.press("B")
        assert shown.sent == [("rollback", {"reason": "back to the old journal mode", "confirm": "shop"})]
        assert shown.app.screen is shown.screen


@pytest.mark.parametrize("key", ["B", "R"])
async def test_the_safe_answer_comes_first_and_sends_nothing(tmp_path: Path, key: str) -> None:
    async with on_screen(wizard(tmp_path), in_place(**BACKED_UP), NARROW) as shown:
        for answer in ("enter", "escape"):
            await opened(shown, key)
            assert isinstance(shown.app.screen, WalBack)
            await shown.press(answer)
            assert shown.app.screen is shown.screen
        assert shown.sent == []


async def test_the_backup_is_restored_once_reason_and_name_are_typed(tmp_path: Path, snap: Snap) -> None:
    async with on_screen(wizard(tmp_path), in_place(**BACKED_UP), NARROW) as shown:
        await opened(shown, "R")
        assert f"Restore the backup of {AT}…" in shown.text
        await chosen(shown, "restore")
        dialog = shown.app.screen
        assert isinstance(dialog, RollbackDialog)
        assert f"becomes what it was at {AT}" in flat(shown)
        assert "is lost" in flat(shown)
        dialog.query_one("#name", Input).value = "shop"
        await shown.press("enter")
        assert shown.sent == []
        dialog.query_one("#reason", Input).value = "wrong data"
        await shown.press("enter")
        assert shown.sent == [("rollback", {"reason": "wrong data", "confirm": "shop", "restore": True})]


async def test_without_a_backup_there_is_one_way_back(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path), in_place("backup"), NARROW) as shown:
        await opened(shown, "B")
        assert isinstance(shown.app.screen, WalBack)
        assert [b.id for b in shown.app.screen.query(Button)] == ["cancel", "mode"]
        assert "no backup to restore yet" in flat(shown)


async def test_a_session_that_only_watches_goes_nowhere(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path, read_only=True), in_place(), WIDE) as shown:
        await shown.press("B")
        assert shown.app.screen is shown.screen
        assert "read-only" in shown.said.pop()


@pytest.mark.parametrize("state", ["running", "observing"])
async def test_the_watching_is_ended_by_name_and_closes_no_way_back(tmp_path: Path, state: str) -> None:
    """A short watch leaves the run "running"; it is ended like a long one."""
    async with on_screen(wizard(tmp_path), in_place(state=state), NARROW) as shown:
        assert "Watching the new mode" in shown.text
        assert "PostgreSQL" not in shown.text
        await opened(shown, "c")
        assert isinstance(shown.app.screen, ConfirmTyped)
        assert "You can still go back afterwards" in flat(shown)
        shown.app.screen.query_one(Input).value = "shop"
        await shown.press("enter")
        assert shown.sent == [("cleanup", {"confirm": "shop"})]


async def test_rows_the_application_wrote_meanwhile_are_no_difference(tmp_path: Path) -> None:
    written = ended([table("orders", 100, 140), table("items", 7, 7)])
    async with on_screen(wizard(tmp_path), written, WIDE) as shown:
        assert "Completed and verified." in shown.text
        assert "rows before" in shown.screen.panel_number(4).copy_text()
        assert "main.orders" not in shown.screen.panel_number(4).copy_text()
        await shown.show(ended([table("orders", 100, 90, "different")], "incomplete"))
        assert "Ended, but the tables are not what they were before." in flat(shown)


@pytest.mark.parametrize(
    ("state", "step", "words"),
    [
        ("aborted", "rehearse", "Nothing was changed yet."), ("aborted", "watch", "keeps the mode it is in"),
        ("rolled_back", "preflight", "as it was before the conversion"), ("paused", "watch", "Paused."),
    ],
)  # fmt: skip
async def test_each_ending_speaks_of_the_file(tmp_path: Path, state: str, step: str, words: str) -> None:
    async with on_screen(wizard(tmp_path), in_place(step, state, checklist=ITEMS), WIDE) as shown:
        assert words in flat(shown)
        for foreign in ("target", "PostgreSQL", "copied"):
            assert foreign not in flat(shown)


@pytest.mark.parametrize("lang", ["en", "zh"])
async def test_it_fits_every_size(tmp_path: Path, lang: str) -> None:
    language.use(lang)
    async with on_screen(wizard(tmp_path), in_place("convert", **BACKED_UP), WIDE) as shown:
        await opened(shown, "B")
        for size in ((80, 20), (80, 24), (110, 24), (120, 40)):
            await shown.pilot.resize_terminal(*size)
            await shown.settle()
            assert all(cell_len(line) <= size[0] for line in shown.lines)
            assert shown.app.screen.query_one("#restore", Button).region.bottom <= size[1]


# the plan


def view(folder: Path, text: str = "", findings: Sequence[Finding] = ()) -> PlanView:
    (folder / "shop.yaml").write_text(f"name: shop\nkind: sqlite-wal\nsource: {{path: shop.db}}\n{text}")
    config = load_config(folder / "shop.yaml", {}).config
    phases = tuple(
        PlannedPhase(name=p, steps=tuple(PlannedStep(name=s, danger="none", loses="") for s in steps))
        for p, steps in PHASES
    )
    schema = SourceSchema(
        encoding="UTF-8", tables=(), views=(), triggers=(), page_size=4096, page_count=1, journal_mode="delete",
        schema_version=1, user_version=0, application_id=0,
    )  # fmt: skip
    items = [
        {
            "id": "mode-active",
            "phase": "",
            "kind": "auto",
            "state": "open",
            "params": {},
            "by": "",
            "at_ms": None,
            "note": "",
        }
    ]
    return PlanView(
        name="shop", plan=plan_in_place(schema, config, phases), findings=tuple(findings), items=items, wal=config.wal
    )


async def plan_screen(pilot: Any, shown: PlanView) -> PlanScreen:
    await pilot.pause()
    pilot.app.snapshot = in_place("plan")
    screen = PlanScreen()
    await pilot.app.push_screen(screen)
    screen.show(shown)
    await drawn_with_keys(pilot)
    return screen


async def test_the_plan_has_the_pages_that_apply(tmp_path: Path, snap: Snap) -> None:
    app, _sent = recording(tmp_path)
    async with app.run_test(size=WIDE) as pilot:
        screen = await plan_screen(pilot, view(tmp_path, "wal: {page_size: 8192, pragmas: {cache_size: -64000}}\n"))
        assert [page.NAME for page in screen.PAGES] == ["Steps", "Changes", "Findings", "Checklist", "Risks"]
        assert "Convert a copy, and back" in text_of(app)
        await pilot.press("right")
        await pilot.pause()
        await pilot.pause()
        snap(app, "in-place-changes")
        for text in (
            "journal mode becomes WAL",
            "PRAGMA page_size = 8192",
            "PRAGMA cache_size = -64000: yours",
            "busy_timeout",
        ):
            assert text in text_of(app)
        await pilot.press("left", "left")
        await pilot.pause()
        await pilot.pause()
        assert "A backup script copies the file without its -wal" in text_of(app)
        assert "The new side" not in text_of(app)


async def test_a_plan_that_converts_nothing_says_so(tmp_path: Path) -> None:
    app, _sent = recording(tmp_path)
    async with app.run_test(size=WIDE) as pilot:
        await plan_screen(pilot, view(tmp_path, findings=[info("wal_already", "shop.db", path="shop.db")]))
        await pilot.press("right")
        await pilot.pause()
        await pilot.pause()
        assert "Nothing is converted" in text_of(app)
        assert "becomes WAL" not in text_of(app)


async def test_a_plan_without_sql_is_written_as_json_alone(tmp_path: Path) -> None:
    app, _sent = recording(tmp_path)
    async with app.run_test(size=WIDE) as pilot:
        screen = await plan_screen(pilot, view(tmp_path))
        screen.action_export()
        await pilot.pause()
        drawn(app)
        assert isinstance(app.screen, ExportDialog)
        app.screen.query_one(Input).value = str(tmp_path / "made")
        await pilot.press("enter")
        await app.workers.wait_for_complete()
        await pilot.pause()
    assert json.loads((tmp_path / "made.json").read_text())["kind"] == "sqlite-wal"
    assert not (tmp_path / "made.sql").exists()


def test_the_config_a_journal_keeps_tells_what_connections_set() -> None:
    kept = {"text": "kind: sqlite-wal\nwal: {page_size: 4096, probe: '***', pragmas: {cache_size: '-64000'}}\n"}
    found = wal_of(kept)
    assert found is not None
    assert (found.page_size, found.pragmas, found.probe) == (4096, {"cache_size": "-64000"}, None)
    assert wal_of({"text": "kind: sqlite-to-postgres\n"}) is None
    assert wal_of({}) is None


async def test_palette_and_help_speak_of_what_this_run_can_do(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path), in_place(**BACKED_UP), WIDE) as shown:
        screen = shown.app.screen
        named = {name: label_of(screen, BY_ID[name]) for name in ("back", "rollback")}
        assert named["back"] == "Go back"
        assert "old journal mode" in help_of(screen, BY_ID["back"])
        assert "Reads back" not in named.values()
        lacking = [name for name in BY_ID if is_senseless(screen, name)]
        assert sorted(lacking) == ["cutover", "panel-3", "switch"]


async def test_the_report_says_how_it_was_converted(tmp_path: Path) -> None:
    report = {
        "kind": "sqlite-wal",
        "benchmark": None,
        "in_place": {
            "convert": {
                "before": {"mode": "delete"}, "after": {"mode": "wal"}, "attempts": 3, "seconds": 0.4,
                "waited_for": ["pid 7 (writer)"],
            },
        },
    }  # fmt: skip
    told = "\n".join(conversion_lines(report))
    assert "delete before, wal after" in told
    assert "pid 7 (writer)" in told
    back = {"convert": {"changed": True, "mode": "delete", "seconds": 0.2}}
    assert "Went back to journal mode delete" in "\n".join(conversion_lines({**report, "in_place": back}))
    restored = {"convert": {"restored": True, "aside": ["a.db.before"]}}
    assert "a.db.before" in "\n".join(conversion_lines({**report, "in_place": restored}))
