"""What can happen to a source while its changes are being captured: noticed, and answered."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.compare import differing
from tests.acceptance.harness import Stand
from tests.acceptance.live_kit import Live, Writer, catalog_of, make_shop, opened, rows_of, target_rows, writing
from tests.run_kit import until

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
        connection.execute(
            "create table new_customer(id integer primary key autoincrement, email text not null unique, name text)"
        )
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
    """One trigger of ours, and then changes that nobody logs: one of them would give the column another type, were it planned
    now; the planned one holds it too."""
    with opened(path) as connection:
        for (name,) in connection.execute(
            "select name from sqlite_schema where type = 'trigger' and tbl_name = 'kv' and name like '\\_sf\\_%' escape '\\'"
        ).fetchall():
            connection.execute(f'drop trigger "{name}"')
        connection.execute("update kv set v = x'00' where k < 'k2'")
        connection.execute("update kv set v = 'text' where k = 'k29'")


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


def test_disturbed_before_the_tail_runs(live: Live, writer: Writer) -> None:
    """The file is vacuumed before anything was caught up: the tail's first look finds it."""
    ran = live.run("--until", "validate")
    assert ran.code == 0, ran.out
    before = live.seq
    vacuum(live.stand.source)
    writer.more()
    live.over()
    writer.stop()
    assert live.events("capture_mended", before)
    assert live.errors() == []
    live.equal()


def test_disturbed_while_no_engine_runs(live: Live, writer: Writer) -> None:
    """Rowids moved, rows changed unseen: the next engine's first look finds it."""
    live.hold()
    live.kill()
    before = live.seq
    vacuum(live.stand.source)
    drop_trigger(live.stand.source)
    writer.more()
    live.over()
    writer.stop()
    assert set(live.event("tables_copied_again", before)["tables"]) >= {"kv", "note"}
    live.equal()


PLACES = ["mend_noted:1", "mend_accepted:1", "recopy_due:1", "recopy_emptied:1", "segment_ingested:1", "recopy_done:1"]


@pytest.mark.parametrize("place", PLACES)
def test_a_crash_in_the_middle_of_copying_again(live: Live, writer: Writer, place: str) -> None:
    """The engine is killed between noting, accepting and copying: the next one finishes what the note says."""
    live.hold()
    live.kill()
    drop_trigger(live.stand.source)
    live.stand.start("run", str(live.stand.config_path), "--yes", env={"STEPFLOW_FAILPOINT": f"{place}:kill"}).wait(120)
    live.stand.idle()
    assert live.status()["state"] != "observing"
    live.over()
    writer.stop()
    live.equal()


def add_column(path: Path) -> None:
    """The target has no place for it."""
    with opened(path) as connection:
        connection.execute("alter table customer add column phone text")


def drop_table(path: Path) -> None:
    """No trigger fires."""
    with opened(path, foreign_keys=False) as connection:
        connection.execute("drop table spare")


def drop_log(path: Path) -> None:
    """From here on every write of the application fails."""
    with opened(path) as connection:
        connection.execute("drop table _sf_log")


def replace_file(path: Path) -> None:
    """Another file takes the name, as editors and restore scripts do it."""
    _copied(path, path.with_name("other.db"))
    for side in ("-wal", "-shm"):
        path.with_name(path.name + side).unlink(missing_ok=True)
    path.with_name("other.db").replace(path)


def restore(path: Path) -> None:
    """`cp backup.db source.db`: the same file, an older content."""
    for side in ("-wal", "-shm"):
        path.with_name(path.name + side).unlink(missing_ok=True)
    shutil.copyfile(path.with_name("kept.db"), path)


def _copied(path: Path, to: Path) -> None:
    with opened(path) as source, contextlib.closing(sqlite3.connect(to)) as target:
        source.backup(target)


@pytest.mark.parametrize(
    ("disaster", "code", "named"),
    [
        (add_column, "capture_table_changed", "customer"),
        (drop_table, "capture_table_dropped", "spare"),
        (drop_log, "capture_log_missing", "_sf_log"),
        (replace_file, "capture_file_replaced", "source.db"),
        (restore, "capture_rewound", "applied up to"),
    ],
    ids=["column", "table", "log", "replaced", "restored"],
)
@pytest.mark.parametrize("engine", ["there", "gone"])
def test_what_cannot_be_mended_stops_the_run_by_name(
    live: Live, disaster: Disaster, code: str, named: str, engine: str
) -> None:
    """The run ends with the reason; the application's rows are untouched, and it goes on writing."""
    source = live.stand.source
    live.hold()
    _copied(source, source.with_name("kept.db"))
    with writing(source) as writer:
        writer.more()
        writer.stop()
    live.equal()
    target = target_rows(live.stand)
    before = live.seq
    if engine == "gone":
        live.kill()
    disaster(source)
    rows = rows_of(source)
    if engine == "gone":
        assert live.run().code == 4
    error = live.failed(code, before)
    assert error["exit_code"] == 4
    assert named in error["message"] + error["detail"]
    assert live.status()["state"] == "failed"
    assert rows_of(source) == rows
    assert target_rows(live.stand) == target, "nothing of it came into the target"
    with writing(source) as writer:
        writer.more()
        assert not writer.stop()["refused"]
    back = live.stand.cli("abort", live.stand.name, "--yes", "--json")
    assert back.code == 0, back.out
    until(lambda: live.status()["state"] == "aborted", 60)
    assert [name for _, name, _, _ in catalog_of(source) if name.startswith("_sf_")] == []


@pytest.mark.parametrize("disaster", [drop_trigger, rebuild], ids=["trigger", "rebuild"])
def test_without_the_guard_rows_are_missed(live: Live, disaster: Disaster) -> None:
    """The negative control: nobody notices, the tail applies all that was logged, and the sides differ; then only the
    comparison keeps the cutover from happening."""
    live.hold()
    live.kill()
    live.unguarded("unguarded")
    disaster(live.stand.source)
    with writing(live.stand.source) as writer:
        writer.more()
        writer.stop()
    ran = live.run()
    assert ran.code == 5, ran.out
    assert "live_differences" in live.errors()
    with opened(live.stand.source) as connection:
        (newest,) = connection.execute("select max(n) from _sf_log").fetchone()
    assert live.stand.sql("select w from _stepflow.progress") == [(newest,)], "everything that was logged is applied"
    assert differing(live.stand), "the damage that the guard prevents is not seen"
    assert live.events("capture_disturbed") == []
