"""Alert rules of live runs: what is told at once, what only after a while, and what ends it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.alerts import live, watch
from stepflow_tui.engine.alerts.lasting import Since
from stepflow_tui.engine.alerts.live import LIVE_WATCHED, LiveFacts, live_rules, remember
from stepflow_tui.engine.alerts.watch import Watched
from stepflow_tui.engine.journal.store import Journal
from stepflow_tui.engine.model.alert import Alert
from stepflow_tui.engine.model.state import RunState
from stepflow_tui.engine.testing import ManualClock
from stepflow_tui.engine.texts.running import ADVICE, ALERTS
from tests.unit.test_journal_store import RUN

VERIFIER = {"passes": 3, "table": "orders", "done": 5_000, "clean_w": 99, "differing": 0}
QUIET = LiveFacts(
    lag={"changes": 3, "seconds": 0.4},
    wal={"mode": "wal", "bytes": 4_000_000, "frames": 1_000, "checkpointed": 900, "pinned_by": []},
    switch={"percentage": 25, "rolled_back": None},
    live={"log_bytes": 100, "log_budget": 1_000, "poison": 0, "verifier": VERIFIER, "owner": "sqlite",
          "back": {"code": "reads_only", "params": {}}},
)  # fmt: skip


def facts(**changes: Any) -> LiveFacts:
    values = {name: getattr(QUIET, name) for name in ("lag", "wal", "switch", "live")}
    for name, change in changes.items():
        values[name] = {**values[name], **change} if name in values else change
    return LiveFacts(**values)


def told(now: LiveFacts) -> list[str]:
    """Codes of what is said at once."""
    return [a.code for a in live_rules(now, remember(now, {}, 0.0), 0.0)]


class Looks:
    """Looks at changing facts, one after the other."""

    def __init__(self) -> None:
        self.lasting: dict[str, Since] = {}
        self.standing: frozenset[str] = frozenset()

    def at(self, now: float, seen: LiveFacts) -> list[Alert]:
        self.lasting = remember(seen, self.lasting, now)
        found = live_rules(seen, self.lasting, now, self.standing)
        self.standing = frozenset(a.code for a in found)
        return found

    def codes(self, now: float, seen: LiveFacts) -> list[str]:
        return [a.code for a in self.at(now, seen)]


def test_nothing_is_said_of_a_run_that_is_well_or_of_one_that_shows_nothing() -> None:
    assert told(QUIET) == []
    assert told(LiveFacts()) == []
    unknown = {"mode": "unknown", "bytes": None, "frames": None, "checkpointed": None, "pinned_by": None}
    assert told(LiveFacts(wal=unknown, live={"log_bytes": 5})) == []


def blocked_back(*, reason: str = "", rows: int = 0, size: int = 0) -> dict[str, Any]:
    """The gauge of a run that observes, whose way back is blocked."""
    back = {"code": "blocked", "params": {"rows": rows, "changes": 5, "reason": reason}}
    return {"owner": "postgresql", "back": back, "return_log": {"bytes": size, "budget": 1_000}}


@pytest.mark.parametrize(
    ("shown", "codes"),
    [
        ({"rows": 2}, ["way_back_blocked"]),
        ({"reason": "a column is new"}, ["way_back_broken"]),
        ({"reason": "a column is new", "rows": 2}, ["way_back_broken", "way_back_blocked"]),
        ({"reason": "a column is new", "size": 799}, ["way_back_broken"]),
        ({"reason": "a column is new", "size": 800}, ["way_back_broken", "return_log_large"]),
    ],
)
def test_a_blocked_way_back_is_told_with_what_it_costs(shown: dict[str, Any], codes: list[str]) -> None:
    assert told(facts(live=blocked_back(**shown))) == codes
    gone_back = blocked_back(size=900) | {"owner": "sqlite", "back": None}
    assert told(facts(live=gone_back)) == []


def test_every_alert_has_its_words_and_every_word_its_parameter() -> None:
    pin = {"pid": 1, "age_seconds": 90.0, "command": "app"}
    everything = facts(
        lag={"changes": 9, "seconds": 99.0},
        wal={"bytes": live.WAL_BYTES, "frames": 9_000, "pinned_by": [pin]},
        live={"verifier": {**VERIFIER, "differing": 1}, "poison": 1, "log_bytes": 900, "back": {"code": "blocked"}},
        switch={"rolled_back": "errors"},
        capture_broken=True,
    )
    lasting = remember(everything, {}, 0.0)
    found = live_rules(everything, lasting, live.STALE_SECONDS)
    found += live_rules(facts(live={"log_bytes": 1_000}), {}, 0.0)
    found += live_rules(facts(live={"log_bytes": 1_000, "capture_out": True}), {}, 0.0)
    found += live_rules(facts(live=blocked_back(reason="a column is new", size=800)), {}, 0.0)
    assert {a.code for a in found} == set(LIVE_WATCHED)
    for alert in found:
        assert "{" not in ALERTS[alert.code].format(**alert.params)
        assert ADVICE[alert.code]


@pytest.mark.parametrize(
    "behind", [{"changes": 1, "seconds": live.LAG_SECONDS}, {"changes": live.LAG_CHANGES, "seconds": 1.0}]
)
def test_lag_is_told_when_it_lasts_and_does_not_shrink(behind: dict[str, Any]) -> None:
    looks = Looks()
    assert looks.codes(0, facts(lag=behind)) == []
    assert looks.codes(live.HELD_SECONDS - 1, facts(lag=behind)) == []
    assert looks.codes(live.HELD_SECONDS, facts(lag=behind)) == ["lag_high"]
    assert looks.codes(live.HELD_SECONDS + 5, facts()) == []
    assert looks.codes(live.HELD_SECONDS + 10, facts(lag=behind)) == []  # counted anew


def test_a_backlog_that_is_being_worked_off_is_no_alert_and_an_alert_does_not_flap() -> None:
    looks = Looks()
    assert looks.codes(0, facts(lag={"changes": 900_000, "seconds": 500.0})) == []
    assert looks.codes(100, facts(lag={"changes": 400_000, "seconds": 600.0})) == []
    assert looks.codes(200, facts(lag={"changes": 900_001, "seconds": 700.0})) == ["lag_high"]
    assert looks.codes(205, facts(lag={"changes": 899_000, "seconds": 705.0})) == ["lag_high"]
    assert looks.codes(300, facts(lag={"changes": 50, "seconds": 0.1})) == []


@pytest.mark.parametrize(
    ("size", "more", "codes"),
    [
        (799, {}, []),
        (800, {}, ["log_nearly_full"]),
        (999, {}, ["log_nearly_full"]),
        (1_000, {}, ["log_over_budget"]),  # nobody says that capture is out before it is
        (1_000, {"capture_out": True}, ["log_full"]),
        (1_000, {"owner": "postgresql"}, []),
    ],
)
def test_the_change_log_fills(size: int, more: dict[str, Any], codes: list[str]) -> None:
    found = live_rules(facts(live={"log_bytes": size, **more}), {}, 0.0)
    assert [a.code for a in found] == codes
    severity = "warning" if codes == ["log_nearly_full"] else "critical"
    assert [a.severity.value for a in found] == [severity] * len(codes)


def test_a_large_log_of_the_source_is_told_after_a_while() -> None:
    looks = Looks()
    large = facts(wal={"bytes": live.WAL_BYTES, "frames": 70_000, "checkpointed": 10})
    assert looks.codes(0, large) == []
    [alert] = looks.at(live.HELD_SECONDS, large)
    assert (alert.code, alert.params["frames"]) == ("wal_large", 69_990)
    assert looks.codes(live.HELD_SECONDS + 1, facts()) == []


def test_who_pins_it_is_named_without_arguments() -> None:
    pin = {"pid": 42, "age_seconds": 90.0, "command": "/usr/bin/app --password=geheim"}
    held = {"frames": 5_000, "checkpointed": 10, "pinned_by": [pin, {**pin, "pid": 43, "age_seconds": 59.0}]}
    [alert] = live_rules(facts(wal=held), {}, 0.0)
    assert (alert.code, alert.key) == ("wal_pinned", "42")
    assert alert.params == {"pid": 42, "program": "app", "seconds": 90, "frames": 4_990}
    assert told(facts(wal={**held, "frames": 1_000})) == []  # it holds back too little to matter


def test_found_differences_poison_and_blockers_are_critical() -> None:
    bad = facts(
        live={
            "verifier": {**VERIFIER, "differing": 2},
            "poison": 7,
            "back": {"code": "blocked", "params": {"rows": 3}},
        },
        switch={"rolled_back": {"signal": "errors"}},
        capture_broken=True,
    )
    found = live_rules(bad, {}, 0.0)
    counts = {a.code: a.params.get("count") for a in found}
    assert counts == {"rows_differ": 2, "rows_quarantined": 7, "capture_broken": None, "switch_rolled_back": None, "way_back_blocked": 3}  # fmt: skip
    assert {a.severity.value for a in found} == {"critical"}


def test_an_alert_about_rows_set_aside_names_the_first() -> None:
    rows = [
        {"table": "t", "key": {"a": n, "b": "x"}, "column": "c" if n else None, "reason": f"why {n}"} for n in range(5)
    ]
    [alert] = live_rules(facts(live={"poison": 9, "set_aside": {"tables": {"t": 9}, "rows": rows}}), {}, 0.0)
    assert alert.params == {"count": 9, "first": "t a=0, b=x: why 0; t a=1, b=x, c: why 1; t a=2, b=x, c: why 2"}


def test_a_verifier_that_stands_still_is_stale() -> None:
    looks = Looks()
    assert looks.codes(0, QUIET) == []
    assert looks.codes(live.STALE_SECONDS - 1, QUIET) == []
    [alert] = looks.at(live.STALE_SECONDS, QUIET)
    assert (alert.code, alert.params["minutes"]) == ("verifier_stale", 10)
    on = facts(live={"verifier": {**VERIFIER, "done": 5_001}})
    assert looks.codes(live.STALE_SECONDS + 1, on) == []


@pytest.mark.parametrize("idle", [facts(working=False), facts(live={"owner": "postgresql"}), LiveFacts()])
def test_a_verifier_without_work_is_not_stale(idle: LiveFacts) -> None:
    looks = Looks()
    for now in (0.0, live.STALE_SECONDS, 2 * live.STALE_SECONDS):
        assert looks.codes(now, idle) == []


async def standing(journal: Journal) -> list[tuple[str, str, int]]:
    found = await journal.fetch("SELECT code,severity,count FROM alert WHERE cleared_seq IS NULL ORDER BY id")
    return [(r["code"], r["severity"], r["count"]) for r in found]


async def test_the_watch_raises_once_and_resolves(tmp_path: Path) -> None:
    clock, watched = ManualClock(), Watched()
    async with await Journal.open(tmp_path, clock) as journal:
        await journal.create_run(RUN)
        journal.gauge("lag", {"changes": 5, "seconds": 61.0})
        journal.gauge("live", {"poison": 1})
        await watch.look(journal, watched)
        assert await standing(journal) == [("rows_quarantined", "critical", 1)]
        clock.advance(live.HELD_SECONDS)
        await watch.look(journal, watched)
        await watch.look(journal, watched)
        assert await standing(journal) == [("rows_quarantined", "critical", 1), ("lag_high", "warning", 1)]
        journal.gauge("lag", {"changes": 0, "seconds": 0.0})
        journal.gauge("live", {"poison": 0})
        await watch.look(journal, watched)
        assert await standing(journal) == []


async def test_without_a_memory_nothing_lasts(tmp_path: Path) -> None:
    """The control of the test above: it is the watch's memory that makes a lasting lag an alert."""
    clock = ManualClock()
    async with await Journal.open(tmp_path, clock) as journal:
        await journal.create_run(RUN)
        journal.gauge("lag", {"changes": 5, "seconds": 61.0})
        for _ in range(3):
            await watch.look(journal)
            clock.advance(live.HELD_SECONDS)
        assert await standing(journal) == []


