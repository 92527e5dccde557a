"""The watcher's side of `watching`: waits for a word, and starts an engine when the window is over and none works.

That engine finds the window over, and goes back; or it finds what the target decided, and finishes that. This process knows no database and no application.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import Any

DONE = b"done"
DECIDING = "deciding"
"""`window.Stage.DECIDING`, without the engine's modules: this process waits most of its life."""
LOOK_SECONDS, AGAIN_SECONDS, LONGEST_SECONDS, PATIENCE_SECONDS = 0.5, 5.0, 60.0, 900.0
"""Between two looks at the clock; between two engines, at first and at most; and until the rest is left to a person."""
GRACE_SECONDS = 10.0
"""For whoever is at it to start an engine, before one is started for what the target decided."""


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
    """The engine is gone. While the window is open, somebody else may go on; when it is over, an engine must go back.

    Where the target decides already, nobody gains by waiting for the window's end: an engine is started as soon as whoever
    is at it had the time for it, and again for as long as it takes. Only the target can tell which side is to be started.
    """
    from stepflow_tui.engine.journal.lock import LOCK, is_locked
    from stepflow_tui.engine.sqlite.serving import text_path

    run_dir, pause, idle, given_up = text_path(request["run_dir"]), AGAIN_SECONDS, time.monotonic(), None
    while (stage := _stage(run_dir, request["ends_ms"])) is not None:
        left = request["ends_ms"] / 1000 - time.time()
        due = left <= 0 or (stage == DECIDING and time.monotonic() - idle > GRACE_SECONDS)
        if is_locked(run_dir / LOCK):
            idle, given_up = time.monotonic(), None  # another engine works: it may end without going back
        elif due:
            given_up = given_up or time.monotonic() + PATIENCE_SECONDS
            if stage != DECIDING and time.monotonic() > given_up:
                return 0
            _go_back(run_dir, request["start"])
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_SECONDS)
            continue
        time.sleep(min(AGAIN_SECONDS, max(left, LOOK_SECONDS)))
    return 0


def _stage(run_dir: Any, ends_ms: int) -> str | None:
    """How this very window stands, None when the application works; where that can't be read, an engine has to look."""
    from stepflow_tui.engine.errors import StepFlowError
    from stepflow_tui.engine.journal.reader import RunReader
    from stepflow_tui.engine.steps.offline.window import GAUGE, STANDING, Stage

    try:
        with RunReader(run_dir) as reader:
            window = reader.gauges().get(GAUGE) or {}
    except StepFlowError:
        return Stage.OPEN.value if run_dir.is_dir() else None
    stands = window.get("state") in STANDING and window.get("ends_ms") == ends_ms
    return str(window["state"]) if stands else None


def _go_back(run_dir: Any, start: dict[str, Any]) -> None:
    """Start an engine and wait for its end."""
    from stepflow_tui.engine.errors import Held, StepFlowError
    from stepflow_tui.engine.journal.launch import StartLine, launch
    from stepflow_tui.engine.journal.lock import LOCK, is_locked

    try:
        launch(run_dir, StartLine(**start))
    except Held:
        return  # another one works
    except StepFlowError as error:
        sys.stderr.write(f"the application stands still, and no engine could start it: {error}\n")
        return
    while is_locked(run_dir / LOCK):
        time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)
