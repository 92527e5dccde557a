"""The gate dialog: everything it asks is on it, nothing is accepted by accident, and it closes when others were faster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Button, Input

from screens.modals.gate import GateDialog
from screens.pages.gate import GateFacts, open_items
from screens.widgets.reader import Reader
from stepflow_tui.app import StepFlowApp
from stepflow_tui.bridge import Snapshot
from stepflow_tui.engine.model.finding import warning
from stepflow_tui.engine.texts import language
from tests.tui.conftest import Snap
from tests.tui.kit import SIZES, drawn, snapshot
from tests.tui.plans import recording, shown

ITEMS = ("backup-config", "teams-told", "documents-ready")


def question(kind: str, name: str, /, **params: Any) -> dict[str, Any]:
    return {"kind": kind, "id": name, "params": params}


def questions(*, items: Sequence[str] = ITEMS, warnings: int = 2, typed: bool = False) -> list[dict[str, Any]]:
    """A gate's questions, as the journal has them."""
    asked = [
        question("warning", f"mixed_storage|t{n}.c", code="mixed_storage", object=f"t{n}.c") for n in range(warnings)
    ]
    asked += [question("item", name, kind="manual", state="open") for name in items]
    asked += [question("object", "view|big", type="view", name="big", reason="the function load_extension()")]
    asked += [question("plan", "0123", hash="0123")]
    if typed:
        asked.append(question("typed", "backfill.create-tables", step="create-tables", loses="rows written since"))
    return asked


def waiting(asked: list[dict[str, Any]] | None = None, **more: Any) -> Snapshot:
    """A run that waits before the copy."""
    gate = {"phase": "backfill", "state": "open", "questions": asked if asked is not None else questions()}
    return snapshot(step="claim-target", state="waiting", gate=gate, **more)


FACTS = GateFacts(
    items=tuple({"id": name, "kind": "manual", "state": "open", "params": {}, "note": None} for name in ITEMS),
    findings=tuple(
        warning(
            "mixed_storage", f"t{n}.c", integers=0, reals=2, texts=1, blobs=0, minimum="1", maximum="a", type="text"
        )
        for n in range(60)
    ),
)


async def asked(pilot: Pilot[Any], now: Snapshot, facts: GateFacts = FACTS) -> GateDialog:
    """The dialog on an app that shows this run, drawn."""
    app = pilot.app
    assert isinstance(app, StepFlowApp)
    await pilot.pause()
    app.snapshot = now
    await app.push_screen(Screen())
    dialog = GateDialog(now)
    await app.push_screen(dialog)
    dialog.facts_are(facts)
    await pilot.pause()
    drawn(app)
    return dialog


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
async def test_it_shows_what_is_asked(tmp_path: Path, size: tuple[int, int], snap: Snap) -> None:
    app, _sent = recording(tmp_path)
    async with app.run_test(size=size) as pilot:
        await asked(pilot, waiting())
        snap(app, "gate")


