"""The census on real files: odd tables, bad text, families, tables made beforehand, living files, control."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import asyncpg
import pyproj
import pytest

from stepflow_tui.engine.errors import Stopping
from stepflow_tui.engine.model.census import Census, TargetColumn
from stepflow_tui.engine.model.codec import dumps, loads
from stepflow_tui.engine.model.config import Types
from stepflow_tui.engine.model.finding import Severity
from stepflow_tui.engine.model.progress import Progress
from stepflow_tui.engine.model.schema import SourceSchema
from stepflow_tui.engine.model.types import DateForm, EpochUnit, Kind
from stepflow_tui.engine.sqlite import census_lane, census_sample
from stepflow_tui.engine.sqlite.catalog import read_schema
from stepflow_tui.engine.sqlite.census import take_census
from stepflow_tui.engine.sqlite.connect import open_frozen
from stepflow_tui.engine.texts import render

Build = Callable[..., Path]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Make a file from a script and rows by table."""

    def make(script: str, encoding: str = "UTF-8", **rows: list[tuple[Any, ...]]) -> Path:
        path = tmp_path / "source.db"
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute(f"pragma encoding='{encoding}'")
        connection.executescript(script)
        for table, values in rows.items():
            connection.execute("begin")
            connection.executemany(f"insert into {table} values({','.join('?' * len(values[0]))})", values)
            connection.execute("commit")
        connection.close()
        return path

    return make


def schema_of(path: Path) -> SourceSchema:
    connection = open_frozen(path)
    try:
        return read_schema(connection)
    finally:
        connection.close()


async def census_of(path: Path, *, frozen: bool = True, **settings: Any) -> Census:
    return await take_census(path, schema_of(path), frozen=frozen, **settings)


def codes(census: Census) -> dict[str, list[str | None]]:
    found: dict[str, list[str | None]] = {}
    for finding in census.findings:
        words = render(finding)
        assert words.why, finding.code
        assert "{" not in words.what + words.why + words.fix
        found.setdefault(finding.code, []).append(finding.object)
    return found


async def test_proj_db_in_full() -> None:
    path = Path(pyproj.datadir.get_data_dir()) / "proj.db"
    schema = schema_of(path)
    census = await take_census(path, schema, frozen=True)
    assert sum(f.rows for f in census.facts.values()) == 74_568
    assert len(census.types) == 37
    for table in schema.tables:
        for key in table.foreign_keys:
            for column, parent in zip(key.columns, key.ref_columns, strict=True):
                child_type = census.types[table.name][table.column(column).name][0]
                assert child_type.sql == census.types[key.ref_table][parent][0].sql
    assert census.types["geodetic_crs"]["code"][0].kind is Kind.MIXED_TEXT
    assert all(c.violations == 0 for f in census.facts.values() for c in f.columns.values())
    assert {"mixed_storage", "family_shares_type"} <= set(codes(census))
    assert loads(Census, dumps(census)) == census


async def test_what_the_sample_did_not_show_decides(build: Build) -> None:
    rows = [(i, i, i / 4, i % 2, "2024-01-01 00:00:00", "x", None) for i in range(1, 3001)]
    odd = (3001, "late", 1e12, 2, None, None, "2024-01-01 10:00:00")
    path = build(
        "create table t(id integer primary key, n int, d decimal(10,2), b boolean, at datetime, w text, lone datetime)", t=[*rows, odd]
    )  # fmt: skip
    with patch.object(census_sample, "FIRST", 20), patch.object(census_sample, "RANDOM", 0):
        census = await census_of(path)
    types = {c: t.sql for c, (t, _) in census.types["t"].items()}
    assert types == {
        "id": "bigint",
        "n": "text",
        "d": "numeric(15,2)",
        "b": "bigint",
        "at": "timestamp",
        "w": "text",
        "lone": "timestamp",
    }
    facts = census.facts["t"].columns
    assert (facts["n"].integers, facts["n"].texts, facts["n"].maximum) == (3000, 1, "late")
    assert (facts["at"].nulls, facts["lone"].nulls) == (1, 3000)
    assert codes(census)["mixed_storage"] == ["t.n"]


