"""Tables that need something only the application has: named with a reason a person understands, and only where rows are at stake."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from stepflow_tui.engine.model.plan import ObjectType
from tests.integration.plan_kit import plan_of


async def test_spatialite_query_interfaces_hold_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "spatial.db"
    lite = sqlite3.connect(path)
    lite.execute("create table kept(id integer primary key)")
    lite.execute("pragma writable_schema=1")
    for name, module in (
        ("SpatialIndex", "VirtualSpatialIndex()"),
        ("KNN2", "VirtualKNN2()"),
        ("sheet", "VirtualXL('x.xls')"),
    ):
        sql = f"create virtual table {name} using {module}"
        lite.execute("insert into sqlite_schema values ('table',?,?,0,?)", (name, name, sql))
    lite.commit()
    lite.close()
    plan = await plan_of(path)
    # the rows of a module that isn't known may be lost with it: that table stays in the plan, as impossible
    assert {t.source: t.impossible is None for t in plan.tables} == {"kept": True, "sheet": False}
    reasons = {o.name: o.reason for o in plan.objects if o.type is ObjectType.VIRTUAL_TABLE}
    assert "holds no rows" in reasons["SpatialIndex"]
    assert "holds no rows" in reasons["KNN2"]
    assert "no such module" in reasons["sheet"]


async def test_a_table_ordered_by_an_unknown_collation_says_which(tmp_path: Path) -> None:
    path = tmp_path / "anki.db"
    lite = sqlite3.connect(path)
    lite.create_collation("unicase", lambda a, b: (a.lower() > b.lower()) - (a.lower() < b.lower()))
    lite.execute("create table tags(tag text not null primary key collate unicase, usn int) without rowid")
    lite.execute("insert into tags values ('B', 1), ('a', 2)")
    lite.commit()
    lite.close()
    (table,) = (await plan_of(path)).tables
    assert table.impossible is not None
    assert "collation unicase" in table.impossible
