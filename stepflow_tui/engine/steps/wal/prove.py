"""The proof after the conversion: mode, integrity, content, side files, a checkpoint, the application's own functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from stepflow_tui.engine.model.codec import from_plain, to_plain
from stepflow_tui.engine.model.discrepancy import ApartFrom, TableVerdict, Verified
from stepflow_tui.engine.model.finding import Finding, blocking, info, warning
from stepflow_tui.engine.model.table import TableState
from stepflow_tui.engine.sqlite.checkpoint import CheckpointProof, prove_checkpoint
from stepflow_tui.engine.sqlite.content import Content, content_of
from stepflow_tui.engine.sqlite.convert import ModeFacts, read_mode
from stepflow_tui.engine.sqlite.fingerprint import Fingerprint, fingerprint, same_content
from stepflow_tui.engine.sqlite.holders import find_holders
from stepflow_tui.engine.sqlite.restore_test import RestoreTest, findings_of, restore_test
from stepflow_tui.engine.steps.application.last_look import try_functions
from stepflow_tui.engine.steps.backup import backup_of
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.facts import plan_of
from stepflow_tui.engine.steps.settle import settle_checklist
from stepflow_tui.engine.steps.wal.convert import mode_note
from stepflow_tui.engine.steps.wal.facts import CONVERT, Recorded, evidence_of, recorded, refuse_replaced, source_of
from stepflow_tui.engine.steps.wal.watching import watch_wal

CHECKPOINT_SECONDS = 5.0
WRITTEN_PAGES = 2
"""Pages that a conversion writes: the first one, and its copy in the journal."""
JOURNAL_BYTES = 4_096 + 64
"""At most for the journal's header, which is as large as a sector, and its ending."""


SHOWN = 20
"""Tables that one finding names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What can be said about the time between the recorded state and now.

    `quiet`: nobody but StepFlow has written. `header_only`: the conversion itself wrote no more than the first page, so that
    it can't have changed a row, whatever the application wrote before and after.
    """

    quiet: bool
    header_only: bool
    struck: bool = False  # an engine was killed between the conversion and the note of what it wrote


class Prove(PlainStep):
    """Compares what is there now with what was there before."""

    name = "prove"

    async def apply(self, ctx: RunContext) -> Evidence:
        """Prove it, table by table. Differences do not fail the step: they are what it is there to find."""
        source, record = source_of(ctx), await recorded(ctx)
        await watch_wal(ctx)
        for table in (await plan_of(ctx)).tables:
            await ctx.journal.update_table(table.source, state=TableState.VERIFYING)
        content = await content_of(source, frozen=False, control=ctx.control, report=ctx.report)
        mode = await read_mode(source)
        await refuse_replaced(ctx, mode)
        moment = await _moment(ctx, record, mode)
        verdicts = [
            _verdict(t.source, record.content, content, moment, ctx.clock.now_ms()) for t in (await plan_of(ctx)).tables
        ]
        for verdict in verdicts:
            await ctx.journal.save_verdict(verdict)
            if verdict.source_rows is None:  # what was counted before the application wrote on is not to be compared
                await ctx.journal.update_table(verdict.table, source_rows=None)
        test = await restore_test(source, control=ctx.control, living=True)
        proof = await _checkpoint(ctx) if mode.wal else None
        read = [v for v in verdicts if v.table not in {*record.content.unread, *content.unread}]
        told = [*_findings(mode, test, proof), *_schema(record, content, moment), *await _unproven(ctx, read)]
        await ctx.journal.set_findings("prove", told)
        await ctx.journal.check_item("mode-active", ok=mode.wal, note=mode_note(mode))
        await try_functions(ctx)
        await settle_checklist(ctx, times=("during",))
        return {
            "mode": to_plain(mode),
            "integrity_check": "ok" if test.sound else "damaged",
            "quiet": moment.quiet,
            "header_only": moment.header_only,
            "equal": sum(v.verified is Verified.EQUAL and v.apart_from is None for v in verdicts),
            "written_to": sum(v.apart_from is ApartFrom.APPLICATION_WRITES for v in verdicts),
            "unread": sum(v.apart_from is ApartFrom.UNREAD for v in verdicts),
            "tables": len(verdicts),
            "checkpoint": to_plain(proof) if proof is not None else None,
        }


async def _checkpoint(ctx: RunContext) -> CheckpointProof | None:
    """Whether the WAL gets back into the file. A database that was in WAL mode already is left as it is, its `-wal` too."""
    if not (await evidence_of(ctx, CONVERT)).get("converted"):
        return None
    alone = not (await find_holders(source_of(ctx))).processes
    return await prove_checkpoint(source_of(ctx), alone=alone, wait=CHECKPOINT_SECONDS)


