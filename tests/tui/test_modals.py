"""The dialogs: every answer by keyboard, the safe one first, and what is asked of the app."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Button, Input, OptionList

from screens.modals.alerts import AlertDetail, AlertsDialog
from screens.modals.base import Dialog
from screens.modals.confirm import ConfirmPlain, ConfirmTyped
from screens.modals.control import ControlDialog, ControlHeld
from screens.modals.engine_lost import EngineLost
from screens.modals.note import AskNote, NoteDialog
from screens.modals.quit import QuitMenu
from screens.modals.tick import TickDialog
from stepflow_tui.bridge import Snapshot
from stepflow_tui.engine.errors import Held
from stepflow_tui.engine.texts import language
from tests.tui.conftest import Snap
from tests.tui.desk import ME, Desk, pressed, settled, shown
from tests.tui.kit import SIZES, snapshot

OTHER = "bob at pts/2"
THROTTLED = {
    "code": "throttled", "severity": "warning", "since": "2026-11-22T12:03:58.000Z", "acknowledged": False,
    "params": {"step": "copy", "reason": "replication lag"},
}  # fmt: skip
DISK = {
    "code": "disk_low", "severity": "critical", "since": "2026-11-22T12:01:00.000Z", "acknowledged": True,
    "params": {"free_bytes": 1 << 20, "folder": "/runs/[bold]x\x1b[2J"},
}  # fmt: skip
LOST = {
    "code": "engine_lost",
    "severity": "critical",
    "since": None,
    "acknowledged": False,
    "params": {"cause": "gone"},
}


def alerted(*alerts: dict[str, Any]) -> Snapshot:
    """A run with these alerts."""
    return snapshot(alerts=list(alerts))


def gone(**engine: Any) -> Snapshot:
    """A run whose engine is lost."""
    return snapshot(alerts=[LOST], engine={"pid": None, "alive": False, "heartbeat_seconds": 42.0, **engine})


def held(holder: str | None, asked_by: str | None = None) -> Snapshot:
    """A run under control."""
    return snapshot(control={"holder": holder, "seconds_left": 42 if holder else None, "asked_by": asked_by})


async def test_a_plain_question_is_answered_no_unless_yes_is_chosen() -> None:
    app = Desk()
    async with app.run_test(size=(80, 24)) as pilot:
        for keys, answer in (
            (("enter",), False),
            (("escape",), None),
            (("right", "enter"), True),
            (("tab", "enter"), True),
            (("left", "enter"), True),
        ):
            await shown(pilot, ConfirmPlain("Go on?", ["Rows are copied."], "Go on"))
            await pressed(pilot, *keys)
            assert app.answers.pop() is answer, keys


async def test_a_typed_question_takes_the_name_and_nothing_else() -> None:
    app = Desk()
    async with app.run_test(size=(80, 24)) as pilot:
        await shown(pilot, ConfirmTyped("Abort?", ["It ends."], "shop"))
        assert isinstance(app.focused, Input)
        assert app.screen.query_one("#yes", Button).disabled
        await pressed(pilot, "enter", "y", "e", "s", "enter")
        assert app.answers == []
        await pressed(pilot, *["backspace"] * 3, *"shop")
        assert not app.screen.query_one("#yes", Button).disabled
        await pressed(pilot, "enter")
        assert app.answers == ["shop"]


@pytest.mark.parametrize("dialog", [NoteDialog, lambda: ConfirmTyped("Abort?", [], "shop")], ids=["note", "typed"])
async def test_what_is_typed_can_be_seen(dialog: Callable[[], Dialog[str]]) -> None:
    app = Desk()
    async with app.run_test(size=(80, 24)) as pilot:
        await shown(pilot, dialog())
        await pressed(pilot, *"sho")
        assert app.screen.query_one(Input).content_region.height == 1
        assert any("sho " in strip.text for strip in app.screen._compositor.render_strips())


@pytest.mark.parametrize("typed", ["Shop", "sho", "shop2", "*"])
async def test_a_name_that_is_almost_right_is_wrong(typed: str) -> None:
    app = Desk()
    async with app.run_test(size=(80, 24)) as pilot:
        await shown(pilot, ConfirmTyped("Abort?", [], "shop"))
        app.screen.query_one(Input).value = typed
        await pressed(pilot, "enter")
        assert app.answers == []
        await pressed(pilot, "tab", "enter")
        assert app.answers == [None]


@pytest.mark.parametrize(
    "dialog", [NoteDialog, lambda: TickDialog({"id": "backup-config", "phase": "backfill"})], ids=["note", "tick"]
)
async def test_a_note_is_needed(dialog: Callable[[], AskNote]) -> None:
    app = Desk()
    async with app.run_test(size=(80, 24)) as pilot:
        await shown(pilot, dialog())
        await pressed(pilot, "enter", "space", "enter")
        assert app.answers == []
        await pressed(pilot, *"ok by me".replace(" ", ""), "enter")
        assert app.answers == ["okbyme"]
        await shown(pilot, dialog())
        await pressed(pilot, "escape")
        assert app.answers == ["okbyme", None]


async def test_an_alert_is_explained_and_acknowledged_with_a_note() -> None:
    app = Desk()
    async with app.run_test(size=(80, 24)) as pilot:
        await shown(pilot, AlertsDialog(alerted(DISK, THROTTLED)))
        await pressed(pilot, "enter")
        assert isinstance(app.screen, AlertDetail)
        await pressed(pilot, "escape", "k", *"seen", "enter")
        assert app.acted == [("ack", {"code": "throttled", "note": "seen"})]
        assert isinstance(app.screen, AlertsDialog)
        await pressed(pilot, "enter", "right", "enter", *"again", "enter")
        assert app.acted[1:] == [("ack", {"code": "throttled", "note": "again"})]
        assert isinstance(app.screen, AlertsDialog)


async def test_the_list_of_alerts_keeps_its_selection_when_new_ones_come() -> None:
    app = Desk()
    async with app.run_test(size=(80, 24)) as pilot:
        dialog = AlertsDialog(alerted(DISK, THROTTLED))
        await shown(pilot, dialog)
        await pressed(pilot, "down")
        dialog.apply(alerted(DISK, THROTTLED, LOST))
        await settled(pilot)
        options = dialog.query_one(OptionList)
        assert options.option_count == 3
        assert options.highlighted == 2  # the disk, as before
        dialog.apply(alerted())
        await settled(pilot)
        await pressed(pilot, "enter", "k")
        assert app.screen is dialog


async def test_leaving_detaches_unless_something_else_is_chosen() -> None:
    app = Desk(snapshot())
    async with app.run_test(size=(80, 24)) as pilot:
        for keys, acts in (
            (("enter",), [("leave",)]),
            (("down", "enter"), [("pause", {}), ("leave",)]),
            (("down", "down", "enter", *"shop", "enter"), [("abort", {"confirm": "shop"}), ("leave",)]),
            (("down", "down", "enter", *"no", "enter", "escape"), []),
            (("up", "enter"), []),
            (("escape",), []),
        ):
            await shown(pilot, QuitMenu())
            await pressed(pilot, *keys)
            assert app.acted == acts, keys
            app.acted.clear()
            while isinstance(app.screen, Dialog):
                await pressed(pilot, "escape")


@pytest.mark.parametrize(("state", "more"), [("completed", {}), ("running", {"read_only": True})])
async def test_what_can_not_be_done_is_not_offered(state: str, more: dict[str, Any]) -> None:
    app = Desk(snapshot(state=state), **more)
    async with app.run_test(size=(80, 24)) as pilot:
        await shown(pilot, QuitMenu())
        assert [b.id for b in app.screen.query(Button)] == ["detach", "stay"]


async def test_a_lost_engine_is_started_again() -> None:
    app = Desk(config=Path("/shop/stepflow.yaml"), log="one\ntwo\x1b[2J\n")
    async with app.run_test(size=(80, 24)) as pilot:
        await shown(pilot, EngineLost(gone()))
        await pressed(pilot, "down", "enter")
        assert app.acted == [("begin", Path("/shop/stepflow.yaml"))]
        assert not isinstance(app.screen, EngineLost)
        await shown(pilot, EngineLost(gone()))
        await pressed(pilot, "up", "enter")
        assert app.acted[1:] == [("leave",)]


async def test_the_dialog_goes_when_the_engine_is_back() -> None:
    app = Desk()
    async with app.run_test(size=(80, 24)) as pilot:
        dialog = EngineLost(gone())
        await shown(pilot, dialog)
        dialog.apply(gone())
        await settled(pilot)
        assert app.screen is dialog
        dialog.apply(snapshot())
        await settled(pilot)
        assert app.screen is not dialog


@pytest.mark.parametrize(("engine", "more", "offered"), [
    ({}, {}, ["cancel", "resume", "copy", "leave"]),
    ({"alive": True, "pid": 4711}, {}, ["cancel", "copy", "leave"]),
    ({}, {"read_only": True}, ["cancel", "copy", "leave"]),
])  # fmt: skip
async def test_an_engine_that_hangs_can_not_be_started_again(
    engine: dict[str, Any], more: dict[str, Any], offered: list[str]
) -> None:
    app = Desk(config=Path("/shop/stepflow.yaml"), **more)
    async with app.run_test(size=(80, 24)) as pilot:
        await shown(pilot, EngineLost(gone(**engine)))
        assert [b.id for b in app.screen.query(Button)] == offered


async def test_somebody_elses_control_is_taken_only_by_choice() -> None:
    app = Desk()
    error = Held(f"{OTHER} steers this run.", hint="Wait.", code="control_held")
    async with app.run_test(size=(80, 24)) as pilot:
        for keys, answer in (("enter",), False), (("escape",), None), (("right", "enter"), True):
            await shown(pilot, ControlHeld(error))
            await pressed(pilot, *keys)
            assert app.answers.pop() is answer


@pytest.mark.parametrize(("now", "keys", "acts"), [
    (held(None), ("down", "enter"), [("hold", {})]),
    (held(OTHER), ("down", "enter"), [("ask", {})]),
    (held(OTHER), ("down", "down", "enter", "enter"), []),
    (held(OTHER), ("down", "down", "enter", "right", "enter"), [("hold", {}, "take")]),
    (held(ME), ("down", "enter"), [("release", {})]),
    (held(ME, OTHER), ("down", "enter"), [("give", {"to": OTHER})]),
    (held(ME, OTHER), ("enter",), []),
])  # fmt: skip
async def test_control_is_asked_for_taken_given_and_released(
    now: Snapshot, keys: tuple[str, ...], acts: list[Any]
) -> None:
    app = Desk(now)
    async with app.run_test(size=(80, 24)) as pilot:
        await shown(pilot, ControlDialog(now))
        await pressed(pilot, *keys)
        assert app.acted == acts


async def test_the_choices_follow_the_holder() -> None:
    app = Desk()
    async with app.run_test(size=(80, 24)) as pilot:
        dialog = ControlDialog(held(ME))
        await shown(pilot, dialog)
        dialog.apply(held(OTHER))
        await settled(pilot)
        assert [b.id for b in dialog.query(Button)] == ["cancel", "ask", "take"]
        assert dialog.query_one("#cancel").has_focus


async def test_a_reader_can_only_look_at_control() -> None:
    app = Desk(read_only=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await shown(pilot, ControlDialog(held(OTHER)))
        assert [b.id for b in app.screen.query(Button)] == ["cancel"]


DIALOGS: dict[str, Callable[[], Dialog[Any]]] = {
    "confirm-plain": lambda: ConfirmPlain(
        "Pass the gate before Copy?", ["15 questions", "go on with this plan"], "Go on"
    ),
    "confirm-typed": lambda: ConfirmTyped(
        "Roll back shop-20261122t112107-7f3a?", ["Lost: 31,550,000 rows in the target."], "shop"
    ),
    "note": NoteDialog,
    "tick": lambda: TickDialog(
        {"id": "backup-config", "title": "The application's configuration is saved", "phase": "backfill"}
    ),
    "alerts": lambda: AlertsDialog(alerted(DISK, THROTTLED)),
    "alert": lambda: AlertDetail(DISK),
    "quit": QuitMenu,
    "engine-lost": lambda: EngineLost(gone()),
    "control": lambda: ControlDialog(held(ME, OTHER)),
}


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("name", DIALOGS)
async def test_dialogs_look_as_they_did(snap: Snap, name: str, lang: str) -> None:
    for size in SIZES.values():
        language.use(lang)
        app = Desk(snapshot(), config=Path("/shop/stepflow.yaml"), log="Traceback\nOSError: [bold]no room\x1b[2J\n")
        async with app.run_test(size=size) as pilot:
            await shown(pilot, DIALOGS[name]())
            snap(app, f"{name}-{size[0]}-{lang}")


@pytest.mark.parametrize("name", DIALOGS)
async def test_every_answer_is_on_the_screen_at_80_by_20(name: str) -> None:
    language.use("zh")
    app = Desk(snapshot(), config=Path("/a/rather/long/path/to/the/config/of/the/shop/stepflow.yaml"), log="x\n" * 99)
    async with app.run_test(size=(80, 20)) as pilot:
        await shown(pilot, DIALOGS[name]())
        inside = app.screen.region
        for button in app.screen.query(Button):
            assert inside.contains_region(button.region), button.id
            assert button.region.width > 0
