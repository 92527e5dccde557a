"""One run's journal, always the same: written by the engine's own writer under a clock that moves only when told."""

from __future__ import annotations

from pathlib import Path

from stepflow_tui.engine.errors import ExitCode
from stepflow_tui.engine.journal.audit import KEY_FILE
from stepflow_tui.engine.journal.rundir import StateDir
from stepflow_tui.engine.journal.runs import NewRun
from stepflow_tui.engine.journal.steps import StepEntry
from stepflow_tui.engine.journal.store import Journal
from stepflow_tui.engine.model.alert import Alert
from stepflow_tui.engine.model.checklist import ItemKind, ItemSpec
from stepflow_tui.engine.model.discrepancy import DiffClass, Discrepancy, Reject, TableVerdict, Verified
from stepflow_tui.engine.model.events import EventCode
from stepflow_tui.engine.model.finding import warning
from stepflow_tui.engine.model.plan import (
    Compare,
    CompareKind,
    ObjectType,
    Plan,
    PlannedObject,
    TableFacts,
    TablePlan,
    Walk,
    WalkKind,
)
from stepflow_tui.engine.model.state import RunResult, RunState, StepState
from stepflow_tui.engine.testing import ManualClock

RUN = "shop-20260101T000000-abcd"
START = 1_767_225_600_000
HOSTILE = "we\x1b[2Jird\u202e"
"""A table's name with a terminal's escape and a right-to-left override."""

STEPS = (
    StepEntry(phase="prepare", name="preflight", danger="none", loses=""),
    StepEntry(phase="prepare", name="backup", danger="none", loses=""),
    StepEntry(phase="backfill", name="copy", danger="none", loses="the copied rows"),
    StepEntry(phase="validate", name="verify", danger="none", loses=""),
    StepEntry(phase="complete", name="settle-checklist", danger="none", loses=""),
)


async def make(state: Path) -> None:
    """The run in a state directory that has nothing else: it ended with one table equal and one different."""
    StateDir.open(state, {})
    (state / KEY_FILE).write_bytes(bytes(range(32)))
    run_dir = state / "runs" / RUN
    run_dir.mkdir(mode=0o700, parents=True)
    clock = ManualClock(now_ms=START)
    async with await Journal.open(run_dir, clock) as journal:
        journal.use_audit_key(bytes(range(32)), "host")
        await _begun(journal)
        await _prepared(journal, clock)
        await _copied(journal, clock)
        await _ended(journal)


async def _begun(journal: Journal) -> None:
    await journal.create_run(
        NewRun(
            id=RUN,
            name="shop",
            kind="sqlite-to-postgres",
            mode="copy",
            environment="staging",
            config_hash="c0ffee",
            config={"text": "keymap: {pause: t}\n", "relevant": {}, "sides": {}},
            config_path="/srv/shop/stepflow.yaml",
            tool="1.0",
            versions={"stepflow": "1.0", "python": "3.11", "sqlite": "3.45"},
            source={"path": "/srv/shop/shop.db"},
        )
    )
    await journal.set_playbook(("prepare", "backfill", "validate", "complete"), STEPS)
    await journal.set_items(
        (
            ItemSpec(id="teams-told", kind=ItemKind.MANUAL, before="backfill", params={"when": "before"}),
            ItemSpec(id="backup-database", kind=ItemKind.AUTO, params={"when": "before"}),
            ItemSpec(id="vpn", kind=ItemKind.MANUAL, params={"when": "after", "title": "VPN is up", "owner": "ops"}),
        )
    )
    await journal.set_state(RunState.RUNNING)
    await journal.event(
        EventCode.RUN_STARTED,
        {"name": "shop", "kind": "sqlite-to-postgres", "mode": "copy", "environment": "staging", "resumed": False},
    )
    await journal.audit("anna", "started", {"epoch": 1})


async def _step(journal: Journal, clock: ManualClock, step: str, ms: int) -> None:
    await journal.step_intent(step)
    clock.advance(ms / 1000)
    await journal.step_done(step, {})


