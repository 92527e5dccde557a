"""The maintenance window of a report: how long the application stood still, and for what."""

from __future__ import annotations

from typing import Any

Report = dict[str, Any]

WINDOW_HEAD = ("window", "seconds")


def window_rows(report: Report) -> list[tuple[str, str]]:
    """Allowed, predicted and real time, then each step while the application was stopped; empty for runs without a window."""
    window: Report = report.get("window") or {}
    sums = (
        ("allowed", "seconds"),
        ("predicted, at least", "predicted_low_seconds"),
        ("predicted, at most", "predicted_seconds"),
        ("stopped to started on the new side", "actual_seconds"),
        ("stopped to started again on the old side", "stopped_seconds"),
    )
    rows = [(name, f"{window[key]:.1f}") for name, key in sums if window.get(key) is not None]
    return rows + [(f"step {name}", f"{seconds:.1f}") for name, seconds in (window.get("steps") or {}).items()]
