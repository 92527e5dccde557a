"""Alert rules, the watch, and who notices a lost engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from stepflow_tui.engine.alerts import watch
from stepflow_tui.engine.alerts.rules import DISK_CRITICAL_BYTES, DISK_LOW_BYTES, WatchFacts, rules
from stepflow_tui.engine.journal.clock import SystemClock
from stepflow_tui.engine.journal.store import Journal
from stepflow_tui.engine.model.liveness import engine_lost, unattended
from stepflow_tui.engine.model.progress import Progress
from stepflow_tui.engine.model.state import UNFINISHED, RunState
from tests.unit.test_journal_store import RUN


def facts(free: int = DISK_LOW_BYTES, changed: bool = False, **throttles: str) -> WatchFacts:
    return WatchFacts(free_bytes=free, folder="/f", source_changed=changed, throttles=throttles)


def test_rules() -> None:
    assert rules(facts()) == []
    assert [(a.code, a.severity) for a in rules(facts(DISK_LOW_BYTES - 1))] == [("disk_low", "warning")]
    assert [(a.code, a.severity) for a in rules(facts(DISK_CRITICAL_BYTES - 1))] == [("disk_low", "critical")]
    found = rules(facts(changed=True, copy="target load"))
    assert [(a.code, a.key) for a in found] == [("throttled", "copy"), ("source_changed", "")]


@pytest.mark.parametrize("state", list(RunState))
def test_a_lost_engine(state: RunState) -> None:
    working = state in (RunState.RUNNING, RunState.PAUSING, RunState.PAUSED, RunState.OBSERVING, RunState.ROLLING_BACK)
    assert (engine_lost(state, None, alive=False, heartbeat_seconds=1.0) is not None) is working
    assert (engine_lost(state, None, alive=True, heartbeat_seconds=9.0) is not None) is working
    assert engine_lost(state, None, alive=True, heartbeat_seconds=1.0) is None
    assert engine_lost(state, None, alive=True, heartbeat_seconds=None) is None
    assert engine_lost(state, "stopped", alive=False, heartbeat_seconds=None) is None


@pytest.mark.parametrize("state", list(RunState))
def test_capture_that_nobody_attends(state: RunState) -> None:
    alone = unattended(state, alive=False, captures=True)
    assert (alone is not None) is (state in UNFINISHED), "a run that is over captures nothing"
    assert unattended(state, alive=True, captures=True) is None
    assert unattended(state, alive=False, captures=False) is None


async def test_the_watch_raises_once_and_resolves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = DISK_LOW_BYTES - 1
    monkeypatch.setattr(watch, "free_bytes", lambda _: free)
    async with await Journal.open(tmp_path, SystemClock()) as journal:
        await journal.create_run(RUN)
        journal.report(Progress(step="copy", item="t", throttle="target load"))
        await journal.flush_progress()
        await watch.look(journal)
        await watch.look(journal)

        async def standing() -> list[tuple[str, str, int]]:
            found = await journal.fetch("SELECT code,severity,count FROM alert WHERE cleared_seq IS NULL ORDER BY id")
            return [(r["code"], r["severity"], r["count"]) for r in found]

        assert await standing() == [("throttled", "warning", 1), ("disk_low", "warning", 1)]
        free = 1
        await journal.mark_source_changed()
        journal.report(Progress(step="copy", item="t"))
        await journal.flush_progress()
        await watch.look(journal)
        assert await standing() == [("disk_low", "critical", 2), ("source_changed", "critical", 1)]
        free = DISK_LOW_BYTES
        await watch.look(journal)
        assert await standing() == [("source_changed", "critical", 1)]