async def test_disturbed_capture_is_an_alert_until_it_is_mended(tmp_path: Path) -> None:
    async with await Journal.open(tmp_path, ManualClock()) as journal:
        await journal.create_run(RUN)
        for event, codes in (
            ("capture_installed", []),
            ("capture_disturbed", ["capture_broken"]),
            ("capture_mended", []),
            ("capture_disturbed", ["capture_broken"]),
        ):
            await journal.event(event, {})
            await watch.look(journal, Watched())
            assert [code for code, _, _ in await standing(journal)] == codes


async def test_what_ended_a_run_is_told_though_no_look_came_in_between(tmp_path: Path) -> None:
    async with await Journal.open(tmp_path, ManualClock()) as journal:
        await journal.create_run(RUN)
        journal.gauge("live", {"log_bytes": 10, "log_budget": 10, "capture_out": True})
        await watch.quiet(journal)
        assert await standing(journal) == [("log_full", "critical", 1)]


async def test_a_paused_run_has_no_stale_verifier(tmp_path: Path) -> None:
    clock, watched = ManualClock(), Watched()
    async with await Journal.open(tmp_path, clock) as journal:
        await journal.create_run(RUN)
        await journal.set_state(RunState.RUNNING)
        journal.gauge("live", {"verifier": VERIFIER})
        await watch.look(journal, watched)
        await journal.set_state(RunState.PAUSING)
        clock.advance(live.STALE_SECONDS)
        await watch.look(journal, watched)
        assert await standing(journal) == []
        await journal.set_state(RunState.RUNNING)
        await watch.look(journal, watched)
        clock.advance(live.STALE_SECONDS)
        await watch.look(journal, watched)
        assert await standing(journal) == [("verifier_stale", "warning", 1)]
