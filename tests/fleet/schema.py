"""The fleet's database: every shape of table that capture meets, a few seeded rows, and what the model must know of it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = dict[str, Any]
Key = tuple[Any, ...]

SPAN = 1_000_000
"""Writer `w` owns the integer keys from w × SPAN to (w + 1) × SPAN - 1; its texts begin with `w<w>-`."""

SEEDER = 0
"""Owner of the rows that are there before any writer starts; nobody changes them."""

DDL = """
create table item (
  id integer primary key, w integer not null, v integer not null,
  handle text not null collate nocase unique,
  state text not null default 'new', price decimal(10,2) not null default 0, live boolean not null default 1,
  made datetime not null, day date, raw blob, ratio real, updated_at datetime,
  folded text generated always as (lower(handle)) virtual);
create table line (
  item integer not null references item(id) on delete cascade on update cascade,
  n integer not null, w integer not null, v integer not null, note text, primary key (item, n)) without rowid;
create table tag (
  name text primary key not null, w integer not null, v integer not null,
  rank integer not null default 0, slot integer, active boolean not null default 1, unique (w, rank));
create unique index tag_slot on tag(slot) where active = 1;
create table code (id integer primary key, w integer not null, v integer not null, code text not null, val);
create unique index code_folded on code(lower(code));
create table pair (a text not null, b integer not null, w integer not null, v integer not null,
  swap integer not null unique, primary key (a, b)) without rowid;
create table fold (name text collate nocase primary key not null, w integer not null, v integer not null, body text);
create table loose (w integer not null, v integer not null, n integer not null, body text);
create table event (id integer primary key autoincrement, w integer not null, v integer not null, kind text not null);
create table audit (id integer primary key autoincrement, w integer not null, v integer not null,
  item integer not null, action text not null);
create table counter (name text primary key not null, n integer not null) without rowid;
create table shared (k text primary key not null, rev integer not null unique, w integer not null, v integer not null, note text);
create trigger item_touch after update of v on item begin
  update item set updated_at = current_timestamp where id = new.id; end;
create trigger item_touched after update of updated_at on item begin
  insert into audit(w, v, item, action) values (new.w, new.v, new.id, 'touch'); end;
create trigger item_new after insert on item begin
  insert into audit(w, v, item, action) values (new.w, new.v, new.id, 'new'); end;
create trigger item_gone after delete on item begin
  insert into audit(w, v, item, action) values (old.w, old.v, old.id, 'gone'); end;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unique:
    """A uniqueness rule over columns. `fold`: compared without regard to ASCII case; `where`: only rows with this value."""

    columns: tuple[str, ...]
    fold: bool = False
    where: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """An owned table: every row belongs to one writer (`w`), `v` is the number of the operation that wrote it last.

    `columns` are those the model follows; `defaults` what REPLACE puts in the place of a NULL.
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    uniques: tuple[Unique, ...] = ()
    defaults: tuple[tuple[str, int], ...] = ()

    def key_of(self, row: Row) -> Key:
        """The row's key."""
        return tuple(row[c] for c in self.key)


OWNED = {
    t.name: t
    for t in (
        Table(
            name="item",
            key=("id",),
            columns=("id", "w", "v", "handle", "state", "price", "live", "made", "day", "raw", "ratio"),
            uniques=(Unique(columns=("handle",), fold=True),),
        ),
        Table(name="line", key=("item", "n"), columns=("item", "n", "w", "v", "note")),
        Table(
            name="tag",
            key=("name",),
            columns=("name", "w", "v", "rank", "slot", "active"),
            uniques=(Unique(columns=("w", "rank")), Unique(columns=("slot",), where=("active", 1))),
            defaults=(("rank", 0), ("active", 1)),
        ),
        Table(
            name="code",
            key=("id",),
            columns=("id", "w", "v", "code", "val"),
            uniques=(Unique(columns=("code",), fold=True),),
        ),
        Table(
            name="pair",
            key=("a", "b"),
            columns=("a", "b", "w", "v", "swap"),
            uniques=(Unique(columns=("swap",)),),
        ),
        Table(
            name="fold",
            key=("name",),
            columns=("name", "w", "v", "body"),
            uniques=(Unique(columns=("name",), fold=True),),
        ),
        Table(name="loose", key=("w", "n"), columns=("w", "v", "n", "body")),
    )
}
"""The tables whose rows have one owner each."""

SHARED_KEYS = tuple(f"key-{i}" for i in range(12))
COUNTERS = ("total", "revision")


def lite(
    path: Path, *, foreign_keys: bool = True, recursive: bool = False, timeout: float = 20.0
) -> sqlite3.Connection:
    """A connection as an application opens it; transactions are begun and ended by hand."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=timeout)
    connection.execute(f"pragma foreign_keys={'on' if foreign_keys else 'off'}")
    connection.execute(f"pragma recursive_triggers={'on' if recursive else 'off'}")
    return connection


def make_fleet(path: Path, *, rows: int = 40, wal: bool = True) -> Path:
    """Make the database at `path` with seeded rows that show every column's form to the census."""
    with contextlib.closing(lite(path)) as connection:
        connection.execute(f"pragma journal_mode={'wal' if wal else 'delete'}")
        connection.executescript(DDL)
        connection.execute("begin")
        for table, row in seeds(rows):
            marks = ", ".join("?" * len(row))
            connection.execute(f"insert into {table}({', '.join(row)}) values ({marks})", tuple(row.values()))
        connection.execute("commit")
    return path


def seeds(rows: int) -> Iterator[tuple[str, Row]]:
    """Table and row of everything that is there from the start."""
    own = {"w": SEEDER, "v": 0}
    for name in COUNTERS:
        yield "counter", {"name": name, "n": 0}
    for i in range(1, rows + 1):
        yield "item", own | {
            "id": i, "handle": f"Seed-{i}", "state": "new", "price": i / 4 if i % 4 else i // 4, "live": i % 2, "made": f"2024-05-{1 + i % 28:02} 10:00:{i % 60:02}",
            "day": f"2024-06-{1 + i % 28:02}", "raw": bytes([i % 256, 0, 255]), "ratio": i / 7, "updated_at": "2024-07-01 12:00:00",
        }  # fmt: skip
        yield "line", own | {"item": i, "n": 1, "note": f"line of {i}"}
        yield "tag", own | {"name": f"seed-{i}", "rank": i, "slot": i, "active": i % 2}
        yield "code", own | {"id": i, "code": f"Seed-{i}", "val": (i, i + 0.5, f"t{i}", None)[i % 4]}
        yield "pair", own | {"a": f"Seed-{i}", "b": i, "swap": i}
        yield "fold", own | {"name": f"Seed-{i}", "body": f"body {i}"}
        yield "loose", own | {"n": i, "body": None if i % 5 == 0 else f"body {i}"}
