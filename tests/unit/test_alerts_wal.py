"""Alerts about the log of a database that stays where it is: raised after a while, resolved clearly, never flapping."""

from __future__ import annotations

from pathlib import Path
from string import Formatter
from typing import Any

import pytest

from stepflow_tui.engine.alerts import wal as rules
from stepflow_tui.engine.alerts import watch
from stepflow_tui.engine.alerts.lasting import Since, program_of
from stepflow_tui.engine.alerts.wal import remember_wal, wal_rules
from stepflow_tui.engine.alerts.watch import Watched
from stepflow_tui.engine.journal.store import Journal
from stepflow_tui.engine.model.alert import Alert
from stepflow_tui.engine.testing import ManualClock
from stepflow_tui.engine.texts.running import ADVICE, ALERTS
from tests.unit.test_alerts_live import standing
from tests.unit.test_journal_store import RUN

LIMITS = {"bytes": 1_000, "starvation": 60.0}
QUIET: dict[str, Any] = {
    "mode": "wal", "bytes": 900, "frames": 20, "checkpointed": 5, "pinned_by": [], "limits": LIMITS, "expected": True,
}  # fmt: skip
PIN = {"pid": 42, "age_seconds": 61.0, "command": "/usr/bin/python3 /srv/shop/report.py --password=geheim"}


class Looks:
    """One look after the other."""

    def __init__(self) -> None:
        self.lasting: dict[str, Since] = {}
        self.open: frozenset[tuple[str, str]] = frozenset()

    def at(self, now: float, **other: Any) -> list[Alert]:
        gauge = QUIET | other
        self.lasting = remember_wal(gauge, self.lasting, now)
        found = wal_rules(gauge, self.lasting, now, self.open)
        self.open = frozenset((a.code, a.key) for a in found)
        return found

    def codes(self, now: float, **other: Any) -> list[str]:
        return [a.code for a in self.at(now, **other)]


def test_nothing_is_wrong() -> None:
    looks = Looks()
    assert [looks.codes(now) for now in (0, 100, 200)] == [[], [], []]


def test_a_large_log_is_told_after_a_while_and_ends_well_below_the_limit() -> None:
    looks = Looks()
    assert looks.codes(0, bytes=1_001) == []
    assert looks.codes(rules.HELD_SECONDS - 1, bytes=1_001) == []
    assert looks.codes(rules.HELD_SECONDS - 0.5, bytes=1_000) == []  # a moment below begins it anew
    assert looks.codes(rules.HELD_SECONDS, bytes=2_000) == []
    [alert] = looks.at(2 * rules.HELD_SECONDS, bytes=2_000)
    assert alert.params == {"bytes": 2_000, "frames": 15}
    assert [looks.codes(30 + n, bytes=size) for n, size in enumerate((999, 1_001, 801))] == [["wal_large"]] * 3
    assert looks.codes(40, bytes=800) == []
    assert looks.codes(41, bytes=999) == []


def test_a_reader_that_starves_checkpoints_is_named_without_its_arguments() -> None:
    looks = Looks()
    assert looks.codes(0, pinned_by=[PIN | {"age_seconds": 59.0}]) == []
    [alert] = looks.at(1, pinned_by=[PIN])
    assert (alert.code, alert.key) == ("wal_starved", "42")
    assert alert.params == {"pid": 42, "program": "python3 report.py", "seconds": 61, "frames": 15}
    assert looks.codes(2, pinned_by=[PIN | {"age_seconds": 0.0}]) == ["wal_starved"]  # its next long transaction
    assert looks.codes(3, mode="unknown", pinned_by=None) == ["wal_starved"]  # nobody has looked
    assert looks.codes(4, pinned_by=[]) == []


@pytest.mark.parametrize(("pid", "program"), [(0, "outside this container"), (-1, "not named by the system")])
def test_a_reader_that_cannot_be_seen_is_an_alert_too(pid: int, program: str) -> None:
    [alert] = Looks().at(0, pinned_by=[{"pid": pid, "age_seconds": 90.0, "command": None}])
    assert (alert.key, alert.params["program"]) == (str(pid), program)


def test_a_mode_that_is_lost_is_critical() -> None:
    looks = Looks()
    assert looks.codes(0, mode="rollback") == []
    assert looks.codes(5) == []  # only for a moment
    assert looks.codes(6, mode="rollback") == []
    [alert] = looks.at(6 + rules.HELD_SECONDS, mode="rollback")
    assert (alert.code, alert.severity.value, alert.params) == ("wal_lost", "critical", {"mode": "rollback"})
    assert looks.codes(30, mode="unknown") == ["wal_lost"]
    assert looks.codes(31) == []


def test_before_the_conversion_nothing_is_lost() -> None:
    looks = Looks()
    assert [looks.codes(now, mode="rollback", expected=None) for now in (0, 60)] == [[], []]


def test_a_gauge_without_limits_is_not_theirs() -> None:
    gauge = {**QUIET, "limits": None, "bytes": 10**12, "pinned_by": [PIN]}
    assert remember_wal(gauge, {}, 0.0) == {}
    assert wal_rules(gauge, {}, 1_000.0) == []


@pytest.mark.parametrize(
    ("command", "program"),
    [
        ("/usr/bin/app --token x", "app"),
        ("node --inspect /srv/app/server.js secret", "node server.js"),
        ("", "?"),
        (None, "?"),
    ],
)
def test_programs_are_named_by_what_they_run(command: str | None, program: str) -> None:
    assert program_of(command) == program


def test_each_has_words_with_its_params() -> None:
    params = {
        "wal_large": {"bytes", "frames"},
        "wal_starved": {"pid", "program", "seconds", "frames"},
        "wal_lost": {"mode"},
    }
    assert set(params) == set(rules.WAL_WATCHED)
    for code, names in params.items():
        assert {name for _, name, _, _ in Formatter().parse(ALERTS[code]) if name} == names
        assert ADVICE[code]


async def test_the_watch_takes_the_gauge_by_its_own_limits(tmp_path: Path) -> None:
    clock, watched = ManualClock(), Watched()
    async with await Journal.open(tmp_path, clock) as journal:
        await journal.create_run(RUN)
        journal.gauge("wal", QUIET | {"bytes": 5_000, "frames": 9_000, "pinned_by": [PIN]})
        await watch.look(journal, watched)
        assert await standing(journal) == [("wal_starved", "warning", 1)]  # and not wal_pinned
        clock.advance(rules.HELD_SECONDS)
        await watch.look(journal, watched)
        await watch.look(journal, watched)
        assert await standing(journal) == [("wal_starved", "warning", 1), ("wal_large", "warning", 1)]
        journal.gauge("wal", QUIET)
        await watch.look(journal, watched)
        assert await standing(journal) == [("wal_large", "warning", 1)]  # 900 of 1,000 is not small yet
        journal.gauge("wal", QUIET | {"bytes": 700})
        await watch.look(journal, watched)
        assert await standing(journal) == []