async def _prepared(journal: Journal, clock: ManualClock) -> None:
    await journal.set_phase("prepare", StepState.RUNNING)
    await _step(journal, clock, "prepare.preflight", 400)
    await journal.set_findings("preflight", [warning("source_changed", "sale")])
    await _step(journal, clock, "prepare.backup", 1250)
    await journal.save_backup("/srv/backup.db", 8192, "ab" * 32, verified=True)
    await journal.check_item("backup-database", ok=True)
    await journal.save_plan(_plan())
    await journal.set_phase("prepare", StepState.DONE)
    question = {"kind": "item", "id": "teams-told", "params": {}}
    await journal.event(EventCode.GATE, {"phase": "backfill", "state": "open", "questions": [question]})
    await journal.tick_item("teams-told", by="anna", note="told by mail")
    await journal.audit("anna", "tick", {"item": "teams-told"})
    await journal.event(EventCode.GATE, {"phase": "backfill", "state": "passed", "questions": []})


def _plan() -> Plan:
    walk, compare = Walk(kind=WalkKind.ROWID), Compare(kind=CompareKind.KEY, columns=("id",))
    tables = tuple(
        TablePlan(source=name, schema="public", name=name, columns=(), walk=walk, compare=compare)
        for name in ("customer", HOSTILE)
    )
    view = PlannedObject(
        id="v",
        type=ObjectType.VIEW,
        name="totals",
        table=None,
        carried=False,
        reason="it uses rowid",
        sql="create view",
    )
    return Plan(
        hash="feed", kind="sqlite-to-postgres", mode="copy", schema_hash="s", config_hash="c0ffee", encoding="UTF-8",
        tables=tables, statements=(), objects=(view,), facts={t.source: TableFacts(rows=3) for t in tables},
    )  # fmt: skip


async def _copied(journal: Journal, clock: ManualClock) -> None:
    await journal.set_phase("backfill", StepState.RUNNING)
    await _step(journal, clock, "backfill.copy", 65_000)
    await journal.raise_alert(Alert(code="throttled", params={"reason": "the source's writers wait"}))
    await journal.ack_alert("throttled", by="anna", note="known")
    await journal.set_phase("backfill", StepState.DONE)
    await journal.set_rejects(HOSTILE, [Reject(table=HOSTILE, key={"id": 7}, column="t", reason="NUL byte")])
    await journal.set_phase("validate", StepState.RUNNING)
    await journal.save_verdict(_verdict("customer", Verified.EQUAL))
    await journal.save_verdict(_verdict(HOSTILE, Verified.DIFFERENT))
    await _step(journal, clock, "validate.verify", 900)
    await journal.set_phase("validate", StepState.DONE)


def _verdict(table: str, verified: Verified) -> TableVerdict:
    equal = verified is Verified.EQUAL
    found = Discrepancy(
        table=table, key={"id": 2}, column="t", cls=DiffClass.CHANGED, source="a\x1b[31mb", target="ab", cause="",
        repair_sql="update t set t = 'ab'",
    )  # fmt: skip
    return TableVerdict(
        table=table, verified=verified, reason="" if equal else "1 row rejected", source_rows=3, target_rows=3 if equal else 2,
        rejected_rows=0 if equal else 1, digest_source="1", digest_target="1" if equal else "2", as_of_ms=START,
        ranges=(), discrepancies=() if equal else (found,),
    )  # fmt: skip


async def _ended(journal: Journal) -> None:
    await journal.set_phase("complete", StepState.RUNNING)
    await journal.add_note("anna", "the café's till was open")
    await journal.finish(RunState.INCOMPLETE, RunResult.INCOMPLETE, ExitCode.DIFFERENT)
    await journal.finished_event(RunResult.INCOMPLETE.value, ExitCode.DIFFERENT, "/srv/report.json")
    await journal.audit("anna", "finished", {"result": "incomplete"})
