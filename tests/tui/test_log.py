"""The log panel: one write per frame, follow, search, wrap, bounds, hostile texts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from screens.panels.log import KEPT_LINES, LogPanel
from screens.widgets.line_list import LineList
from stepflow_tui.engine.texts import language
from tests.tui.conftest import Snap
from tests.tui.kit import RUN, SIZES, snapshot
from tests.tui.panel_kit import count_rows, shown
from tests.tui.run_rows import HOSTILE, seen


def event(seq: int, what: str, /, **data: Any) -> dict[str, Any]:
    """An event as the bridge hands it on."""
    return {
        "event": what,
        "time": f"2026-11-22T12:{seq // 60 % 60:02}:{seq % 60:02}.000Z",
        "run": RUN,
        "seq": seq,
        **data,
    }


def note(seq: int, text: str) -> dict[str, Any]:
    return event(seq, "note", who="anna", text=text)


def notes(first: int, count: int) -> list[Mapping[str, Any]]:
    return [note(n, f"note {n}") for n in range(first, first + count)]


ALL_SORTS = [
    event(1, "run_started", kind="sqlite-to-postgres", environment="staging"),
    event(2, "phase", phase="prepare", state="running"),
    event(3, "step", phase="prepare", step="preflight", state="done", seconds=0.3),
    event(4, "finding", code="source_changed", severity="warning", params={}),
    event(5, "gate", phase="backfill", state="open", questions=[{"kind": "plan", "id": "plan"}]),
    event(6, "intent", verb="continue", who="anna from 10.0.0.1", state="done", answer={}),
    event(7, "alert", code="disk_low", severity="warning", state="raised", params={"free_bytes": 5, "folder": "/x"}),
    event(8, "discrepancy", table="orders", key={"id": 7}, column="total", **{"class": "changed", "cause": "edited"}),
    event(9, "error", code="step_failed", message="The copy failed.", detail="", hint="Look.", exit_code=1),
    event(10, "state", **{"from": "running", "to": "failed"}),
    event(11, "something_new", n=1),
    event(12, "run_finished", result="failed", exit_code=1, report="/r/report.html"),
]


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
async def test_events_are_lines_with_time_level_and_topic(tmp_path: Path, snap: Snap, size: tuple[int, int]) -> None:
    async with shown(tmp_path, LogPanel(), size) as (pilot, panel):
        panel.apply(snapshot(events=ALL_SORTS))
        await pilot.pause()
        heads = [line.text[:22].split() for line in panel.listed.lines if line.text[:1] != " "]
        assert heads[3] == ["12:00:04", "WARN", "finding"]
        assert [h[1] for h in heads] == [*["INFO"] * 3, "WARN", "INFO", "INFO", "ALERT", "WARN", "ERROR", *["INFO"] * 3]
        snap(pilot.app, f"log-{size[0]}x{size[1]}")


async def test_chinese(tmp_path: Path, snap: Snap) -> None:
    language.use("zh")
    async with shown(tmp_path, LogPanel(), (80, 24)) as (pilot, panel):
        panel.apply(snapshot(events=ALL_SORTS))
        await pilot.pause()
        snap(pilot.app, "log-zh")


async def test_a_frame_is_one_write_and_nothing_new_draws_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shown(tmp_path, LogPanel(), (80, 24)) as (pilot, panel):
        panel.apply(snapshot(events=notes(1, 5)))
        await pilot.pause()
        writes: list[int] = []
        append = LineList.append

        def counted(self: LineList, lines: Any, keep: int) -> None:
            writes.append(len(lines))
            append(self, lines, keep)

        monkeypatch.setattr(LineList, "append", counted)
        drawn = count_rows(monkeypatch)
        panel.apply(snapshot(events=notes(1, 8)))
        assert (writes, drawn) == ([3], [5, 6, 7])
        panel.apply(snapshot(events=notes(1, 8)))
        assert (writes, drawn) == ([3], [5, 6, 7])


async def test_it_follows_until_somebody_scrolls_up(tmp_path: Path) -> None:
    async with shown(tmp_path, LogPanel(), (80, 24)) as (pilot, panel):
        panel.apply(snapshot(events=notes(1, 50)))
        await pilot.press("k")
        panel.apply(snapshot(events=notes(51, 7)))
        await pilot.pause()
        assert "note 57" not in seen(pilot.app)
        assert "+7 lines, o follows" in seen(pilot.app)
        await pilot.press("o")
        assert "note 57" in seen(pilot.app)
        assert "follows" not in seen(pilot.app)
        await pilot.press("o", "g")
        assert "note 1" in seen(pilot.app)
        await pilot.press("G")
        panel.apply(snapshot(events=notes(58, 1)))
        await pilot.pause()
        assert "note 58" in seen(pilot.app)


async def test_searching_counts_and_goes_from_match_to_match(tmp_path: Path) -> None:
    async with shown(tmp_path, LogPanel(), (80, 24)) as (pilot, panel):
        panel.apply(snapshot(events=notes(1, 120)))
        await pilot.press("slash", *"NOTE 11", "enter")
        assert panel.has_focus
        assert "11 of 11 matches" in seen(pilot.app)
        await pilot.press("N")
        assert "10 of 11 matches" in seen(pilot.app)
        await pilot.press("n", "n")
        assert "1 of 11 matches" in seen(pilot.app)
        assert "note 11 " in seen(pilot.app) + " "
        await pilot.press("slash", "escape")
        assert "matches" not in seen(pilot.app)


async def test_wrapping(tmp_path: Path) -> None:
    async with shown(tmp_path, LogPanel(), (80, 24)) as (pilot, panel):
        panel.apply(snapshot(events=[note(1, "word " * 40 + "the end")]))
        await pilot.pause()
        assert "the end" not in seen(pilot.app)
        await pilot.press("w")
        assert "the end" in seen(pilot.app)
        await pilot.press("w")
        assert "the end" not in seen(pilot.app)


async def test_it_keeps_two_thousand_lines(tmp_path: Path) -> None:
    async with shown(tmp_path, LogPanel(), (80, 24)) as (pilot, panel):
        panel.apply(snapshot(events=notes(1, KEPT_LINES + 500)))
        await pilot.pause()
        assert len(panel.listed.lines) == KEPT_LINES
        assert panel.copy_text().splitlines()[-1].endswith(f"note {KEPT_LINES + 500}")


async def test_texts_are_shown_and_not_obeyed(tmp_path: Path) -> None:
    async with shown(tmp_path, LogPanel(), (80, 24)) as (pilot, panel):
        panel.apply(snapshot(events=[note(n, text) for n, text in enumerate(HOSTILE, start=1)]))
        await pilot.press("w")
        screen = seen(pilot.app) + panel.copy_text()
        assert "[red]not red[/red]" in panel.copy_text()
        assert not set(screen) & set("\x1b\x07\x00\x9b\u202e\u2066")
        await pilot.press("w")
        frame = {line.rstrip()[-1] for line in seen(pilot.app).splitlines() if line.startswith("│")}
        assert frame == {"│"}


async def test_another_run_starts_anew(tmp_path: Path) -> None:
    async with shown(tmp_path, LogPanel(), (80, 24)) as (pilot, panel):
        panel.apply(snapshot(events=notes(1, 3)))
        from dataclasses import replace

        panel.apply(replace(snapshot(events=notes(1, 1)), run="another"))
        await pilot.pause()
        assert len(panel.listed.lines) == 1
