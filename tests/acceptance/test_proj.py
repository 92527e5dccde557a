"""A real database, whole: pyproj's proj.db at the highest level of verification."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import Counter
from pathlib import Path

import pyproj

from tests.acceptance.compare import compare
from tests.acceptance.harness import Stand

PROJ = Path(pyproj.datadir.get_data_dir()) / "proj.db"

_FAMILIES = """
select ch.relname, ca.attname, format_type(ca.atttypid, ca.atttypmod), pa.attname, format_type(pa.atttypid, pa.atttypmod)
from pg_constraint k join pg_class ch on ch.oid = k.conrelid
cross join lateral unnest(k.conkey, k.confkey) as c(child, parent)
join pg_attribute ca on ca.attrelid = k.conrelid and ca.attnum = c.child
join pg_attribute pa on pa.attrelid = k.confrelid and pa.attnum = c.parent where k.contype = 'f'
"""


def test_proj_db_arrives_whole(stand: Stand) -> None:
    shutil.copy(PROJ, stand.source)
    with sqlite3.connect(stand.source) as source:
        counted = Counter(r[0] for r in source.execute("select type from sqlite_schema where sql is not null"))
    before = stand.source_hash()
    ran = stand.run()
    assert ran.code == 0, ran.out[-2000:]
    assert stand.source_hash() == before
    report = stand.report()
    tables = report["tables"]
    assert (len(tables), sum(t["target_rows"] for t in tables)) == (37, 74_568)
    assert {t["verified"] for t in tables} == {"equal"}
    compare(stand, report)
    keys = [bool(r[0]) for r in stand.sql("select convalidated from pg_constraint where contype = 'f'")]
    assert (len(keys), all(keys)) == (50, True)
    assert [r for r in stand.sql(_FAMILIES) if r[2] != r[4]] == []
    named = Counter(o["type"] for o in report["objects"])
    # the word CHECK stands there 162 times, once of them in a comment
    assert (
        (named["check"], named["view"], named["trigger"]) == (161, counted["view"], counted["trigger"]) == (161, 7, 36)
    )
    assert [o for o in report["objects"] if not o["carried"] and not o["reason"]] == []
    assert stand.sql("select count(*) from pg_namespace where nspname = '_stepflow'") == [(0,)]
    carried = {o["name"] for o in report["objects"] if o["type"] == "view" and o["carried"]}
    made = {
        r[0]
        for r in stand.sql(
            "select relname::text from pg_class where relkind = 'v' and relnamespace = 'public'::regnamespace"
        )
    }
    assert made == carried
    json.dumps(report)
