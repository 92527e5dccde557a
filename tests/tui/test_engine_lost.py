"""The dialog about a lost engine follows what becomes of it, and never closes what lies on top of it."""

from __future__ import annotations

from pathlib import Path

from textual.widgets import Button

from screens.modals.confirm import ConfirmPlain
from screens.modals.engine_lost import EngineLost
from screens.modals.quit import QuitMenu
from tests.tui.desk import Desk, pressed, shown
from tests.tui.kit import snapshot
from tests.tui.run_rows import seen
from tests.tui.test_modals import gone, settled

CONFIG = Path("/shop/my config.yaml")


def choices(app: Desk) -> list[str | None]:
    """What can be chosen."""
    return [b.id for b in app.screen.query(Button)]


async def test_one_that_hung_and_is_gone_now_can_be_resumed() -> None:
    app = Desk(config=CONFIG)
    async with app.run_test(size=(80, 24)) as pilot:
        dialog = EngineLost(gone(alive=True, pid=4711))
        await shown(pilot, dialog)
        assert choices(app) == ["cancel", "copy", "leave"]
        assert "does not respond" in seen(app)
        dialog.apply(gone())
        await settled(pilot)
        assert choices(app) == ["cancel", "resume", "copy", "leave"]
        assert "The process is gone." in seen(app)
        assert "does not respond" not in seen(app)


async def test_it_leaves_alone_what_lies_on_top_of_it_and_closes_afterwards() -> None:
    app = Desk(config=CONFIG)
    async with app.run_test(size=(80, 24)) as pilot:
        dialog, above = EngineLost(gone()), ConfirmPlain("Sure?", [], "Yes")
        await shown(pilot, dialog)
        await shown(pilot, above)
        dialog.apply(snapshot())
        await settled(pilot)
        assert app.screen is above
        await pressed(pilot, "escape")
        await settled(pilot)
        assert dialog not in app.screen_stack


async def test_the_command_can_be_pasted_into_a_shell() -> None:
    app = Desk(config=CONFIG)
    async with app.run_test(size=(80, 24)) as pilot:
        await shown(pilot, EngineLost(gone()))
        await pressed(pilot, "down", "down", "enter")
        assert [n.message for n in app._notifications] == ["stepflow --state-dir /state run '/shop/my config.yaml'"]


async def test_leaving_does_not_promise_that_a_run_without_an_engine_goes_on() -> None:
    app = Desk(gone())
    async with app.run_test(size=(80, 24)) as pilot:
        await shown(pilot, QuitMenu())
        assert "the run goes on" not in seen(app)
        assert "No engine works on this run just now" in seen(app)
