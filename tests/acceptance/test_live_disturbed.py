"""What can happen to a source while its changes are being captured: noticed, and answered."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.harness import Stand
from tests.acceptance.live_kit import Live, Writer, make_shop, opened, rows_of, writing

pytestmark = [pytest.mark.timeout(600)]

Disaster = Callable[[Path], None]


@pytest.fixture
def live(stand: Stand) -> Live:
    """A shop that is about to move."""
    make_shop(stand.source)
    made = Live(stand)
    made.config()
    return made


@pytest.fixture
def writer(live: Live) -> Iterator[Writer]:
    """Its application, which writes all the time."""
    with writing(live.stand.source) as made:
        yield made


def rebuild(path: Path) -> None:
    """The twelve steps by which SQLite's manual changes a table: its triggers go with the old one."""
    with opened(path, foreign_keys=False) as connection:
        connection.execute("begin immediate")
        connection.execute("create table new_customer(id integer primary key autoincrement, email text not null unique, name text)")
        connection.execute("insert into new_customer select * from customer")
        connection.execute("drop table customer")
        connection.execute("alter table new_customer rename to customer")
        connection.execute("update customer set name = 'rebuilt' where id <= 5")
        connection.execute("commit")


def vacuum(path: Path) -> None:
    """Numbers the rows of a table without a key anew."""
    with opened(path) as connection:
        connection.execute("vacuum")


def drop_trigger(path: Path) -> None:
    """One trigger of ours, and then a change that nobody logs."""
    with opened(path) as connection:
        for (name,) in connection.execute(
            "select name from sqlite_schema where type = 'trigger' and tbl_name = 'kv' and name like '\\_sf\\_%' escape '\\'"
        ).fetchall():
            connection.execute(f'drop trigger "{name}"')
        connection.execute("update kv set v = x'00' where k < 'k2'")


def add_unique_index(path: Path) -> None:
    """A key that the triggers don't know: REPLACE removes rows through it."""
    with opened(path) as connection:
        connection.execute("create unique index by_total on orders(id, total)")


@pytest.mark.parametrize(
    ("disaster", "table", "why"),
    [
        (rebuild, "customer", "triggers"),
        (vacuum, "note", "rowids"),
        (drop_trigger, "kv", "triggers"),
        (add_unique_index, "orders", "keys"),
    ],
    ids=["rebuild", "vacuum", "trigger", "index"],
)
def test_what_may_have_been_missed_is_copied_again(
    live: Live, writer: Writer, disaster: Disaster, table: str, why: str
) -> None:
    """Noticed, the tables concerned copied again, both sides proven equal, and the cutover goes on."""
    live.hold()
    before = live.seq
    disaster(live.stand.source)
    assert live.event("capture_mended", before)["again"][table] == why
    assert table in live.event("tables_copied_again", before)["tables"]
    writer.more()
    told = writer.stop()
    live.equal()
    live.over()
    live.equal()
    assert not told["refused"], told
    assert live.errors() == []


def test_a_disturbed_copy_in_progress_is_mended_too(live: Live, writer: Writer) -> None:
    """The file is vacuumed while the backfill runs: the tail's first look finds it."""
    ran = live.run("--until", "validate")
    assert ran.code == 0, ran.out
    vacuum(live.stand.source)
    writer.more()
    live.over()
    writer.stop()
    live.equal()
