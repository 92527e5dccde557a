"""Rows are named so that nothing else bears the name: a refused row hides no other one and is not missing as well."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.bulk.pool import WorkerPool
from stepflow_tui.engine.model.discrepancy import DiffClass, Verified
from stepflow_tui.engine.plan.quote import pg_name
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.verify import sides
from stepflow_tui.engine.verify.job import VerifyJob
from stepflow_tui.engine.verify.levels import verify_tables
from tests.verify_kit import migrate

NUL = "'a'||char(0)||'b'"


@pytest.fixture
async def pool() -> AsyncIterator[WorkerPool]:
    async with WorkerPool(1) as workers:
        yield workers


def source(folder: Path, *statements: str) -> Path:
    path = folder / "source.db"
    lite = sqlite3.connect(path)
    for statement in statements:
        lite.execute(statement)
    lite.commit()
    lite.close()
    return path


def null_keys(folder: Path) -> Path:
    return source(
        folder,
        "create table t(id text primary key, v text, n integer, m integer)",
        "insert into t values ('a', 'one', 1, 10), (null, 'two', 2, 20), (null, 'three', 3, 30), (null, 'four', 4, 40)",
        f"insert into t values (null, {NUL}, 5, 50), ('z', {NUL}, 6, 60)",
    )


async def test_a_refused_row_with_null_in_its_key_hides_no_other_row(
    tmp_path: Path, pg_target: Target, pool: WorkerPool
) -> None:
    job = await migrate(null_keys(tmp_path), pg_target, pool)
    assert [r.key for r in job.rejects["t"]] == [{"id": None, "rowid": 5}, {"id": "z"}]
    (verdict,) = await verify_tables(job, pool=pool)
    assert (verdict.verified, verdict.rejected_rows, verdict.differences) == (Verified.DIFFERENT, 2, 0)
    assert (verdict.source_rows, verdict.target_rows, verdict.discrepancies) == (6, 4, ())


async def test_rows_with_null_in_their_key_are_told_apart(tmp_path: Path, pg_target: Target, pool: WorkerPool) -> None:
    job = await migrate(null_keys(tmp_path), pg_target, pool)
    there = pg_name(job.tables[0].schema, job.tables[0].name)
    await _sql(pg_target, f"delete from {there} where v='two'", f"update {there} set v='changed' where v='four'")
    (verdict,) = await verify_tables(job, pool=pool)
    assert (verdict.source_rows, verdict.target_rows, verdict.differences) == (6, 3, 2)
    missing, changed = sorted(verdict.discrepancies, key=lambda d: d.column or "")
    assert (missing.key, missing.column, missing.cls) == ({"id": None, "rowid": 2}, None, DiffClass.MISSING)
    assert (changed.key, changed.column) == ({"id": None, "rowid": 4}, "v")
    condition = changed.repair_sql.partition(" where ")[2]
    assert condition.startswith("ctid=")


@pytest.mark.parametrize(
    ("statements", "key"),
    [
        (("pragma encoding='UTF-16le'", "create table t(k text primary key, v text)",
          "insert into t values ('plain', 'x'), (cast(x'00d8' as text), 'y')"), {"k": b"\x00\xd8"}),
        (("create table t(k real primary key, v text)", f"insert into t values (9e999, {NUL}), (-9e999, 'y'), (0.5, 'z')"),
         {"k": "inf"}),
    ],
)  # fmt: skip
async def test_a_refused_row_with_an_odd_key_is_not_missing_as_well(
    statements: tuple[str, ...], key: dict[str, Any], tmp_path: Path, pg_target: Target, pool: WorkerPool
) -> None:
    job = await migrate(source(tmp_path, *statements), pg_target, pool)
    assert [r.key for r in job.rejects["t"]] == [key]
    (verdict,) = await verify_tables(job, pool=pool)
    assert (verdict.rejected_rows, verdict.differences, verdict.discrepancies) == (1, 0, ())


async def test_connections_are_kept_from_table_to_table(
    tmp_path: Path, pg_target: Target, pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    real = sides.open_target

    async def counted(job: VerifyJob) -> Any:
        opened.append(job)
        return await real(job)

    tables = [f"create table t{n}(id integer primary key, v text)" for n in range(6)]
    job = await migrate(source(tmp_path, *tables, "insert into t3(v) values ('x')"), pg_target, pool)
    monkeypatch.setattr(sides, "open_target", counted)
    verdicts = await verify_tables(job, pool=pool)
    assert [v.verified for v in verdicts] == [Verified.EQUAL] * 6
    assert len(opened) == job.streams


async def _sql(target: Target, *statements: str) -> None:
    connection = await target.connect()
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()
