"""The write lock on the source, from before the copy until the switch."""

from __future__ import annotations

from pathlib import Path

from stepflow_tui.engine.errors import Drift, Held
from stepflow_tui.engine.model.events import Level
from stepflow_tui.engine.sqlite import capture
from stepflow_tui.engine.sqlite.backup import read_manifest
from stepflow_tui.engine.sqlite.connect import real_path, shown
from stepflow_tui.engine.sqlite.fence import fence_state
from stepflow_tui.engine.sqlite.fingerprint import Fingerprint, fingerprint, same_content
from stepflow_tui.engine.sqlite.hold import WriteLock
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.live.snapshot import snapshot_path
from stepflow_tui.engine.steps.offline import keepers, window

SERVICE = "write-lock"
STEP = "capture.write-lock"
FIRST_SECONDS, PATIENCE_SECONDS = 1.0, 30.0
"""Until those who keep the lock from us are named, and until they are given up on (half of the time that is left, if less)."""


class TakeLock(PlainStep):
    """A real lock: whoever ignores the stop gets SQLITE_BUSY, and is named."""

    name = "write-lock"

    async def apply(self, ctx: RunContext) -> Evidence:
        """Take it.

        Raises:
            Held: `source_busy`: others kept it from us; they are named.
        """
        lock = await take_lock(ctx)
        return {"pid": lock.pid}

    async def undo(self, ctx: RunContext) -> Evidence:
        """Let writers in; nothing of ours stays in the file."""
        await release_lock(ctx)
        return {"capture_removed": await clear_source(ctx)}


async def take_lock(ctx: RunContext) -> WriteLock:
    """Take the lock unless this engine has it; from then on a service looks after it.

    Raises:
        Held: as `TakeLock.apply`.
    """
    held = ctx.memory.find(WriteLock)
    if held is not None and held.held:
        return held
    lock = await _taken(ctx, real_path(ctx.config.source.path))
    ctx.memory.put(lock)
    ctx.resources.push_async_callback(lock.release)
    await ctx.journal.event("offline_locked", {"pid": lock.pid})
    ctx.services.start(SERVICE, lambda: _look_after(ctx))
    ctx.services.start(keepers.SERVICE, lambda: keepers.name_keepers(ctx))
    return lock


async def release_lock(ctx: RunContext) -> None:
    """Let writers in. Harmless without a lock."""
    await ctx.services.stop(SERVICE)
    await keepers.hush(ctx)
    lock = ctx.memory.find(WriteLock)
    if lock is not None:
        ctx.memory.drop(WriteLock)
        await lock.release()


async def fenced(ctx: RunContext) -> bool:
    """Whether the write fence of this run stands in the source: as good as the lock."""
    path = real_path(ctx.config.source.path)
    if not await capture.is_installed(path, ctx.run_id):
        return False
    return (await fence_state(path)).fenced


async def clear_source(ctx: RunContext) -> bool:
    """Nothing of ours stays in the file: capture and fence, if they are there. Says whether they were."""
    path = real_path(ctx.config.source.path)
    if not await capture.is_installed(path, ctx.run_id):
        return False
    return await capture.uninstall(path, ctx.run_id, with_fence=True)


def copied(ctx: RunContext) -> Fingerprint | None:
    """What the source was when the snapshot was made, None before there is one."""
    made = read_manifest(snapshot_path(ctx))
    return made.source if made is not None else None


async def unchanged(ctx: RunContext) -> bool:
    """Whether the source is what the snapshot was made of."""
    then = copied(ctx)
    return then is not None and same_content(then, await fingerprint(real_path(ctx.config.source.path)))


async def _taken(ctx: RunContext, path: Path) -> WriteLock:
    try:
        return await WriteLock.take(path, wait=FIRST_SECONDS)
    except Held:
        who = keepers.named(await keepers.others(ctx))
        await ctx.journal.event("offline_lock_kept", {"holders": ctx.journal.clean(who)}, level=Level.WARNING)
    try:
        return await WriteLock.take(path, wait=min(PATIENCE_SECONDS, window.left_seconds(ctx) / 2))
    except Held as held:
        who = ctx.journal.clean(keepers.named(await keepers.others(ctx)))
        raise Held(
            f"The write lock of {shown(path)} is kept by others, although the application was stopped.",
            detail=f"{who}; {held.detail}",
            hint="End these processes, or let the recipe stop them too, then `stepflow run` again.",
            code="source_busy",
        ) from None


async def _look_after(ctx: RunContext) -> None:
    """A lock whose process was killed is taken again at once; what got in meanwhile ends the run.

    Raises:
        Drift: `lock_lost`: the source was changed.
        Held: others have the lock.
    """
    path = real_path(ctx.config.source.path)
    while await ctx.memory.get(WriteLock).lost():
        lock = await _taken(ctx, path)
        ctx.memory.put(lock)
        ctx.resources.push_async_callback(lock.release)
        if copied(ctx) is not None and not await unchanged(ctx):
            raise Drift(
                f"The write lock of {shown(path)} was lost, and the file was changed before it was taken again.",
                hint="`stepflow run` begins anew: the copy starts from zero with what the file holds then.",
                code="lock_lost",
            )
        await ctx.journal.event("offline_locked_again", {"pid": lock.pid}, level=Level.WARNING)
