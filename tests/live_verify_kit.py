"""Live verification over real databases: common points of an idle source, and tables with a live key."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stepflow_tui.engine.bulk.copy import CopyJob, copy_tables
from stepflow_tui.engine.bulk.pool import WorkerPool
from stepflow_tui.engine.bulk.segments import ledger_rows, plan_segments
from stepflow_tui.engine.journal.clock import SystemClock
from stepflow_tui.engine.live.points import CommonPoint
from stepflow_tui.engine.live.tail import Tail
from stepflow_tui.engine.live.tail_job import TailJob
from stepflow_tui.engine.live.verifier import LiveVerifier
from stepflow_tui.engine.live.verifier_state import PassResult
from stepflow_tui.engine.model.config import Level
from stepflow_tui.engine.model.control import FreeRunning, silent
from stepflow_tui.engine.model.discrepancy import Discrepancy, Reject, TableVerdict
from stepflow_tui.engine.model.plan import Plan, Stage, TablePlan
from stepflow_tui.engine.model.sensitive import NO_MASK, Mask
from stepflow_tui.engine.plan.capture import capture_plan
from stepflow_tui.engine.postgres import control, ledger, progress
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.postgres.live_tables import install_live
from stepflow_tui.engine.sqlite import capture
from stepflow_tui.engine.sqlite.connect import open_living
from stepflow_tui.engine.verify.job import VerifyJob
from tests.integration.plan_kit import plan_of, schema_of

RUN = "live-20260101T000000-0001"


class IdlePoints:
    """Common points while nobody writes: the target's present state belongs to the source's present state.

    Args:
        job: where both sides are.
        between: called before each point with its number, to change something between two points.
    """

    def __init__(self, job: VerifyJob, between: Callable[[int], Any] | None = None) -> None:
        self._job = job
        self._between = between
        self.opened = 0
        self.open = 0

    @asynccontextmanager
    async def point(self) -> AsyncIterator[CommonPoint]:
        """A new common point."""
        self.opened += 1
        if self._between is not None:
            await self._between(self.opened)
        source = open_living(self._job.source, exact_rows=True)
        target = await self._job.target.connect()
        try:
            source.execute("begin")
            source.execute("select 1 from sqlite_schema").fetchall()
            async with target.transaction(isolation="repeatable_read", readonly=True):
                self.open += 1
                yield CommonPoint(n=self.opened, source=source, target=target)
        finally:
            self.open -= 1
            source.close()
            await target.close()


def live(table: TablePlan, *key: str) -> TablePlan:
    """The table with a live key, its primary key by default."""
    return replace(table, live_key=key or table.primary_key)


def verifier(job: VerifyJob, points: Any = None, **more: Any) -> LiveVerifier:
    """A verifier over idle sides."""
    return LiveVerifier(job, points or IdlePoints(job), run=RUN, clock=SystemClock(), **more)


async def one_pass(job: VerifyJob, points: Any = None, **more: Any) -> PassResult:
    """One pass, everything closed afterwards."""
    made = verifier(job, points, **more)
    try:
        return await made.one_pass()
    finally:
        await made.close()


def only(result: PassResult) -> TableVerdict:
    """The one verdict of a pass over one table."""
    (verdict,) = result.verdicts
    return verdict


def places(found: Sequence[Discrepancy]) -> list[tuple[Any, str | None, str]]:
    """Key value, column and class."""
    return sorted(((next(iter(d.key.values())), d.column, d.cls.value) for d in found), key=str)


def execute(path: Any, *statements: str) -> None:
    """Change the source by a connection of its own."""
    connection = sqlite3.connect(path)
    try:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    finally:
        connection.close()


@dataclass
class Live:
    """A migration that has caught up: capture in the source, rows in the target, a tail between them."""

    path: Path
    target: Target
    plan: Plan
    tail: Tail
    job: VerifyJob

    async def sql(self, *statements: str) -> None:
        """Change the target behind everybody's back."""
        connection = await self.target.connect()
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()


