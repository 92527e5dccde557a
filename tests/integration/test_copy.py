"""Copies of real files into a real server: shapes of tables, keys and values, and rows that stay behind by name."""

from __future__ import annotations

import hashlib
import itertools
import random
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.bulk.outcome import TableStopped, is_replaced
from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.model.types import ColumnType, DateForm, EpochUnit, Kind
from stepflow_tui.engine.postgres.connect import Target
from tests.copy_kit import (
    BLOB,
    BOOLEAN,
    INTEGER,
    REAL,
    TEXT,
    copy_file,
    fetch,
    make_file,
    make_job,
    plan_table,
    prepare,
    rejects_of,
    run_copy,
)

DECIMAL = ColumnType(kind=Kind.DECIMAL, sql="numeric(15,2)", scale=2, precision=15)
TIMESTAMP = ColumnType(kind=Kind.TIMESTAMP, sql="timestamp", form=DateForm.SPACE)
DATE = ColumnType(kind=Kind.DATE, sql="date")
EPOCH = ColumnType(kind=Kind.EPOCH, sql="timestamp", unit=EpochUnit.SECONDS)
SMALL = ColumnType(kind=Kind.INTEGER, sql="smallint", width=2)
MIDDLE = ColumnType(kind=Kind.INTEGER, sql="integer", width=4)
JSON = ColumnType(kind=Kind.TEXT, sql="json")
JSONB = ColumnType(kind=Kind.JSONB, sql="jsonb")


