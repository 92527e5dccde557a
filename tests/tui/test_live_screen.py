"""The run screen of a live run: what it says at each stage, and moving reads and writes there and back by keyboard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from textual.widgets import Button, Input

from screens import typeahead
from screens.modals.confirm import ConfirmPlain, ConfirmTyped
from screens.modals.cutover import CutoverDialog
from screens.modals.rollback import RollbackDialog
from screens.modals.switch import ReadsBack, SwitchDialog
from stepflow_tui.engine.texts import language
from stepflow_tui.render.guards import percentage
from stepflow_tui.render.live import live_lines
from tests.tui.conftest import Snap
from tests.tui.kit import SIZES, drawn, wizard
from tests.tui.live_states import LIVE, REHEARSAL, STATES, SWITCH, differing, live, switching
from tests.tui.run_states import STATES as COPY
from tests.tui.run_states import OnScreen, on_screen

WIDE, NARROW = SIZES["120x40"], SIZES["80x24"]

SAYS: Mapping[str, tuple[str, ...]] = {
    "catching-up": ("63,100 / 100,000 changes", "kept by process 4242 (python shop.py)", "3 passes, clean at 12:03:40"),
    "switching": ("behind 1,204, 1.1 s", "freeze about 0.31 s", "back: nothing is lost"),
    "at-cutover": ("Press U to cut over", "not behind", "about 0.31 s", "going back now: nothing is lost"),
    "observing": ("OBSERVING 7/9", "PostgreSQL owns the writes", "it takes about 21 s", "Press R to go back"),
    "suspended": ("can't be seen on this system",),
    "cleaned": ("COMPLETED", "The run has ended: the source's log is not watched any more."),
    "blocked": ("not possible before rows", "rows set aside", "values in the way back"),
}
SWITCH_SAYS: Mapping[str, tuple[str, ...]] = {
    "catching-up": ("The read switch comes when both sides were compared",),
    "switching": ("reads to the new side 25 %", "37,201", "12,400", "0.03 %", "mismatches 0 of 12,400 shadow reads"),
    "soaking": ("held for 4 min 10 s more",),
    "suspended": ("routers read the old side", "error: target_lost", "armed again in 1 min 1 s"),
    "moved-back": ("reads to the new side 0 %", "moved back by itself", "p95 812 ms"),
    "observing": ("reads to the new side 100 %",),
}


async def test_each_stage_says_how_it_stands(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path), STATES["switching"](), NARROW) as shown:
        for key, told in (("2", SAYS), ("3", SWITCH_SAYS)):
            await shown.press(key)
            for state, texts in told.items():
                await shown.show(STATES[state]())
                flat = " ".join(" ".join(line.strip("│ ") for line in shown.lines).split())
                assert [text for text in texts if text not in flat] == [], state


async def test_a_wide_terminal_shows_both_panels_whole(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path), STATES["switching"](), WIDE) as shown:
        for number, last in ((2, "812 rows/s applied"), (3, "writes go to SQLite")):
            assert shown.screen.panel_number(number).copy_text().endswith(last)
            assert last in shown.text


async def test_after_the_cutover_no_freeze_is_foretold(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path), STATES["observing"](), WIDE) as shown:
        assert "stand still" not in shown.text
        assert "freeze" not in shown.text


async def test_figures_that_nothing_keeps_true_are_not_shown(tmp_path: Path) -> None:
    told = "\n".join(live_lines(STATES["cleaned"]().status))
    assert told == "writes go to PostgreSQL"
    async with on_screen(wizard(tmp_path), STATES["cleaned"](), WIDE) as shown:
        assert "behind" not in shown.text
        assert "kept by process" not in shown.text


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("lang", ["en", "zh"])
async def test_it_fits_every_size(tmp_path: Path, state: str, lang: str) -> None:
    language.use(lang)
    async with on_screen(wizard(tmp_path), STATES[state](), WIDE) as shown:
        for size in ((80, 20), (80, 24), (110, 24), (120, 40)):
            await shown.pilot.resize_terminal(*size)
            await shown.settle()
            assert all(cell_len(line) <= size[0] for line in shown.lines)


async def opened(shown: OnScreen, *keys: str) -> None:
    """A dialog, drawn by the terminal."""
    await shown.press(*keys)
    drawn(shown.app)


def button(shown: OnScreen, name: str) -> Button:
    """A button of the dialog on top."""
    return shown.app.screen.query_one(f"#{name}", Button)


async def chosen(shown: OnScreen, name: str) -> None:
    """Press a button of the dialog on top."""
    button(shown, name).focus()
    await shown.press("enter")
    drawn(shown.app)


async def test_one_level_up_is_a_plain_question(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path), switching(), NARROW) as shown:
        await opened(shown, "s")
        assert isinstance(shown.app.screen, SwitchDialog)
        await chosen(shown, "to-4")
        assert isinstance(shown.app.screen, ConfirmPlain)
        await shown.press("enter")
        assert shown.sent == []
        drawn(shown.app)
        await chosen(shown, "to-4")
        await shown.press("right", "enter")
        assert shown.sent == [("switch", {"share": 5000, "confirm": None})]
        assert shown.app.screen is shown.screen


@pytest.mark.parametrize(
    ("state", "name", "share", "caution"),
    [
        ("switching", "to-5", 10_000, "steps left out: 50 %"),
        ("soaking", "to-4", 5_000, "the step is still being held: 4 min 10 s left"),
    ],
)
async def test_all_reads_and_what_something_speaks_against_ask_for_the_name(
    tmp_path: Path, state: str, name: str, share: int, caution: str
) -> None:
    async with on_screen(wizard(tmp_path), STATES[state](), NARROW) as shown:
        await opened(shown, "s")
        await chosen(shown, name)
        assert isinstance(shown.app.screen, ConfirmTyped)
        assert caution in shown.text
        await shown.press("enter")
        assert shown.sent == []
        shown.app.screen.query_one(Input).value = "shop"
        await shown.press("enter")
        assert shown.sent == [("switch", {"share": share, "confirm": "shop"})]


async def test_fewer_reads_move_at_once(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path), differing(), NARROW) as shown:
        await opened(shown, "s")
        await chosen(shown, "to-1")
        assert shown.sent == [("switch", {"share": 100, "confirm": None})]
        assert shown.app.screen is shown.screen


async def test_a_free_percentage_and_what_is_none(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path), switching(), NARROW) as shown:
        await opened(shown, "s")
        for text, said in (("lots", "That is no percentage"), ("101", "That is no percentage"), ("25", "25 % already")):
            shown.app.screen.query_one(Input).value = text
            shown.app.screen.query_one(Input).focus()
            await shown.press("enter")
            assert said in shown.text
            assert shown.sent == []
        shown.app.screen.query_one(Input).value = "2.5 %"
        await shown.press("enter")
        assert shown.sent == [("switch", {"share": 250, "confirm": None})]


@pytest.mark.parametrize(
    ("text", "share"),
    [("0", 0), ("100%", 100), (" 7.5 ", 7.5), ("-1", None), ("nan", None), ("inf", None), ("", None), ("1e9", None)],
)
def test_percentages(text: str, share: float | None) -> None:
    assert percentage(text) == share


async def test_more_reads_are_refused_with_the_reason_while_a_guard_fails(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path), switching(), NARROW) as shown:
        await opened(shown, "s")
        assert not button(shown, "to-4").disabled
        shown.app.screen.apply(differing())  # type: ignore[attr-defined]
        await shown.settle()
        assert button(shown, "to-4").disabled
        assert not button(shown, "to-0").disabled
        assert "No more reads can move now: rows differ: 3." in shown.text
        shown.app.screen.query_one(Input).value = "60"
        shown.app.screen.query_one(Input).focus()
        await shown.press("enter")
        assert "Not to 60 %: rows differ: 3." in shown.text
        assert shown.sent == []


async def test_the_switch_is_armed_again_only_where_it_was_moved_back(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path), switching(), NARROW) as shown:
        await opened(shown, "s")
        assert not button(shown, "rearm").display
        await shown.press("escape")
        await shown.show(STATES["moved-back"]())
        await opened(shown, "s")
        assert [button(shown, f"to-{n}").disabled for n in range(6)] == [True] * 6
        await chosen(shown, "rearm")
        assert shown.sent == [("switch_rearm", {})]


async def test_back_to_0_takes_the_same_key_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typeahead, "ANSWER_SECONDS", 3600.0)  # however long a busy machine takes for two keys
    async with on_screen(wizard(tmp_path), switching(), NARROW) as shown:
        await shown.press("B")
        assert isinstance(shown.app.screen, ReadsBack)
        await shown.press("B")  # before the terminal has drawn it
        assert shown.sent == []
        drawn(shown.app)
        await shown.press("enter")  # the safe answer
        assert shown.sent == []
        await opened(shown, "B")
        await shown.press("B")
        assert shown.sent == [("switch_back", {})]
        assert shown.app.screen is shown.screen


async def test_the_cutover_asks_for_the_name_and_can_be_rehearsed(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path), STATES["at-cutover"](), NARROW) as shown:
        await opened(shown, "U")
        assert isinstance(shown.app.screen, CutoverDialog)
        assert "point of no return" in " ".join(line.strip("│ ") for line in shown.lines)
        assert "about 0.31 s" in shown.text
        await chosen(shown, "rehearse")
        assert shown.sent == [("rehearse", {})]
        shown.app.screen.apply(STATES["rehearsed"]())
        await shown.settle()
        assert "about 0.42 s" in shown.text
        assert "× a hook is not ready" in shown.text
        await chosen(shown, "cancel")
        assert len(shown.sent) == 1
        await opened(shown, "U")
        shown.app.screen.query_one(Input).value = "shop"
        shown.app.screen.query_one(Input).focus()
        await shown.press("enter")
        assert shown.sent[1:] == [("continue", {"phase": "cutover", "confirm": "shop"})]


async def test_going_back_asks_why_and_says_how_long_it_takes(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path), STATES["observing"](), NARROW) as shown:
        await opened(shown, "R")
        dialog = shown.app.screen
        assert isinstance(dialog, RollbackDialog)
        assert "Until the application works again it takes about 21 s." in shown.text
        dialog.query_one("#name", Input).value = "shop"
        await shown.press("enter")
        assert shown.sent == []
        assert button(shown, "yes").disabled
        dialog.query_one("#reason", Input).value = "orders are missing"
        await shown.press("enter")
        assert shown.sent == [("rollback", {"reason": "orders are missing", "confirm": "shop"})]


async def test_an_observation_is_ended_with_the_name(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path), STATES["observing"](), NARROW) as shown:
        assert "c Clean up" in shown.lines[-1]
        await opened(shown, "c")
        assert "the way back is closed" in " ".join(line.strip("│ ") for line in shown.lines)
        await shown.press("enter")
        assert shown.sent == []
        shown.app.screen.query_one(Input).value = "shop"
        await shown.press("enter")
        assert shown.sent == [("cleanup", {"confirm": "shop"})]


WHY_NOT = (
    ("s", "catching-up", "The read switch comes when"),
    ("B", "moved-back", "No reads go to the new side."),
    ("U", "switching", "The cutover comes after the read switch"),
    ("s", "observing", "PostgreSQL owns the writes"),
    ("U", "observing", "The cutover is done"),
)


@pytest.mark.parametrize(("key", "state", "why"), WHY_NOT)
async def test_a_key_that_can_do_nothing_says_why(tmp_path: Path, key: str, state: str, why: str) -> None:
    async with on_screen(wizard(tmp_path), STATES[state](), NARROW) as shown:
        await shown.press(key)
        assert why in shown.said.pop()
        assert shown.app.screen is shown.screen
        assert shown.sent == []


@pytest.mark.parametrize(
    ("key", "state"),
    [("s", "switching"), ("B", "switching"), ("U", "at-cutover"), ("R", "observing"), ("c", "observing")],
)
async def test_a_reader_moves_nothing(tmp_path: Path, key: str, state: str) -> None:
    async with on_screen(wizard(tmp_path, read_only=True), STATES[state](), NARROW) as shown:
        await shown.press(key)
        assert "read-only" in shown.said.pop()
        assert shown.app.screen is shown.screen
        assert shown.sent == []


async def test_the_last_line_shows_these_keys_only_where_a_run_has_them(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path), switching(), WIDE) as shown:
        assert "s Switch" in shown.lines[-1]
        assert "B Reads back" in shown.lines[-1]
        await shown.show(COPY["running"]())
        assert "Switch" not in shown.lines[-1]


def hostile(name: str) -> dict[str, Any]:
    """Gauges whose words are not ours."""
    reader = {"pid": name, "age_seconds": 1.0, "command": name}
    return {
        "wal": {"mode": "wal", "pinned_by": [reader] * 6},
        "switch": {**SWITCH, "strategy": name, "stage": name, "verdict": name, "rolled_back": {"signal": name}},
        "live": {
            **LIVE,
            "verifier": {"table": name, "clean_at": name},
            "back": {"code": name, "params": {name: name}},
            "owner": name,
            "rehearsal": {**REHEARSAL, "guards": [{"code": name, "ok": False, "params": {}}]},
        },
    }


@pytest.mark.parametrize(
    "name", ["[red]x[/red]", "\x1b[2J\x9b31m", "\u202eevil", "客户" * 80, "a\nb\tc", "{count}", ""]
)
async def test_words_of_others_are_shown_as_text(tmp_path: Path, name: str) -> None:
    async with on_screen(wizard(tmp_path), live("switch-reads", **hostile(name)), NARROW) as shown:
        for key in ("2", "3", "s"):
            await shown.press(key)
            assert not set(shown.text) & set("\x1b\x9b\u202e\t")
            assert all(cell_len(line) <= 80 for line in shown.lines)
        assert shown.app.is_running


async def test_half_a_gauge_is_enough(tmp_path: Path) -> None:
    empty: dict[str, Any] = {"lag": {}, "wal": {}, "switch": {}, "live": {"verifier": {}, "back": {}}}
    async with on_screen(wizard(tmp_path), live("switch-reads", **empty), NARROW) as shown:
        await shown.press("3", "s")
        assert isinstance(shown.app.screen, SwitchDialog)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("state", ["switching", "at-cutover", "observing"])
async def test_looks(tmp_path: Path, snap: Snap, state: str, size: str) -> None:
    async with on_screen(wizard(tmp_path), STATES[state](), SIZES[size]) as shown:
        if state == "switching":
            await shown.press("3")
        snap(shown.app, f"{state}-{size}")


@pytest.mark.parametrize(
    ("state", "key"), [("moved-back", "s"), ("soaking", "s"), ("switching", "B"), ("rehearsed", "U"), ("blocked", "R")]
)
async def test_dialogs_look(tmp_path: Path, snap: Snap, state: str, key: str) -> None:
    async with on_screen(wizard(tmp_path), STATES[state](), NARROW) as shown:
        await opened(shown, key)
        snap(shown.app, f"{key}-{state}-80x24")
