"""The live verifier with the real capture and tail while several processes write."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.bulk.pool import WorkerPool
from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.live import convert
from stepflow_tui.engine.live.points import CommonPoint
from stepflow_tui.engine.live.verifier_state import PassResult
from stepflow_tui.engine.model.discrepancy import Verified
from stepflow_tui.engine.model.sensitive import Mask
from stepflow_tui.engine.model.types import Kind
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.sqlite.connect import open_living
from tests.integration.plan_kit import source
from tests.live_verify_kit import SHOP, Live, execute, going_live, one_pass, places, verifier, writers


@pytest.fixture
async def pool() -> AsyncIterator[WorkerPool]:
    async with WorkerPool(1) as workers:
        yield workers


def differences(result: PassResult) -> list[tuple[Any, str | None, str]]:
    """Everything named, of all tables."""
    return places([d for v in result.verdicts for d in v.discrepancies])


@asynccontextmanager
async def under_load(live: Live, count: int = 3, seconds: float = 5.0) -> AsyncIterator[Callable[[], bool]]:
    """Writers and the tail at work; yields whether the writers still are. All of them must end well."""
    running = asyncio.create_task(live.tail.run())
    busy = writers(live.path, count, seconds)
    try:
        yield lambda: any(w.poll() is None for w in busy)
    finally:
        done = [w.communicate()[0] for w in busy]
        running.cancel()
    assert sum(map(int, done)) > 100


@pytest.mark.parametrize(
    ("journal", "encoding"), [("wal", "UTF-8"), ("delete", "UTF-8"), ("wal", "UTF-16le"), ("delete", "UTF-16be")]
)
async def test_no_false_difference_under_load(
    journal: str, encoding: str, tmp_path: Path, pg_target: Target, pool: WorkerPool
) -> None:
    """Swaps of unique values, key changes, REPLACE and rollbacks go on; every pass is clean."""
    path = source(tmp_path / "shop.db", f"pragma encoding='{encoding}';pragma journal_mode={journal};{SHOP}")
    async with going_live(path, pg_target, pool) as live:
        made = verifier(live.job, live.tail)
        passes: list[PassResult] = []
        async with under_load(live) as busy:
            while busy():
                passes.append(await made.one_pass())
        assert [p.verdicts for p in passes if not p.clean] == []
        assert len(passes) >= 5
        assert passes[-1].to_n - passes[0].from_n > 200
        assert made.clean is not None
        assert made.clean.from_n == passes[-1].from_n
        assert {v.table for v in passes[-1].verdicts if v.verified is Verified.EQUAL} >= {"post", "note"}
        await made.close()


class LoosePoints:
    """What a comparison would do without common points: two snapshots, taken when it happens to be."""

    def __init__(self, live: Live) -> None:
        self._live = live

    @asynccontextmanager
    async def point(self) -> AsyncIterator[CommonPoint]:
        target = await self._live.target.connect()
        source = open_living(self._live.path, exact_rows=True)
        try:
            async with target.transaction(isolation="repeatable_read", readonly=True):
                await target.fetchval("select 1")
                source.execute("begin")
                n = source.execute("select coalesce(max(n), 0) from _sf_log").fetchone()[0]
                yield CommonPoint(n=n, source=source, target=target)
        finally:
            source.close()
            await target.close()


async def test_without_common_points_it_would_report_false_differences(
    tmp_path: Path, pg_target: Target, pool: WorkerPool
) -> None:
    """The negative control of the test above."""
    path = source(tmp_path / "shop.db", f"pragma journal_mode=wal;{SHOP}")
    async with going_live(path, pg_target, pool) as live:
        found = 0
        async with under_load(live) as busy:
            while busy():
                found += (await one_pass(live.job, LoosePoints(live))).differing
        assert found > 0
        assert (await one_pass(live.job, live.tail)).clean  # they were false


async def test_a_real_difference_is_named_among_moving_rows(
    tmp_path: Path, pg_target: Target, pool: WorkerPool
) -> None:
    """Rows that no writer touches are changed in the target: these are named, and nothing else."""
    path = source(tmp_path / "shop.db", f"pragma journal_mode=wal;{SHOP}")
    execute(path, "insert into post select id + 10000, 'quiet' || id, body, score, data from post where id <= 20",
            "insert into word values ('quiet ', 0.1), ('Quiet', 2), ('quiet', 3)")  # fmt: skip
    async with going_live(path, pg_target, pool) as live:
        made = verifier(live.job, live.tail)
        async with under_load(live, seconds=6.0) as busy:
            assert (await made.one_pass()).clean
            assert made.clean is not None
            await live.sql(
                "update post set score = score * (1 + 3e-16) where id = 10003",  # the last bit
                "update post set body = body || ' ' where id = 10004",
                "update post set data = null where id = 10005",
                "delete from post where id = 10006",
                "insert into post values (20000, 'extra', null, null, null)",
                "update word set w = 'QUIET' where w = 'quiet'",
            )
            result = await made.one_pass()
            assert busy()
            assert made.clean is None
        assert differences(result) == sorted(
            [
                (10003, "score", "precision"), (10004, "body", "changed"), (10005, "data", "changed"), (10006, None, "missing"),
                (20000, None, "extra"), ("quiet", None, "missing"), ("QUIET", None, "extra"),
            ], key=str,
        )  # fmt: skip
        await made.close()


async def _behind(path: Path, table: str, statement: str) -> None:
    """A write that no trigger sees, after which schema version and triggers are what they were."""
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("begin immediate")
        version = conn.execute("pragma schema_version").fetchone()[0]
        triggers = conn.execute(
            "select name, sql from sqlite_schema where type = 'trigger' and tbl_name = ? order by rowid", (table,)
        ).fetchall()
        for name, _ in triggers:
            conn.execute(f'drop trigger "{name}"')
        conn.execute(statement)
        for _, sql in triggers:
            conn.execute(sql)
        conn.execute(f"pragma schema_version = {version}")
        conn.execute("commit")


async def test_a_write_behind_captures_back_is_found(tmp_path: Path, pg_target: Target, pool: WorkerPool) -> None:
    """An application with its triggers switched off: the log knows nothing, the next pass does, a comparison by log doesn't."""
    path = source(tmp_path / "shop.db", f"pragma journal_mode=wal;{SHOP}")
    async with going_live(path, pg_target, pool) as live:
        made = verifier(live.job, live.tail)
        first = await made.one_pass()
        await _behind(path, "post", "update post set body = 'unseen' where id = 5")
        await _behind(path, "post", "delete from post where id = 6")
        await _behind(path, "word", "insert into word values ('unseen', 1)")
        async with live.tail.point() as point:
            assert await made.compare_logged(point, first.from_n) == (point.n, [])
        assert differences(await made.one_pass()) == sorted(
            [(5, "body", "changed"), (6, None, "extra"), ("unseen", None, "missing")], key=str
        )
        await made.close()


