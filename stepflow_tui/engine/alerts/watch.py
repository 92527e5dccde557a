"""Looks at the facts every few seconds, raises what the rules say and resolves what they no longer say."""

from __future__ import annotations

from stepflow_tui.engine.alerts.rules import WATCHED, WatchFacts, rules
from stepflow_tui.engine.journal.store import Journal
from stepflow_tui.engine.journal.writer import free_bytes


async def look(journal: Journal) -> None:
    """One look. An open alert that is still true is left alone; a new or worse one is raised."""
    found = {(a.code, a.key): a for a in rules(await _facts(journal))}
    standing = {
        (r["code"], r["key"]): r
        for r in await journal.fetch("SELECT code,key,severity FROM alert WHERE cleared_seq IS NULL")
    }
    for key, alert in found.items():
        if key not in standing or standing[key]["severity"] != alert.severity.value:
            await journal.raise_alert(alert)
    for code, key in standing:
        if code in WATCHED and (code, key) not in found:
            await journal.resolve_alert(code, key)


async def quiet(journal: Journal) -> None:
    """The engine's work ends: nothing is throttled any more."""
    for row in await journal.fetch("SELECT key FROM alert WHERE code='throttled' AND cleared_seq IS NULL"):
        await journal.resolve_alert("throttled", row["key"])


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