async def test_undecodable_text_is_named_by_rowid(build: Build) -> None:
    path = build(
        "create table t(id integer primary key, a text, b); create table k(i int primary key, a text) without rowid"
    )
    with sqlite3.connect(path) as connection:
        connection.executemany(
            "insert into t values(?,cast(? as text),?)", [(i * 10, b"\xc3\xa4", i) for i in range(-30, 60_000)]
        )
        # split over a boundary between values, both halves would join to a valid character
        connection.execute("update t set a=cast(x'c3' as text) where id in (70, 599980)")
        connection.execute("update t set a=cast(x'a4' as text) where id=80")
        connection.execute("update t set a=cast(x'610062' as text) where id=100")
        connection.execute("insert into k values(5,cast(x'ff' as text)),(6,'fine')")
    connection.close()
    census = await census_of(path)
    assert census.facts["t"].bad_rowids == (70, 80, 599_980)
    assert census.facts["k"].bad_rowids == (5,)
    facts = census.facts["t"].columns["a"]
    assert (facts.invalid_utf8, facts.nul_values, facts.violations) == (3, 1, 1)
    found = codes(census)
    assert found["invalid_utf8"] == ["t.a", "k.a"]
    assert found["nul_in_text"] == ["t.a"]


async def test_one_long_value_is_measured_and_does_not_stop_the_search(build: Build) -> None:
    path = build("create table t(id integer primary key, s text, b blob)", t=[(i, "short", b"x") for i in range(2000)])
    with sqlite3.connect(path) as connection:
        connection.execute("update t set s=cast(zeroblob(3000000) as text), b=zeroblob(5000000) where id=1999")
        connection.execute("update t set s=replace(printf('%.3000000c','ä'),'y','y') where id=1500")
    connection.close()
    census = await census_of(path)
    facts = census.facts["t"].columns
    assert facts["b"].max_bytes == 5_000_000
    assert (facts["s"].max_bytes or 0) >= 3_000_000


async def test_odd_tables_never_stop_the_others(build: Build) -> None:
    path = build(
        """create table good(a int); insert into good values(1);
        create virtual table f using fts5(title); insert into f(rowid,title) values(7,'x');
        create virtual table r using rtree(id,a,b); insert into r values(1,0.5,1.5);
        create table docs(id integer primary key, body text);
        create virtual table ext using fts5(body, content='docs', content_rowid='id');
        create table wr(a text, b int, c blob, primary key(a,b desc)) without rowid; insert into wr values('k',1,x'00');
        create table shadowed(rowid text,_rowid_ text,oid text); insert into shadowed values('a','b','c');
        create table strictly(id integer primary key, v any) strict; insert into strictly values(1,'x'),(2,5);
        create table computed(j text, s int as (length(j)) stored); insert into computed(j) values('{"a":1}'),('not json');
        create table json(j text, v as (json_extract(j,'$.a'))); insert into json(j) values('{"a":1}');
        alter table computed add column v as (json_extract(j,'$.a'));
        create table nokey(k text primary key); insert into nokey values(null),(null),('x');"""
    )
    with sqlite3.connect(path) as connection:
        connection.create_collation("ODD", lambda a, b: (a > b) - (a < b))
        connection.execute(
            "create table own(k text collate odd primary key, n int collate odd, d decimal(5,1) collate odd)"
        )
        connection.execute("insert into own values('b',1,0.5),('a',2,7)")
        connection.execute("pragma writable_schema=on")
        connection.execute(
            "insert into sqlite_master values('table','gone','gone',0,'CREATE VIRTUAL TABLE gone USING missing_module(a)')"
        )
    connection.close()
    census = await census_of(path)
    found = codes(census)
    assert found["source_table_unreadable"] == ["gone"]
    assert found["generated_column_fails"] == ["computed.v"]
    assert found["null_in_primary_key"] == ["nokey.k"]
    assert set(census.types) == {
        "good",
        "f",
        "r",
        "docs",
        "wr",
        "shadowed",
        "strictly",
        "computed",
        "json",
        "nokey",
        "own",
    }
    assert "gone" not in census.facts
    assert census.facts["f"].rows == 1
    assert set(census.types["f"]) == {"title"}
    assert census.types["r"]["a"][0].kind is Kind.REAL
    assert census.types["own"]["d"][0].sql == "numeric(5,1)"
    assert census.types["strictly"]["v"][0].kind is Kind.MIXED_TEXT
    assert list(census.types["computed"]) == ["j", "s", "v"]
    assert census.types["json"]["v"][0].kind is Kind.INTEGER
    assert census.types["computed"]["s"][0].kind is Kind.INTEGER
    assert census.facts["nokey"].columns["k"].nulls == 2


async def test_lone_surrogates_of_a_utf16_file(build: Build) -> None:
    path = build("create table t(id integer primary key, s text)", encoding="UTF-16le", t=[(1, "fine 𝄞")])
    with sqlite3.connect(path) as connection:
        connection.execute("insert into t values(2,cast(x'00d8' as text)),(3,cast(x'610000006200' as text))")
    connection.close()
    census = await census_of(path)
    facts = census.facts["t"].columns["s"]
    assert (facts.violations, facts.invalid_utf8, facts.nul_values) == (2, 1, 1)
    assert census.facts["t"].bad_rowids == ()