def test_the_engine_process_loads_no_arrow_driver() -> None:
    code = (
        "import sys, stepflow_tui.engine.bulk.copy, stepflow_tui.engine.bulk.pool;"
        "print([m for m in sys.modules if m.startswith(('adbc', 'nanoarrow', 'pydantic'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert done.stdout.strip() == "[]"


async def test_empty_tables_and_single_rows(tmp_path: Path, pg_target: Target) -> None:
    script = "create table e(id integer primary key, x text); create table one(x text); create table wr(k text primary key) without rowid"
    path = make_file(tmp_path / "s.db", script, {"one": [(None,)]})
    plans = [
        plan_table(path, "e", {"id": INTEGER, "x": TEXT}),
        plan_table(path, "one", {"x": TEXT}),
        plan_table(path, "wr", {"k": TEXT}),
    ]
    result = await copy_file(path, pg_target, *plans)
    assert {t.table: (t.rows, t.rejected, t.error) for t in result.tables.values()} == {
        "e": (0, 0, None), "one": (1, 0, None), "wr": (0, 0, None),
    }  # fmt: skip
    assert await fetch(pg_target, "select x from one") == [(None,)]
    assert await fetch(pg_target, "select count(*) from _stepflow.ledger where state = 'open'") == [(0,)]


async def test_every_pattern_of_nulls(tmp_path: Path, pg_target: Target) -> None:
    samples: dict[str, tuple[ColumnType, Any]] = {
        "i": (INTEGER, -7), "s": (SMALL, -7), "m": (MIDDLE, 2**31 - 1), "r": (REAL, 0.5), "t": (TEXT, ""), "z": (BLOB, b""),
        "b": (BOOLEAN, 1), "d": (DECIMAL, -1.25), "ts": (TIMESTAMP, "2020-01-02 03:04:05"), "dt": (DATE, "1999-12-31"), "e": (EPOCH, 0),
    }  # fmt: skip
    script = ";".join(f"create table n{n}(id integer primary key, {', '.join(samples)})" for n in range(1, 18))
    r = random.Random(3)
    rows: dict[str, list[tuple[Any, ...]]] = {}
    for n in range(1, 18):
        rows[f"n{n}"] = [(i, *(v if r.random() < n / 17 else None for _, v in samples.values())) for i in range(n)]
    path = make_file(tmp_path / "n.db", script, rows)
    types = {"id": INTEGER} | {name: kind for name, (kind, _) in samples.items()}
    result = await copy_file(path, pg_target, *(plan_table(path, table, types) for table in rows))
    assert [t for t in result.tables.values() if t.fallbacks or t.error or t.rejected] == []
    for table, values in rows.items():
        found = await fetch(pg_target, f"select {', '.join(samples)} from {table} order by id")
        assert [tuple(v is None for v in row) for row in found] == [tuple(v is None for v in row[1:]) for row in values]
        full = await fetch(
            pg_target,
            f"select distinct s, m, d::text, dt::text from {table} where s is not null and m is not null and d is not null and dt is not null",
        )
        assert full in ([], [(-7, 2**31 - 1, "-1.25", "1999-12-31")])


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le"])
async def test_sixteen_hundred_columns(tmp_path: Path, pg_target: Target, encoding: str) -> None:
    names = [f"c{i}" for i in range(1600)]
    path = make_file(tmp_path / "w.db", f"create table w({', '.join(names)})", encoding=encoding)
    connection = sqlite3.connect(path)
    for i in range(40):
        connection.execute(
            f"insert into w({names[i]}, {names[1599 - i]}) values (?, ?)", (i, f"text {i}" if i % 10 else b"\x01blob")
        )
    connection.commit()
    connection.close()
    types = {name: INTEGER if i < 800 else TEXT for i, name in enumerate(names)}
    result = await copy_file(path, pg_target, plan_table(path, "w", types), encoding=encoding)
    assert (result.tables["w"].rows, result.tables["w"].rejected) == (36, 4)
    assert await fetch(pg_target, "select c7, c1592, c1599 from w where c7 = 7") == [(7, "text 7", None)]
    assert {r.column for r in await rejects_of(pg_target)} == {"c1599", "c1589", "c1579", "c1569"}


async def test_generated_columns_are_left_to_the_target(tmp_path: Path, pg_target: Target) -> None:
    script = "create table g(a integer, twice integer generated always as (a * 2) stored, b text)"
    path = make_file(tmp_path / "g.db", script)
    connection = sqlite3.connect(path)
    connection.executemany("insert into g(a, b) values (?, ?)", [(1, "x"), (2, b"blob")])
    connection.commit()
    connection.close()
    plan = plan_table(path, "g", {"a": INTEGER, "twice": INTEGER, "b": TEXT})
    columns = tuple(
        type(c)(
            source=c.source,
            target=c.target,
            declared=c.declared,
            type=c.type,
            generated="a * 2" if c.source == "twice" else None,
        )
        for c in plan.columns
    )
    plan = plan_table(path, "g", {"a": INTEGER, "b": TEXT}, columns=columns)
    result = await copy_file(path, pg_target, plan)
    assert (result.tables["g"].rows, result.tables["g"].rejected) == (1, 1)
    assert await fetch(pg_target, "select a, twice, b from g") == [(1, 2, "x")]


async def test_large_blobs_go_alone(tmp_path: Path, pg_target: Target) -> None:
    r = random.Random(5)
    values = [r.randbytes(20 << 20), b"small", r.randbytes(17 << 20), None]
    path = make_file(
        tmp_path / "b.db", "create table b(id integer primary key, x blob)", {"b": list(enumerate(values))}
    )
    await copy_file(path, pg_target, plan_table(path, "b", {"id": INTEGER, "x": BLOB}))
    found = await fetch(pg_target, "select encode(sha256(x), 'hex') from b order by id")
    assert [row[0] for row in found] == [None if v is None else hashlib.sha256(v).hexdigest() for v in values]
    assert await fetch(pg_target, "select max(rows) from _stepflow.ledger") == [(1,)]


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le"])
async def test_composite_text_keys_without_rowid(tmp_path: Path, pg_target: Target, encoding: str) -> None:
    parts = ["", "a", "A", "a'b", "é", "日本", "zz", "10", "9", "\u00ff", "𝄞", '"', "\\"]
    rows = [(a, b, i) for i, (a, b) in enumerate(itertools.product(parts, parts))]
    script = "create table w(a text collate nocase, b text, n integer, primary key (b, a, n)) without rowid"
    path = make_file(tmp_path / "w.db", script, {"w": rows}, encoding=encoding)
    plan = plan_table(path, "w", {"a": TEXT, "b": TEXT, "n": INTEGER})
    job = await prepare(make_job(path, pg_target, plan, encoding=encoding, max_rows_per_second=20))
    result = await run_copy(type(job)(**{f: getattr(job, f) for f in job.__slots__} | {"max_rows_per_second": None}))
    assert result.tables["w"].rows == len(rows)
    assert sorted(await fetch(pg_target, "select a, b, n from w")) == sorted(rows)
    assert (await fetch(pg_target, "select count(*) from _stepflow.ledger"))[0][0] > 20


async def test_blob_and_mixed_keys_without_rowid(tmp_path: Path, pg_target: Target) -> None:
    keys: list[Any] = [1, -5, 2**60, 1.5, 2.5, "a", "b\x00c", b"\x00", b"\xff\x00", "5"]
    path = make_file(
        tmp_path / "m.db",
        "create table m(k primary key, n integer) without rowid",
        {"m": [(k, i) for i, k in enumerate(keys)]},
    )
    mixed = ColumnType(kind=Kind.MIXED_BYTEA, sql="bytea")
    job = await prepare(
        make_job(path, pg_target, plan_table(path, "m", {"k": mixed, "n": INTEGER}), max_rows_per_second=4)
    )
    result = await run_copy(type(job)(**{f: getattr(job, f) for f in job.__slots__} | {"max_rows_per_second": None}))
    assert (result.tables["m"].rows, result.tables["m"].rejected) == (len(keys), 0)
    expected = [b"i1", b"i-5", b"i%d" % 2**60, b"r1.5", b"r2.5", b"ta", b"tb\x00c", b"b\x00", b"b\xff\x00", b"t5"]
    assert await fetch(pg_target, "select k from m order by n") == [(e,) for e in expected]


async def test_rows_the_server_refuses_are_rejected_by_name(tmp_path: Path, pg_target: Target) -> None:
    texts = ['{"a": 1}' if i % 300 else "{broken" for i in range(1, 3001)]
    rows = [(i, t, None if i != 77 else '"\\u0000"') for i, t in enumerate(texts, 1)]
    path = make_file(tmp_path / "j.db", "create table j(id integer primary key, a text, b text)", {"j": rows})
    result = await copy_file(path, pg_target, plan_table(path, "j", {"id": INTEGER, "a": JSON, "b": JSONB}))
    table = result.tables["j"]
    assert (table.rows, table.rejected, table.error) == (2989, 11, None)
    assert "the server refused rows" in table.fallbacks[0]
    rejects = await rejects_of(pg_target)
    assert {r.key["id"]: (r.column, r.value, r.reason.split(":")[0]) for r in rejects} == {
        77: ("b", b'"\\u0000"', "PostgreSQL 22P05"),
        **dict.fromkeys(range(300, 3001, 300), ("a", b"{broken", "PostgreSQL 22P02")),
    }


async def test_a_wrong_type_stops_its_table_and_no_other(tmp_path: Path, pg_target: Target) -> None:
    script = "create table bad(x text); create table good(x text)"
    path = make_file(tmp_path / "x.db", script, {"bad": [(f"no json {i}",) for i in range(500)], "good": [("x",)] * 50})
    result = await copy_file(
        path, pg_target, plan_table(path, "bad", {"x": JSON}), plan_table(path, "good", {"x": TEXT})
    )
    error = result.tables["bad"].error
    assert isinstance(error, TableStopped)
    assert "column x" in error.detail
    assert result.tables["bad"].rows == 0
    assert (result.tables["good"].rows, result.tables["good"].error) == (50, None)
    assert await fetch(pg_target, "select count(*) from bad") == [(0,)]
    assert await fetch(pg_target, "select count(*) from _stepflow.ledger where tb = 'bad' and state = 'open'") == [(1,)]


def _odd_text(path: Path, encoding: str) -> Path:
    make_file(path, "create table o(k text, x text)", encoding=encoding)
    connection = sqlite3.connect(path)
    bad = b"a\xffb" if encoding == "UTF-8" else b"a\x00\x00\xd8b\x00"
    # a literal's bytes are taken in the file's encoding, a bound blob's would be converted from UTF-8
    connection.execute(
        f"insert into o values ('nul', ?), ('bad', cast(x'{bad.hex()}' as text)), ('fine', 'fine')", ("a\x00b",)
    )
    connection.commit()
    connection.close()
    return path


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le"])
async def test_bad_text_is_rejected_replaced_or_kept_as_bytes(tmp_path: Path, pg_server: Any, encoding: str) -> None:
    path = _odd_text(tmp_path / "o.db", encoding)
    bad = b"a\xffb" if encoding == "UTF-8" else b"a\x00\x00\xd8b\x00"
    for how, kind in (("reject", TEXT), ("replace", TEXT), ("bytea", BLOB)):
        target = pg_server.create()
        try:
            plan = plan_table(path, "o", {"k": TEXT, "x": kind})
            result = (await copy_file(path, target, plan, encoding=encoding, on_bad_value=how)).tables["o"]
            found = dict(await fetch(target, "select k, x from o"))
            listed = {r.key["rowid"]: (r.column, r.value, is_replaced(r)) for r in await rejects_of(target)}
        finally:
            pg_server.drop(target)
        if how == "reject":
            assert (found, result.rejected) == ({"fine": "fine"}, 2)
            assert listed == {1: ("x", b"a\x00b", False), 2: ("x", bad, False)}
        elif how == "replace":
            assert (found, result.rejected, result.replaced) == (
                {"nul": "a\ufffdb", "bad": "a\ufffdb", "fine": "fine"},
                0,
                2,
            )
            assert listed == {1: ("x", b"a\x00b", True), 2: ("x", bad, True)}
        else:
            assert (found, listed) == ({"nul": b"a\x00b", "bad": bad, "fine": b"fine"}, {})


async def test_undecodable_text_nobody_counted_takes_the_slow_way(tmp_path: Path, pg_target: Target) -> None:
    path = make_file(tmp_path / "u.db", "create table u(k text primary key, x text) without rowid")
    connection = sqlite3.connect(path)
    connection.execute("insert into u values ('a', 'x'), ('b', cast(x'ff' as text)), ('c', 'y')")
    connection.commit()
    connection.close()
    result = (await copy_file(path, pg_target, plan_table(path, "u", {"k": TEXT, "x": TEXT}))).tables["u"]
    assert (result.rows, result.rejected, len(result.fallbacks)) == (2, 1, 1)
    assert [(r.key, r.column, r.value) for r in await rejects_of(pg_target)] == [({"k": "b"}, "x", b"\xff")]


async def test_null_in_a_not_null_column_is_rejected(tmp_path: Path, pg_target: Target) -> None:
    path = make_file(
        tmp_path / "nn.db", "create table nn(id integer primary key, x text)", {"nn": [(1, "a"), (2, None)]}
    )
    plan = plan_table(path, "nn", {"id": INTEGER, "x": TEXT})
    strict = tuple(
        type(c)(source=c.source, target=c.target, declared=c.declared, type=c.type, not_null=True) for c in plan.columns
    )
    plan = plan_table(path, "nn", {"id": INTEGER, "x": TEXT}, columns=strict)
    for honest in (True, False):
        result = (await copy_file(path, pg_target, plan, honest=honest)).tables["nn"]
        assert (result.rows, result.rejected, bool(result.fallbacks)) == (1, 1, not honest)
        assert {(r.key["id"], r.column) for r in await rejects_of(pg_target)} == {(2, "x")}
        await fetch(pg_target, "drop schema _stepflow cascade")
        await fetch(pg_target, "drop table nn")


async def test_one_column_the_slow_way(tmp_path: Path, pg_target: Target) -> None:
    """In CSV an empty line is a NULL, and a line `\\.` alone was the end of data for long."""
    values = [None, "", "\\.", "\\N", "NULL", '"', "a\nb", None]
    path = make_file(tmp_path / "c.db", "create table c(x text)", {"c": [(v,) for v in values]})
    slow = ColumnType(kind=Kind.OTHER, sql="text")
    result = await copy_file(path, pg_target, plan_table(path, "c", {"x": slow}))
    assert result.tables["c"].rows == len(values)
    assert [row[0] for row in await fetch(pg_target, "select x from c order by ctid")] == values


async def test_long_values_the_slow_way(tmp_path: Path, pg_target: Target) -> None:
    r = random.Random(9)
    blob, text = r.randbytes(3_000_001), 'say "é" ' * 300_000
    rows = [
        (1, 0.5, blob, blob, text, 1),
        (2, 1.5, None, text, None, 2),
        (3, 2.5, b"", None, "", 3),
        (4, 3.5, b"x", b"y", "z", b"no integer"),
    ]
    path = make_file(tmp_path / "l.db", "create table l(id integer primary key, r, b blob, m, t text, n)", {"l": rows})
    mixed = ColumnType(kind=Kind.MIXED_BYTEA, sql="bytea")
    reals = ColumnType(kind=Kind.MIXED_TEXT, sql="text")
    plan = plan_table(path, "l", {"id": INTEGER, "r": reals, "b": BLOB, "m": mixed, "t": TEXT, "n": INTEGER})
    result = await copy_file(path, pg_target, plan)
    assert (result.tables["l"].rows, result.tables["l"].rejected) == (3, 1)
    assert await fetch(pg_target, "select id, r, b, m, t, n from l order by id") == [
        (1, "0.5", blob, b"b" + blob, text, 1), (2, "1.5", None, b"t" + text.encode(), None, 2), (3, "2.5", b"", None, "", 3),
    ]  # fmt: skip
    assert [(x.key, x.column, x.value) for x in await rejects_of(pg_target)] == [({"id": 4}, "n", b"no integer")]


async def test_names_with_every_character(tmp_path: Path, pg_target: Target) -> None:
    table, column = "odd \"table\" 'x' %s $1 ; --\n日", "select \"'\\ {0}, column x: "
    quoted, inner = table.replace('"', '""'), column.replace('"', '""')
    script = f'create table "{quoted}"("{inner}" text, "b c" integer)'
    path = make_file(tmp_path / "names.db", script, {table: [("v", 1), (b"blob", 2)]})
    result = (await copy_file(path, pg_target, plan_table(path, table, {column: TEXT, "b c": INTEGER}))).tables[table]
    assert (result.rows, result.rejected) == (1, 1)
    assert await fetch(pg_target, f'select "{inner}", "b c" from "{quoted}"') == [("v", 1)]
    assert [r.column for r in await rejects_of(pg_target)] == [column]


async def test_full_text_tables_are_read_like_any_other(tmp_path: Path, pg_target: Target) -> None:
    path = make_file(
        tmp_path / "fts.db", "create virtual table f using fts5(title, body)", {"f": [("a", "b"), ("c", "d")]}
    )
    plan = plan_table(path, "f", {"title": TEXT, "body": TEXT})
    result = (await copy_file(path, pg_target, plan)).tables["f"]
    assert (result.rows, result.error) == (2, None)
    assert await fetch(pg_target, "select title, body from f order by 1") == [("a", "b"), ("c", "d")]


async def test_a_table_nobody_cut_is_an_error(tmp_path: Path, pg_target: Target) -> None:
    path = make_file(tmp_path / "x.db", "create table a(x text); create table b(x text)")
    job = await prepare(make_job(path, pg_target, plan_table(path, "a", {"x": TEXT})))
    both = make_job(path, pg_target, *job.tables, plan_table(path, "b", {"x": TEXT}), epoch=job.epoch)
    with pytest.raises(StepFailed, match="no segments") as caught:
        await run_copy(both)
    assert (caught.value.code, caught.value.detail) == ("no_segments", "b")


async def test_a_real_database_arrives_whole(tmp_path: Path, pg_target: Target) -> None:
    import pyproj.datadir

    path = Path(pyproj.datadir.get_data_dir(), "proj.db")
    connection = sqlite3.connect(path)
    tables = [
        r[0]
        for r in connection.execute("select name from sqlite_schema where type='table' and name not like 'sqlite_%'")
    ]
    counts = {t: connection.execute(f'select count(*) from "{t}"').fetchone()[0] for t in tables}
    mixed = ColumnType(kind=Kind.MIXED_BYTEA, sql="bytea")
    plans = [
        plan_table(path, t, {r[1]: mixed for r in connection.execute(f'pragma table_info("{t}")')}) for t in tables
    ]
    connection.close()
    result = await copy_file(path, pg_target, *plans, streams=2)
    assert {t: (r.rows, r.rejected, r.error) for t, r in result.tables.items()} == {
        t: (n, 0, None) for t, n in counts.items()
    }
