"""The way back: the old journal mode with everything written since, or the tested backup as it was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from stepflow_tui.engine.errors import DiskFull, Held, StepFailed
from stepflow_tui.engine.failpoints import failpoint
from stepflow_tui.engine.model.codec import to_plain
from stepflow_tui.engine.model.finding import Finding, warning
from stepflow_tui.engine.sqlite.convert import Attempt, Converted, JournalMode, convert, read_mode
from stepflow_tui.engine.sqlite.examine import SourceState, examine
from stepflow_tui.engine.sqlite.file_locks import users_of
from stepflow_tui.engine.sqlite.restore_test import restore_test
from stepflow_tui.engine.sqlite.room import make_room, room_needed
from stepflow_tui.engine.steps.application.bookkeeping import restarts_application
from stepflow_tui.engine.steps.application.changeover import changeover_of
from stepflow_tui.engine.steps.application.state import Stage
from stepflow_tui.engine.steps.application.wellbeing import lies_still
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.restoring.restore import half_way, put_back_for, restore_everything
from stepflow_tui.engine.steps.wal.facts import attempts, converts, source_of
from stepflow_tui.engine.steps.wal.watching import leave_wal

BACK_SECONDS = 5.0
"""How long a moment is looked for in which nobody has the file open, before the application is stopped for it."""
STOPPED_SECONDS = 15.0
SPARE_BYTES = 65_536
"""Beside the backup's own bytes: folders, and what file systems round up."""
GAUGE = "conversion"
STAGE = "rollback"


@dataclass(frozen=True, slots=True)
class _Checked:
    """This engine has found the file sound before it left WAL mode."""


async def go_back(ctx: RunContext) -> Evidence:
    """Undo the conversion. The application runs again afterwards if it was stopped for it.

    Raises:
        DiskFull: the hint says how much room is missing where, and the command that goes on.
        Held: `source_busy_conversion` others have the file open, and no recipe stops them.
        Refused: `source_in_use`: they must be stopped before a backup takes the file's place.
        StepFlowError: the application can't be started again; another try goes on.
    """
    await leave_wal(ctx)
    async with telling_room(ctx):
        done = await _taken_back(ctx)
    failpoint("wal_gone_back")
    changeover = changeover_of(ctx)
    if changeover.configured and changeover.stage is not Stage.OLD:
        await changeover.start_old()
    return {**done, **await _checked(ctx, restored=bool(done.get("restored")))}


@asynccontextmanager
async def telling_room(ctx: RunContext) -> AsyncIterator[None]:
    """A disk without room stops a way back until there is some: it is said how much, where, and what goes on then.

    Raises:
        DiskFull: as what is done inside raised it, with that hint.
    """
    try:
        yield
    except DiskFull as error:
        error.hint = await _room_hint(ctx)
        raise


async def _room_hint(ctx: RunContext) -> str:
    source, restoring = source_of(ctx), await restores(ctx)
    row = await ctx.journal.backup() if restoring else None
    needed = row["bytes"] + SPARE_BYTES if row is not None else await room_needed(source)
    command = f"stepflow rollback {ctx.run_id}" + (" --restore" if restoring else "")
    return make_room(source.parent, needed, f"`{command}` again: nothing is lost, and it goes on from here")


async def take_back(ctx: RunContext) -> Evidence:
    """The file alone goes back; whoever calls has stopped the application, or can't.

    Raises:
        Held, Refused: others have it open.
    """
    if await restores(ctx):
        return await _restored(ctx)
    if not await converts(ctx):
        return {"mode": "wal", "changed": False}
    return _facts(await _go_back(ctx, STOPPED_SECONDS))


async def _taken_back(ctx: RunContext) -> Evidence:
    """First as it is, for nobody is stopped without need; then with the application stopped, where a recipe can."""
    if await restores(ctx):
        if await already_restored(ctx) is None:
            await _stop_if_it_runs(ctx)
        return await take_back(ctx)
    if not await converts(ctx) or not restarts_application(ctx.config.application):
        return await take_back(ctx)
    try:
        return _facts(await _go_back(ctx, BACK_SECONDS))
    except Held:
        await _stop(ctx)
        return await take_back(ctx)


async def wants_restore(ctx: RunContext) -> bool:
    """Whether the rollback under way is one to the backup; the intent says so, whichever engine carries it out."""
    intent = await ctx.journal.last_accepted("rollback")
    return bool(intent is not None and intent.args.get("restore"))


async def restores(ctx: RunContext) -> bool:
    """Whether this way back is one to the backup: asked for, or begun by an earlier engine that was killed in it."""
    if await wants_restore(ctx) or await already_restored(ctx) is not None:
        return True
    return await asyncio.to_thread(half_way, ctx.state_dir, ctx.run_id)


async def already_restored(ctx: RunContext) -> Evidence | None:
    """What the backup's coming back has left, where this way back has done it: the application's undo, or an engine that was
    killed. What the application has written since is not looked at: it stays."""
    return await asyncio.to_thread(put_back_for, ctx.state_dir, ctx.run_id, await _this_way_back(ctx))


async def _this_way_back(ctx: RunContext) -> str:
    return f"rollback-{await attempts(ctx)}"


