"""Repair in one transaction with before-images; and what a changed source does to the verdicts."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from stepflow_tui.engine.bulk.pool import WorkerPool
from stepflow_tui.engine.errors import Drift
from stepflow_tui.engine.model.discrepancy import DiffClass, TableVerdict, Verified
from stepflow_tui.engine.model.plan import CompareKind
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.sqlite.fingerprint import fingerprint
from stepflow_tui.engine.verify.repair import apply_repair, plan_repair
from stepflow_tui.engine.verify.source_changed import against_living, compare_fingerprints
from tests.verify_kit import SAMPLES, Pair, make

TEXT = next(s for s in SAMPLES if s.name == "text")
SPOIL = (
    "update t set v = 'a'' where \\ b', w = null where id = 3",
    "delete from t where id in (8, 9)",
    "insert into t values (500, 'extra', 'row')",
)


@pytest.fixture
async def pool() -> AsyncIterator[WorkerPool]:
    async with WorkerPool(1) as workers:
        yield workers


async def _images(pair: Pair) -> list[tuple[str, str, str | None]]:
    connection = await pair.target.connect()
    try:
        rows = await connection.fetch("select run, k, image from _stepflow.before_image order by n")
        return [(r[0], r[1], r[2]) for r in rows]
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("compare", "keyed"), [(CompareKind.KEY, True), (CompareKind.MULTISET, True), (CompareKind.MULTISET, False)]
)
async def test_repair_makes_equal_and_keeps_the_rows_as_they_were(
    compare: CompareKind, keyed: bool, tmp_path: Path, pg_target: Target, pool: WorkerPool
) -> None:
    pair = await make(tmp_path, pg_target, TEXT, compare, keyed=keyed)
    await pair.sql(*SPOIL)
    verdict = await pair.verify(pool)
    actions = plan_repair(verdict.discrepancies, (pair.table,))
    assert actions[0].sql.startswith("delete")
    assert actions[-1].sql.startswith("insert")
    assert await apply_repair(actions, (pair.table,), pg_target, run="r1") == len(actions)
    assert (await pair.verify(pool)).verified is Verified.EQUAL
    images = await _images(pair)
    assert [run for run, _, _ in images] == ["r1"] * len(actions)
    kept = [json.loads(image) for _, _, image in images if image]
    assert {"id": 500, "v": "extra", "w": "row"} in kept
    assert {"id": 3, "v": "a' where \\ b", "w": None} in kept
    if keyed:
        assert [a.column for a in actions] == [None, "v", "w", None, None]
    assert sum(image is None for _, _, image in images) == sum(a.cls is DiffClass.MISSING for a in actions) >= 2


async def test_several_columns_of_a_row_without_a_key_are_repaired_together(
    tmp_path: Path, pg_target: Target, pool: WorkerPool
) -> None:
    sample = next(s for s in SAMPLES if s.name == "integer")
    pair = await make(tmp_path, pg_target, replace(sample, values=(("7", "7"),)), CompareKind.MULTISET, keyed=False)
    wide = replace(pair.table.columns[1], source="x", target="x")
    lite = sqlite3.connect(pair.path)
    lite.executescript("alter table t add column x integer; alter table t add column y integer")
    lite.close()
    await pair.sql("alter table t add x bigint", "alter table t add y bigint", "update t set v = 1, x = 2 where id = 5")
    table = replace(pair.table, columns=(*pair.table.columns, wide, replace(wide, source="y", target="y")))
    verdict = await pair.verify(pool, tables=(table,))
    assert [(d.key, d.column) for d in verdict.discrepancies] == [({"rowid": 5}, "v"), ({"rowid": 5}, "x")]
    actions = plan_repair(verdict.discrepancies, (table,))
    assert len(actions) == 1
    await apply_repair(actions, (table,), pg_target, run="r1")
    assert (await pair.verify(pool, tables=(table,))).verified is Verified.EQUAL


@pytest.mark.parametrize(
    "meanwhile",
    [
        "update t set v = 'somebody' where id = 3",
        "delete from t where id = 500",
        "insert into t values (9, 'back', null)",
    ],
)
async def test_a_row_that_moved_on_stops_the_whole_repair(
    meanwhile: str, tmp_path: Path, pg_target: Target, pool: WorkerPool
) -> None:
    pair = await make(tmp_path, pg_target, TEXT, CompareKind.KEY)
    await pair.sql(*SPOIL)
    verdict = await pair.verify(pool)
    await pair.sql(meanwhile)
    with pytest.raises(Drift) as caught:
        # a row that came back shows as a refused INSERT or as one that is no longer missing
        await apply_repair(plan_repair(verdict.discrepancies, (pair.table,)), (pair.table,), pg_target, run="r1")
    assert caught.value.exit_code == 4
    connection = await pg_target.connect()
    try:
        assert await connection.fetchval("select count(*) from public.t where id in (8, 9, 500)") in (0, 1, 2)
        assert await connection.fetchval("select to_regclass('_stepflow.before_image')") is None
    finally:
        await connection.close()


async def test_a_changed_source_is_noticed_and_never_called_equal(
    tmp_path: Path, pg_target: Target, pool: WorkerPool
) -> None:
    pair = await make(tmp_path, pg_target, TEXT, CompareKind.KEY)
    frozen = tmp_path / "frozen.db"
    frozen.write_bytes(pair.path.read_bytes())
    before = await fingerprint(pair.path)
    assert not compare_fingerprints(before, await fingerprint(pair.path)).changed
    first = await pair.verify(pool, source=frozen)
    lite = sqlite3.connect(pair.path)
    lite.execute("update t set v = 'newer' where id = 4")
    lite.commit()
    lite.close()
    change = compare_fingerprints(before, await fingerprint(pair.path))
    assert (change.changed, change.replaced) == (True, False)
    untouched = replace(first, table="untouched")
    other = await pair.verify(pool, frozen=False, source=frozen)
    living = (await pair.verify(pool, frozen=False), replace(other, table="untouched"))
    changed, same = against_living((first, untouched), living, as_of_ms=1_700_000_000_000)
    assert (changed.verified, changed.as_of_ms, changed.differences) == (Verified.DIFFERENT, 1_700_000_000_000, 1)
    assert "after it was copied" in changed.reason
    assert (same.verified, same.as_of_ms) == (Verified.EQUAL, 1_700_000_000_000)
    assert same.ranges == first.ranges


async def test_a_replaced_source_is_said_to_be_so(tmp_path: Path) -> None:
    path, other = tmp_path / "a.db", tmp_path / "b.db"
    for file in (path, other):
        sqlite3.connect(file).execute("create table t(x)").connection.close()
    before = await fingerprint(path)
    other.replace(path)
    assert compare_fingerprints(before, await fingerprint(path)).replaced


def test_a_table_nobody_read_again_keeps_its_verdict() -> None:
    verdict = TableVerdict(table="x", verified=Verified.EQUAL)
    assert against_living((verdict,), (), as_of_ms=5) == (verdict,)
