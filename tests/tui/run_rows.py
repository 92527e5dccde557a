"""A run's folder with a real journal: events, tables, differences, rejects, an audit chain, at times that never change."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textual.app import App
from textual.pilot import Pilot

from stepflow_tui.app import StepFlowApp
from stepflow_tui.engine.journal.audit import load_key
from stepflow_tui.engine.journal.rundir import StateDir
from stepflow_tui.engine.journal.runs import NewRun
from stepflow_tui.engine.journal.store import Journal
from stepflow_tui.engine.model.discrepancy import DiffClass, Discrepancy, Reject, TableVerdict, Verified
from stepflow_tui.engine.model.events import EventCode, Level
from stepflow_tui.engine.model.plan import Compare, CompareKind, Plan, TableFacts, TablePlan, Walk, WalkKind
from stepflow_tui.engine.testing import ManualClock
from tests.tui.kit import NOW, wizard

RUN_ID = "shop-20261122T112107-7f3a"
HOSTILE = (
    "[red]not red[/red]",
    "\x1b]52;c;aGFoYQ==\x07clipboard",
    "\x1b[2J\x1b[31mescape",
    "abc\u202egnp.exe\u2066",
    "nul\x00inside\x9b31m",
    "x" * 10_000,
    "客户名单和很长的中文名字" * 4,
    "two\nlines\tand a tab",
)
"""Names and values that want to be more than text."""


READING = ("open", "page", "history", "verify", "export", "copy", "reveal")
"""Groups of workers that end by themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run as the wizard takes it."""

    id: str
    path: Path


def state_of(folder: Path) -> Path:
    """The state directory of a test."""
    return StateDir.open(folder / "state", {}).path


async def make_run(folder: Path, write: Callable[[Journal], Awaitable[None]], *tables: str) -> Run:
    """A run of these tables whose journal `write` fills."""
    state = state_of(folder)
    path = state / "runs" / RUN_ID
    path.mkdir(mode=0o700)
    async with await Journal.open(path, ManualClock(now_ms=int(NOW.timestamp() * 1000))) as journal:
        key = load_key(state, create=True)
        assert key is not None
        journal.use_audit_key(key, "testhost")
        await journal.create_run(_row())
        if tables:
            await journal.save_plan(plan_of(*tables))
        await write(journal)
    return Run(id=RUN_ID, path=path)


def _row() -> NewRun:
    return NewRun(
        id=RUN_ID,
        name="shop",
        kind="sqlite-to-postgres",
        mode="copy",
        environment="staging",
        config_hash="c",
        config={"relevant": {"verify.level": "detailed"}, "sides": {}},
        config_path="/shop/stepflow.yaml",
        tool="test",
    )


def plan_of(*tables: str) -> Plan:
    """A plan of nothing but tables."""
    walk, compare = Walk(kind=WalkKind.ROWID), Compare(kind=CompareKind.KEY, columns=("id",))
    return Plan(
        hash="p",
        kind="sqlite-to-postgres",
        mode="copy",
        schema_hash="s",
        config_hash="c",
        encoding="UTF-8",
        tables=tuple(
            TablePlan(source=name, schema="public", name=name, columns=(), walk=walk, compare=compare)
            for name in tables
        ),
        statements=(),
        objects=(),
        facts={name: TableFacts(rows=100) for name in tables},
    )


def difference(table: str, n: int, source: str | None, target: str | None, **more: Any) -> Discrepancy:
    """A changed value in row `n`."""
    given: dict[str, Any] = {"column": "name", "cls": DiffClass.CHANGED, "cause": "changed in the target"} | more
    return Discrepancy(table=table, key={"id": n}, source=source, target=target, **given)


async def verdict(journal: Journal, table: str, found: Sequence[Discrepancy], **more: Any) -> None:
    """A table that was compared."""
    verified = Verified.DIFFERENT if found else Verified.EQUAL
    given: dict[str, Any] = {"verified": verified, "source_rows": 100, "target_rows": 100} | more
    as_of = int(NOW.timestamp() * 1000)
    await journal.save_verdict(TableVerdict(table=table, discrepancies=tuple(found), as_of_ms=as_of, **given))


async def reject(journal: Journal, table: str, n: int, reason: str) -> None:
    """A row that was not carried."""
    row = Reject(table=table, key={"id": n}, column="blob", reason=reason, file=f"{table}.ndjson")
    await journal.set_rejects(table, [row])


async def note(journal: Journal, *texts: str) -> None:
    """People's remarks, one event each."""
    for text in texts:
        await journal.add_note("anna", text)


async def many_events(journal: Journal, count: int) -> None:
    """So many notes at once."""
    at = journal.clock.now_ms()
    rows = [
        (at + n, int(Level.INFO), None, EventCode.NOTE.value, journal.plain({"who": "anna", "text": f"note {n}"}))
        for n in range(count)
    ]
    await journal.executemany("INSERT INTO event(at_ms,level,step,code,data) VALUES(?,?,?,?,?)", rows)


def attached(folder: Path, run: Run, **more: Any) -> StepFlowApp:
    """The wizard on that run."""
    return wizard(folder / "state", open_run=run, **more)


async def settled(pilot: Pilot[Any]) -> None:
    """Wait until the workers that read the journal are done and all is drawn."""
    for _ in range(3):
        await pilot.pause()
        if reading := [w for w in pilot.app.workers if w.group in READING and not w.is_finished]:
            await pilot.app.workers.wait_for_complete(reading)
    await pilot.pause()


def seen(app: App[Any]) -> str:
    """What stands on the screen."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)