async def leave_running(ctx: RunContext) -> None:
    """Nobody is left stopped by an engine that ends with an error: either mode serves the old application. Only while its
    database stands aside it is not started: it would make itself an empty one.

    Raises:
        StepFlowError: it can't be started.
    """
    changeover = changeover_of(ctx)
    if await asyncio.to_thread(half_way, ctx.state_dir, ctx.run_id):
        return
    if changeover.configured and changeover.underway:
        await changeover.start_old()


def show_attempt(ctx: RunContext, attempt: Attempt) -> None:
    """Shows that the conversion is being tried, and who stands in its way."""
    ctx.journal.gauge(GAUGE, {"attempts": attempt.number, "in_the_way": list(attempt.waited_for)})


def _facts(done: Converted) -> Evidence:
    return {
        "mode": done.after.mode,
        "changed": True,
        "attempts": done.attempts,
        "seconds": round(done.seconds, 3),
        "after": to_plain(done.after),
    }


async def _go_back(ctx: RunContext, wait: float) -> Converted:
    return await convert(
        source_of(ctx), JournalMode.DELETE, wait=wait, control=ctx.control, tell=partial(show_attempt, ctx)
    )


async def _stop(ctx: RunContext) -> None:
    """By its recipe, where one is configured; others are named by whoever needs the file alone."""
    if restarts_application(ctx.config.application):
        await changeover_of(ctx).stop()


async def _stop_if_it_runs(ctx: RunContext) -> None:
    """Seen at the file or not: who comes for a moment only must not find half a set. What lies still is left so."""
    idle = [await lies_still(recipe) for recipe in changeover_of(ctx).recipes]
    if not all(idle) or (await users_of(source_of(ctx))).processes:
        await _stop(ctx)


async def _restored(ctx: RunContext) -> Evidence:
    """Database, folders and configs as they were when the backup was made, once; what is there now moves aside."""
    before = await already_restored(ctx)
    if before is not None:
        return {"restored": True, **before}
    way = await _this_way_back(ctx)
    done = await restore_everything(ctx.state_dir, ctx.run_id, own=way, config=ctx.loaded.path)
    await ctx.journal.event("wal_restored", {"sha256": done["sha256"], "aside": len(done["aside"])})
    await ctx.journal.audit(ctx.answers.who, "restored the backup", {"sha256": done["sha256"]})
    kept = ("sha256", "files", "aside", "strangers", "finished")
    return {"restored": True, **{name: done[name] for name in kept}}


async def check_sound(ctx: RunContext) -> None:
    """Before the file leaves WAL mode: a reader keeps nobody waiting there, as it would afterwards.

    Raises:
        StepFailed: `rollback_differs`: it is damaged. Nothing was changed.
    """
    damage = await _damage(ctx)
    if damage is None:
        return
    ctx.memory.drop(_Checked)
    ctx.memory.put(_Checked())
    note = damage or "integrity_check found nothing wrong, before it left WAL mode"
    await ctx.journal.check_item("rollback-data", ok=not damage, note=note)
    if damage:
        raise StepFailed(
            f"{source_of(ctx)} is damaged: it is left as it is.",
            detail=damage,
            hint="`stepflow rollback --restore` puts the tested backup back; what is there now is kept aside.",
            code="rollback_differs",
        )


async def _checked(ctx: RunContext, *, restored: bool) -> Evidence:
    """The check after a rollback: the mode. (Of what is in the file `check_sound` has told, or the backup's hash.)

    Raises:
        StepFailed: `rollback_differs`: it is not in the mode it should be in.
    """
    source = source_of(ctx)
    mode = await read_mode(source)
    # a backup is kept in rollback-journal mode, whatever the mode of the file it was made of
    as_before = restored or not mode.wal or not await converts(ctx)
    await ctx.journal.check_item("rollback-executed", ok=True, note="every undo is journalled")
    await ctx.journal.check_item("rollback-result", ok=as_before, note=f"journal mode {mode.mode}")
    if restored:
        await ctx.journal.check_item("rollback-data", ok=True, note="the bytes of the tested backup were put back")
    if not as_before:
        raise StepFailed(
            f"{source} is not as it should be after going back.",
            detail=f"journal mode {mode.mode}",
            hint="`stepflow backups list` shows the tested backup; `stepflow backups restore` puts it back.",
            code="rollback_differs",
        )
    await _tell(ctx, unasked=restored and not await wants_restore(ctx))
    if restored:
        return {"mode": mode.mode, "integrity_check": "ok"}
    return {"mode": mode.mode, "integrity_check": "ok" if ctx.memory.find(_Checked) else "not done"}


async def _damage(ctx: RunContext) -> str | None:
    """What integrity_check found, "" for nothing; None where it was not asked: in rollback-journal mode writers would wait for
    it, and such a file was never converted, or was checked before it left WAL mode."""
    examined = await examine(ctx.config.source.path)
    if not examined.readable:
        return f"{examined.state.value}: {examined.detail}"
    if examined.state is SourceState.EMPTY or not examined.wal:
        return None
    test = await restore_test(source_of(ctx), control=ctx.control, living=True)
    return "; ".join([*test.damage, *test.indexes][:3])


async def _tell(ctx: RunContext, *, unasked: bool) -> None:
    """What the operator must know afterwards."""
    found: list[Finding] = []
    if unasked:
        found.append(warning("wal_restore_finished", None))
    if not ctx.config.application.switches:
        found.append(warning("wal_settings_remain", None))
    await ctx.journal.set_findings(STAGE, found)
