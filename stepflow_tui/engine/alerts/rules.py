"""Alert rules: facts in, alerts out. No clock, no disk, no journal. (`model.liveness` has the one about a lost engine.)"""

from __future__ import annotations

from dataclasses import dataclass

from stepflow_tui.engine.model.alert import Alert, AlertSeverity

DISK_LOW_BYTES = 512 * 1024 * 1024
DISK_CRITICAL_BYTES = 64 * 1024 * 1024

WATCHED = ("throttled", "disk_low", "source_changed")
"""Codes the watch resolves by itself when their rule is silent again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchFacts:
    """What the watch saw. `throttles`: step → reason; `folder` is where the run keeps its files."""

    free_bytes: int
    folder: str
    source_changed: bool
    throttles: dict[str, str]


def rules(facts: WatchFacts) -> list[Alert]:
    """All alerts these facts call for."""
    found = [
        Alert(code="throttled", key=step, params={"step": step, "reason": reason})
        for step, reason in sorted(facts.throttles.items())
    ]
    if facts.free_bytes < DISK_LOW_BYTES:
        critical = facts.free_bytes < DISK_CRITICAL_BYTES
        severity = AlertSeverity.CRITICAL if critical else AlertSeverity.WARNING
        found.append(
            Alert(code="disk_low", severity=severity, params={"free_bytes": facts.free_bytes, "folder": facts.folder})
        )
    if facts.source_changed:
        found.append(Alert(code="source_changed", severity=AlertSeverity.CRITICAL))
    return found
