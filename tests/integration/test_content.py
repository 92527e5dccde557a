"""Digests of what a database holds: every value counts, nothing of how it is stored does."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from stepflow_tui.engine.errors import Refused, Stopping
from stepflow_tui.engine.model import codec
from stepflow_tui.engine.model.control import FreeRunning
from stepflow_tui.engine.model.progress import Progress
from stepflow_tui.engine.sqlite import content_child
from stepflow_tui.engine.sqlite.connect import open_living, side_file
from stepflow_tui.engine.sqlite.content import Content, content_of

ROWS = 3000


def backwards(a: str, b: str) -> int:
    return (a < b) - (a > b)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Every kind of table, and values that are easily taken for each other."""
    path = tmp_path / "all.db"
    with closing(sqlite3.connect(path)) as conn:
        conn.create_collation("own", backwards)
        conn.executescript(
            """
            create table v (x);
            insert into v values (1), (1.0), ('1'), (x'31'), (null), (''), (x''), (0.1), (-0.0), (9e999), (-9e999),
              (9223372036854775807), (cast(x'c328' as text)), (x'c328'), ('a' || char(0) || 'b'), ('日本'), (zeroblob(70000)),
              (cast(zeroblob(70000) as text)), ('bytearray(b''1'')');
            create table numbered (id integer primary key autoincrement, made text as (id || 'x'), kept text as (id || 'y') stored);
            create table keyed (a text collate nocase, b blob, c, primary key (b, a)) without rowid;
            create index keyed_all on keyed (c, a, b);
            create table down (a text, b, primary key (a desc)) without rowid;
            create table own_key (a text collate own primary key, b) without rowid;
            create table own_index (a text collate own unique);
            create table shadowed (rowid, oid, _rowid_);
            create table half (rowid text, x);
            create table bad_key (a text primary key) without rowid;
            create table "odd ""name"" [日本]" ("a b" text, "select" int);
            create virtual table words using fts5 (body);
            create view seen as select * from v;
            insert into own_key values ('a', 1), ('b', 2);
            insert into own_index values ('a'), ('b');
            insert into down values ('a', 1), ('b', 2);
            insert into shadowed values (1, 2, 3), (1, 2, 3);
            insert into half values ('x', 1);
            insert into bad_key values (cast(x'c328' as text)), ('fine');
            insert into words values ('hello');
            insert into "odd ""name"" [日本]" values ('x', 1);
            """
        )
        conn.executemany("insert into numbered (id) values (?)", ((n * 2,) for n in range(ROWS)))
        conn.executemany("insert into keyed values (?, ?, ?)", ((f"k{n}", bytes([n % 7]), n) for n in range(ROWS)))
        conn.commit()
    return path


def change(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path)) as conn:
        conn.create_collation("own", backwards)
        conn.executescript(sql)


async def test_every_table_is_read(database: Path) -> None:
    found = await content_of(database, frozen=True)
    assert found.unread == {}
    assert not found.changed
    assert {name: table.rows for name, table in found.tables.items() if "words" not in name} == {
        "v": 19, "numbered": ROWS, "keyed": ROWS, "down": 2, "own_key": 2, "own_index": 2, "shadowed": 2, "half": 1, "bad_key": 2,
        'odd "name" [日本]': 1, "sqlite_sequence": 1,
    }  # fmt: skip
    assert {"words_content", "words_data"} <= set(found.tables)
    assert codec.loads(Content, codec.dumps(found)) == found


@pytest.mark.parametrize("frozen", [True, False])
async def test_how_it_is_stored_does_not_count(database: Path, frozen: bool) -> None:
    before = await content_of(database, frozen=True)
    change(database, "pragma page_size=8192; pragma auto_vacuum=full")
    with closing(sqlite3.connect(database)) as conn:
        conn.create_collation("own", backwards)
        conn.executescript("create table gone as select * from keyed; drop table gone; reindex; analyze")
    assert before.same(await content_of(database, frozen=frozen))
    with closing(sqlite3.connect(database)) as conn:
        conn.create_collation("own", backwards)
        conn.execute("vacuum into ?", (str(database.with_name("into.db")),))
    assert before.differences(await content_of(database.with_name("into.db"), frozen=frozen)) == ()
    change(database, "pragma journal_mode=wal; update v set x = x")
    assert before.same(await content_of(database, frozen=False))


@pytest.mark.parametrize(
    ("sql", "table"),
    [
        ("update v set x = 1 where rowid = 2", "v"),  # 1.0
        ("update v set x = '1' where rowid = 1", "v"),
        ("update v set x = x'31' where rowid = 3", "v"),
        ("update v set x = x'' where x = ''", "v"),
        ("update v set x = 0.0 where rowid = 9", "v"),  # -0.0
        ("update v set x = x'c328' where rowid = 13", "v"),
        ("update v set x = cast(zeroblob(70000) as text) where rowid = 17", "v"),
        ("update v set x = zeroblob(70001) where rowid = 17", "v"),
        ("update v set x = x'31' where rowid = 19", "v"),
        ("update v set rowid = 100 where rowid = 1", "v"),
        ("delete from v where rowid = 19", "v"),
        ("insert into shadowed values (1, 2, 3)", "shadowed"),
        ("update keyed set c = -1 where c = 2999", "keyed"),
        ("update keyed set a = 'K5' where a = 'k5'", "keyed"),
        ("update own_key set b = 3 where b = 2", "own_key"),
        ("update sqlite_sequence set seq = 1", "sqlite_sequence"),
        ("update words set body = 'hullo'", "words_content"),
    ],
)
async def test_every_value_counts(database: Path, sql: str, table: str) -> None:
    before = await content_of(database, frozen=False)
    change(database, sql)
    after = await content_of(database, frozen=False)
    assert not before.same(after)
    assert table in before.differences(after)
    assert all(name == table or name.startswith("words_") for name in before.differences(after))


