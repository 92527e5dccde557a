"""The way back: the old journal mode with everything written since, or the tested backup as it was."""

from __future__ import annotations

from functools import partial

from stepflow_tui.engine.errors import Held, StepFailed
from stepflow_tui.engine.failpoints import failpoint
from stepflow_tui.engine.model.codec import to_plain
from stepflow_tui.engine.model.finding import Finding, info, warning
from stepflow_tui.engine.sqlite.convert import Attempt, Converted, JournalMode, convert, read_mode
from stepflow_tui.engine.sqlite.examine import SourceState, examine
from stepflow_tui.engine.sqlite.fingerprint import content_sha256
from stepflow_tui.engine.sqlite.holders import find_holders
from stepflow_tui.engine.sqlite.restore_test import restore_test
from stepflow_tui.engine.steps.application.bookkeeping import restarts_application
from stepflow_tui.engine.steps.application.changeover import changeover_of
from stepflow_tui.engine.steps.application.state import Stage
from stepflow_tui.engine.steps.backup import backup_of
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.restoring.restore import restore_everything
from stepflow_tui.engine.steps.wal.facts import converts, source_of
from stepflow_tui.engine.steps.wal.watching import leave_wal

BACK_SECONDS = 5.0
"""How long a moment is looked for in which nobody has the file open, before the application is stopped for it."""
STOPPED_SECONDS = 15.0
IN_USE_BYTES = 64 << 20
"""A larger file that is in use is not checked after going back: 0.3 s of waiting is what this size costs."""
GAUGE = "conversion"
STAGE = "rollback"


async def go_back(ctx: RunContext) -> Evidence:
    """Undo the conversion. The application runs again afterwards if it was stopped for it.

    Raises:
        Held: `source_busy_conversion` others have the file open, and no recipe stops them.
        Refused: `source_in_use`: they must be stopped before a backup takes the file's place.
        StepFlowError: the application can't be started again; another try goes on.
    """
    await leave_wal(ctx)
    done = await _taken_back(ctx)
    failpoint("wal_gone_back")
    changeover = changeover_of(ctx)
    if changeover.configured and changeover.stage is not Stage.OLD:
        await changeover.start_old()
    return {**done, **await _checked(ctx, restoring=await wants_restore(ctx))}


async def take_back(ctx: RunContext) -> Evidence:
    """The file alone goes back; whoever calls has stopped the application, or can't.

    Raises:
        Held, Refused: others have it open.
    """
    if await wants_restore(ctx):
        return await _restored(ctx)
    if not await converts(ctx):
        return {"mode": "wal", "changed": False}
    return _facts(await _go_back(ctx, STOPPED_SECONDS))


async def _taken_back(ctx: RunContext) -> Evidence:
    """First as it is, for nobody is stopped without need; then with the application stopped, where a recipe can."""
    source = source_of(ctx)
    if await wants_restore(ctx):
        if await _is_restored(ctx):
            return {"restored": True}
        if (await find_holders(source)).processes:
            await _stop(ctx)
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


async def leave_running(ctx: RunContext) -> None:
    """Nobody is left stopped by an engine that ends with an error: either mode serves the old application.

    Raises:
        StepFlowError: it can't be started.
    """
    changeover = changeover_of(ctx)
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


async def _is_restored(ctx: RunContext) -> bool:
    """Whether the backup has taken the file's place already: the application's undo did it, or an engine that was killed."""
    backup = await backup_of(ctx)
    return backup is not None and await content_sha256(source_of(ctx)) == backup.sha256


async def _restored(ctx: RunContext) -> Evidence:
    """Database, folders and configs as they were when the backup was made; what is there now moves aside."""
    done = await restore_everything(ctx.state_dir, ctx.run_id, own=True)
    await ctx.journal.event("wal_restored", {"sha256": done["sha256"], "aside": len(done["aside"])})
    await ctx.journal.audit(ctx.answers.who, "restored the backup", {"sha256": done["sha256"]})
    return {"restored": True, "sha256": done["sha256"], "files": done["files"], "aside": done["aside"]}


async def _checked(ctx: RunContext, *, restoring: bool) -> Evidence:
    """The checks after a rollback: the mode, and that the database is sound.

    Raises:
        StepFailed: `rollback_differs`: the file is damaged, or not in the mode it should be in.
    """
    source = source_of(ctx)
    mode = await read_mode(source)
    # a backup is kept in rollback-journal mode, whatever the mode of the file it was made of
    as_before = not mode.wal or not (restoring or await converts(ctx))
    damage = "" if restoring else await _damage(ctx)
    await ctx.journal.check_item("rollback-executed", ok=True, note="every undo is journalled")
    await ctx.journal.check_item("rollback-result", ok=as_before, note=f"journal mode {mode.mode}")
    if damage is not None:
        good = "the bytes of the tested backup" if restoring else "integrity_check found nothing wrong"
        await ctx.journal.check_item("rollback-data", ok=not damage, note=damage or good)
    if not as_before or damage:
        raise StepFailed(
            f"{source} is not as it should be after going back.",
            detail=damage or f"journal mode {mode.mode}",
            hint="`stepflow backups list` shows the tested backup; `stepflow backups restore` puts it back.",
            code="rollback_differs",
        )
    await _tell(ctx, unchecked=damage is None)
    return {"integrity_check": "not done" if damage is None else "ok", "mode": mode.mode}


async def _damage(ctx: RunContext) -> str | None:
    """What integrity_check found, "" for nothing; None where it was not asked: others use the file in rollback-journal mode,
    and their writes would wait for it."""
    examined = await examine(ctx.config.source.path)
    if examined.state is SourceState.EMPTY:
        return ""
    if not examined.readable:
        return f"{examined.state.value}: {examined.detail}"
    if not examined.wal and examined.size > IN_USE_BYTES and (await find_holders(source_of(ctx))).processes:
        return None
    test = await restore_test(source_of(ctx), control=ctx.control, living=True)
    return "; ".join([*test.damage, *test.indexes][:3])


async def _tell(ctx: RunContext, *, unchecked: bool) -> None:
    """What the operator must know afterwards."""
    found: list[Finding] = []
    if unchecked:
        found.append(info("wal_not_checked_after_rollback", None))
    if not ctx.config.application.switches:
        found.append(warning("wal_settings_remain", None))
    await ctx.journal.set_findings(STAGE, found)
