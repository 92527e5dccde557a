"""The panel about the log of a database that stays where it is: what it says, where it stands, and that commands are data."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.tui.conftest import Snap
from tests.tui.kit import SIZES, wizard
from tests.tui.run_states import OnScreen, on_screen
from tests.tui.wal_states import ROLLBACK, STARVED, STATES, in_place, starved, watching

WIDE, NARROW = SIZES["120x40"], SIZES["80x24"]
APPLICATION = {"availability": {"now": {"ok": True, "ms": 3.1}}, "application": {"state": "running"}}


def panel(shown: OnScreen) -> str:
    return shown.screen.panel_number(2).copy_text()


@pytest.mark.parametrize("size", SIZES)
async def test_who_starves_checkpoints_is_seen_at_one_look(tmp_path: Path, snap: Snap, size: str) -> None:
    async with on_screen(wizard(tmp_path), starved(), SIZES[size]) as shown:
        for n, part in enumerate((0.3, 1.0)):
            wal = STARVED | {"bytes": round(41_234_432 * part)}
            now = shown.app.snapshot.now + timedelta(seconds=n)  # type: ignore[union-attr]
            await shown.show(replace(starved(wal=wal), now=now))
        snap(shown.app, f"wal-starved-{size}")
        for text in ("kept by process 4242 (python report.py) for 1 min 33 s", "what to do: end this process's read"):
            assert text in shown.text


@pytest.mark.parametrize(
    ("state", "texts"),
    [
        (
            "watching",
            ("751 frames: 0 in the database file", "nobody keeps it", "what to do: nothing", "complete: 1,003"),
        ),
        ("watching", ("written: 1,921 frames/s, 1,746 transactions/s", "28 % of the looks", "last by process 5151")),
        ("starved", ("9,857 outstanding", "partial: 151 of 751 frames")),
        (
            "before",
            ("journal mode rollback", "used by process 4242 (python report.py): reading", "outside this container"),
        ),
        ("lost", ("! journal mode rollback", "what to do: it was in WAL mode")),
    ],
)
async def test_each_state_says_how_it_stands(tmp_path: Path, state: str, texts: tuple[str, ...]) -> None:
    async with on_screen(wizard(tmp_path), STATES[state](), WIDE) as shown:
        assert [text for text in texts if text not in panel(shown)] == []
        lines = " ".join(line.strip("│ ") for line in shown.lines)
        assert panel(shown).splitlines()[0] in lines


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"state": "completed"}, "The run has ended"),
        ({"engine": {"pid": None, "alive": False, "heartbeat_seconds": None}}, "No engine works on this run"),
        ({"wal": None}, "watched from the conversion to WAL on"),
    ],
)
async def test_figures_that_nothing_keeps_true_are_not_shown(
    tmp_path: Path, more: dict[str, object], text: str
) -> None:
    shown_state = starved()
    async with on_screen(wizard(tmp_path), replace(shown_state, status={**shown_state.status, **more}), WIDE) as shown:
        assert text in panel(shown)
        assert "4242" not in panel(shown)


async def test_it_has_the_place_of_the_switch_and_nothing_is_switched(tmp_path: Path) -> None:
    async with on_screen(wizard(tmp_path), watching(), WIDE) as shown:
        assert shown.screen.panel_number(2).region.width > 80
        assert not shown.screen.panel_number(3).display
        await shown.press("3")
        assert shown.said == ["Nothing is switched: the database stays where it is."]
        assert shown.screen.panel_number(2).display
    async with on_screen(wizard(tmp_path), watching(), NARROW) as shown:
        assert "[2 WAL]  4 Row diffs" in shown.text


async def test_the_application_stands_beside_it(tmp_path: Path) -> None:
    with_application = replace(watching(), status={**watching().status, **APPLICATION})
    async with on_screen(wizard(tmp_path), with_application, WIDE) as shown:
        assert shown.screen.panel_number(2).region.y == shown.screen.panel_number(6).region.y
        await shown.press("6")
        assert shown.screen.panel_number(2).display
        await shown.pilot.resize_terminal(*NARROW)
        await shown.settle()
        assert "6 Application" in shown.text
        await shown.press("6")
        assert "answers" in shown.text


HOSTILE = "[red]\x1b]0;owned\x07 \u202egeld\u202c $(rm) \u4e2d\u6587"


@pytest.mark.parametrize("size", SIZES)
async def test_commands_are_data(tmp_path: Path, size: str) -> None:
    process = {"pid": 4242, "age_seconds": 93.0, "command": HOSTILE}
    user = {"pid": 4242, "command": HOSTILE, "what": HOSTILE}
    states = (STARVED | {"pinned_by": [process] * 6, "writer": process}, ROLLBACK | {"users": [user] * 6})
    async with on_screen(wizard(tmp_path), in_place(), SIZES[size]) as shown:
        for wal in states:
            await shown.show(in_place(wal=wal))
            assert "[red]" in panel(shown)
            assert "more" in panel(shown)
            assert not {"\x1b", "\x07", "\u202e"} & set(panel(shown))
            assert all(cell_len(line) <= SIZES[size][0] for line in shown.lines)


async def test_it_fits_every_size(tmp_path: Path) -> None:
    beside = starved()
    beside = replace(beside, status={**beside.status, **APPLICATION})
    async with on_screen(wizard(tmp_path), beside, WIDE) as shown:
        for size in ((80, 20), (110, 24), NARROW):
            await shown.pilot.resize_terminal(*size)
            await shown.settle()
            assert all(cell_len(line) <= size[0] for line in shown.lines)
            assert "kept by process 4242" in shown.text
