"""proj.db, a real database of 37 tables: everything it declares arrives."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import asyncpg
import pyproj
import pytest

from stepflow_tui.engine.model.plan import CompareKind, ObjectType, WalkKind
from tests.integration.plan_kit import apply, plan_of


@pytest.fixture
def proj() -> Path:
    return Path(pyproj.datadir.get_data_dir()) / "proj.db"


async def test_every_object_is_carried_and_accepted(proj: Path, pg_dsn: str) -> None:
    plan = await plan_of(proj)
    connection = await asyncpg.connect(pg_dsn)
    try:
        outcome = await apply(connection, plan)
        invalid = await connection.fetchval(
            "select count(*) from pg_constraint where contype = 'f' and not convalidated"
        )
        made = await connection.fetchval("select count(*) from pg_constraint where contype = 'f'")
    finally:
        await connection.close()
    assert outcome.refused == {}
    assert (made, invalid) == (50, 0)
    carried = Counter(o.type for o in plan.objects if o.carried)
    assert [o.name for o in plan.objects if not o.carried] == []
    # the file holds the word CHECK 162 times; one of them stands in a comment
    assert carried[ObjectType.CHECK] == 161
    assert (carried[ObjectType.VIEW], carried[ObjectType.TRIGGER], carried[ObjectType.FOREIGN_KEY]) == (7, 36, 50)


async def test_walks_keys_and_hash(proj: Path) -> None:
    plan, again = await plan_of(proj), await plan_of(proj)
    assert plan.hash == again.hash
    units = plan.table("unit_of_measure")
    assert (units.walk.kind, units.walk.columns) == (WalkKind.PRIMARY, ("auth_name", "code"))
    metadata = plan.table("metadata")
    assert (metadata.compare.kind, metadata.compare.columns) == (CompareKind.KEY, ("key",))
    assert metadata.columns[0].collation == "C"
    renamed = await plan_of(proj, tables={"rename": {"usage": "usages"}})
    assert renamed.hash != plan.hash
    assert renamed.name_changes == {"usage": "usages"}
