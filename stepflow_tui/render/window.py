"""The maintenance window as text: how long the application will stand still, stands still, or stood still."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from stepflow_tui.engine.texts.language import _
from stepflow_tui.render import words

Status = Mapping[str, Any]


def window_lines(status: Status, *, now_ms: int | None = None) -> Iterator[str]:
    """What the gauge `window` of a status says; nothing for runs without one.

    Args:
        now_ms: milliseconds since 1970; None: now.
    """
    window: Mapping[str, Any] = status.get("window") or {}
    state = window.get("state")
    if state in ("open", "deciding"):
        yield _standing(status, time.time_ns() // 1_000_000 if now_ms is None else now_ms)
    elif state == "switched" and window.get("actual_seconds") is not None:
        text = _("maintenance window: the application stood still for {time} (predicted: {predicted})")
        yield text.format(
            time=words.seconds(window["actual_seconds"]), predicted=words.seconds(window.get("predicted_seconds"))
        )
    elif state == "returned" and window.get("stopped_seconds") is not None:
        over = _("maintenance window: it was over after {time}, and the run went back to the old side by itself")
        text = (
            over if window.get("over") else _("maintenance window: the old side works again; it stood still for {time}")
        )
        yield text.format(time=words.seconds(window["stopped_seconds"]))
    elif state is None and window.get("predicted_seconds") is not None:
        text = _("maintenance window: {window}; predicted standstill: {low} to {high}")
        yield text.format(
            window=words.seconds(window.get("seconds")),
            low=words.seconds(window.get("predicted_low_seconds")),
            high=words.seconds(window["predicted_seconds"]),
        )


def _standing(status: Status, now_ms: int) -> str:
    window = status["window"]
    left = (int(window["ends_ms"]) - now_ms) / 1000
    if window["state"] == "deciding":
        return _("maintenance window: the application is being started on the new side")
    if left <= 0:
        return _("maintenance window: it is over; the old side is being started again")
    text = _("maintenance window: the application is stopped, {left} left of {window}")
    if (status.get("application") or {}).get("state") == "stopping":
        text = _("maintenance window: the application is being stopped, {left} left of {window}")
    return text.format(left=words.seconds(left), window=words.seconds(window.get("seconds")))