@asynccontextmanager
async def going_live(
    path: Path, target: Target, pool: WorkerPool, *, mask: Mask = NO_MASK, **sections: Any
) -> AsyncIterator[Live]:
    """Capture, snapshot, copy, keys, tail: what a live run does before it validates."""
    plan = await plan_of(path, mode="live", target={"schema": "public"}, **sections)
    tables = tuple(t for t in plan.tables if t.impossible is None)
    installed = await capture.install(path, capture_plan(schema_of(path), plan.tables), RUN)
    frozen = path.with_suffix(".frozen")
    w0 = await asyncio.to_thread(_snapshot, path, frozen)
    connection = await target.connect()
    try:
        await control.install(connection, RUN)
        await install_live(connection)
        epoch = await control.raise_epoch(connection, RUN)
        for statement in (s for s in plan.statements if s.stage in (Stage.SCHEMA, Stage.TABLE)):
            await connection.execute(statement.sql)
        copying = CopyJob(
            run=RUN, epoch=epoch, frozen=frozen, target=target, tables=tables, facts=plan.facts, streams=1, load=None,
            encoding=plan.encoding,
        )  # fmt: skip
        first = 0
        for table in tables:
            rows = ledger_rows(
                plan_segments(frozen, table, copying.table_facts(table), encoding=plan.encoding), first=first
            )
            first += len(rows)
            await ledger.add_segments(connection, RUN, epoch, rows)
        await copy_tables(copying, control=FreeRunning(), report=silent, clock=SystemClock(), pool=pool)
        for statement in (s for s in plan.statements if s.stage is Stage.KEY):
            await connection.execute(statement.sql)
        await progress.start(connection, RUN, epoch, w0)
        rejects: dict[str, tuple[Reject, ...]] = {}
        for reject in await ledger.rejects(connection, RUN):
            rejects[reject.table] = (*rejects.get(reject.table, ()), reject)
    finally:
        await connection.close()
    tail = Tail(
        TailJob(
            run=RUN, epoch=epoch, source=path, target=target, tables=tables, installed=installed, encoding=plan.encoding, mask=mask
        ),
        control=FreeRunning(),
        clock=SystemClock(),
    )  # fmt: skip
    job = VerifyJob(
        level=Level.DETAILED, source=path, frozen=False, target=target, tables=plan.tables, facts=plan.facts,
        rejects=rejects, utf16=plan.encoding != "UTF-8", plan=plan, mask=mask,
    )  # fmt: skip
    try:
        yield Live(path, target, plan, tail, job)
    finally:
        await tail.close()


def _snapshot(path: Path, frozen: Path) -> int:
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(frozen)) as copy:
        source.backup(copy)
        return int(copy.execute("select coalesce(max(n),0) from _sf_log").fetchone()[0])


WRITER = """
import random, sqlite3, sys, time
path, seed, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
rnd, done, until = random.Random(seed), 0, time.monotonic() + seconds
db = sqlite3.connect(path, timeout=30, isolation_level=None)
def word(): return rnd.choice(["", "a ", "A", "é", "x" * rnd.randrange(40), None])
def post(c): return (rnd.randrange(1, 400), f"u{rnd.randrange(300)}", word(), rnd.random() * 10 ** rnd.randrange(-9, 9), rnd.randbytes(rnd.randrange(9)))
while time.monotonic() < until:
    db.execute("begin immediate")
    for _ in range(rnd.randrange(1, 6)):
        kind = rnd.randrange(11)
        if kind == 0: db.execute("insert or ignore into post values (?,?,?,?,?)", post(0))
        elif kind == 1: db.execute("replace into post values (?,?,?,?,?)", post(0))
        elif kind == 2: db.execute("update or replace post set id = ?, slug = ? where id = ?", (rnd.randrange(1, 400), f"u{rnd.randrange(300)}", rnd.randrange(1, 400)))
        elif kind == 3: db.execute("delete from post where id = ?", (rnd.randrange(1, 400),))
        elif kind == 4: db.execute("insert into post(id, slug, body) values (?,?,?) on conflict do update set body = excluded.body", (rnd.randrange(1, 400), f"u{rnd.randrange(300)}", word()))
        elif kind == 5:
            two = db.execute("select id, slug from post where id <= 400 order by random() limit 2").fetchall()
            if len(two) == 2:
                (a, x), (b, y) = two
                db.execute("update post set slug = ? where id = ?", (f"swap{seed}", a))
                db.execute("update post set slug = ? where id = ?", (x, b))
                db.execute("update post set slug = ? where id = ?", (y, a))
        elif kind == 6: db.execute("replace into word values (?, ?)", (rnd.choice(["k", "K", "é", "e", "zz"]) + str(rnd.randrange(60)), rnd.random()))
        elif kind == 7: db.execute("update or replace word set w = ? where w = ?", ("k" + str(rnd.randrange(60)), "zz" + str(rnd.randrange(60))))
        elif kind == 8: db.execute("insert into note values (?, ?)", (word(), rnd.randrange(5)))
        elif kind == 9: db.execute("update note set rank = ? where rowid = (select rowid from note order by random() limit 1)", (rnd.randrange(9),))
        else: db.execute("delete from note where rowid = (select rowid from note order by random() limit 1)")
    db.execute("rollback" if rnd.random() < 0.1 else "commit")
    done += 1
    time.sleep(rnd.random() * 0.004)
print(done)
"""
"""Arguments: file, seed, seconds. Every form of DML and conflict, key changes, swaps of unique values, rollbacks."""

SHOP = """
create table post (id integer primary key, slug text unique, body text, score real, data blob);
create table word (w text not null primary key, x real) without rowid;
create table note (body text, rank integer);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 300)
  insert into post select i, 'u' || (i * 7 % 307), 'body ' || i, i / 7.0, randomblob(5) from n;
with recursive n(i) as (select 1 union all select i + 1 from n where i < 60) insert into word select 'zz' || i, i from n;
with recursive n(i) as (select 1 union all select i + 1 from n where i < 100) insert into note select 'note ' || i, i % 5 from n;
"""
"""What the writer writes to: an integer key with a unique column, a text key without rowids, no key at all."""


def writers(path: Path, count: int, seconds: float, *, seed: int = 1) -> list[subprocess.Popen[str]]:
    """Application processes that write all the time."""
    return [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(seed + n), str(seconds)], stdout=subprocess.PIPE, text=True
        )
        for n in range(count)
    ]