async def test_a_wrong_converter_of_the_tail_is_found(
    tmp_path: Path, pg_target: Target, pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tail sends 12 digits of a double: the verifier has a converter of its own."""
    path = source(tmp_path / "shop.db", SHOP)
    exact = convert.encoder

    def wrong(column: Any, **options: Any) -> Any:
        right = exact(column, **options)
        if column.type.kind is not Kind.REAL:
            return right
        return lambda value: b"%.12g" % value if isinstance(value, float) else right(value)

    monkeypatch.setattr(convert, "encoder", wrong)
    async with going_live(path, pg_target, pool) as live:
        assert (await one_pass(live.job, live.tail)).clean
        execute(path, "update post set body = 'touched' where id in (1, 3, 7)")
        result = await one_pass(live.job, live.tail)
        assert differences(result) == [(1, "score", "precision"), (3, "score", "precision")]  # 7 / 7.0 is short


async def test_quarantined_rows_are_failures_until_they_are_mended(
    tmp_path: Path, pg_target: Target, pool: WorkerPool
) -> None:
    """With a sensitive key too, which the quarantine shows as a fingerprint."""
    path = source(tmp_path / "shop.db", SHOP)
    async with going_live(path, pg_target, pool) as live:
        execute(path, "update post set body = 'a' || char(0) || 'b' where id = 9")
        made = verifier(live.job, live.tail)
        result = await made.one_pass()
        post = next(v for v in result.verdicts if v.table == "post")
        assert (post.verified, post.rejected_rows, post.differences) == (Verified.DIFFERENT, 1, 0)
        assert post.reason == "1 rows were rejected or quarantined"
        assert (result.clean, made.clean) == (False, None)
        async with live.tail.point() as point:
            _, found = await made.compare_logged(point, 0)
        assert [(d.key, d.cause.partition(":")[0]) for d in found] == [({"id": 9}, "quarantined")]
        execute(path, "update post set body = 'ab' where id = 9")
        assert (await made.one_pass()).clean
        await made.close()


async def test_rows_the_copy_rejected_count_while_they_are_missing(
    tmp_path: Path, pg_target: Target, pool: WorkerPool
) -> None:
    path = source(tmp_path / "shop.db", SHOP)
    execute(path, "update post set body = 'a' || char(0) || 'b' where id in (9, 10)")
    async with going_live(path, pg_target, pool) as live:
        assert len(live.job.rejects["post"]) == 2
        made = verifier(live.job, live.tail)
        rejected = []
        for statement in ("select 1", "update post set body = 'ab' where id = 9", "delete from post where id = 10"):
            execute(path, statement)
            result = await made.one_pass()
            rejected.append((result.clean, sum(v.rejected_rows for v in result.verdicts), differences(result)))
        assert rejected == [(False, 2, []), (False, 1, []), (True, 0, [])]
        await made.close()


async def test_masked_quarantine(tmp_path: Path, pg_target: Target, pool: WorkerPool) -> None:
    path = source(tmp_path / "shop.db", SHOP)
    mask = Mask(key=b"k", columns={"word": frozenset({"w"})})
    async with going_live(path, pg_target, pool, mask=mask) as live:
        execute(path, "insert into word values ('x' || char(0), 1)", "insert into word values (x'0102', 2)")
        result = await one_pass(live.job, live.tail)
        word = next(v for v in result.verdicts if v.table == "word")
        assert (word.rejected_rows, word.differences) == (2, 0)
        assert [v.table for v in result.verdicts if v.verified is Verified.DIFFERENT] == ["word"]


async def test_keys_of_another_storage_class(tmp_path: Path, pg_target: Target, pool: WorkerPool) -> None:
    """A key column without affinity takes anything: ranges would call these rows missing and extra, lookups don't."""
    path = source(tmp_path / "odd.db", "create table k (a primary key not null, v text) without rowid;"
                  "insert into k values ('m', 'one'), ('n', 'two')")  # fmt: skip
    async with going_live(path, pg_target, pool) as live:
        execute(path, "insert into k values (5, 'number'), (x'6d', 'blob'), (7.5, 'real'), ('z', 'three')")
        made = verifier(live.job, live.tail)
        result = await made.one_pass()
        (verdict,) = result.verdicts
        assert (verdict.differences, verdict.rejected_rows) == (0, 1)  # the blob
        execute(path, "delete from k where a = x'6d'")
        assert (await made.one_pass()).clean
        await live.sql("insert into k values ('8', 'extra')", "delete from k where a = '7.5'")
        assert differences(await made.one_pass()) == sorted([("8", None, "extra"), (7.5, None, "missing")], key=str)
        await made.close()


async def test_what_was_logged_since_a_clean_pass(tmp_path: Path, pg_target: Target, pool: WorkerPool) -> None:
    """The cutover's comparison: few keys, exact, and in parts."""
    path = source(tmp_path / "shop.db", SHOP)
    async with going_live(path, pg_target, pool) as live:
        made = verifier(live.job, live.tail)
        await made.one_pass()
        assert made.clean is not None
        start = made.clean.from_n
        execute(
            path,
            "update post set id = 5000 where id = 4",
            "delete from word where w = 'zz3'",
            "update note set rank = 9",
        )
        async with live.tail.point() as point:
            assert await made.compare_logged(point, start) == (point.n, [])
            high, found = await made.compare_logged(point, start, most=2)
            assert (high, found) == (start + 2, [])
        touched = await live.tail.touched_since(start)
        await live.sql("update post set body = 'x' where id = 5000", "insert into word values ('zz3', 3)",
                       "update post set body = 'y' where id = 20", "delete from note where _sf_rowid = 30")  # fmt: skip
        expected = sorted([(5000, "body", "changed"), ("zz3", None, "extra"), (30, None, "missing")], key=str)
        async with live.tail.point() as point:
            _, found = await made.compare_logged(point, start)
            assert places(found) == expected  # the row nobody touched belongs to the passes
            assert places(await made.compare_touched(point, touched)) == expected
        await made.close()


async def test_a_pruned_log_proves_nothing(tmp_path: Path, pg_target: Target, pool: WorkerPool) -> None:
    path = source(tmp_path / "shop.db", SHOP)
    async with going_live(path, pg_target, pool) as live:
        made = verifier(live.job, live.tail)
        start = (await made.one_pass()).from_n
        execute(path, "update post set body = 'x' where id < 9")
        async with live.tail.point() as point:
            assert (await made.compare_logged(point, start))[1] == []
        execute(path, f"delete from _sf_log where n > 0 and n <= {start + 3}")
        async with live.tail.point() as point:
            assert (await made.compare_logged(point, start + 3))[1] == []
            with pytest.raises(StepFailed) as caught:
                await made.compare_logged(point, start)
        assert caught.value.code == "log_pruned"
        await made.close()
