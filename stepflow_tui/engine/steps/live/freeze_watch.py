"""Watches over a freeze from a process of its own: an engine that is killed behind the fence must not leave it standing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from stepflow_tui.engine.model.codec import to_plain
from stepflow_tui.engine.sqlite.connect import real_path
from stepflow_tui.engine.sqlite.serving import path_text
from stepflow_tui.engine.steps.context import RunContext
from stepflow_tui.engine.steps.facts import target_of
from stepflow_tui.engine.steps.live.freeze_child import DECIDING, DONE

CHILD = "stepflow_tui.engine.steps.live.freeze_child"


@dataclass(slots=True)
class Watch:
    """The watcher as its engine sees it. `decides`: the point of no return may have been passed."""

    process: asyncio.subprocess.Process
    decides: bool = False

    async def deciding(self) -> None:
        """From now on only the target knows who owns writes: the watcher must ask it before it lifts the fence."""
        self.decides = True
        await self._say(DECIDING)

    async def done(self) -> None:
        """All is well: the fence was lifted, or PostgreSQL owns writes."""
        await self._say(DONE)

    async def _say(self, word: bytes) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(ConnectionError):  # a watcher that is gone needs no word
            self.process.stdin.write(word + b"\n")
            await self.process.stdin.drain()


@asynccontextmanager
async def watched(ctx: RunContext) -> AsyncIterator[Watch]:
    """Start the watcher. It leaves when it is told that all is well; a block that ends without `done` leaves it in place.

    It acts when this process ends without that word: it takes the run's lock, so that no other engine is at work, and lifts
    the fence, after asking the target who owns writes if that was being decided.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", CHILD,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=None, start_new_session=True,
        cwd="/", env=dict(os.environ) | {"STEPFLOW_FAILPOINT": ""},
    )  # fmt: skip
    assert process.stdin is not None
    request = {
        "run_dir": path_text(ctx.run_dir),
        "source": path_text(real_path(ctx.config.source.path)),
        "target": to_plain(await target_of(ctx)),
    }
    process.stdin.write(json.dumps(request).encode() + b"\n")
    await process.stdin.drain()
    yield Watch(process)