async def _moment(ctx: RunContext, record: Recorded, mode: ModeFacts) -> Moment:
    done = await evidence_of(ctx, CONVERT)
    if not done.get("converted"):
        return Moment(quiet=await _untouched(ctx), header_only=True)
    before, written = (done.get("before") or {}).get("change_counter"), done.get("bytes_written")
    counted = before == record.change_counter and mode.change_counter == before + 1
    # a commit in WAL mode may leave the file's own counter alone: bytes, times and the -wal tell of it
    kept = from_plain(Fingerprint, done["fingerprint"]) if done.get("fingerprint") else None
    quiet = counted and kept is not None and same_content(kept, await fingerprint(source_of(ctx)))
    small = written is not None and written <= WRITTEN_PAGES * mode.page_size + JOURNAL_BYTES
    return Moment(
        quiet=quiet,
        header_only=small or bool(done.get("content_equal")),
        struck=bool(done.get("found_done")) and written is None,
    )


async def _untouched(ctx: RunContext) -> bool:
    """Whether a file that was in WAL mode all along has the bytes that were backed up."""
    backup = await backup_of(ctx)
    return backup is not None and same_content(backup.source, await fingerprint(source_of(ctx)))


def _verdict(table: str, before: Content, now: Content, moment: Moment, now_ms: int) -> TableVerdict:
    was, is_ = before.tables.get(table), now.tables.get(table)
    same = was is not None and was == is_
    verdict = TableVerdict(
        table=table,
        verified=Verified.EQUAL if same else Verified.DIFFERENT,
        source_rows=was.rows if was else None,
        target_rows=is_.rows if is_ else None,
        digest_source=was.digest if was else "",
        digest_target=is_.digest if is_ else "",
        as_of_ms=now_ms,
    )
    if table in now.unread or table in before.unread:
        return _unread(verdict, now.unread.get(table) or before.unread[table], moment)
    if same or moment.quiet or is_ is None:  # a table that is gone is not there, whoever dropped it
        return verdict
    return _written_to(verdict, moment)


def _unread(verdict: TableVerdict, why: str, moment: Moment) -> TableVerdict:
    """StepFlow can't read it (a collation or a module is missing); the application can. The conversion's writes are known."""
    if not moment.header_only:
        return replace(verdict, verified=Verified.NOT_VERIFIED, reason=f"it can't be read here: {why}")
    reason = f"it can't be read here ({why}); the conversion itself wrote the header page alone"
    return replace(
        verdict,
        verified=Verified.EQUAL,
        apart_from=ApartFrom.UNREAD,
        reason=reason,
        source_rows=None,
        target_rows=None,
    )


def _written_to(verdict: TableVerdict, moment: Moment) -> TableVerdict:
    """The application worked: what it wrote is no difference. That the conversion changed no row, its own writes prove."""
    if not moment.header_only:
        why = (
            "the engine was struck down before it was noted what the conversion itself wrote"
            if moment.struck
            else "this system does not tell what the conversion itself wrote"
        )
        reason = (
            f"it was written to since the backup ({verdict.source_rows} rows then, {verdict.target_rows} now), and {why}: "
            "that the application alone did it is likely, and not proven"
        )
        return replace(verdict, verified=Verified.NOT_VERIFIED, reason=reason)
    reason = (
        f"the application wrote to it since the backup ({verdict.source_rows} rows then, {verdict.target_rows} now); "
        "the conversion itself wrote the header page alone"
    )
    apart = ApartFrom.APPLICATION_WRITES
    return replace(
        verdict, verified=Verified.EQUAL, apart_from=apart, reason=reason, source_rows=None, digest_source=""
    )


async def _unproven(ctx: RunContext, verdicts: Sequence[TableVerdict]) -> list[Finding]:
    """What is known of them, what is not, and what to do: nothing more can be proven afterwards."""
    names = [v.table for v in verdicts if v.verified is Verified.NOT_VERIFIED]
    if not names:
        return []
    row = await ctx.journal.backup()
    listed = ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
    params = {"count": len(names), "names": listed, "backup": row["path"] if row else "?", "run": ctx.run_id}
    return [warning("wal_unproven", None, **params)]


def _schema(record: Recorded, now: Content, moment: Moment) -> list[Finding]:
    if now.schema_digest == record.content.schema_digest:
        return []
    return [(blocking if moment.quiet else warning)("wal_schema_changed", None)]


def _findings(mode: ModeFacts, test: RestoreTest, proof: CheckpointProof | None) -> list[Finding]:
    found = list(findings_of(test))
    if not mode.wal:
        found.append(blocking("wal_not_active", None, mode=mode.mode))
    if not test.sound:
        found.append(blocking("wal_damaged", None, first=next(iter([*test.damage, *test.indexes]))))
    if proof is not None and not proof.complete:
        tell = warning if proof.kind == "truncate" or 2 * proof.checkpointed < proof.frames else info
        found.append(tell("wal_checkpoint_incomplete", None, frames=proof.frames, checkpointed=proof.checkpointed))
    return found
