"""The instant summary of a source: what it says is true, it says it at once, and it changes nothing."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stepflow_tui.engine.errors import Refused
from stepflow_tui.engine.facade.survey import describe, survey
from stepflow_tui.engine.sqlite import summary_child
from stepflow_tui.engine.sqlite.summary_child import summary
from stepflow_tui.render.advice import source_rows
from tests.integration.sources import content, holder, hot_journal, live_wal, make_db


def shop(path: Path, rows: int = 300) -> Path:
    return make_db(
        path,
        "create table item (id integer primary key, name text)",
        "create table tag (name text primary key) without rowid",
        "create virtual table note using fts5(body)",
        "create view names as select name from item",
        "create trigger t after insert on tag begin select 1; end",
        "pragma user_version=7",
        f"with recursive n(i) as (select 1 union all select i+1 from n where i<{rows}) insert into item select i, 'n'||i from n",
        "insert into tag values ('a'), ('b')",
        rows=0,
    )


async def test_what_it_says_is_true(tmp_path: Path) -> None:
    path = shop(tmp_path / "shop.db")
    before = content(path)
    facts = await describe(path)
    assert content(path) == before
    plain = sqlite3.connect(path)
    tables = {
        str(r[0])
        for r in plain.execute("select name from pragma_table_list where schema='main' and type in ('table','virtual')")
    }
    plain.close()
    tables = {t for t in tables if not t.startswith("sqlite_")}
    assert facts["tables"] == len(tables)
    listed = {name: rows for name, rows, exact in facts["listed"] if exact}
    assert (listed["item"], listed["tag"]) == (300, 2)
    assert facts["rows"] == sum(listed.values())
    assert facts["rows_exact"] is True
    assert (facts["views"], facts["triggers"], facts["user_version"]) == (1, 1, 7)
    assert (facts["journal_mode"], facts["encoding"], facts["size"]) == ("delete", "UTF-8", path.stat().st_size)
    assert facts["sqlite"] == sqlite3.sqlite_version
    assert facts["free_bytes"] == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.5)
    assert facts["holders"] == []


async def test_a_wal_file_with_rows_in_the_log(tmp_path: Path) -> None:
    path = live_wal(tmp_path / "w.db")
    before = content(path)
    facts = await describe(path)
    assert facts["journal_mode"] == "wal"
    assert facts["wal_bytes"] > 0
    assert content(path) == before
    assert "-wal" in dict(source_rows(facts))["Size"]


async def test_who_has_it_open(tmp_path: Path) -> None:
    path = shop(tmp_path / "h.db")
    process = holder(path)
    try:
        facts = await describe(path)
    finally:
        process.kill()
        process.wait()
    assert process.pid in [h["pid"] for h in facts["holders"]]
    assert os.getpid() not in [h["pid"] for h in facts["holders"]]


async def test_an_empty_file_has_nothing_to_migrate(tmp_path: Path) -> None:
    (tmp_path / "e.db").touch()
    facts = await describe(tmp_path / "e.db")
    assert (facts["state"], facts["tables"], facts["rows"], facts["rows_exact"]) == ("empty", 0, 0, True)
    assert dict(source_rows(facts))["Tables"] == "0"


async def test_a_hot_journal_is_said_not_recovered(tmp_path: Path) -> None:
    path = hot_journal(tmp_path / "j.db")
    before = content(path)
    facts = await describe(path)
    assert (facts["state"], facts["tables"], facts["rows"]) == ("hot_journal", None, None)
    assert content(path) == before
    assert all(value for _name, value in source_rows(facts))


def _encrypted(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(16_384))


def _text(path: Path) -> None:
    path.write_text("hello world\n" * 100)


def _cut(path: Path) -> None:
    make_db(path, rows=5_000)
    os.truncate(path, path.stat().st_size // 2)


def _corrupt(path: Path) -> None:
    make_db(path)
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 1000)


def _folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda _path: None, "source_missing"),
        (_folder, "source_directory"),
        (_encrypted, "source_encrypted"),
        (_text, "source_not_sqlite"),
        (_cut, "source_truncated"),
        (_corrupt, "source_corrupt"),
        (os.mkfifo, "source_not_regular"),
    ],
)
async def test_what_can_t_be_read_is_refused_with_a_reason(tmp_path: Path, make: object, code: str) -> None:
    path = tmp_path / "x.db"
    assert callable(make)
    make(path)
    with pytest.raises(Refused) as caught:
        await describe(path)
    assert caught.value.code == code
    assert caught.value.hint
    assert "{" not in str(caught.value)


async def test_an_exclusive_lock_is_not_waited_for(tmp_path: Path) -> None:
    path = shop(tmp_path / "l.db")
    script = "import sqlite3,sys; c=sqlite3.connect(sys.argv[1],isolation_level=None); c.execute('begin exclusive'); print(1,flush=True); input()"
    process = subprocess.Popen([sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(Refused) as caught:
            await describe(path)
    finally:
        process.kill()
        process.communicate()
    assert caught.value.code == "source_locked"
    assert str(process.pid) in caught.value.message


def test_without_time_nothing_is_counted(tmp_path: Path) -> None:
    found = summary(shop(tmp_path / "b.db"), immutable=False, busy_timeout_ms=0, seconds=0.0)
    assert found["rows_exact"] is False
    assert found["rows_unknown"] == len(found["listed"]) > 0


def test_a_question_that_takes_too_long_is_given_up_and_the_next_one_is_answered(tmp_path: Path) -> None:
    connection = sqlite3.connect(shop(tmp_path / "b.db"), check_same_thread=False)
    endless = "with recursive n(i) as (select 1 union all select i+1 from n) select count(*) from n"
    soon = time.monotonic() + 0.05
    assert summary_child._asked(connection, endless, soon) is None
    assert summary_child._asked(connection, "select count(*) from item", time.monotonic() + 60) == 300
    connection.close()


def test_a_table_too_big_to_count_in_time_is_estimated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = shop(tmp_path / "b.db", rows=5_000)
    asked = summary_child._asked

    def without_counts(conn: sqlite3.Connection, sql: str, end: float, *, empty: int | None = None) -> int | None:
        return None if "count(*)" in sql else asked(conn, sql, end, empty=empty)

    monkeypatch.setattr(summary_child, "_asked", without_counts)
    found = summary(path, immutable=False, busy_timeout_ms=0, seconds=60)
    rows = {name: (n, exact) for name, n, exact in found["listed"]}
    assert rows["item"] == (5_000, False)
    assert rows["tag"] == (None, False)  # no rowid, never analyzed
    assert found["rows_exact"] is False


async def test_estimates_are_marked_and_taken_from_analyze(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = shop(tmp_path / "a.db")
    plain = sqlite3.connect(path)
    plain.execute("create index i on item(name)")
    plain.execute("analyze")
    plain.commit()
    plain.close()
    found = summary(path, immutable=False, busy_timeout_ms=0, seconds=0.0)
    rows = {name: n for name, n, _exact in found["listed"]}
    assert rows["item"] == 300
    facts = await describe(path) | found | {"rows_exact": False}
    assert "estimated" in dict(source_rows(facts))["Rows"]


async def test_hostile_names_do_no_harm(tmp_path: Path) -> None:
    path = make_db(
        tmp_path / "n.db",
        'create table "a""b; drop table x" (i)',
        'create table "[red]\x1b[31m" (rowid text)',
        'create table "sqlite" (i)',
        rows=0,
    )
    facts = await describe(path)
    assert facts["tables"] >= 3
    assert facts["rows_exact"] is True


async def test_other_sources_are_told_apart(tmp_path: Path) -> None:
    assert await survey("postgres://h/d") == {"source": "postgres"}
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    (tmp_path / "b.ndjson").write_text("{}\n")
    one = await survey(str(tmp_path / "a.csv"))
    assert (one["source"], one["format"], one["size"]) == ("files", "CSV", 8)
    both = await survey(str(tmp_path))
    assert (both["source"], both["format"], both["size"]) == ("files", "CSV, NDJSON", 11)
    shop(tmp_path / "real.json")
    assert (await survey(str(tmp_path / "real.json")))["source"] == "sqlite"
    assert dict(source_rows(one))["Source"] == "exported files (CSV)"