async def test_six_hundred_columns(build: Build) -> None:
    kinds = ("int", "text", "decimal(9,2)", "datetime", "")
    names = ",".join(f"c{i} {kinds[i % 5]}" for i in range(639))
    row = tuple((i, f"t{i}", i / 4, "2024-01-01 00:00:00", (b"x", 1, "y")[i % 3])[i % 5] for i in range(639))
    other = tuple((i, f"t{i}", i / 4, "2024-01-01 00:00:00", ("y", 2.5, b"z")[i % 3])[i % 5] for i in range(639))
    census = await census_of(build(f"create table t({names})", t=[row, other] * 50))
    assert len(census.types["t"]) == 639
    assert [t.kind for t, _ in list(census.types["t"].values())[:4]] == [
        Kind.INTEGER,
        Kind.TEXT,
        Kind.DECIMAL,
        Kind.TIMESTAMP,
    ]


async def test_families_take_the_weakest_common_type(build: Build) -> None:
    path = build(
        """create table p(id integer primary key, price decimal(6,2) unique); create table code(v text primary key);
        create table c(p_id int references p(id), grand int references c2(p_id), price int references p(price), word int references code(v));
        create table c2(p_id boolean primary key references p(id));
        insert into p values(1,2.5),(0,1); insert into c values(1,1,1,7); insert into c2 values(1); insert into code values('7'),('x');"""
    )
    census = await census_of(path)
    types = {f"{t}.{c}": kind for t, columns in census.types.items() for c, (kind, _) in columns.items()}
    assert {types[c].sql for c in ("p.id", "c.p_id", "c.grand", "c2.p_id")} == {"bigint"}
    assert {types[c].sql for c in ("p.price", "c.price")} == {"numeric(15,2)"}
    assert (types["c.word"].kind, types["code.v"].kind) == (Kind.MIXED_TEXT, Kind.TEXT)
    assert "foreign keys" in census.types["c2"]["p_id"][1]
    assert len(codes(census)["family_shares_type"]) == 3


async def test_wishes_are_counted_beforehand(build: Build) -> None:
    rows = [(i, 1_700_000_000_000 + i, "abc", f"{i}.5", 7e8 + i) for i in range(300)]
    path = build(
        "create table t(id integer primary key, ms int, code text, amount text, cocoa real); create table u(x text)",
        t=[*rows, (300, "never", "abcdef", "12", None)],
    )
    types = Types.model_validate(
        {
            "by_column": {"t": {"code": "varchar(3)", "amount": "numeric(6,2)"}, "u": {"x": "text; drop table u"}},
            "dates": {"t": {"ms": "epoch_ms", "cocoa": "cocoa"}},
        }
    )
    census = await census_of(path, types=types)
    chosen = {c: t for c, (t, _) in census.types["t"].items()}
    assert (chosen["ms"].kind, chosen["ms"].unit) == (Kind.EPOCH, EpochUnit.MILLIS)
    assert (chosen["cocoa"].unit, chosen["cocoa"].lossy) == (EpochUnit.COCOA, True)
    found = {(f.code, f.object): f for f in census.findings}
    assert found["type_rows_do_not_fit", "t.ms"].params["rows"] == 1
    assert found["type_limit", "t.code"].params["rows"] == 1
    assert ("type_rows_do_not_fit", "t.cocoa") not in found
    assert found["type_unknown", "u.x"].severity is Severity.BLOCKING
    assert census.types["u"]["x"][0].sql == "text"
    assert "types.dates" in census.types["t"]["ms"][1]
    assert codes(census)


async def test_tables_made_beforehand(build: Build) -> None:
    rows = [
        (
            i,
            1_700_000_000_000 + i,
            "2024-01-01 10:00:00" + (f".{i:06}" if i % 2 else ""),
            i / 4,
            "on",
            "2024-01-01 10:00:00.1234",
        )
        for i in range(1, 200)
    ]
    path = build(
        "create table t(id integer primary key, createdAt datetime, updated_at datetime, price decimal, mood text, odd datetime)",
        t=[*rows, (2**40, None, None, 1.5, None, None)],
    )
    made = {
        "id": TargetColumn(sql="integer", not_null=True),
        "createdAt": TargetColumn(sql="timestamp(3) without time zone", not_null=True),
        "updated_at": TargetColumn(sql="timestamp with time zone"),
        "price": TargetColumn(sql="numeric(4,2)"),
        "mood": TargetColumn(sql='public."Mood"', enum=True),
        "odd": TargetColumn(sql="timestamp(3) without time zone"),
    }
    census = await census_of(path, existing={"t": made})
    chosen = {c: t for c, (t, _) in census.types["t"].items()}
    assert (chosen["createdAt"].kind, chosen["createdAt"].unit) == (Kind.EPOCH, EpochUnit.MILLIS)
    assert (chosen["updated_at"].kind, chosen["updated_at"].form) == (Kind.TIMESTAMP, DateForm.SPACE_US)
    assert (chosen["id"].width, chosen["mood"].kind) == (4, Kind.TEXT)
    found = {(f.code, f.object): f.params for f in census.findings}
    assert found["type_rows_do_not_fit", "t.id"]["rows"] == 1
    assert found["existing_not_null", "t.createdAt"]["rows"] == 1
    assert found["type_rows_do_not_fit", "t.odd"]["rows"] == 199
    assert ("type_rows_do_not_fit", "t.updated_at") not in found
    assert ("type_rows_do_not_fit", "t.price") not in found
    assert codes(census)