@pytest.mark.parametrize("sql", ["create index more on v (x)", "drop view seen", "create table another (x)"])
async def test_the_schema_counts(database: Path, sql: str) -> None:
    before = await content_of(database, frozen=False)
    change(database, sql)
    assert not before.same(await content_of(database, frozen=False))


async def test_slices_and_the_whole_are_the_same(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices of all sizes, down to a row."""
    whole = await content_of(database, frozen=True)
    monkeypatch.setattr(content_child, "SLICE_SECONDS", 0.0)
    with closing(open_living(database)) as conn:
        conn.text_factory = bytearray
        facts = content_child.read(conn, lambda _: None, sliced=True)
    assert codec.from_plain(Content, facts).same(whole)
    assert whole.same(await content_of(database, frozen=False))


async def test_a_damaged_index_does_not_hide_what_the_table_holds(database: Path) -> None:
    before = await content_of(database, frozen=True)
    change(
        database,
        "pragma writable_schema=on; create index v_x on v (x); "
        "update sqlite_schema set rootpage = (select rootpage from sqlite_schema where name='half') where name='v_x'",
    )
    after = await content_of(database, frozen=True)
    assert before.differences(after) == ()


def between_slices(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    taken = content_child.Digest.add

    def add(self: content_child.Digest, rows: list[content_child.Row]) -> int:
        if self.table == "numbered" and self.rows == 0:
            act()
        return taken(self, rows)

    monkeypatch.setattr(content_child.Digest, "add", add)


@pytest.mark.parametrize("sliced", [True, False])
def test_writers_are_let_in_between_slices(database: Path, monkeypatch: pytest.MonkeyPatch, sliced: bool) -> None:
    """And what they write is said to have happened. One long read is the control: the writer is kept out."""
    said: list[str] = []

    def write() -> None:
        with closing(sqlite3.connect(database, timeout=0)) as conn:
            try:
                conn.execute("insert into numbered (id) values (1)")
                conn.commit()
            except sqlite3.OperationalError as error:
                said.append(str(error))

    between_slices(monkeypatch, write)
    with closing(open_living(database)) as conn:
        conn.text_factory = bytearray
        if not sliced:
            conn.execute("begin")
        facts = content_child.read(conn, lambda _: None, sliced=sliced)
    assert facts["changed"] is sliced
    assert said == ([] if sliced else ["database is locked"])


async def test_a_wal_database_is_read_at_one_moment(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change(database, "pragma journal_mode=wal")
    before = await content_of(database, frozen=False)
    between_slices(monkeypatch, lambda: change(database, "delete from numbered; delete from v"))
    with closing(open_living(database)) as conn:
        conn.text_factory = bytearray
        conn.execute("begin")
        facts = content_child.read(conn, lambda _: None, sliced=False)
    assert codec.from_plain(Content, facts).differences(before) == ()


async def test_what_stands_in_the_wal_alone_is_read(database: Path) -> None:
    change(database, "pragma journal_mode=wal")
    with closing(sqlite3.connect(database)) as conn:
        conn.execute("insert into v values ('only there')")
        conn.commit()
        copy = database.with_name("copy.db")
        shutil.copy(database, copy)
        without = await content_of(copy, frozen=True)
        shutil.copy(side_file(database, "-wal"), side_file(copy, "-wal"))
    assert (await content_of(copy, frozen=False)).tables["v"].rows == without.tables["v"].rows + 1


class Paused(FreeRunning):
    """Halted until it is looked at once more."""

    def __init__(self, *, abort: bool = False) -> None:
        self.looks, self.abort = 0, abort

    @property
    def halted(self) -> bool:
        return self.looks == 1

    async def checkpoint(self) -> None:
        self.looks += 1
        if self.looks > 1 and self.abort:
            raise Stopping(abort=True)
        await asyncio.sleep(0)


async def test_a_pause_lets_go_and_begins_again(database: Path) -> None:
    control = Paused()
    found = await content_of(database, frozen=False, control=control)
    assert control.looks == 2
    assert found.same(await content_of(database, frozen=True))
    with pytest.raises(Stopping):
        await content_of(database, frozen=False, control=Paused(abort=True))


async def test_progress_is_told(database: Path) -> None:
    with closing(sqlite3.connect(database)) as conn:
        conn.executemany("insert into keyed values (?, ?, ?)", ((f"m{n}", b"x", n) for n in range(200_000)))
        conn.commit()
    told: list[Progress] = []
    found = await content_of(database, frozen=True, report=told.append)
    assert [p.item for p in told][:1] == ["keyed"]
    assert all(a.done < b.done for a, b in pairwise(told))
    assert told[-1].done <= found.tables["keyed"].rows == ROWS + 200_000


async def test_a_damaged_file_is_not_read_past(database: Path) -> None:
    damaged = database.with_name("damaged.db")
    data = bytearray(database.read_bytes())
    data[4096 : len(data) // 2] = bytes(len(data) // 2 - 4096)
    damaged.write_bytes(data)
    with pytest.raises(Refused) as refused:
        await content_of(damaged, frozen=True)
    assert refused.value.code == "source_corrupt"
