"""Nothing is left out without being named: lists, findings, verdicts and backups say what is there."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.harness import Stand, standing

SHOP = """
create table t(id integer primary key, s text);
insert into t values(1,'ok'),(2,cast(x'fffe' as text));
create table amounts(id integer primary key, a text);
insert into amounts values(1,'9.25'),(2,'10.25'),(3,'0.50');
create table Skipped(a integer);
pragma writable_schema=on;
insert into sqlite_master values('table','lost','lost',0,'CREATE VIRTUAL TABLE lost USING nosuchmodule(a)');
"""


@pytest.fixture
def stand(tmp_path: Path, pg_dsn: str) -> Iterator[Stand]:
    with standing(tmp_path, pg_dsn) as made:
        with closing(sqlite3.connect(made.source)) as lite:
            lite.executescript(SHOP)
        yield made


def test_what_is_changed_or_left_out_is_named(stand: Stand) -> None:
    stand.config(
        copy={"on_bad_value": "replace"},
        tables={"exclude": ["SKIPPED"]},
        types={"by_column": {"amounts": {"a": "numeric(12,2)"}}},
        backup={"also": ["./also"]},
    )
    assert stand.run().code == 5
    report = stand.report()
    found = [(f["code"], f["object"], f["what"]) for f in report["findings"]]
    assert [f for f in found if f[0] == "values_replaced"] == [
        ("values_replaced", "t", "1 values of t were changed on the way: `on_bad_value: replace` asks for it.")
    ]
    assert [f[2] for f in found if f[0] == "tables_left_out"] == ["1 tables are left out: Skipped."]
    assert [f[1] for f in found if f[0] == "source_table_unreadable"] == ["lost"], "found twice, told once"
    assert not [f for f in found if f[0] == "type_limit"], "numbers stored as text are compared as numbers"
    (listed,) = (stand.run_dir / "rejects").iterdir()
    assert json.loads(listed.read_text()) == {
        "table": "t", "key": {"id": 2}, "column": "s", "value": {"$hex": "fffe"}, "reason": "replaced: text is not valid Unicode",
    }  # fmt: skip
    verified = stand.cli("verify", str(stand.config_path), "--json")
    tables = {t["source"]: t["verified"] for t in verified.object["tables"]}
    assert tables == {"t": "equal", "amounts": "equal", "lost": "not_verified"}
    assert (verified.code, verified.object["verified"]) == (5, "different")
    steps = [s for p in stand.status()["phases"] for s in p["steps"] if s["name"] == "build-keys"]
    assert steps[0]["progress"]["done"] == steps[0]["progress"]["total"] == 4  # two keys, two sequences
    (copy,) = (stand.folder / "also").glob("*.db")
    assert stand.cli("backups", "verify", str(copy)).code == 0
    content = bytearray(copy.read_bytes())
    content[-1] ^= 1
    copy.write_bytes(content)
    assert stand.cli("backups", "verify", str(copy)).code == 4, "the file named is the one that is looked at"
    assert stand.cli("backups", "restore", str(copy), "--to", str(stand.folder / "back.db"), "--yes").code != 0