async def test_times_that_a_shorter_timestamp_would_round_are_blocking(build: Build) -> None:
    path = build(
        "create table t(a int, b text)",
        t=[(1_700_000_000_123, "2024-01-01 10:00:00.123456"), (1_700_000_000_000, "2024-01-01 10:00:00.120000")],
    )
    made = {
        "a": TargetColumn(sql="timestamp(0) without time zone"),
        "b": TargetColumn(sql="timestamp(2) without time zone"),
    }
    census = await census_of(path, existing={"t": made})
    rounding = {f.object: f for f in census.findings if f.code == "type_rounds_times"}
    assert {o: f.params["rows"] for o, f in rounding.items()} == {"t.a": 1, "t.b": 1}
    assert all(f.severity is Severity.BLOCKING for f in rounding.values())


async def test_chosen_types_are_types_of_postgresql(build: Build, pg_dsn: str) -> None:
    path = build(
        """create table t(i int, r real, s text, b blob, f boolean, d decimal(9,3), at datetime, day date, m, n, e1 decimal, e2 numeric(7), z);
        insert into t values(1,1.5,'x',x'00',1,2.5,'2024-01-01 00:00:00','2024-01-01',1,1,null,null,1700000000),(1,1.5,'x',x'00',1,2.5,'2024-01-01 00:00:00','2024-01-01','a',x'00',null,null,1);"""
    )
    census = await census_of(
        path,
        types=Types.model_validate(
            {"by_column": {"t": {"z": "TIMESTAMP(3) with time zone"}}, "dates": {"t": {"z": "epoch_s"}}}
        ),
    )
    connection = await asyncpg.connect(pg_dsn)
    try:
        for name, (kind, _) in census.types["t"].items():
            assert await connection.fetchval(f"select null::{kind.sql}") is None, name
    finally:
        await connection.close()


async def test_a_living_file_is_left_as_it_is_and_its_writer_gets_through(build: Build) -> None:
    path = build("create table t(id integer primary key, v text)", t=[(i, f"v{i}") for i in range(1, 40_001)])
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    assert (await census_of(path, frozen=False)).facts == (await census_of(path)).facts
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before
    assert list(path.parent.iterdir()) == [path]

    stop, written = threading.Event(), []

    def write() -> None:
        writer = sqlite3.connect(path, timeout=30, isolation_level=None)
        while not stop.is_set():
            written.append(writer.execute("update t set v='w' where id=1").rowcount)
        writer.close()

    thread = threading.Thread(target=write)
    with patch.object(census_lane, "SLICE_SECONDS", {True: 0.01, False: 0.01}):
        thread.start()
        try:
            census = await census_of(path, frozen=False)
        finally:
            stop.set()
            await asyncio.to_thread(thread.join)
    assert census.facts["t"].rows == 40_000
    assert written


class StopSoon:
    """A control that stops after some looks."""

    halted = False

    def __init__(self, looks: int) -> None:
        self.looks = looks

    async def checkpoint(self) -> None:
        self.looks -= 1
        if self.looks < 0:
            raise Stopping


async def test_stop_acts_between_slices_and_progress_is_told(build: Build) -> None:
    path = build("create table t(a int); create table u(a int)", t=[(i,) for i in range(30_000)], u=[(1,)])
    told: list[Progress] = []
    await census_of(path, report=told.append)
    assert max(p.done for p in told if p.item == "t") == 30_000
    for looks in range(6):
        with pytest.raises(Stopping):
            await census_of(path, control=StopSoon(looks))


async def test_the_same_file_gives_the_same_census(build: Build) -> None:
    rows = [(i, i % 7, f"{i}", i / 8) for i in range(5000)]
    path = build("create table t(a int, b, c text, d decimal)", t=rows)
    first = await census_of(path)
    with patch.object(census_lane, "FIRST_ROWS", 111), patch.object(census_sample, "FIRST", 3):
        second = await census_of(path, workers=1)
    assert {c: t for c, (t, _) in first.types["t"].items()} == {c: t for c, (t, _) in second.types["t"].items()}
    assert first == await census_of(path)
