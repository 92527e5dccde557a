"""The watcher's side of `freeze_watch`: waits for a word, and lifts the fence when its engine ends without one."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from typing import Any

DONE, DECIDING = b"done", b"deciding"
ASK_SECONDS, PATIENCE_SECONDS = 1.0, 900.0
"""Between two tries to reach the target, and until it is left to the next engine: without its answer nobody may lift."""


def main() -> int:
    """Wait, then act if nobody said that all is well."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # what ends the engine must not end this
    line = sys.stdin.buffer.readline()
    deciding = False
    while word := sys.stdin.buffer.readline().strip():
        if word == DONE:
            return 0
        deciding = deciding or word == DECIDING
    return asyncio.run(_lift(json.loads(line), deciding=deciding)) if line else 0


async def _lift(request: dict[str, Any], *, deciding: bool) -> int:
    from stepflow_tui.engine.errors import Held
    from stepflow_tui.engine.journal.lock import take_lock
    from stepflow_tui.engine.model.codec import from_plain
    from stepflow_tui.engine.model.live import Owner
    from stepflow_tui.engine.postgres.connect import Target
    from stepflow_tui.engine.sqlite import fence
    from stepflow_tui.engine.sqlite.serving import text_path

    try:
        take_lock(text_path(request["run_dir"]))
    except Held:
        return 0  # another engine has the run already: the fence is its business
    source = text_path(request["source"])
    target: Target = from_plain(Target, request["target"])
    owner = await _owner(target) if deciding else Owner.SQLITE
    if owner is Owner.POSTGRESQL:
        await fence.set_owner(source, Owner.POSTGRESQL, wait=60.0)
        sys.stderr.write("the engine ended after the point of no return; PostgreSQL owns writes\n")
    elif owner is Owner.SQLITE:
        await fence.lift_fence(source, owner=Owner.SQLITE, wait=60.0)
        sys.stderr.write("the engine ended behind the fence; the fence was lifted, writes go to SQLite as before\n")
    return 0 if owner is not None else 1


async def _owner(target: Any) -> Any:
    """Who owns writes; None when the target does not answer for long."""
    from stepflow_tui.engine.errors import StepFlowError
    from stepflow_tui.engine.postgres import fence

    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        try:
            conn = await target.connect()
            try:
                return (await fence.decide_owner(conn, wait=60.0)).owner
            finally:
                await conn.close(timeout=5)
        except (StepFlowError, OSError):
            await asyncio.sleep(ASK_SECONDS)
    return None


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)
