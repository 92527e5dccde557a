"""`verify --repair apply` on a table whose trigger writes by itself, with a sequence that stands wrong."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.harness import Stand, standing


@pytest.fixture
def stand(tmp_path: Path, pg_dsn: str) -> Iterator[Stand]:
    with standing(tmp_path, pg_dsn) as made:
        yield made


def test_triggers_sleep_while_rows_are_repaired(stand: Stand) -> None:
    with closing(sqlite3.connect(stand.source)) as lite:
        lite.executescript(
            "create table t(id integer primary key autoincrement, s text, at datetime);"
            "insert into t values(1,'x','2020-01-01 00:00:00'),(2,'y','2020-01-01 00:00:00');"
            "create trigger upd after update on t begin update t set at=current_timestamp where id=new.id; end;"
        )
    assert stand.run().code == 0
    stand.sql("update t set s='z' where id=1", "select setval(pg_get_serial_sequence('t','id'), 1, false)")
    assert stand.cli("verify", str(stand.config_path)).code == 5
    done = stand.cli("verify", str(stand.config_path), "--repair", "apply", "--yes", "--json")
    assert (done.code, done.object["verified"]) == (0, "equal"), done.out
    assert stand.sql("select s, at::text from t order by id") == [
        ("x", "2020-01-01 00:00:00"),
        ("y", "2020-01-01 00:00:00"),
    ]
    assert stand.sql("select tgenabled::text from pg_trigger where not tgisinternal") == [("O",)]
    assert stand.sql("select nextval(pg_get_serial_sequence('t','id'))") == [(3,)]
    report = stand.report()
    assert (report["result"], [f["code"] for f in report["findings"] if f["severity"] == "warning"]) == (
        "completed", ["rows_repaired"],
    )  # fmt: skip
    assert (stand.run_dir / "before-images.ndjson").stat().st_mode & 0o777 == 0o600
