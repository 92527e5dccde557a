"""Watches over a freeze from a process of its own: an engine that is killed behind the fence must not leave it standing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from stepflow_tui.engine.model.codec import to_plain
from stepflow_tui.engine.sqlite.connect import real_path
from stepflow_tui.engine.sqlite.serving import path_text
from stepflow_tui.engine.steps.context import RunContext
from stepflow_tui.engine.steps.facts import target_of

CHILD = "stepflow_tui.engine.steps.live.freeze_child"
DONE = b"done\n"


@asynccontextmanager
async def watched(ctx: RunContext) -> AsyncIterator[None]:
    """Start the watcher, and tell it at the end of the block, however that ends, that this engine is still there.

    Only the end of this process without a word makes it act: it then takes the run's lock, so that no other engine is at
    work, asks the target who owns writes, and lifts the fence unless PostgreSQL does.
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
    try:
        yield
    finally:
        with contextlib.suppress(ConnectionError):  # a watcher that is gone needs no word
            process.stdin.write(DONE)
            process.stdin.close()
        await process.wait()
