"""Levels, verdicts, digests and reasons on real files; equal data is never called different."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.bulk import spec
from stepflow_tui.engine.bulk.pool import WorkerPool
from stepflow_tui.engine.errors import Stopping
from stepflow_tui.engine.model.config import Level
from stepflow_tui.engine.model.control import FreeRunning
from stepflow_tui.engine.model.discrepancy import Reject, Verified
from stepflow_tui.engine.model.plan import CompareKind
from stepflow_tui.engine.model.progress import Progress
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.verify import arrow_forms, by_value, cut
from stepflow_tui.engine.verify.levels import verify_tables
from stepflow_tui.engine.verify.objects import verify_objects
from stepflow_tui.engine.verify.recompute import table_digest
from tests.acceptance import hostile
from tests.verify_kit import SAMPLES, classes, make, migrate

TEXT = next(s for s in SAMPLES if s.name == "text")
BLOB = next(s for s in SAMPLES if s.name == "blob")
MICROSECONDS = next(s for s in SAMPLES if s.name == "timestamp us")
ODD_FILES = (
    "floats", "collations", "null_keys", "without_rowid", "duplicate_rows_without_key", "utf16", "shadowed_rowids",
    "generated_columns", "full_text", "mixed_collide", "dates_of_every_sort", "big_blobs", "names", "wide_639",
)  # fmt: skip


@pytest.fixture
async def pool() -> AsyncIterator[WorkerPool]:
    async with WorkerPool(1) as workers:
        yield workers


@pytest.mark.parametrize("name", ODD_FILES)
async def test_equal_data_is_equal_on_every_path(
    name: str, tmp_path: Path, pg_target: Target, pool: WorkerPool
) -> None:
    path = hostile.make(next(c for c in hostile.CASES if c.name == name), tmp_path / "odd.db")
    job = await migrate(path, pg_target, pool)
    for level in Level:
        for frozen in (True, False):
            verdicts = await verify_tables(replace(job, level=level, frozen=frozen), pool=pool)
            assert [v.table for v in verdicts if v.verified is not Verified.EQUAL] == [], (level, frozen, verdicts)
            for table, verdict in zip(job.tables, verdicts, strict=True):
                if verdict.ranges:
                    assert await table_digest(pg_target, table, verdict.ranges, pool=pool) == verdict.digest_source
    assert await verify_objects(job) == ()


async def test_rejected_rows_make_a_table_different_but_are_not_missing(
    tmp_path: Path, pg_target: Target, pool: WorkerPool
) -> None:
    path = hostile.make(next(c for c in hostile.CASES if c.name == "nul_and_bad_utf8"), tmp_path / "bad.db")
    job = await migrate(path, pg_target, pool)
    rejected = sum(len(found) for found in job.rejects.values())
    assert rejected
    for level in Level:
        (verdict,) = await verify_tables(replace(job, level=level), pool=pool)
        assert (verdict.verified, verdict.rejected_rows, verdict.differences) == (Verified.DIFFERENT, rejected, 0)
        assert verdict.source_rows is not None
        assert verdict.target_rows == verdict.source_rows - rejected
        assert verdict.reason
    (forgotten,) = await verify_tables(replace(job, rejects={}), pool=pool)
    assert forgotten.differences == rejected


@pytest.mark.parametrize("compare", list(CompareKind))
async def test_digest_is_recomputed_from_the_target_alone(
    compare: CompareKind, tmp_path: Path, pg_target: Target, pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cut, "ROWS", 10)
    monkeypatch.setattr(cut.cut, "__kwdefaults__", {"rows": 10})
    pair = await make(tmp_path, pg_target, TEXT, compare, keyed=compare is CompareKind.KEY)
    for frozen in (True, False):
        verdict = await pair.verify(pool, frozen=frozen)
        assert verdict.verified is Verified.EQUAL
        if compare is CompareKind.KEY and frozen:
            assert len(verdict.ranges) == 5
            assert sum(r.rows for r in verdict.ranges) == 40
        assert await table_digest(pg_target, pair.table, verdict.ranges, pool=pool) == verdict.digest_target
        await pair.sql("update t set w = 'changed' where id = 40")
        assert await table_digest(pg_target, pair.table, verdict.ranges, pool=pool) != verdict.digest_target
        await pair.sql("update t set w = 'row 19' where id = 40")


async def test_a_large_value_is_compared_alone(
    tmp_path: Path, pg_target: Target, pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cut, "ALONE", 4_000)
    monkeypatch.setattr(cut, "BYTES", 8_000)
    pair = await make(tmp_path, pg_target, BLOB, CompareKind.KEY)
    lite = sqlite3.connect(pair.path)
    lite.execute("update t set v = zeroblob(10000) where id in (5, 6, 40)")
    lite.commit()
    lite.close()
    await pair.sql("update t set v = decode(repeat('00', 10000), 'hex') where id in (5, 6, 40)")
    facts = replace(pair.facts, columns={k: replace(v, max_bytes=10_000) for k, v in pair.facts.columns.items()})
    verdict = await pair.verify(pool, facts={"t": facts})
    assert verdict.verified is Verified.EQUAL
    assert sum(r.sha256.startswith("raw:") for r in verdict.ranges) == 3
    assert await table_digest(pg_target, pair.table, verdict.ranges, pool=pool) == verdict.digest_target
    await pair.sql("update t set v = set_byte(v, 9999, 1) where id = 6")
    different = await pair.verify(pool, facts={"t": facts})
    assert classes(different) == [(6, "v", "changed")]
    assert len(different.discrepancies[0].source or "") < 1_000


@pytest.mark.parametrize(
    ("change", "basic", "standard"),
    [
        ("delete from t where id = 3", True, True),
        ("update t set id = 77 where id = 3", False, True),
        ("update t set v = null where v = 5", False, True),
        ("update t set v = v + 1 where id = 1", False, True),
        ("update t set w = 'row 0 and more' where id = 1", False, True),
        ("update t set w = 'row 14' where id = 26", False, False),
    ],
)
async def test_what_each_level_sees(
    change: str, basic: bool, standard: bool, tmp_path: Path, pg_target: Target, pool: WorkerPool
) -> None:
    pair = await make(tmp_path, pg_target, SAMPLES[0], CompareKind.KEY)
    await pair.sql(change)
    expected = {Level.BASIC: basic, Level.STANDARD: standard, Level.DETAILED: True, Level.COMPREHENSIVE: True}
    for level, seen in expected.items():
        verdict = await pair.verify(pool, level=level)
        assert (verdict.verified is Verified.DIFFERENT) is seen, (level, verdict)
        assert (verdict.differences > 0) is seen


async def test_all_differences_are_counted_and_a_bounded_number_named(
    tmp_path: Path, pg_target: Target, pool: WorkerPool
) -> None:
    pair = await make(tmp_path, pg_target, TEXT, CompareKind.KEY, rows=90)
    await pair.sql("update t set w = w || '!' where id <= 60", "delete from t where id > 80")
    for frozen in (True, False):
        verdict = await pair.verify(pool, named=7, frozen=frozen)
        assert verdict.differences == 70
        assert len(verdict.discrepancies) == 7


async def test_more_rows_in_the_target_than_a_range_may_have(
    tmp_path: Path, pg_target: Target, pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_value, "LIMIT", 50)
    pair = await make(tmp_path, pg_target, TEXT, CompareKind.KEY)
    await pair.sql("insert into t select n, 'extra', null from generate_series(1000, 14000) n")
    verdict = await pair.verify(pool)
    assert verdict.differences == 13_001
    assert {d.cls.value for d in verdict.discrepancies} == {"extra"}
    assert await table_digest(pg_target, pair.table, verdict.ranges, pool=pool) == verdict.digest_target


async def test_a_table_that_is_not_as_planned_is_different_and_stops_nobody(
    tmp_path: Path, pg_target: Target, pool: WorkerPool
) -> None:
    pair = await make(tmp_path, pg_target, TEXT, CompareKind.KEY)
    gone = replace(pair.table, name="gone")
    impossible = replace(pair.table, source="x", impossible="its module is missing")
    unreadable = replace(pair.table, source="nowhere")
    job = pair.job(tables=(gone, impossible, unreadable, pair.table))
    for level in Level:
        a, b, c, d = await verify_tables(replace(job, level=level), pool=pool)
        assert a.verified is Verified.DIFFERENT
        assert "gone" in a.reason
        assert (b.verified, b.reason) == (Verified.NOT_VERIFIED, "its module is missing")
        assert c.verified is Verified.NOT_VERIFIED
        assert "nowhere" in c.reason
        assert d.verified is Verified.EQUAL
    await pair.sql("alter table t drop column w")
    assert (await pair.verify(pool)).verified is Verified.DIFFERENT


async def test_a_wrong_converter_of_the_copy_is_caught(
    tmp_path: Path, pg_target: Target, pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bug.db"
    lite = sqlite3.connect(path)
    lite.executescript(
        "create table t(id integer primary key, at datetime); insert into t values (1, '2024-01-01 10:00:00')"
    )
    lite.close()
    right = spec.wire

    def wrong(source: str, column: Any) -> Any:
        wire = right(source, column)
        return replace(wire, expressions=tuple(e.replace("946684800", "946684801") for e in wire.expressions))

    monkeypatch.setattr(spec, "wire", wrong)
    job = await migrate(path, pg_target, pool)
    for level in (Level.STANDARD, Level.DETAILED, Level.COMPREHENSIVE):
        (verdict,) = await verify_tables(replace(job, level=level), pool=pool)
        assert verdict.verified is Verified.DIFFERENT
    assert classes(verdict) == [(1, "at", "changed")]


async def test_a_blind_comparison_is_caught_by_the_second_one(
    tmp_path: Path, pg_target: Target, pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = await make(tmp_path, pg_target, MICROSECONDS, CompareKind.KEY)
    await pair.sql("update t set v = v + interval '1 microsecond' where id = 1")
    monkeypatch.setattr(arrow_forms, "_iso", lambda x, y, form: (f"substr({x},1,19)", f"left({y}::text,19)"))
    assert (await pair.verify(pool)).verified is Verified.EQUAL
    verdict = await pair.verify(pool, level=Level.COMPREHENSIVE)
    assert classes(verdict) == [(1, "v", "precision")]
    assert "second" in verdict.reason
    assert verdict.digest_source != verdict.digest_target


async def test_an_arrow_reader_that_refuses_leaves_it_to_the_other_path(
    tmp_path: Path, pg_target: Target, pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = await make(tmp_path, pg_target, MICROSECONDS, CompareKind.KEY)
    monkeypatch.setattr(arrow_forms, "_iso", lambda x, y, form: (f"no_such_function({x})", f"{y}::text"))
    verdict = await pair.verify(pool)
    assert verdict.verified is Verified.EQUAL
    assert all(r.sha256.startswith("raw:") for r in verdict.ranges)


async def test_catalog_differences_are_named_with_their_repair(
    tmp_path: Path, pg_target: Target, pool: WorkerPool
) -> None:
    path = tmp_path / "catalog.db"
    lite = sqlite3.connect(path)
    lite.executescript(
        "create table p(id integer primary key autoincrement, name text not null default 'x', n integer check (n > 0));"
        "create index by_name on p(name); create view v as select name from p;"
        "insert into p(name, n) values ('a', 1), ('b', 2); delete from p where id = 2;"
    )
    lite.close()
    job = await migrate(path, pg_target, pool)
    assert job.plan is not None
    assert await verify_objects(job) == ()
    connection = await pg_target.connect()
    try:
        for sql in (
            "drop index app.by_name", "drop view app.v", "alter table app.p alter name drop not null, alter name drop default",
            "select setval(pg_get_serial_sequence('app.p', 'id'), 1)", "alter table app.p alter n type integer",
        ):  # fmt: skip
            await connection.execute(sql)
        found = await verify_objects(job)
        assert {(d.column or d.source, d.cls.value) for d in found} == {
            ("name", "changed"),
            ("name", "missing"),
            ("n", "type"),
            ("id", "sequence"),
            ("index by_name", "missing"),
            ("view v", "missing"),
        }
        for entry in found:
            if entry.repair_sql:
                await connection.execute(entry.repair_sql)
    finally:
        await connection.close()
    left = await verify_objects(job)
    assert [d.cls.value for d in left] == ["type"]


@pytest.mark.parametrize("changes", [{"frozen": False}, {"slow_link": True}])
async def test_a_living_file_or_a_slow_link_is_read_by_the_standard_library_only(
    changes: dict[str, Any], tmp_path: Path, pg_target: Target, pool: WorkerPool
) -> None:
    pair = await make(tmp_path, pg_target, TEXT, CompareKind.KEY)
    verdict = await pair.verify(pool, **changes)
    assert verdict.verified is Verified.EQUAL
    assert all(r.sha256.startswith("raw:") for r in verdict.ranges)


async def test_a_living_source_stays_as_it_is(tmp_path: Path, pg_target: Target) -> None:
    pair = await make(tmp_path, pg_target, TEXT, CompareKind.KEY)
    writer = sqlite3.connect(pair.path)
    writer.execute("pragma journal_mode=wal")
    writer.execute("insert into t values (41, 'late', null)")
    writer.commit()
    files = {f.name: f.read_bytes() for f in tmp_path.iterdir() if not f.name.endswith("-shm")}
    for level in Level:
        verdict = await pair.verify(frozen=False, level=level)
        assert (verdict.verified, verdict.source_rows, verdict.target_rows) == (Verified.DIFFERENT, 41, 40)
    assert {f.name: f.read_bytes() for f in tmp_path.iterdir() if not f.name.endswith("-shm")} == files
    writer.close()


class Halting(FreeRunning):
    """Asks to stop at the third look."""

    def __init__(self) -> None:
        self.looks = 0

    async def checkpoint(self) -> None:
        self.looks += 1
        if self.looks == 3:
            raise Stopping


@pytest.mark.parametrize("frozen", [True, False])
async def test_stops_between_ranges_and_reports_progress(
    frozen: bool, tmp_path: Path, pg_target: Target, pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cut, "BYTES", 300)
    pair = await make(tmp_path, pg_target, TEXT, CompareKind.KEY, rows=200)
    with pytest.raises(Stopping):
        await verify_tables(pair.job(frozen=frozen), control=Halting(), pool=pool)
    seen: list[Progress] = []
    await verify_tables(pair.job(frozen=frozen), report=seen.append, pool=pool)
    assert [p.done for p in seen] == sorted(p.done for p in seen)
    assert (seen[-1].done, seen[-1].total, seen[-1].item) == (200, 200, "t")


async def test_a_row_rejected_by_its_rowid(tmp_path: Path, pg_target: Target, pool: WorkerPool) -> None:
    pair = await make(tmp_path, pg_target, TEXT, CompareKind.MULTISET, keyed=False)
    await pair.sql("delete from t where id = 7")
    rejects = (Reject(table="t", key={"rowid": 7}, column="v", reason="by hand"),)
    verdict = await pair.verify(pool, rejects={"t": rejects})
    assert (verdict.verified, verdict.differences, verdict.rejected_rows) == (Verified.DIFFERENT, 0, 1)
    assert (verdict.source_rows, verdict.target_rows) == (40, 39)
