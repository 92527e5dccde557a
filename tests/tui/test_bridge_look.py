"""Looking at a journal that is taken away, damaged or put back: the screen never goes on as if nothing had happened."""

from __future__ import annotations

from pathlib import Path

from stepflow_tui.bridge import FIRST_EVENTS, Bridge
from stepflow_tui.engine.journal.clock import SystemClock
from stepflow_tui.engine.journal.store import Journal
from stepflow_tui.facade import facade
from tests.tui.kit import options
from tests.tui.run_rows import Run, attached, make_run, many_events, note, seen, settled, state_of


async def watched(folder: Path, *notes: str) -> tuple[Run, Bridge]:
    """A run, and a bridge that has looked at it once."""
    run = await make_run(folder, lambda journal: note(journal, *notes))
    bridge = Bridge(facade(), run, options(state_of(folder)))
    assert bridge.look().error is None
    return run, bridge


async def test_a_removed_journal_is_no_news_and_one_that_comes_back_is_read_on(tmp_path: Path) -> None:
    run, bridge = await watched(tmp_path, "one")
    journal, aside = run.path / "journal.db", run.path / "aside"
    journal.rename(aside)
    lost = bridge.look()
    assert lost.error is not None
    assert lost.error.code == "journal_gone"
    assert lost.status["name"] == "shop"  # the last known state
    assert bridge.look().error is not None
    aside.rename(journal)
    async with await Journal.open(run.path, SystemClock()) as again:
        await note(again, "two")
    back = bridge.look()
    assert back.error is None
    assert [e["text"] for e in back.events] == ["two"]
    bridge.close()


async def test_another_file_in_its_place_is_noticed(tmp_path: Path) -> None:
    run, bridge = await watched(tmp_path, "one")
    journal = run.path / "journal.db"
    copy = journal.read_bytes()
    journal.unlink()
    journal.with_name("new").write_bytes(copy)
    journal.with_name("new").rename(journal)
    error = bridge.look().error
    assert error is not None
    assert error.code == "journal_gone"
    assert bridge.look().error is None  # read anew, as it is now
    bridge.close()


async def test_values_that_no_engine_writes_are_an_error_and_not_the_end_of_watching(tmp_path: Path) -> None:
    run, bridge = await watched(tmp_path, "one")
    async with await Journal.open(run.path, SystemClock()) as journal:
        await journal.execute("UPDATE run SET state='dreaming'")
    error = bridge.look().error
    assert error is not None
    assert error.code == "journal_failed"
    bridge.close()


async def test_after_an_interruption_no_event_is_skipped(tmp_path: Path) -> None:
    run, bridge = await watched(tmp_path, "one")
    async with await Journal.open(run.path, SystemClock()) as journal:
        await many_events(journal, 3 * FIRST_EVENTS)
    bridge._let_go()
    assert len(bridge.look().events) == 3 * FIRST_EVENTS
    bridge.close()


async def test_the_screen_says_that_there_is_no_news(tmp_path: Path) -> None:
    run = await make_run(tmp_path, lambda journal: note(journal, "one"))
    app = attached(tmp_path, run)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        (run.path / "journal.db").unlink()
        bridge = app.bridge
        assert bridge is not None
        app.snapshot = bridge.look()
        app.show_snapshot()
        await pilot.pause()
        assert "NO NEWS" in seen(app)
        assert "can't be read just now" in seen(app)
