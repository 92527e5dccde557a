"""The run screen: what it says in every state, its keys, its sizes, and names that are not ours."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len
from textual.widgets import Input

from screens.modals.confirm import ConfirmTyped
from screens.modals.gate import GateDialog
from screens.modals.text import TextDialog
from screens.modals.tick import TickDialog
from screens.panels.log import LogPanel
from screens.panels.steps import StepsPanel
from screens.report import ReportScreen
from stepflow_tui.engine.texts import language
from tests.tui.kit import SIZES, drawn, wizard
from tests.tui.run_states import CHECKLIST, STATES, hostile, on_screen

WIDE, NARROW = SIZES["120x40"], SIZES["80x24"]
SAYS = {
    "running": ("▸ RUNNING 2/4", "63 %", "12,240 rows/s", "3.0 s left", "Stops before Complete and asks."),
    "slowed": ("measuring the time left", "slowed down: the target is busy"),
    "pending": ("· PENDING", "no engine works on it", "Press c to start it."),
    "waiting": (
        "! WAITING 2/4",
        "Waiting before Copy: 5 questions.",
        "Press c to answer",
        "2 × mixed_types",
        "the plan",
    ),
    "paused": ("= PAUSED 2/4", "Everything copied so far is kept.", "Press p to go on."),
    "failed": ("× FAILED 2/4", "Failed at copy.", "press c to go on", "No room is left on the disk", "hint: Make room"),
    "incomplete": (
        "! INCOMPLETE",
        "not everything is on the new side",
        "orders: 3 rows missing",
        "draft: 1 row too many",
    ),
    "completed": (
        "✓ COMPLETED",
        "Completed and verified.",
        "100,000 rows: nothing is missing",
        "2 manual checks are open",
    ),
    "rolled-back": ("~ ROLLED BACK", "is undone", "report.html"),
    "aborted": ("× ABORTED", "until it is rolled back", "Press R to roll back"),
    "engine-lost": ("× ENGINE LOST", "has not responded for 17 s", "Nothing is lost"),
    "production": ("PROD", "3 watching"),
}
NEVER = {"incomplete": ("Completed", "nothing is missing"), "failed": ("Completed",), "waiting": ("Completed",)}


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
async def test_every_state_says_what_is_and_what_to_do(tmp_path: Path, size: tuple[int, int]) -> None:
    async with on_screen(wizard(tmp_path), STATES["running"](), size) as shown:
        for state, texts in SAYS.items():
            shown.app.events.clear()
            await shown.show(STATES[state]())
            flat = " ".join(line.strip("│ ") for line in shown.lines)
            assert [text for text in texts if text not in flat] == []
            assert [text for text in NEVER.get(state, ()) if text in flat] == []


@pytest.mark.parametrize("table", [{"diff": -1}, {"diff": 2}, {"verified": "different"}, {"state": "left_out"}])
async def test_the_word_completed_is_not_believed_when_rows_are_missing(
    tmp_path: Path, table: dict[str, object]
) -> None:
    done = STATES["completed"]()
    tables = [{**done.status["tables"][0], **table}]
    async with on_screen(wizard(tmp_path), STATES["completed"](tables=tables), NARROW) as shown:
        assert "not everything is on the new side" in shown.text
        assert "nothing is missing" not in shown.text


async def test_what_was_not_compared_or_left_out_is_named(tmp_path: Path) -> None:
    done = STATES["completed"]()
    tables = [{**t, "verified": "not_verified"} for t in done.status["tables"]]
    async with on_screen(wizard(tmp_path), STATES["completed"](tables=tables, objects_left_out=9), WIDE) as shown:
        assert "2 tables were not compared." in shown.text
        assert "9 objects were left out" in shown.text
        assert "Completed and verified" not in shown.text


async def test_steps_and_checks_are_listed(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path), STATES["running"](), WIDE) as shown:
        assert "✓ 1 Prepare                4/4" in shown.text
        assert "▸ copy" in shown.text
        assert "Manual checks left           2" in shown.text
        assert "[ ] Key functions tested" in shown.text
        assert "Reason confirmed" not in shown.text  # asked only when there is a rollback


async def test_a_running_step_has_its_percentage_and_a_typed_one_its_sign(tmp_path: Path) -> None:
    now = STATES["running"]()
    progress = now.status["progress"]
    phases = [
        {**p, "steps": [{**s, "progress": progress, "danger": "typed"} for s in p["steps"]]}
        for p in now.status["phases"]
    ]
    async with on_screen(wizard(tmp_path), replace(now, status={**now.status, "phases": phases}), WIDE) as shown:
        assert "▸ copy                  63 %" in shown.text
        assert "! build-keys" in shown.text
        assert "Stops before Verify and asks." in shown.text


async def test_why_wal_and_switch_are_empty_and_what_they_show(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path), STATES["running"](), WIDE) as shown:
        assert "isn't" in shown.text
        assert "In mode copy nothing is switched" in shown.text
        await shown.show(STATES["switching"]())
        assert "kept by process 4242 for 1 min 33 s" in shown.text
        assert "reads to the new side 25 %" in shown.text
        assert "behind by 1,204 changes, 1.1 s" in shown.text


async def test_digits_and_tab_go_to_panels(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path), STATES["running"](), WIDE) as shown:
        for number in range(6):
            await shown.press(str(number))
            assert shown.screen.panel is shown.screen.panel_number(number)
        await shown.press("tab")
        assert shown.screen.panel is shown.screen.panel_number(0)
        await shown.press("shift+tab")
        assert shown.screen.panel is shown.screen.panel_number(5)


async def test_tabs_by_key_and_by_mouse(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path), STATES["running"](), NARROW) as shown:
        assert "2 WAL  3 Switch  [4 Row diffs]" in shown.text
        await shown.press("2")
        assert "[2 WAL]  3 Switch  4 Row diffs" in shown.text
        row = next(n for n, line in enumerate(shown.lines) if "[2 WAL]" in line)
        await shown.pilot.click(offset=(shown.lines[row].index("Switch"), row))
        await shown.settle()
        assert "2 WAL  [3 Switch]  4 Row diffs" in shown.text
        assert shown.screen.panel is shown.screen.panel_number(3)


async def test_zoom_and_back(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path), STATES["running"](), NARROW) as shown:
        await shown.press("5", "z")
        assert isinstance(shown.screen.maximized, LogPanel)
        assert "StepFlow" in shown.lines[0]
        assert "1 Now" not in shown.text
        await shown.press("escape")
        assert shown.screen.maximized is None
        assert "1 Now" in shown.text
        assert shown.app.is_running


async def test_all_steps_in_a_narrow_terminal(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path), STATES["running"](), NARROW) as shown:
        assert "✓1 Prepare ▸2 Copy ·3 Verify ·4 Complete  [0] all" in shown.text
        await shown.press("0")
        assert isinstance(shown.screen.panel, StepsPanel)
        assert "create-tables" in shown.text
        await shown.press("escape")
        assert "create-tables" not in shown.text
        assert shown.screen.panel is shown.screen.panel_number(1)


async def test_frozen_panels_stay_and_catch_up(tmp_path: Path) -> None:
    app = wizard(tmp_path)
    async with on_screen(app, STATES["running"](), WIDE) as shown:
        await shown.press("v")
        assert "FROZEN" in shown.lines[0]
        await shown.show(STATES["failed"]())
        assert "FAILED" in shown.lines[0]
        assert "63 %" in shown.text
        await shown.press("v")
        assert "FROZEN" not in shown.lines[0]
        assert "Failed at copy." in shown.text


@pytest.mark.parametrize(("state", "verb"), [("running", "pause"), ("paused", "resume")])
async def test_pause_and_resume(tmp_path: Path, state: str, verb: str) -> None:
    async with on_screen(wizard(tmp_path), STATES[state](), NARROW) as shown:
        await shown.press("p")
        assert shown.sent == [(verb, {})]


WHY_NOT = (
    ("c", "running", "No gate is open: the run is running."),
    ("p", "completed", "There is nothing to pause: the run is completed."),
    ("X", "completed", "There is nothing to abort: the run is completed."),
    ("R", "rolled-back", "There is nothing to roll back: the run is rolled_back."),
    ("s", "running", "In mode copy nothing is switched"),
    ("B", "running", "In mode copy nothing is switched"),
    ("U", "running", "In mode copy nothing is switched"),
)


async def test_a_key_that_can_do_nothing_says_why(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path), STATES["running"](), NARROW) as shown:
        for key, state, why in WHY_NOT:
            await shown.show(STATES[state]())
            await shown.press(key)
            assert why in shown.said.pop()
            assert shown.said == []
            assert shown.sent == []
            assert shown.app.screen is shown.screen


async def test_continue_opens_the_gate(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path), STATES["waiting"](), NARROW) as shown:
        await shown.press("c")
        assert isinstance(shown.app.screen, GateDialog)
        drawn(shown.app)
        await shown.press("escape")
        assert shown.app.screen is shown.screen
        assert shown.sent == []


async def test_continue_starts_an_engine_where_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_engine = {"engine": {"pid": None, "alive": False, "heartbeat_seconds": None}}
    app = wizard(tmp_path)
    begun: list[Path] = []
    monkeypatch.setattr(app, "begin", lambda config, new=False: begun.append(config))
    monkeypatch.setattr(app.api, "remains", lambda run: {"config": "/shop/shop.yaml", "log": ""}, raising=False)
    async with on_screen(app, STATES["failed"](**no_engine), NARROW) as shown:
        await shown.press("c")
        assert begun == [Path("/shop/shop.yaml")]


@pytest.mark.parametrize(("key", "verb"), [("R", "rollback"), ("X", "abort")])
async def test_undoing_and_ending_ask_for_the_name(tmp_path: Path, key: str, verb: str) -> None:
    loses = {"possible": True, "loses": ["rows written to the target since the copy"]}
    async with on_screen(wizard(tmp_path), STATES["paused"](rollback=loses), NARROW) as shown:
        await shown.press(key)
        assert isinstance(shown.app.screen, ConfirmTyped)
        assert ("rows written to the target" in shown.text) == (key == "R")
        drawn(shown.app)
        await shown.press("enter")
        assert shown.sent == []
        if key == "R":
            shown.app.screen.query_one("#reason", Input).value = "a rehearsal"
        shown.app.screen.query_one("#name", Input).value = "shop"
        await shown.press("enter")
        assert shown.app.screen is shown.screen
        ((sent, args),) = shown.sent
        assert (sent, args["confirm"]) == (verb, "shop")


async def test_a_manual_check_is_ticked_with_a_note(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path), STATES["running"](), WIDE) as shown:
        await shown.press("space")
        assert "Select a manual check" in shown.said[-1]
        panel = shown.screen.query_one(StepsPanel)
        await shown.press("0", "G", "k")
        assert panel.selected() == ("item", CHECKLIST[4])
        await shown.press("space")
        assert "StepFlow decides this one" in shown.said[-1]
        wanted = next(n for n, line in enumerate(panel.listed.lines) if "Key functions" in line.text)
        panel.listed.select(wanted)
        await shown.press("space")
        assert isinstance(shown.app.screen, TickDialog)
        drawn(shown.app)
        shown.app.screen.query_one(Input).value = "tried by Anna"
        await shown.press("enter")
        assert shown.sent == [("tick", {"item": "functions-tested", "note": "tried by Anna"})]


async def test_details_of_a_step_and_of_a_check(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path), STATES["running"](), WIDE) as shown:
        await shown.press("0", "enter")
        assert isinstance(shown.app.screen, TextDialog)
        assert "State: running" in shown.text
        await shown.press("escape")
        panel = shown.screen.query_one(StepsPanel)
        panel.listed.select(next(n for n, line in enumerate(panel.listed.lines) if "Configuration" in line.text))
        await shown.press("enter")
        assert "By: anna" in shown.text
        assert "Note: mail of 21 November" in shown.text


async def test_report_alerts_pace(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path), STATES["running"](), NARROW) as shown:
        assert "! 1 alert · The copy is slowed down" in shown.text
        await shown.press("minus")
        assert shown.app.refresh_seconds == 2.0
        await shown.press("plus", "plus", "plus")
        assert shown.app.refresh_seconds == 0.5
        await shown.press("a")
        assert type(shown.app.screen).__name__ == "AlertsDialog"
        await shown.press("escape", "e")
        assert isinstance(shown.app.screen, ReportScreen)
        await shown.press("escape")
        assert shown.app.screen is shown.screen


async def test_unacknowledged_alerts_come_first(tmp_path: Path) -> None:
    old = {"code": "journal_busy", "severity": "critical", "since": None, "acknowledged": True, "params": {}}
    new = {**old, "code": "source_changed", "severity": "info", "acknowledged": False}
    async with on_screen(wizard(tmp_path), STATES["running"](alerts=[old, new]), WIDE) as shown:
        strip = next(line for line in shown.lines if "2 alerts" in line)
        assert strip.index("The source changed") < strip.index("Another process")
        assert strip.endswith("[a] list")
        await shown.show(STATES["running"](alerts=[]))
        assert "[a] list" not in shown.text


async def test_f_keys_of_the_app_work_on_this_screen(tmp_path: Path) -> None:
    app = wizard(tmp_path)
    called: list[str] = []
    async with on_screen(app, STATES["running"](), NARROW) as shown:
        for name in ("plan", "journal", "home", "detach", "quit_menu", "help"):
            setattr(app, f"action_{name}", lambda name=name: called.append(name))
        await shown.press("f2", "f4", "f5", "d", "q", "question_mark")
        assert called == ["plan", "journal", "home", "detach", "quit_menu", "help"]


@pytest.mark.parametrize("lang", ["en", "zh"])
async def test_it_fits_every_size_in_every_language(tmp_path: Path, lang: str) -> None:
    language.use(lang)
    async with on_screen(wizard(tmp_path), STATES["waiting"](), WIDE) as shown:
        for size in ((80, 20), (81, 21), (100, 30), (109, 40), (110, 20), (110, 24), (250, 70)):
            await shown.pilot.resize_terminal(*size)
            await shown.settle()
            assert len(shown.lines) == size[1]
            assert all(cell_len(line) <= size[0] for line in shown.lines)
            assert all(shown.screen.panel_number(number).size.height >= 2 for number in (1, 4, 5))
            assert ": " in shown.lines[-1]


async def test_too_small_is_said_in_one_line(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path), STATES["running"](), (79, 24)) as shown:
        for size in ((79, 24), (80, 19), (40, 10), (10, 3), (1, 1)):
            await shown.pilot.resize_terminal(*size)
            await shown.settle()
            flat = "".join(shown.lines).replace(" ", "")
            assert flat.startswith("Terminaltoosmall(80x20needed)·▸RUNNING2/4"[: size[0]])
            assert "1Now" not in flat


async def test_a_storm_of_resizes(tmp_path: Path) -> None:
    dice = random.Random(7)
    async with on_screen(wizard(tmp_path), STATES["running"](), WIDE) as shown:
        await shown.press("z")
        for _ in range(25):
            await shown.pilot.resize_terminal(dice.randint(1, 160), dice.randint(1, 50))
            if dice.random() < 0.3:
                await shown.show(STATES[dice.choice(list(STATES))]())
                await shown.press(dice.choice("012345z"))
                await shown.press("escape")
        await shown.pilot.resize_terminal(*WIDE)
        await shown.show(STATES["running"]())
        assert "1 Now · copy" in shown.text
        assert "63 %" in shown.text


NAMES = (
    "[red]x[/red][@click=app.quit]y",
    "\x1b[2J\x1b]0;owned\x07\x9b31mname",
    "\u202eevil\u2066\u200f",
    "n" * 500,
    "订单" * 60,
    "a\nb\tc",
    "",
)
OBEYED = set("\x1b\x07\x9b\u202e\u2066\u200f\t")
"""What a terminal would act on."""


@pytest.mark.parametrize(("size", "names"), [(NARROW, NAMES), (WIDE, ("n" * 500, "订单" * 60))], ids=SIZES)
async def test_names_are_shown_as_text(tmp_path: Path, size: tuple[int, int], names: tuple[str, ...]) -> None:
    async with on_screen(wizard(tmp_path), STATES["running"](), size) as shown:
        for name in names:
            await shown.show(hostile([name, *NAMES]))
            await shown.press("0", "G", "enter")
            assert isinstance(shown.app.screen, TextDialog)
            assert not set(shown.text) & OBEYED
            await shown.press("escape", "escape", "1")
            assert not set(shown.text) & OBEYED
            assert all(cell_len(line) <= size[0] for line in shown.lines)
            assert "[red]x[/red]" in shown.text
            assert shown.app.is_running


async def test_an_unchanged_state_draws_nothing(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path), STATES["running"](), WIDE) as shown:
        app = shown.app
        drawings: list[object] = []
        real = app._display
        app._display = lambda screen, what: (drawings.append(what), real(screen, what))[1]  # type: ignore[method-assign]
        for _ in range(5):
            shown.screen.apply(shown.app.snapshot)  # type: ignore[arg-type]
            await shown.settle()
        assert drawings == []
