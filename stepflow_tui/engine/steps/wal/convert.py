"""The conversion itself, and the way back: the application's own file changes its journal mode."""

from __future__ import annotations

from functools import partial

from stepflow_tui.engine.errors import Refused
from stepflow_tui.engine.failpoints import failpoint
from stepflow_tui.engine.model.codec import to_plain
from stepflow_tui.engine.model.state import Danger
from stepflow_tui.engine.sqlite.convert import Converted, JournalMode, ModeFacts, convert, read_mode
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.wal.back import go_back, show_attempt
from stepflow_tui.engine.steps.wal.facts import converts, recorded, source_of


class Convert(PlainStep):
    """`PRAGMA journal_mode=WAL`, tried until a moment comes in which nobody uses the file; then proven three ways."""

    name = "convert"
    danger = Danger.TYPED
    loses = "nothing: the file goes back to its old journal mode with all that was written since"

    async def probe(self, ctx: RunContext) -> Evidence | None:
        """The file decides, not the memory of an engine that is gone."""
        mode = await read_mode(source_of(ctx))
        if not mode.wal or not await converts(ctx):
            return None
        return {"converted": True, "after": to_plain(mode), "found_done": True}

    async def apply(self, ctx: RunContext) -> Evidence:
        """Convert it.

        Raises:
            Held: `source_busy_conversion`: somebody used the file all the time; the detail names them. It is as it was.
            Refused: `source_exclusive`, `source_replaced`, `conversion_refused`.
            StepFailed, DiskFull: SQLite could not; the old mode stands, the detail says what `integrity_check` found.
        """
        if not await converts(ctx):
            return {"converted": False, "after": to_plain((await recorded(ctx)).mode)}
        await _refuse_replaced(ctx)
        failpoint("wal_before_conversion")
        done = await convert(
            source_of(ctx),
            JournalMode.WAL,
            wait=ctx.config.wal.max_wait,
            control=ctx.control,
            tell=partial(show_attempt, ctx),
        )
        failpoint("wal_converted")
        await ctx.journal.check_item("mode-active", ok=done.after.wal, note=mode_note(done.after))
        await ctx.journal.event("wal_converted", {"attempts": done.attempts, "seconds": round(done.seconds, 3)})
        await ctx.journal.audit(ctx.answers.who, "converted to WAL", {"attempts": done.attempts})
        return {"converted": True, **_evidence(done)}

    async def undo(self, ctx: RunContext) -> Evidence:
        """Back to the old mode, or to the tested backup where that was asked for.

        Raises:
            Held: others have the file open, and no recipe stops them; the detail names them.
        """
        return await go_back(ctx)


def mode_note(mode: ModeFacts) -> str:
    """What three ways of asking say."""
    first, second = mode.header
    return f"a fresh connection says {mode.mode}, bytes 18-19 of the header are {first} and {second}"


def _evidence(done: Converted) -> Evidence:
    return {
        "attempts": done.attempts,
        "seconds": round(done.seconds, 3),
        "returned": done.returned,
        "before": to_plain(done.before),
        "after": to_plain(done.after),
        "waited_for": list(done.waited_for),
        "bytes_written": done.bytes_written,
    }


async def _refuse_replaced(ctx: RunContext) -> None:
    """Another file of that name is not the one that was backed up."""
    run = await ctx.journal.run_row()
    known = (await recorded(ctx)).mode
    now = await read_mode(source_of(ctx))
    if run is not None and (known.dev, known.inode) != (now.dev, now.inode):
        raise Refused(
            f"{source_of(ctx)} was replaced by another file since its backup.",
            hint="Stop whatever replaces it, then start a new run with --new.",
            code="source_replaced",
        )
