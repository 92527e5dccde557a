"""The watch over a database that is used where it stands: its write-ahead log, looked at once a second, as the gauge `wal`.

Besides the sampler's figures the gauge holds `limits` (`bytes`, `starvation`: the config's) and `expected`: whether the file
should be in WAL mode, which is so once it was seen in it; the alerts take both from there, also after a restart.
"""

from __future__ import annotations

from stepflow_tui.engine.sqlite.connect import real_path
from stepflow_tui.engine.sqlite.wal_sampler import WalSampler
from stepflow_tui.engine.steps.context import RunContext

SERVICE = "wal"
GAUGE = "wal"


async def watch_wal(ctx: RunContext) -> None:
    """Show the write-ahead log until the engine ends. One watch at a time: a second call changes nothing."""
    ctx.services.start(SERVICE, lambda: _show(ctx))


async def leave_wal(ctx: RunContext) -> None:
    """End the watch because the file leaves WAL mode on purpose: nothing is expected of it any more."""
    await ctx.services.stop(SERVICE)
    await ctx.journal.forget_gauges(GAUGE)


async def _show(ctx: RunContext) -> None:
    wal = ctx.config.wal
    ctx.journal.gauge(GAUGE, {"limits": {"bytes": wal.max_bytes, "starvation": wal.starvation}})
    sampler = WalSampler()
    await sampler.start(real_path(ctx.config.source.path))
    told: set[int] = set()
    try:
        sample = await sampler.sample()
        while True:
            seen = {"expected": True} if sample.mode == "wal" else {}
            ctx.journal.gauge(GAUGE, {**sample.gauge, **seen})
            pins = {pin.pid for pin in sample.pinned_by or ()}
            if not pins <= told:  # who pins is seen at once, not with the next heartbeat
                await ctx.journal.flush_gauges()
            told, sample = pins, await sampler.newer()
    finally:
        await sampler.close()
