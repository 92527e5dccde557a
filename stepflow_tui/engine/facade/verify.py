"""`verify` on its own: in the caller's process, no run, the living source in short reads."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepflow_tui.engine.application.records import left_out as probe_records
from stepflow_tui.engine.checks import check_context, run_checks
from stepflow_tui.engine.errors import ExitCode, StepFlowError, UsageError
from stepflow_tui.engine.facade.repair import repair_run
from stepflow_tui.engine.journal.reader import RunReader, peek_state
from stepflow_tui.engine.journal.rundir import RunEntry, StateDir
from stepflow_tui.engine.live.quarantine import Quarantine, explained, read_quarantine
from stepflow_tui.engine.model.codec import from_plain, to_plain
from stepflow_tui.engine.model.config import Level, Mode, TablesMode
from stepflow_tui.engine.model.discrepancy import SET_ASIDE, Discrepancy, Reject, TableVerdict, Verified
from stepflow_tui.engine.model.plan import Plan, TablePlan
from stepflow_tui.engine.model.sensitive import Mask
from stepflow_tui.engine.model.times import iso_utc
from stepflow_tui.engine.playbooks import playbook_for
from stepflow_tui.engine.playbooks.spec import planned_phases
from stepflow_tui.engine.postgres.errors import pg_errors
from stepflow_tui.engine.sqlite.examine import SourceState
from stepflow_tui.engine.sqlite.fingerprint import fingerprint, same_content
from stepflow_tui.engine.steps.masking import source_mask
from stepflow_tui.engine.steps.planning import census_of, make_plan
from stepflow_tui.engine.steps.preflight import raise_for, standalone_view
from stepflow_tui.engine.steps.verify import refused_statements
from stepflow_tui.engine.verify.job import VerifyJob
from stepflow_tui.engine.verify.levels import verify_tables
from stepflow_tui.engine.verify.objects import verify_objects

if TYPE_CHECKING:
    from stepflow_tui.engine.checks import CheckContext
    from stepflow_tui.engine.config import LoadedConfig
    from stepflow_tui.engine.postgres.view import TargetView


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the newest run of that name tells: its plan and what its copy refused."""

    plan: Plan
    rejects: dict[str, tuple[Reject, ...]]
    run: RunEntry | None = None


async def verify(
    loaded: LoadedConfig, *, state: Path, level: str | None, repair: str | None, yes: bool, confirm: str | None
) -> Mapping[str, Any]:
    """Compare source and target.

    Args:
        loaded: the config.
        state: the state directory.
        level: basic, standard, detailed or comprehensive; None takes the config's.
        repair: None, `plan` (repair SQL beside each difference) or `apply`.
        yes, confirm: given confirmations, for `apply`.

    Returns:
        `{verified, exit_code, level, run, tables, discrepancies, source_changed}`.

    Raises:
        UsageError: `no_second_side`.
        StepFlowError: one of the sides can't be read.
    """
    if loaded.config.in_place:
        raise UsageError(
            "A sqlite-wal config names one database: there is no second side to compare it with.",
            hint="`stepflow doctor CONFIG` looks at it; a run's report has its digests before and after.",
            code="no_second_side",
        )
    folder = StateDir.open(state, os.environ)
    async with AsyncExitStack() as resources:
        view = await standalone_view(loaded.config, folder.path, resources)
        if view.error is not None:
            raise view.error
        async with check_context(loaded.config, state_dir=folder.path, target=view) as ctx:
            if ctx.examined.state is SourceState.EMPTY:
                return _nothing(level or loaded.config.verify.level.value)
            if ctx.readable is None or ctx.schema is None:
                raise_for(await run_checks(ctx), view)
                raise StepFlowError("The source can't be read.", code="source_unreadable")
            known = await _known(loaded, folder, ctx, view)
            mask = source_mask(ctx.schema, loaded.config, folder.path, known.plan)
            job = _job(loaded, ctx, view, known, Level(level) if level else loaded.config.verify.level, mask)
            before = await fingerprint(ctx.examined.real)
            verdicts = await verify_tables(job)
            objects = await _objects(loaded, job, known)
            if repair == "apply" and (objects or any(v.verified is Verified.DIFFERENT for v in verdicts)):
                await repair_run(known.run, state=folder.path, yes=yes, confirm=confirm)
                verdicts = await verify_tables(job)
                objects = await _objects(loaded, job, known)
            aside = (await _quarantine(job, known)).by_key
            verdicts = tuple(explained(v, aside.get(v.table, {})) for v in verdicts)
            changed = not same_content(before, await fingerprint(ctx.examined.real))
    return _result(verdicts, objects, job.level, known, changed=changed, with_sql=repair is not None)