async def test_in_chinese(tmp_path: Path, snap: Snap) -> None:
    language.use("zh")
    app, _sent = recording(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await asked(pilot, waiting(questions(typed=True)))
        snap(app, "gate")


async def test_enter_at_once_accepts_nothing(tmp_path: Path) -> None:
    app, sent = recording(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await asked(pilot, waiting(questions(items=())))
        assert app.focused is not None
        assert app.focused.id == "cancel"
        await pilot.press("enter")
        await pilot.pause()
        assert not isinstance(app.screen, GateDialog)
        assert sent == []


async def test_without_items_two_keys_go_on(tmp_path: Path) -> None:
    app, sent = recording(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await asked(pilot, waiting(questions(items=())))
        await pilot.press("right", "enter")
        assert sent == [("continue", {"phase": "backfill", "yes": False, "confirm": None})]


async def test_open_items_are_ticked_one_by_one_or_accepted_unticked(tmp_path: Path) -> None:
    app, sent = recording(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        dialog = await asked(pilot, waiting())
        assert dialog.query_one("#yes", Button).disabled
        await pilot.press("space", *"archived on db2", "enter")
        assert sent == [("tick", {"item": "backup-config", "note": "archived on db2"})]
        await pilot.press("space", "enter")
        assert len(sent) == 1, "no note, no tick"
        await pilot.press("escape")
        await pilot.pause()
        assert app.screen is dialog, "Escape closes the note first"
        done = tuple({**i, "state": "ticked", "note": "x"} for i in FACTS.items)
        dialog.facts_are(GateFacts(items=done, findings=FACTS.findings))
        await pilot.pause()
        assert not dialog.query_one("#yes", Button).disabled
        assert not dialog.query_one("#rest").display


async def test_accepting_the_rest_is_recorded_as_yes(tmp_path: Path) -> None:
    app, sent = recording(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await asked(pilot, waiting())
        await pilot.press("right", "enter")
        assert sent == [("continue", {"phase": "backfill", "yes": True, "confirm": None})]


async def test_a_check_s_item_is_not_ticked_by_a_person(tmp_path: Path) -> None:
    app, sent = recording(tmp_path)
    auto = [question("item", "target-ready", kind="auto", state="failed")]
    async with app.run_test(size=(80, 24)) as pilot:
        dialog = await asked(pilot, waiting(auto), GateFacts())
        await pilot.press("space")
        assert not dialog.query_one("#note").has_class("-open")
        assert sent == []


@pytest.mark.parametrize("typed", ["", "shap", "SHOP"])
async def test_a_dangerous_step_wants_the_run_s_name(tmp_path: Path, typed: str) -> None:
    app, sent = recording(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        dialog = await asked(pilot, waiting(questions(items=(), typed=True)))
        name = dialog.query_one("#name", Input)
        name.focus()
        await pilot.press(*typed, "enter")
        assert dialog.query_one("#yes", Button).disabled
        assert sent == []
        name.value = ""
        await pilot.press(*"shop", "tab", "tab", "enter")
        await pilot.pause()
        assert sent == [("continue", {"phase": "backfill", "yes": False, "confirm": "shop"})]


async def test_typing_begins_where_the_name_goes(tmp_path: Path) -> None:
    app, sent = recording(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await asked(pilot, waiting(questions(items=(), typed=True)))
        reached = []
        for key in ("", "tab", "shift+tab"):
            await pilot.press(*filter(None, [key]))
            reached.append(app.focused.id if app.focused is not None else None)
        assert reached == ["name", "cancel", "name"]
        await pilot.press(*"shop", "enter")
        assert sent == [("continue", {"phase": "backfill", "yes": False, "confirm": "shop"})]


async def test_with_open_items_the_name_alone_accepts_nothing(tmp_path: Path) -> None:
    app, sent = recording(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await asked(pilot, waiting(questions(typed=True)))
        await pilot.press("space", *"by anna", "enter")
        assert sent == [("tick", {"item": "backup-config", "note": "by anna"})], (
            "the space bar ticks from there as well"
        )
        await pilot.press(*"shop", "enter")
        assert len(sent) == 1
        assert app.focused is not None
        assert app.focused.id == "rest"
        await pilot.press("enter")
        assert sent[1:] == [("continue", {"phase": "backfill", "yes": True, "confirm": "shop"})]


async def test_sixty_warnings_of_one_code_fit_and_can_be_read_to_the_end(tmp_path: Path) -> None:
    app, _sent = recording(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        dialog = await asked(pilot, waiting(questions(items=(), warnings=60)))
        assert "60 × mixed_storage" in shown(app)
        assert "and 55 more" in shown(app)
        assert dialog.query_one("#cancel").region.bottom <= 24
        for _ in range(40):
            await pilot.press("down")
        assert "Accepting goes on with this plan" in shown(app)
        assert app.focused is not None
        assert app.focused.id == "cancel", "reading does not move the focus"


async def test_it_closes_when_somebody_else_answers(tmp_path: Path) -> None:
    app, sent = recording(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        dialog = await asked(pilot, waiting())
        dialog.apply(waiting())
        await pilot.pause()
        assert app.screen is dialog
        dialog.apply(snapshot(step="copy"))
        await pilot.pause()
        assert app.screen is not dialog
        assert "is no longer open" in next(iter(app._notifications)).message
        assert sent == []


async def test_what_was_typed_before_it_was_drawn_does_not_count(tmp_path: Path) -> None:
    app, sent = recording(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        app.snapshot = waiting(questions(items=()))
        await app.push_screen(GateDialog(app.snapshot))
        await pilot.press("right", "enter")
        await pilot.pause()
        assert isinstance(app.screen, GateDialog)
        assert sent == []


async def test_hostile_names_are_shown_as_text(tmp_path: Path) -> None:
    app, _sent = recording(tmp_path)
    bad = "[red]x[/] \x1b[31m\u202eb"
    rows = [question("object", f"view|{bad}", type="view", name=bad, reason=bad), question("item", bad, kind="manual")]
    async with app.run_test(size=(80, 24)) as pilot:
        dialog = await asked(pilot, waiting(rows), GateFacts())
        assert "[red]x[/] [31mb" in dialog.query_one(Reader).plain()
        assert not set(shown(app)) & set("\x1b\u202e")


async def test_a_ticked_item_stays_in_sight(tmp_path: Path) -> None:
    app, _sent = recording(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        dialog = await asked(pilot, waiting())
        dialog.apply(waiting(questions(items=ITEMS[1:])))  # the engine asks only for what is left
        dialog.facts_are(FACTS)
        await pilot.pause()
        assert [i["id"] for i in open_items(dialog._gate, GateFacts())] == list(ITEMS[1:])
        dialog.facts_are(GateFacts())
        await pilot.pause()
        assert "[x] ticked  Configuration and code backed up" in shown(app)


async def test_a_note_belongs_to_the_item_it_was_opened_for(tmp_path: Path) -> None:
    app, sent = recording(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await asked(pilot, waiting())
        await pilot.press("space", "down", "down", *"by anna")
        await pilot.pause()
        assert "How was this done: Configuration and code backed up" in shown(app)
        await pilot.press("enter")
        assert sent == [("tick", {"item": "backup-config", "note": "by anna"})]


async def test_left_and_right_stay_among_the_answers(tmp_path: Path) -> None:
    app, _sent = recording(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await asked(pilot, waiting())
        reached = []
        for key in ("right", "right", "left"):
            await pilot.press(key)
            reached.append(app.focused.id if app.focused is not None else None)
        assert reached == ["rest", "cancel", "rest"]


async def test_a_stop_that_was_asked_for_has_no_questions(tmp_path: Path) -> None:
    app, sent = recording(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await asked(pilot, waiting([]))
        assert "nothing to answer" in shown(app)
        await pilot.press("right", "enter")
        assert [verb for verb, _args in sent] == ["continue"]
