"""Looks at the facts every few seconds, raises what the rules say and resolves what they no longer say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from stepflow_tui.engine.alerts.application import APPLICATION_WATCHED, application_rules
from stepflow_tui.engine.alerts.lasting import Since
from stepflow_tui.engine.alerts.live import LIVE_WATCHED, LiveFacts, live_rules, remember
from stepflow_tui.engine.alerts.rules import WATCHED, WatchFacts, rules
from stepflow_tui.engine.alerts.wal import WAL_WATCHED, is_watched, remember_wal, wal_rules
from stepflow_tui.engine.journal.store import Journal
from stepflow_tui.engine.journal.writer import free_bytes
from stepflow_tui.engine.model.alert import Alert
from stepflow_tui.engine.model.state import RunState

_HALTED = frozenset({RunState.PAUSING, RunState.PAUSED})
_CAPTURE = ("capture_installed", "capture_disturbed", "capture_mended")


@dataclass(slots=True)
class Watched:
    """What one engine's watch remembers from look to look: since when something lasts."""

    lasting: dict[str, Since] = field(default_factory=dict)


async def look(journal: Journal, watched: Watched | None = None) -> None:
    """One look. An open alert that is still true is left alone; a new or worse one is raised.

    Args:
        watched: the same in every look of an engine; without it nothing lasts.
    """
    standing = await _standing(journal)
    found = [*rules(await _facts(journal)), *await _live(journal, watched or Watched(), standing)]
    gauges = journal.gauges()
    found += application_rules(gauges.get("availability", {}), gauges.get("application", {}))
    told = await _raise(journal, found, standing)
    for code, key in standing.keys() - told:
        if code in (*WATCHED, *LIVE_WATCHED, *APPLICATION_WATCHED, *WAL_WATCHED):
            await journal.resolve_alert(code, key)


async def quiet(journal: Journal) -> None:
    """The engine's work ends: nothing is throttled any more. What ended it is told, if no look came in between."""
    for row in await journal.fetch("SELECT key FROM alert WHERE code='throttled' AND cleared_seq IS NULL"):
        await journal.resolve_alert("throttled", row["key"])
    standing = await _standing(journal)
    await _raise(journal, await _live(journal, Watched(), standing), standing)


async def capture_broken(journal: Journal) -> bool:
    """Whether changes went past the log and nothing has put that right."""
    marks = ",".join("?" * len(_CAPTURE))
    rows = await journal.fetch(f"SELECT code FROM event WHERE code IN ({marks}) ORDER BY seq DESC LIMIT 1", _CAPTURE)
    return bool(rows) and rows[0]["code"] == "capture_disturbed"


async def _standing(journal: Journal) -> dict[tuple[str, str], str]:
    """Open alerts with their severity."""
    rows = await journal.fetch("SELECT code,key,severity FROM alert WHERE cleared_seq IS NULL")
    return {(r["code"], r["key"]): r["severity"] for r in rows}


async def _raise(
    journal: Journal, found: Iterable[Alert], standing: dict[tuple[str, str], str]
) -> set[tuple[str, str]]:
    told = set()
    for alert in found:
        key = (alert.code, alert.key)
        told.add(key)
        if standing.get(key) != alert.severity.value:
            await journal.raise_alert(alert)
    return told


async def _live(journal: Journal, watched: Watched, standing: dict[tuple[str, str], str]) -> list[Alert]:
    gauges = {name: journal.gauges().get(name) or {} for name in ("lag", "wal", "switch", "live")}
    wal, now = gauges["wal"], journal.clock.monotonic()
    facts = LiveFacts(
        **{**gauges, "wal": {} if is_watched(wal) else wal},
        capture_broken=await capture_broken(journal),
        working=await journal.state() not in _HALTED,
    )
    before = watched.lasting
    watched.lasting = {**remember(facts, before, now), **remember_wal(wal, before, now)}
    found = live_rules(facts, watched.lasting, now, frozenset(code for code, _ in standing))
    return [*found, *wal_rules(wal, watched.lasting, now, frozenset(standing))]


async def _facts(journal: Journal) -> WatchFacts:
    run = await journal.run_row()
    throttled = await journal.fetch(
        "SELECT step,max(throttle) AS reason FROM progress WHERE throttle<>'' GROUP BY step"
    )
    return WatchFacts(
        free_bytes=free_bytes(journal.run_dir),
        folder=str(journal.run_dir),
        source_changed=bool(run and run["source_changed"]),
        throttles={r["step"]: r["reason"] for r in throttled},
    )