async def _known(loaded: LoadedConfig, folder: StateDir, ctx: CheckContext, view: TargetView) -> Known:
    """Types, rejects and name maps of the newest run of that name, else a fresh plan."""
    for entry in folder.runs(peek_state):
        if entry.name != loaded.config.name:
            continue
        with RunReader(entry.path) as reader:
            plan = reader.plan()
            if plan is not None:
                return Known(plan=plan, rejects=_rejects(reader.rejects()), run=entry)
    assert ctx.readable is not None
    assert ctx.schema is not None
    census = await census_of(
        ctx.readable.path,
        ctx.schema,
        loaded.config,
        view,
        frozen=ctx.readable.frozen or ctx.readable.immutable,
        mask=source_mask(ctx.schema, loaded.config, folder.path),
    )
    made = make_plan(ctx.schema, census, loaded.config, view, planned_phases(playbook_for(loaded.config)))
    return Known(plan=made.plan, rejects={})


async def _quarantine(job: VerifyJob, known: Known) -> Quarantine:
    """What the tail of the newest run set aside: missing in the target for a known reason."""
    if known.run is None or known.plan.mode != Mode.LIVE.value:
        return Quarantine()
    with pg_errors("read the quarantine", job.target):
        conn = await job.target.connect()
        try:
            return await read_quarantine(conn, known.run.id, job.source, job.tables, job.mask)
        finally:
            await conn.close(timeout=5)


def _rejects(rows: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Reject, ...]]:
    found: dict[str, list[Reject]] = {}
    for row in rows:
        if row["file"] == SET_ASIDE:
            continue  # the target itself tells what is set aside now
        key = {k: from_plain(int | float | str | bytes | None, v) for k, v in row["key"].items()}
        found.setdefault(row["tbl"], []).append(
            Reject(table=row["tbl"], key=key, column=row["col"], reason=row["reason"], file=row["file"])
        )
    return {table: tuple(items) for table, items in found.items()}


async def _objects(loaded: LoadedConfig, job: VerifyJob, known: Known) -> tuple[Discrepancy, ...]:
    """At `comprehensive`: what the catalog lacks of the plan, what the run named as refused left out."""
    if job.level is not Level.COMPREHENSIVE or loaded.config.target.tables is TablesMode.EXISTING:
        return ()
    rows: list[dict[str, Any]] = []
    if known.run is not None:
        with RunReader(known.run.path) as reader:
            rows = reader.objects()
    return await verify_objects(job, refused=refused_statements(known.plan, rows))


def _job(
    loaded: LoadedConfig, ctx: CheckContext, view: TargetView, known: Known, level: Level, mask: Mask
) -> VerifyJob:
    assert ctx.readable is not None
    assert ctx.schema is not None
    return VerifyJob(
        level=level,
        source=ctx.readable.path,
        frozen=ctx.readable.frozen,
        target=view.target,
        tables=tuple(t for t in known.plan.tables if t.impossible is None),
        facts=known.plan.facts if ctx.readable.frozen else {},
        rejects=known.rejects,
        utf16=ctx.schema.utf16,
        on_bad_value=loaded.config.copying.on_bad_value,
        as_of_ms=time.time_ns() // 1_000_000,
        plan=known.plan,
        mask=mask,
        left_out=probe_records(known.run.path) if known.run is not None else {},
    )


def _nothing(level: str) -> Mapping[str, Any]:
    """A file of zero bytes is a database without tables: there is nothing that could differ."""
    return {
        "verified": "equal", "exit_code": int(ExitCode.OK), "level": level, "run": None, "source_changed": False,
        "tables": [], "discrepancies": [],
    }  # fmt: skip


def _result(
    verdicts: Sequence[TableVerdict],
    objects: Sequence[Discrepancy],
    level: Level,
    known: Known,
    *,
    changed: bool,
    with_sql: bool,
) -> Mapping[str, Any]:
    left_out = [_left_out(t) for t in known.plan.tables if t.impossible is not None]
    equal = all(v.verified is Verified.EQUAL for v in verdicts) and not (objects or changed or left_out)
    targets = {t.source: t.target for t in known.plan.tables}
    return {
        "verified": "equal" if equal else "different",
        "exit_code": int(ExitCode.OK if equal else ExitCode.DIFFERENT),
        "level": level.value,
        "run": known.run.id if known.run is not None else None,
        "source_changed": changed,
        "tables": [*(_table(v, targets[v.table]) for v in verdicts), *left_out],
        "discrepancies": [
            _discrepancy(d, with_sql=with_sql) for d in (*(d for v in verdicts for d in v.discrepancies), *objects)
        ],
    }


def _table(v: TableVerdict, target: str) -> dict[str, Any]:
    return {
        "source": v.table, "target": target, "source_rows": v.source_rows, "target_rows": v.target_rows, "rejected_rows": v.rejected_rows,
        "verified": v.verified.value, "reason": v.reason, "digest_source": v.digest_source, "digest_target": v.digest_target,
        "as_of": None if v.as_of_ms is None else iso_utc(v.as_of_ms),
    }  # fmt: skip


def _left_out(table: TablePlan) -> dict[str, Any]:
    """A table no row of which can be carried: it can't be compared, and nothing that leaves it out is equal."""
    nothing = TableVerdict(table=table.source, verified=Verified.NOT_VERIFIED, reason=table.impossible or "")
    return _table(nothing, table.target)


def _discrepancy(found: object, *, with_sql: bool) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(to_plain(found)))
    plain["class"] = plain.pop("cls")
    if not with_sql:
        plain["repair_sql"] = ""
    return plain
