"""The watcher's side of `watching`: waits for a word, and starts an engine when the window is over and none works.

That engine finds the window over, and goes back. This process knows no database and no application.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import Any

DONE = b"done"
LOOK_SECONDS, AGAIN_SECONDS, PATIENCE_SECONDS = 0.2, 5.0, 900.0
"""Between two looks at the clock; between two engines; and until the rest is left to a person."""


def main() -> int:
    """Wait, then act if nobody said that all is well."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # what ends the engine must not end this
    line = sys.stdin.buffer.readline()
    while word := sys.stdin.buffer.readline().strip():
        if word == DONE:
            return 0
    return _watch(json.loads(line)) if line else 0


def _watch(request: dict[str, Any]) -> int:
    """The engine is gone. Another one may go on until the window is over; then somebody must go back."""
    from stepflow_tui.engine.sqlite.serving import text_path

    run_dir = text_path(request["run_dir"])
    while (left := request["ends_ms"] / 1000 - time.time()) > 0:
        if not _stands(run_dir, request["ends_ms"]):
            return 0  # another engine has finished it
        time.sleep(min(AGAIN_SECONDS, left))
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until and _stands(run_dir, request["ends_ms"]):
        if not _go_back(run_dir, request["start"]):
            until = time.monotonic() + PATIENCE_SECONDS
        time.sleep(AGAIN_SECONDS)
    return 0


def _stands(run_dir: Any, ends_ms: int) -> bool:
    """Whether the application is stopped still, in this very window; where that can't be read, an engine has to look."""
    from stepflow_tui.engine.errors import StepFlowError
    from stepflow_tui.engine.journal.reader import RunReader
    from stepflow_tui.engine.steps.offline.window import GAUGE, STANDING

    try:
        with RunReader(run_dir) as reader:
            window = reader.gauges().get(GAUGE) or {}
    except StepFlowError:
        return bool(run_dir.is_dir())
    return window.get("state") in STANDING and window.get("ends_ms") == ends_ms


def _go_back(run_dir: Any, start: dict[str, Any]) -> bool:
    """Start an engine and wait for its end. False when another one worked: it may have ended without going back."""
    from stepflow_tui.engine.errors import Held, StepFlowError
    from stepflow_tui.engine.journal.launch import StartLine, launch
    from stepflow_tui.engine.journal.lock import LOCK, is_locked

    ours = True
    try:
        launch(run_dir, StartLine(**start))
    except Held:
        ours = False
    except StepFlowError as error:
        sys.stderr.write(f"the window is over, and no engine could go back: {error}\n")
        return True
    while is_locked(run_dir / LOCK):
        time.sleep(LOOK_SECONDS)
    return ours


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)
