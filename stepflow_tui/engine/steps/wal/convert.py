"""The conversion itself, and the way back: the application's own file changes its journal mode."""

from __future__ import annotations

from functools import partial

from stepflow_tui.engine.failpoints import failpoint
from stepflow_tui.engine.model.codec import to_plain
from stepflow_tui.engine.model.state import Danger
from stepflow_tui.engine.sqlite.content import content_of
from stepflow_tui.engine.sqlite.convert import Converted, JournalMode, ModeFacts, convert, noted_bytes, read_mode
from stepflow_tui.engine.sqlite.fingerprint import fingerprint
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.wal.back import go_back, show_attempt
from stepflow_tui.engine.steps.wal.facts import converts, recorded, refuse_replaced, source_of

NOTE = "converted.json"
"""In the run's folder: what the conversion wrote, noted by the process that did it."""


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
        await refuse_replaced(ctx, mode)
        found = {"converted": True, "after": to_plain(mode), "found_done": True}
        written = noted_bytes(ctx.run_dir / NOTE)
        if written is not None:
            return {**found, "bytes_written": written}
        # what the conversion wrote nobody knows any more: that it changed nothing is proven by the content, as long as nobody
        # has written since
        content, record = await content_of(source_of(ctx), frozen=False, control=ctx.control), await recorded(ctx)
        return {**found, "content_equal": content.same(record.content)}

    async def apply(self, ctx: RunContext) -> Evidence:
        """Convert it.

        Raises:
            Held: `source_busy_conversion`: somebody used the file all the time; the detail names them. It is as it was.
            Refused: `source_exclusive`, `source_replaced`, `conversion_refused`.
            StepFailed, DiskFull: SQLite could not; the old mode stands, the detail says what `integrity_check` found.
        """
        if not await converts(ctx):
            return {"converted": False, "after": to_plain((await recorded(ctx)).mode)}
        now = await read_mode(source_of(ctx))
        await refuse_replaced(ctx, now)
        (ctx.run_dir / NOTE).unlink(missing_ok=True)
        failpoint("wal_before_conversion")
        done = await convert(
            source_of(ctx),
            JournalMode.WAL,
            wait=ctx.config.wal.max_wait,
            control=ctx.control,
            tell=partial(show_attempt, ctx),
            identity=(now.dev, now.inode),
            note=ctx.run_dir / NOTE,
        )
        failpoint("wal_converted")
        await ctx.journal.check_item("mode-active", ok=done.after.wal, note=mode_note(done.after))
        await ctx.journal.event("wal_converted", {"attempts": done.attempts, "seconds": round(done.seconds, 3)})
        await ctx.journal.audit(ctx.answers.who, "converted to WAL", {"attempts": done.attempts})
        print_ = to_plain(await fingerprint(source_of(ctx)))
        return {"converted": True, **_evidence(done), "fingerprint": print_}

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
