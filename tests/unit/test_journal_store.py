"""The journal's writer: privacy, pragmas, transactions that a cancelled caller can't tear, the full disk, transitions."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import aiosqlite
import pytest

from stepflow_tui.engine.errors import DiskFull, Drift, EngineLost, Refused, StepFailed, UsageError
from stepflow_tui.engine.journal import schema, writer
from stepflow_tui.engine.journal.clock import SystemClock
from stepflow_tui.engine.journal.commands import send
from stepflow_tui.engine.journal.runs import NewRun
from stepflow_tui.engine.journal.steps import StepEntry
from stepflow_tui.engine.journal.store import Journal
from stepflow_tui.engine.model.alert import Alert
from stepflow_tui.engine.model.checklist import ItemKind, ItemSpec
from stepflow_tui.engine.model.discrepancy import (
    SET_ASIDE,
    DiffClass,
    Discrepancy,
    RangeDigest,
    Reject,
    TableVerdict,
    Verified,
)
from stepflow_tui.engine.model.events import EventCode
from stepflow_tui.engine.model.finding import Severity, info, warning
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
from stepflow_tui.engine.model.progress import EtaState, Progress
from stepflow_tui.engine.model.redact import redactor
from stepflow_tui.engine.model.state import TRANSITIONS, RunResult, RunState, StepState
from stepflow_tui.engine.model.table import TableState
from stepflow_tui.engine.testing import ManualClock

RUN = NewRun(
    id="r", name="shop", kind="sqlite-to-postgres", mode="copy", environment="staging",
    config_hash="c", config={"text": "x"}, config_path="/c.yaml", tool="1",
)  # fmt: skip


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    async with await Journal.open(tmp_path, SystemClock()) as journal:
        await journal.create_run(RUN)
        yield journal


def plan(*tables: str) -> Plan:
    walk, compare = Walk(kind=WalkKind.ROWID), Compare(kind=CompareKind.KEY, columns=("id",))
    return Plan(
        hash="h1",
        kind="sqlite-to-postgres",
        mode="copy",
        schema_hash="s",
        config_hash="c",
        encoding="UTF-8",
        tables=tuple(
            TablePlan(source=t, schema="public", name=t, columns=(), walk=walk, compare=compare) for t in tables
        ),
        statements=(),
        objects=(
            PlannedObject(
                id="v", type=ObjectType.VIEW, name="v", table=None, carried=False, reason="no", sql="create view v"
            ),
        ),
        facts={t: TableFacts(rows=3) for t in tables},
    )


async def test_files_are_private_and_pragmas_hold(journal: Journal, tmp_path: Path) -> None:
    await journal.event(EventCode.NOTE, {})
    for name in ("journal.db", "journal.db-wal", "journal.db-shm", "reserve"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600, name
    for pragma, wanted in (
        ("journal_mode", "wal"),
        ("synchronous", 2),
        ("busy_timeout", 5000),
        ("wal_autocheckpoint", 1000),
    ):
        assert next(iter((await journal.fetch(f"PRAGMA {pragma}"))[0].values())) == wanted


async def test_a_newer_journal_is_refused(tmp_path: Path) -> None:
    async with await Journal.open(tmp_path, SystemClock()):
        pass
    with sqlite3.connect(tmp_path / "journal.db") as db:
        db.execute(f"PRAGMA user_version={schema.latest() + 1}")
    db.close()
    with pytest.raises(Refused) as caught:
        await Journal.open(tmp_path, SystemClock())
    assert caught.value.code == "journal_newer"


def test_fresh_schema_equals_migrated_schema() -> None:
    """Whatever version a journal was made with, it ends with the same tables."""

    def after(start: int) -> list[Any]:
        db = sqlite3.connect(":memory:")
        for migration in schema.migrations()[:start]:
            for statement in migration.statements:
                db.execute(statement)
        for migration in schema.pending(start):
            for statement in migration.statements:
                db.execute(statement)
        found = db.execute("SELECT type,name,tbl_name,sql FROM sqlite_schema ORDER BY name").fetchall()
        db.close()
        return found

    fresh = after(0)
    assert len(fresh) > 20
    assert all(after(n) == fresh for n in range(len(schema.migrations()) + 1))


def test_old_libraries_get_tables_without_strict() -> None:
    script = "CREATE TABLE a (x INTEGER) STRICT;\n-- c;\nCREATE TABLE b (y TEXT DEFAULT ';');"
    old, new = schema.statements(script, (3, 34, 0)), schema.statements(script, (3, 40, 0))
    assert [s.count("STRICT") for s in old] == [0, 0]
    assert [s.count("STRICT") for s in new] == [1, 0]
    assert len(old) == 2


async def test_every_transition_not_listed_is_refused(journal: Journal) -> None:
    for before, after in product(RunState, RunState):
        await journal.execute("UPDATE run SET state=?", (before.value,))
        if after is before or after in TRANSITIONS[before]:
            await journal.set_state(after)
            assert await journal.state() is after
        else:
            with pytest.raises(Refused) as caught:
                await journal.set_state(after)
            assert caught.value.code == "transition"
            assert await journal.state() is before


async def test_cancelled_writes_are_whole_or_absent(journal: Journal) -> None:
    """Cancelling an await cancels no statement: a pair of rows must never be halved."""

    async def pair(n: int) -> None:
        async def body(db: aiosqlite.Connection) -> None:
            for half in ("a", "b"):
                await db.execute("INSERT INTO event(at_ms,level,step,code,data) VALUES(1,20,?,?,'{}')", (str(n), half))
                await asyncio.sleep(0)

        await journal.write(body)

    for n in range(30):
        task = asyncio.create_task(pair(n))
        for _ in range(n % 7):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    counts = await journal.fetch("SELECT step,count(*) AS n FROM event WHERE code IN ('a','b') GROUP BY step")
    assert all(r["n"] == 2 for r in counts)
    await journal.event(EventCode.NOTE, {"still": "writable"})


async def test_a_failing_body_leaves_nothing(journal: Journal) -> None:
    async def body(db: aiosqlite.Connection) -> None:
        await db.execute("UPDATE run SET name='other'")
        raise Refused("no")

    with pytest.raises(Refused):
        await journal.write(body)
    row = await journal.run_row()
    assert row is not None
    assert row["name"] == "shop"


async def test_full_disk_gives_the_reserve_back(journal: Journal, tmp_path: Path) -> None:
    pages = (await journal.fetch("PRAGMA page_count"))[0]["page_count"]
    await journal.fetch(f"PRAGMA max_page_count={pages}")  # what SQLite then says is what a full disk says
    with pytest.raises(DiskFull) as caught:
        await journal.event(EventCode.NOTE, {"text": "x" * 200_000})
    assert caught.value.code == "disk_full"
    assert not (tmp_path / writer.RESERVE).exists()
    await journal.fetch("PRAGMA max_page_count=1000000")
    seq = await journal.error_event(caught.value)
    rows = await journal.fetch("SELECT code,data FROM event WHERE seq=?", (seq,))
    assert rows[0]["code"] == "error"
    async with await Journal.open(tmp_path, SystemClock()):
        assert (tmp_path / writer.RESERVE).stat().st_size == writer.RESERVE_BYTES


async def test_a_lock_that_stays_is_named(journal: Journal, tmp_path: Path) -> None:
    await journal.fetch("PRAGMA busy_timeout=1")
    other = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StepFailed) as caught:
        await journal.event(EventCode.NOTE, {})
    assert caught.value.code == "journal_busy"
    other.execute("ROLLBACK")
    other.close()
    assert await journal.event(EventCode.NOTE, {}) > 0


async def test_only_foreign_writes_ring_the_bell(journal: Journal, tmp_path: Path) -> None:
    await journal.bell()
    await journal.event(EventCode.NOTE, {})
    assert not await journal.bell()
    send(tmp_path, "pause", who="me")
    assert await journal.bell()
    assert not await journal.bell()
    assert [c.verb for c in await journal.new_commands()] == ["pause"]


async def test_the_same_nonce_is_one_intent(journal: Journal, tmp_path: Path) -> None:
    first = send(tmp_path, "tick", {"item": "a"}, who="me", nonce="n1", epoch=3)
    assert send(tmp_path, "tick", {"item": "a"}, who="me", nonce="n1", epoch=3) == first
    commands = await journal.new_commands()
    assert [(c.id, c.args, c.epoch) for c in commands] == [(first, {"item": "a"}, 3)]


async def test_an_intent_needs_a_journal(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        send(tmp_path, "pause", who="me")
    assert not (tmp_path / "journal.db").exists()


async def test_steps_keep_intent_and_evidence(journal: Journal) -> None:
    steps = [StepEntry(phase="prepare", name="a", danger="none", loses="")]
    await journal.set_playbook(["prepare"], steps)
    assert await journal.step_intent("prepare.a") == 1
    row = await journal.step_row("prepare.a")
    assert row["intent_seq"] is not None
    assert row["done_seq"] is None
    await journal.step_done("prepare.a", {"n": 1})
    row = await journal.step_row("prepare.a")
    assert (row["state"], row["evidence"]) == (StepState.DONE.value, '{"n":1}')
    assert row["done_seq"] > row["intent_seq"]
    with pytest.raises(Drift):
        await journal.set_playbook(["prepare"], [StepEntry(phase="prepare", name="b", danger="none", loses="")])


async def test_an_undo_leaves_the_time_that_a_step_took(journal: Journal) -> None:
    """Else a rollback of tomorrow makes every step of the report a day long."""
    await journal.set_playbook(["prepare"], [StepEntry(phase="prepare", name="a", danger="none", loses="")])
    await journal.step_intent("prepare.a")
    await journal.step_done("prepare.a", {})
    await journal.execute("UPDATE step SET started_ms=1000, ended_ms=3000")
    await journal.step_done("prepare.a", {}, StepState.UNDONE)
    row = await journal.step_row("prepare.a")
    assert (row["state"], row["started_ms"], row["ended_ms"], row["done_seq"]) == ("undone", 1000, 3000, None)


async def test_a_lost_lease_ends_the_engine(journal: Journal) -> None:
    first = await journal.take_engine_lease("1@h")
    await journal.beat(first)
    assert await journal.take_engine_lease("2@h") == first + 1
    with pytest.raises(EngineLost):
        await journal.beat(first)


async def test_facts_come_back(journal: Journal) -> None:
    await journal.save_plan(plan("a", "b"))
    assert await journal.load_plan() == plan("a", "b")
    await journal.update_table("a", state=TableState.COPIED, target_rows=3, copy_seconds=0.5)
    diff = Discrepancy(table="b", key={"id": b"\x00"}, column="x", cls=DiffClass.CHANGED, source="1", target="2")
    ranges = (RangeDigest(n=0, lo=None, hi=None, rows=3, sha256="f"),)
    verdict = TableVerdict(
        table="b", verified=Verified.DIFFERENT, source_rows=3, target_rows=3, discrepancies=(diff,), ranges=ranges
    )
    await journal.save_verdict(verdict)
    await journal.save_verdict(verdict)
    await journal.set_rejects("a", [Reject(table="a", key={"id": 7}, column="x", reason="nul", value=b"secret row")])
    assert await journal.count("discrepancy") == 1
    assert await journal.ranges("b") == ranges
    rows = {r["source"]: r for r in await journal.table_rows()}
    assert (rows["a"]["state"], rows["a"]["target_rows"], rows["a"]["rejected_rows"]) == ("copied", 3, 1)
    assert rows["b"]["verified"] == "different"
    assert "secret row" not in str(await journal.fetch("SELECT * FROM reject"))
    await journal.save_plan(plan("a", "b"))  # a resumed plan step lists them again: what is known stays
    assert {r["source"]: r["state"] for r in await journal.table_rows()} == {"a": "copied", "b": "verified"}


async def test_rows_set_aside_stand_beside_what_the_copy_refused(journal: Journal) -> None:
    await journal.save_plan(plan("a", "b"))
    copied = Reject(table="a", key={"id": 7}, column="x", reason="nul", file="rejects/a.ndjson")
    await journal.set_rejects("a", [copied])
    same = replace(copied, reason="still nul", file=SET_ASIDE)
    await journal.set_aside([same, replace(same, table="b", key={"id": b"\xff"})])
    assert [(r.table, r.key, r.file) for r in await journal.rejects()] == [
        ("a", {"id": 7}, "rejects/a.ndjson"),
        ("a", {"id": 7}, SET_ASIDE),
        ("b", {"id": b"\xff"}, SET_ASIDE),
    ]
    assert {r["source"]: r["rejected_rows"] for r in await journal.table_rows()} == {
        "a": 1,
        "b": 1,
    }  # a row counts once
    await journal.set_aside([])
    assert await journal.rejects() == [copied]
    assert {r["source"]: r["rejected_rows"] for r in await journal.table_rows()} == {"a": 1, "b": 0}


async def test_findings_are_replaced_and_told_once(journal: Journal) -> None:
    await journal.set_findings("preflight", [warning("w", "t", n=1), info("i")])
    await journal.set_findings("preflight", [warning("w", "t", n=1), warning("new")])
    assert [r["code"] for r in await journal.findings()] == ["w", "new"]
    assert [r["code"] for r in await journal.findings(Severity.INFO)] == []
    told = await journal.fetch("SELECT data FROM event WHERE code='finding'")
    assert len(told) == 3


async def test_a_storm_of_alerts_is_one_row(journal: Journal) -> None:
    for n in range(50):
        assert await journal.raise_alert(Alert(code="throttled", key="copy", params={"n": n})) is (n == 0)
    rows = await journal.fetch("SELECT count,params FROM alert")
    assert [(r["count"], r["params"]) for r in rows] == [(50, '{"n":49}')]
    assert await journal.ack_alert("throttled", by="me") == 1
    assert await journal.resolve_alert("throttled", "copy")
    assert not await journal.resolve_alert("throttled", "copy")
    assert await journal.raise_alert(Alert(code="throttled", key="copy"))
    with pytest.raises(UsageError):
        await journal.ack_alert("nothing", by="me")
    assert len(await journal.fetch("SELECT 1 FROM event WHERE code='alert'")) == 4


async def test_checks_decide_automatic_items_and_people_the_others(journal: Journal) -> None:
    items = [ItemSpec(id="auto", kind=ItemKind.AUTO), ItemSpec(id="hand", kind=ItemKind.MANUAL, before="backfill")]
    await journal.set_items(items)
    await journal.check_item("auto", ok=False, note="no room")
    await journal.tick_item("hand", by="ann", note="done it")
    with pytest.raises(UsageError):
        await journal.tick_item("auto", by="ann", note="")
    with pytest.raises(UsageError):
        await journal.tick_item("none", by="ann", note="")
    await journal.set_items(items)
    states = [(r["id"], r["state"], r["by"]) for r in await journal.items()]
    assert states == [("auto", "failed", "check"), ("hand", "ticked", "ann")]


async def test_progress_keeps_the_newest_and_works_out_the_rest(tmp_path: Path) -> None:
    clock = ManualClock()
    async with await Journal.open(tmp_path, clock) as journal:
        for done in range(0, 1001, 100):
            journal.report(Progress(step="copy", item="t", done=done, total=2000))
            clock.advance(1.0)
        await journal.flush_progress()
        await journal.flush_progress()
        (row,) = await journal.fetch("SELECT * FROM progress")
        assert (row["done"], row["rev"], row["eta_state"]) == (1000, 1, EtaState.READY.value)
        assert row["rate"] == pytest.approx(100, rel=0.2)
        assert row["eta_s"] == pytest.approx(10, rel=0.2)
        journal.report(Progress(step="copy", item="t", done=2000, total=2000))
        await journal.flush_progress()
        (row,) = await journal.fetch("SELECT * FROM progress")
        assert (row["done"], row["eta_state"]) == (2000, EtaState.DUE.value)


async def test_secrets_are_blotted_out_of_every_table(tmp_path: Path) -> None:
    async with await Journal.open(tmp_path, SystemClock(), redactor(["hunter2!"])) as journal:
        await journal.create_run(RUN)
        error = StepFailed("no: hunter2!", detail="postgresql://u:other@h/db password=third", hint="x hunter2!")
        await journal.error_event(error)
        await journal.add_note("me", "it is hunter2!")
        await journal.set_findings("preflight", [warning("w", dsn="hunter2!")])
        await journal.raise_alert(Alert(code="a", params={"p": "hunter2!"}))
    for file in tmp_path.iterdir():
        raw = file.read_bytes()
        assert not any(s in raw for s in (b"hunter2!", b":other@", b"third")), file


async def test_the_wall_clock_may_go_back(tmp_path: Path) -> None:
    clock = ManualClock()
    async with await Journal.open(tmp_path, clock) as journal:
        first = await journal.event(EventCode.NOTE, {})
        clock.set_wall(0)
        assert await journal.event(EventCode.NOTE, {}) == first + 1


async def test_finish_and_restart(journal: Journal) -> None:
    await journal.set_state(RunState.RUNNING)
    await journal.finish(RunState.FAILED, RunResult.FAILED, 1)
    row = await journal.run_row()
    assert row is not None
    assert (row["state"], row["result"], row["exit_code"]) == ("failed", "failed", 1)
    await journal.restart()
    row = await journal.run_row()
    assert row is not None
    assert row["result"] is None
