"""Loaded by every process of a run whose PYTHONPATH begins with this folder: proving the way back, the last thing behind the
fence, takes longer than any freeze may."""

from __future__ import annotations

import asyncio

from stepflow_tui.engine.steps.context import RunContext
from stepflow_tui.engine.steps.live import freeze


async def _slow(ctx: RunContext) -> None:
    await asyncio.sleep(300)


freeze.prove_return = _slow
