"""Watches over the window from a process of its own: an engine that is killed must not leave the application stopped."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from dataclasses import asdict, dataclass

from stepflow_tui.engine.journal.launch import StartLine
from stepflow_tui.engine.model.state import PhaseName
from stepflow_tui.engine.sqlite.serving import path_text
from stepflow_tui.engine.steps.context import RunContext
from stepflow_tui.engine.steps.offline import window
from stepflow_tui.engine.steps.offline.window_child import DONE

CHILD = "stepflow_tui.engine.steps.offline.window_child"


@dataclass(frozen=True, slots=True)
class Watcher:
    """The watcher as its engine sees it."""

    process: asyncio.subprocess.Process

    async def done(self) -> None:
        """The application works again, on whichever side."""
        assert self.process.stdin is not None
        with contextlib.suppress(ConnectionError):  # a watcher that is gone needs no word
            self.process.stdin.write(DONE + b"\n")
            await self.process.stdin.drain()
            self.process.stdin.close()


async def keep_window(ctx: RunContext) -> None:
    """Guard the window that stands: by a service while this engine works, by the watcher when it does not."""
    if ctx.memory.find(Watcher) is None:
        ctx.memory.put(await _started(ctx))
    ctx.services.start(window.SERVICE, lambda: window.guard(ctx))


async def end_watch(ctx: RunContext) -> None:
    """The application works again: nobody has to go back any more."""
    await ctx.services.stop(window.SERVICE)
    watcher = ctx.memory.find(Watcher)
    if watcher is not None:
        ctx.memory.drop(Watcher)
        await watcher.done()


async def _started(ctx: RunContext) -> Watcher:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", CHILD,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=None, start_new_session=True,
        cwd="/", env=dict(os.environ) | {"STEPFLOW_FAILPOINT": ""},
    )  # fmt: skip
    assert process.stdin is not None
    # `until`: it goes back, or finishes what was decided; it never stops the application once more
    start = StartLine(
        config=str(ctx.loaded.path),
        env=dict(ctx.loaded.used_env),
        going_back=True,
        until=PhaseName.CAPTURE.value,
        who="the end of the window",
    )
    request = {"run_dir": path_text(ctx.run_dir), "ends_ms": window.shown(ctx)["ends_ms"], "start": asdict(start)}
    process.stdin.write(json.dumps(request).encode() + b"\n")
    await process.stdin.drain()
    return Watcher(process)
