"""The plan's hash covers what will be made, never counts or times."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from stepflow_tui.engine.model.codec import dumps, loads
from stepflow_tui.engine.model.plan import Plan
from tests.integration.plan_kit import plan_of, source

SCHEMA = "create table t(id integer primary key autoincrement, v text, d datetime); insert into t(v, d) values ('a', '2020-01-01 00:00:00');"


async def test_rows_and_sequences_do_not_count(tmp_path: Path) -> None:
    path = source(tmp_path / "a.db", SCHEMA)
    before = await plan_of(path)
    source(path, "insert into t(v, d) values ('b', '2021-01-01 00:00:00'); vacuum;")
    after = await plan_of(path)
    assert (before.hash, before.schema_hash) == (after.hash, after.schema_hash)
    assert before.facts != after.facts


async def test_types_schema_and_config_do_count(tmp_path: Path) -> None:
    path = source(tmp_path / "a.db", SCHEMA)
    hashes = {(await plan_of(path)).hash, (await plan_of(path, target={"schema": "other"})).hash,
              (await plan_of(path, types={"by_column": {"t": {"v": "varchar(10)"}}})).hash}  # fmt: skip
    connection = sqlite3.connect(path)
    connection.execute("insert into t(v, d) values (1, 'not a date')")
    connection.commit()
    connection.close()
    hashes.add((await plan_of(path)).hash)
    source(path, "create index i on t(v)")
    hashes.add((await plan_of(path)).hash)
    assert len(hashes) == 5


async def test_a_plan_survives_the_journal(tmp_path: Path) -> None:
    plan = await plan_of(source(tmp_path / "a.db", SCHEMA))
    assert loads(Plan, dumps(plan)) == plan
