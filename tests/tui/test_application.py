"""The application on the run screen: its panel at both sizes, what its switch changes, and nothing of it where none is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from textual.widgets import Button

from screens.modals.application import ApplicationDialog, ApplicationPage
from screens.modals.cutover import CutoverDialog
from screens.modals.gate import GateDialog
from screens.panels.application import ApplicationPanel
from screens.panels.base import Value
from stepflow_tui.engine.texts import language
from tests.tui.application_states import APPLICATION, AVAILABILITY, DOWN, PLAN, REFUSED, STOPPED, WELL
from tests.tui.conftest import Snap
from tests.tui.kit import NOW, SIZES, drawn, wizard
from tests.tui.live_states import at_cutover, switching
from tests.tui.run_states import STATES as COPY
from tests.tui.run_states import OnScreen, on_screen

WIDE, NARROW = SIZES["120x40"], SIZES["80x24"]
HAS: dict[str, Any] = {"application": APPLICATION, "availability": AVAILABILITY}
OFFLINE = ("prepare", "capture", "backfill", "validate", "cutover", "observe", "cleanup", "complete")


def offline(phase: str) -> Any:
    """An offline run that waits before a phase."""
    gate = {"phase": phase, "state": "open", "questions": []}
    phases = [{"name": name, "state": "pending", "steps": []} for name in OFFLINE]
    return COPY["running"](state="waiting", gate=gate, phases=phases, **HAS)


@contextmanager
def planned(shown: OnScreen, plan: Mapping[str, Any] = PLAN) -> Iterator[list[bool]]:
    """A facade that knows this plan; which looks were asked for."""
    looks: list[bool] = []
    real = shown.app.api

    class Api:
        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        def remains(self, run: Path) -> Mapping[str, Any]:
            return {"config": "/srv/stepflow.yaml", "log": None}

        def load_config(self, path: Path, env: Mapping[str, str], checks: Any = ()) -> Any:
            assert str(path) == "/srv/stepflow.yaml"
            return object()

        async def application_plan(self, loaded: Any, *, look: bool = False) -> Mapping[str, Any]:
            looks.append(look)
            return plan

    shown.app.api = Api()  # type: ignore[assignment]
    yield looks
    shown.app.api = real


@pytest.mark.parametrize("size", SIZES)
async def test_the_panel(tmp_path: Path, snap: Snap, size: str) -> None:
    async with on_screen(wizard(tmp_path), switching(**HAS), SIZES[size]) as shown:
        assert "answers, 1 health check failed, unav" in shown.text, "in sight although its panel is not"
        await shown.press("6")
        assert shown.screen.panel is shown.screen.query_one(ApplicationPanel)
        for text in ("[6 Application]", "new: switched and started", "answers in 12 ms", "tcp 127.0.0.1:8001: conn"):
            assert text in shown.text
        assert "1 Now" in shown.text
        snap(shown.app, f"application-{size}")


async def test_wide_it_shares_a_place_with_the_wal_alone(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path), switching(**HAS), WIDE) as shown:
        assert "[2 WAL]  6 Application" in shown.text
        await shown.press("6")
        for text in ("2 WAL  [6 Application]", "reads to the new side 25 %", "public.orders"):
            assert text in shown.text
        await shown.press("2")
        assert "journal mode wal" in shown.text


async def test_of_a_copy_it_takes_the_place_of_the_wal_at_once(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path), COPY["running"](**HAS), WIDE) as shown:
        assert "answers in 12 ms" in shown.text
        assert "WAL isn't watched" not in shown.text


async def test_narrow_it_is_one_more_tab_that_a_click_opens(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path), switching(**HAS), NARROW) as shown:
        assert "[2 WAL]  3 Switch  4 Row diffs  6 Application" in shown.text
        row = next(n for n, line in enumerate(shown.lines) if "6 Application" in line)
        await shown.pilot.click(offset=(shown.lines[row].index("6 Application") + 3, row))
        await shown.settle()
        assert "[6 Application]" in shown.text
        assert "answers in 12 ms" in shown.text


async def test_without_an_application_there_is_no_panel(tmp_path: Path) -> None:
    for size in SIZES.values():
        async with on_screen(wizard(tmp_path), switching(), size) as shown:
            assert "Application" not in shown.text
            await shown.press("6")
            assert "No application is configured" in shown.said[-1]
            assert not shown.screen.query_one(ApplicationPanel).display


async def test_it_comes_with_the_first_word_about_it_and_stays(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path), switching(), NARROW) as shown:
        await shown.press("3")
        await shown.show(switching(availability=AVAILABILITY))
        assert "2 WAL  [3 Switch]  4 Row diffs  6 Application" in shown.text
        await shown.press("6")
        assert "answers in 12 ms" in shown.text


async def test_what_is_wrong_is_seen_first_and_in_words(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path), switching(application=STOPPED, availability=DOWN), NARROW) as shown:
        assert "STOPPED, DOES NOT ANSWER, 1 health check failed" in shown.text
        await shown.press("6")
        told = shown.screen.query_one(ApplicationPanel).copy_text()
        assert told.index("DOES NOT ANSWER") < told.index("tcp 127.0.0.1:8001")
        assert "http://" not in told, "what stands still is not healthy, whatever was asked before"
        assert "not running: unit shop.service" in told


async def test_only_what_changed_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with on_screen(wizard(tmp_path), switching(**HAS), WIDE) as shown:
        await shown.press("6")
        drawn_again: list[str | None] = []
        update = Value.update

        def noted(self: Value, *args: Any, **more: Any) -> None:
            drawn_again.append(self.id)
            update(self, *args, **more)

        monkeypatch.setattr(Value, "update", noted)
        panel = shown.screen.query_one(ApplicationPanel)
        await shown.show(switching(**HAS))
        assert [name for name in drawn_again if name] == []
        later = {**AVAILABILITY, "now": {"ok": True, "latency_ms": 40.0, "at_ms": 1}}
        panel.apply(switching(application=APPLICATION, availability=later))
        assert drawn_again == ["now"]


@pytest.mark.parametrize("lang", ["en", "zh"])
async def test_it_fits_every_size(tmp_path: Path, lang: str) -> None:
    language.use(lang)
    async with on_screen(wizard(tmp_path), switching(**HAS), WIDE) as shown:
        await shown.press("6")
        for size in ((80, 20), (80, 24), (110, 24), (120, 40)):
            await shown.pilot.resize_terminal(*size)
            await shown.settle()
            assert all(cell_len(line) <= size[0] for line in shown.lines)
            assert shown.screen.query_one(ApplicationPanel).size.height >= 2


async def test_hostile_values_are_shown_as_text(tmp_path: Path) -> None:
    evil = "[red]\x1b[2J\u202eshop[/]"
    bad = {**WELL, "state": evil, "standing": [{"what": evil, "running": True, "version": evil}]}
    async with on_screen(wizard(tmp_path), switching(application=bad), WIDE) as shown:
        await shown.press("6")
        assert "[red][2Jshop[/]" in shown.text
        assert not {"\x1b", "\u202e"} & set(shown.text)


async def test_it_can_be_zoomed_and_left_again(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path), switching(**HAS), NARROW) as shown:
        await shown.press("6", "z")
        assert "longest gap" in shown.text
        assert "Prepare" in shown.text
        await shown.press("z", "2")
        assert "journal mode wal" in shown.text


# what the switch changes


async def test_i_shows_what_the_switch_changes(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path), switching(**HAS), NARROW) as shown:
        with planned(shown) as looks:
            await shown.press("i")
            assert isinstance(shown.app.screen, ApplicationDialog)
            assert "/srv/shop/.env" in shown.text
            assert "2 + DATABASE_URL = postgresql://shop@db/shop" in shown.text
            assert looks == [True]
            await shown.press("escape")
            assert shown.app.screen is shown.screen
        assert shown.sent == []


async def test_the_cutover_shows_it_first_and_asks_only_whoever_went_on(tmp_path: Path, snap: Snap) -> None:
    async with on_screen(wizard(tmp_path), at_cutover(**HAS), NARROW) as shown:
        with planned(shown):
            await shown.press("U")
            drawn(shown.app)
            assert isinstance(shown.app.screen, ApplicationPage)
            assert "1. stop (systemd shop.service): systemctl stop shop.service" in shown.text
            snap(shown.app, "application-before-the-cutover")
            await shown.press("enter")  # the focus is on Cancel
            assert shown.app.screen is shown.screen
            await shown.press("U")
            drawn(shown.app)
            shown.app.screen.query_one("#go-on", Button).focus()
            await shown.press("enter")
            assert isinstance(shown.app.screen, CutoverDialog)
        assert shown.sent == []


async def test_what_stands_in_the_way_is_seen_before_the_cutover(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path), at_cutover(**HAS), NARROW) as shown:
        with planned(shown, REFUSED):
            await shown.press("U")
            assert "/srv/shop/.env can't be written. (setting_read_only)" in shown.text


async def test_without_an_application_the_cutover_asks_at_once(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path), at_cutover(), NARROW) as shown:
        await shown.press("U")
        assert isinstance(shown.app.screen, CutoverDialog)


@pytest.mark.parametrize("phase", ["capture", "cutover"])
async def test_an_offline_run_shows_it_before_it_stops_and_before_it_switches(tmp_path: Path, phase: str) -> None:
    async with on_screen(wizard(tmp_path), offline(phase), NARROW) as shown:
        with planned(shown):
            await shown.press("c")
            drawn(shown.app)
            assert isinstance(shown.app.screen, ApplicationPage)
            shown.app.screen.query_one("#go-on", Button).focus()
            await shown.press("enter")
            assert isinstance(shown.app.screen, GateDialog)


async def test_other_gates_of_an_offline_run_ask_at_once(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path), offline("complete"), NARROW) as shown:
        await shown.press("c")
        assert isinstance(shown.app.screen, GateDialog)


async def test_an_offline_run_is_not_told_of_change_capture(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path), offline("cutover"), NARROW) as shown:
        await shown.press("2")
        flat = " ".join(shown.text.split())
        assert "nobody writes to the source while it is copied" in flat
        await shown.press("3")
        assert "reads and writes move together" in " ".join(shown.text.split())


async def test_a_maintenance_window_is_in_sight_and_its_end_too(tmp_path: Path) -> None:
    now = int(NOW.timestamp() * 1000)
    window = {"state": "open", "began_ms": now, "ends_ms": now + 754_000, "seconds": 1800.0, "predicted_seconds": 60.0}
    async with on_screen(wizard(tmp_path), COPY["running"](window=window), NARROW) as shown:
        assert "window: 13 min left" in shown.text
        await shown.press("6")
        flat = " ".join(" ".join(line.strip("│ ") for line in shown.lines).split())
        assert "the application is stopped, 12 min 34 s left of 30 min 0 s" in flat
        await shown.show(COPY["running"](window={**window, "ends_ms": now - 1}))
        assert "it is over; the old side is being started again" in shown.text


async def test_a_config_that_is_gone_is_said_not_crashed_over(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path), switching(**HAS), NARROW) as shown:
        await shown.press("i")
        assert "which config it was started with" in " ".join(shown.text.split())
