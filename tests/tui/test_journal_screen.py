"""The journal screen over a real journal: pages, kinds, filters, whole entries, export, following, the audit."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from screens.history import EXPORT_PAGE, KEPT, PAGE, History, Query
from screens.journal import JournalScreen
from screens.modals.text import TextDialog
from stepflow_tui.engine.journal.clock import SystemClock
from stepflow_tui.engine.journal.store import Journal
from stepflow_tui.engine.model.alert import Alert
from stepflow_tui.engine.model.events import EventCode
from stepflow_tui.engine.model.finding import warning
from stepflow_tui.engine.texts import language
from stepflow_tui.facade import facade
from tests.tui.conftest import Snap
from tests.tui.kit import SIZES
from tests.tui.run_rows import HOSTILE, Run, attached, difference, make_run, many_events, note, seen, settled, verdict


async def a_day(journal: Journal) -> None:
    """A little of everything."""
    await journal.event(EventCode.PHASE, {"phase": "backfill", "state": "running"})
    await journal.event(EventCode.STEP, {"phase": "backfill", "step": "copy", "state": "running", "attempt": 1})
    await journal.set_findings("preflight", [warning("source_changed")])
    await journal.raise_alert(Alert(code="disk_low", params={"free_bytes": 5, "folder": "/x"}))
    await journal.event(EventCode.INTENT, {"verb": "pause", "who": "ben", "state": "done", "answer": {}})
    await verdict(journal, "orders", [difference("orders", 7, "a", "b")])
    await note(journal, "all fine so far")
    await journal.audit("anna", "confirm", {"gate": "backfill"})
    await journal.audit("anna", "note", {"text": "all fine so far"})


@asynccontextmanager
async def journal_of(
    folder: Path, run: Run, size: tuple[int, int] = (80, 24)
) -> AsyncIterator[tuple[Pilot[Any], JournalScreen]]:
    """The journal screen of a run."""
    async with attached(folder, run).run_test(size=size) as pilot:
        await settled(pilot)
        await pilot.press("f4")
        await settled(pilot)
        screen = pilot.app.screen
        assert isinstance(screen, JournalScreen)
        yield pilot, screen


def texts(screen: JournalScreen) -> list[str]:
    return [line.text for line in screen.listed.lines]


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
async def test_everything_is_there_the_newest_at_the_bottom(tmp_path: Path, snap: Snap, size: tuple[int, int]) -> None:
    run = await make_run(tmp_path, a_day, "orders")
    async with journal_of(tmp_path, run, size) as (pilot, screen):
        assert len(texts(screen)) == 7
        assert texts(screen)[-1].endswith("anna: all fine so far")
        assert "audit chain whole: 2 entries" in seen(pilot.app)
        snap(pilot.app, f"journal-{size[0]}x{size[1]}")


async def test_chinese(tmp_path: Path, snap: Snap) -> None:
    language.use("zh")
    run = await make_run(tmp_path, a_day, "orders")
    async with journal_of(tmp_path, run) as (pilot, _screen):
        snap(pilot.app, "journal-zh")


async def test_kinds(tmp_path: Path) -> None:
    run = await make_run(tmp_path, a_day, "orders")
    async with journal_of(tmp_path, run) as (pilot, screen):
        counts = []
        for _ in range(7):
            counts.append((screen.wanted.kind, len(texts(screen))))
            await pilot.press("right")
            await settled(pilot)
        expected = [
            ("all", 7),
            ("steps", 2),
            ("findings", 2),
            ("alerts", 1),
            ("intents", 1),
            ("notes", 1),
            ("audit", 2),
        ]
        assert counts == expected
        assert screen.wanted.kind == "all"
        await pilot.press("left")
        await settled(pilot)
        assert "anna confirm" in texts(screen)[0]


async def test_the_filter_knows_what_people_see_and_what_the_journal_says(tmp_path: Path) -> None:
    run = await make_run(tmp_path, a_day, "orders")
    async with journal_of(tmp_path, run) as (pilot, screen):
        for needle, found in (("BEN", 1), ("copy the rows", 1), ("disk_low", 1), ("100%_", 0)):
            await pilot.press("slash", *needle, "enter")
            await settled(pilot)
            assert len(texts(screen)) == max(found, 1)
            assert (texts(screen) == ["Nothing fits."]) is (found == 0)
            await pilot.press("slash", "escape")
            await settled(pilot)
        assert len(texts(screen)) == 7
        assert pilot.app.screen is screen


async def test_a_filter_in_the_language_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = await make_run(tmp_path, a_day, "orders")
    monkeypatch.setattr("stepflow_tui.render.history._", lambda text: "复制数据行" if text == "Copy the rows" else text)
    found = History(api=facade(), run=run).page(Query(text="数据行"))
    assert [e["event"] for e in found] == ["step"]


async def test_an_entry_whole(tmp_path: Path) -> None:
    run = await make_run(tmp_path, a_day, "orders")
    async with journal_of(tmp_path, run) as (pilot, screen):
        await pilot.press("g", "j", "j", "enter")
        await settled(pilot)
        assert isinstance(pilot.app.screen, TextDialog)
        assert '"code": "source_changed"' in seen(pilot.app)
        assert "why: Tables that were compared" in seen(pilot.app)
        await pilot.press("escape")
        assert pilot.app.screen is screen


async def test_a_hundred_thousand_events_are_read_in_pages(tmp_path: Path) -> None:
    async def write(journal: Journal) -> None:
        await many_events(journal, 100_000)

    run = await make_run(tmp_path, write)
    async with journal_of(tmp_path, run) as (pilot, screen):
        assert len(texts(screen)) == PAGE
        assert texts(screen)[-1].endswith("note 99999")
        for _ in range(12):
            screen.listed.select(0)
            await settled(pilot)
        assert len(texts(screen)) == KEPT == len(screen.loaded.events)
        assert screen.selected is not None
        assert screen.selected["text"] in screen.listed.lines[screen.listed.window.cursor or 0].text
        await pilot.press("g")
        await settled(pilot)
        assert texts(screen)[0].endswith("note 0")
        assert "o follows" in seen(pilot.app)
        for _ in range(3):
            screen.listed.select(10**6)
            await settled(pilot)
        assert texts(screen)[-1].endswith("note 799")
        await pilot.press("G")
        await settled(pilot)
        assert texts(screen)[-1].endswith("note 99999")
        assert len(texts(screen)) <= KEPT
        await pilot.press("slash", *"note 4242", "enter")
        await settled(pilot)
        assert [t.rpartition(" ")[2] for t in texts(screen)] == ["4242", *(f"4242{n}" for n in range(10))]


async def test_it_follows_what_is_new(tmp_path: Path) -> None:
    run = await make_run(tmp_path, a_day, "orders")
    async with journal_of(tmp_path, run) as (pilot, screen):
        async with await Journal.open(run.path, SystemClock()) as journal:
            await note(journal, "later")
            pilot.app.look_now()  # type: ignore[attr-defined]
            await newer(pilot, screen, 8)
            assert texts(screen)[-1].endswith("later")
            await pilot.press("k")
            await note(journal, "unseen")
            pilot.app.look_now()  # type: ignore[attr-defined]
            await newer(pilot, screen, 9)
        assert len(texts(screen)) == 8
        assert "+1 newer, o follows" in seen(pilot.app)
        await pilot.press("o")
        await settled(pilot)
        assert texts(screen)[-1].endswith("unseen")


async def newer(pilot: Pilot[Any], screen: JournalScreen, seq: int) -> None:
    """Wait for the look at the journal that brings this event."""
    while max((e["seq"] for e in pilot.app.events), default=0) < seq:  # type: ignore[attr-defined]
        await pilot.pause()
    await settled(pilot)


async def test_export_writes_what_fits_to_private_files(tmp_path: Path) -> None:
    async def write(journal: Journal) -> None:
        await a_day(journal)
        await many_events(journal, EXPORT_PAGE + 10)

    run = await make_run(tmp_path, write, "orders")
    async with journal_of(tmp_path, run) as (pilot, screen):
        await pilot.press("slash", *"note", "enter")
        await settled(pilot)
        await pilot.press("x")
        await settled(pilot)
        files = {p.suffix: p for p in (run.path / "copies").iterdir()}
        objects = [json.loads(line) for line in files[".ndjson"].read_text().splitlines()]
        assert len(objects) == EXPORT_PAGE + 11
        assert [o["seq"] for o in objects] == sorted(o["seq"] for o in objects)
        assert files[".txt"].read_text().splitlines()[-1].endswith(f"note {EXPORT_PAGE + 9}")
        assert {p.stat().st_mode & 0o777 for p in files.values()} == {0o600}
        assert any(str(files[".txt"]) in n.message for n in pilot.app._notifications)
        await pilot.press("x")
        await settled(pilot)
        assert len(list((run.path / "copies").iterdir())) == 4
        assert screen.is_running


async def test_hostile_texts_are_shown_and_not_obeyed(tmp_path: Path) -> None:
    async def write(journal: Journal) -> None:
        await note(journal, *HOSTILE)

    run = await make_run(tmp_path, write)
    async with journal_of(tmp_path, run) as (pilot, screen):
        assert any("[red]not red[/red]" in t for t in texts(screen))
        await pilot.press("w", "g")
        for _ in HOSTILE:
            await pilot.press("enter")
            await settled(pilot)
            assert not set(seen(pilot.app)) & set("\x1b\x07\x00\x9b\u202e\u2066")
            await pilot.press("escape", "j")
        await pilot.press("slash", *"[red]", "enter")
        await settled(pilot)
        assert len(texts(screen)) == 1
        await pilot.press("y", "x")
        await settled(pilot)
        written = "".join(p.read_text() for p in (run.path / "copies").glob("*.txt"))
        assert "[red]not red[/red]" in written
        assert "\x1b" not in written


async def test_an_audit_that_was_tampered_with_is_named(tmp_path: Path) -> None:
    async def write(journal: Journal) -> None:
        await a_day(journal)
        await journal.execute("UPDATE audit SET who='nobody' WHERE n=1")

    run = await make_run(tmp_path, write, "orders")
    async with journal_of(tmp_path, run) as (pilot, _screen):
        assert "audit chain edited at entry 1 of 2" in seen(pilot.app)


async def test_escape_does_not_leave_the_journal(tmp_path: Path) -> None:
    run = await make_run(tmp_path, a_day, "orders")
    async with journal_of(tmp_path, run) as (pilot, screen):
        await pilot.press("escape", "escape")
        assert pilot.app.screen is screen
        assert pilot.app.is_running
