"""Whatever happens to a file while its changes are captured is noticed in the next look, and answered.

Each test shows the damage too: what the log misses from then on, or what its keys no longer mean.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from stepflow_tui.engine.errors import Drift
from stepflow_tui.engine.model.live import CTL, LOG, SWITCH, CapturePlan, Installed
from stepflow_tui.engine.sqlite import capture
from stepflow_tui.engine.sqlite.capture import Accepted, Why
from stepflow_tui.engine.sqlite.connect import open_living
from tests.capture_kit import RUN, application, catalog, installed, logged, look, make, rows

SCRIPT = """
create table t(id integer primary key, a unique, b);
create table loose(x);
create table other(id integer primary key, x);
insert into t values (1, 'one', 1), (2, 'two', 2);
insert into loose values ('a'), ('b'), ('c');
"""

REBUILD = (
    "begin",
    "create table new_t(id integer primary key, a unique, b)",
    "insert into new_t select id, a, b + 1 from t",  # rows change on the way, unseen
    "drop table t",
    "alter table new_t rename to t",
    "commit",
)


@pytest.fixture(params=["wal", "delete"])
async def shop(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, CapturePlan, Installed]:
    path = make(tmp_path / "a.db", SCRIPT, mode=request.param)
    return path, *await installed(path)


Shop = tuple[Path, CapturePlan, Installed]


def do(path: Path, *statements: str) -> None:
    with application(path) as conn:
        for statement in statements:
            conn.execute(statement)


def noticed(path: Path, known: Installed, *, applied: int = 0) -> str:
    """The code of what the guard says."""
    with pytest.raises(Drift) as caught:
        look(path, known, applied=applied)
    assert caught.value.hint
    return caught.value.code


async def accepted(shop: Shop) -> Accepted:
    path, made, known = shop
    found = await capture.accept_schema(path, known, made)
    look(path, found.installed)
    do(path, "insert or replace into t values (9, 'one', 0)")
    assert {1, 9} <= {key[0] for key in logged(path, "t")}
    assert (await capture.accept_schema(path, found.installed, found.plan)).again == {}
    return found


async def test_nothing_happened(shop: Shop) -> None:
    path, made, known = shop
    do(path, "update t set b = 5", "delete from loose")
    assert look(path, known) == 5
    found = await accepted(shop)
    assert (found.again, found.plan, found.installed) == ({}, made, known)


async def test_a_table_was_rebuilt(shop: Shop) -> None:
    path, _, known = shop
    do(path, *REBUILD)
    do(path, "update t set b = 100")
    assert logged(path, "t") == set()  # the damage
    assert noticed(path, known) == "capture_trigger_missing"
    assert (await accepted(shop)).again == {"t": Why.TRIGGERS, "loose": Why.ROWIDS}


async def test_a_table_was_rebuilt_by_somebody_who_kept_its_triggers(shop: Shop) -> None:
    path, made, known = shop
    do(path, *REBUILD[:-1], *made.table("t").triggers.values(), "commit")
    assert rows(path, "select b from t order by id") == [(2,), (3,)]
    assert logged(path, "t") == set()
    assert noticed(path, known) == "capture_schema_changed"
    assert (await accepted(shop)).again == {"t": Why.REBUILT, "loose": Why.ROWIDS}


async def test_vacuum(shop: Shop) -> None:
    path, _, known = shop
    do(path, "delete from loose where x = 'a'")
    before = rows(path, "select rowid, x from loose")
    do(path, "vacuum")
    assert rows(path, "select rowid, x from loose") != before  # the damage: keys in the log mean other rows
    assert noticed(path, known) == "capture_schema_changed"
    assert (await accepted(shop)).again == {"loose": Why.ROWIDS}


async def test_a_trigger_was_dropped(shop: Shop) -> None:
    path, _, known = shop
    do(path, 'drop trigger "_sf_cap_t_bi"', "insert or replace into t values (3, 'two', 0)")
    assert {key[0] for key in logged(path, "t")} == {3}  # 2 is gone and nobody knows
    assert noticed(path, known) == "capture_trigger_missing"
    assert (await accepted(shop)).again["t"] is Why.TRIGGERS


async def test_a_trigger_was_altered_behind_the_schema_version(shop: Shop) -> None:
    path, _, known = shop
    with application(path) as conn:
        conn.execute("pragma writable_schema = on")
        conn.execute("update sqlite_master set sql = replace(sql, 'new.\"id\"', '0') where name = '_sf_cap_t_ai'")
    assert rows(path, "pragma schema_version") == [(known.schema_version,)]
    do(path, "insert into t values (7, 'seven', 7)")
    assert {key[0] for key in logged(path, "t")} == {0}
    assert noticed(path, known) == "capture_trigger_missing"
    assert (await accepted(shop)).again == {"t": Why.TRIGGERS}


@pytest.mark.parametrize("name", [LOG, CTL, SWITCH])
async def test_a_table_of_ours_was_dropped(shop: Shop, name: str) -> None:
    path, made, known = shop
    do(path, f"drop table {name}")
    if name == LOG:
        with pytest.raises(sqlite3.OperationalError):
            do(path, "insert into t values (3, 3, 3)")  # the application's writes fail
    assert noticed(path, known) == "capture_log_missing"
    with pytest.raises(Drift) as caught:
        await capture.accept_schema(path, known, made)
    assert caught.value.code == "capture_log_missing"


async def test_the_control_row_was_deleted(shop: Shop) -> None:
    path, _, known = shop
    do(path, f"delete from {CTL}")
    assert noticed(path, known) == "capture_log_missing"


async def test_the_file_was_replaced(shop: Shop, tmp_path: Path) -> None:
    path, made, known = shop
    copy = tmp_path / "copy.db"
    do(path, f"vacuum into '{copy}'")
    with closing(open_living(path)) as conn:
        conn.execute("begin")
        assert capture.guard(conn, known, path) == 0
        copy.replace(path)
        with pytest.raises(Drift) as caught:  # through a connection to the old file too
            capture.guard(conn, known, path)
    assert caught.value.code == "capture_file_replaced"
    with pytest.raises(Drift) as caught:
        await capture.accept_schema(path, known, made)
    assert caught.value.code == "capture_file_replaced"


async def test_the_file_is_gone(shop: Shop) -> None:
    path, _, known = shop
    with closing(open_living(path)) as conn:
        path.unlink()
        with pytest.raises(Drift) as caught:
            capture.guard(conn, known, path)
    assert caught.value.code == "capture_file_replaced"


async def test_a_backup_from_before_capture_was_restored_in_place(shop: Shop, tmp_path: Path) -> None:
    path, _, known = shop
    plain = make(tmp_path / "plain.db", SCRIPT)
    _restore(plain, path)
    assert (path.stat().st_dev, path.stat().st_ino) == (known.device, known.inode)
    assert noticed(path, known) == "capture_log_missing"


async def test_a_backup_made_during_capture_was_restored_in_place(shop: Shop, tmp_path: Path) -> None:
    path, _, known = shop
    backup = tmp_path / "backup.db"
    do(path, "insert into other(x) values (1), (2)")
    with application(path) as source, application(backup) as target:
        source.backup(target)
    do(path, "insert into other(x) values (3)")
    applied = look(path, known)
    assert applied == 3
    _restore(backup, path)
    assert noticed(path, known, applied=applied) in ("capture_schema_changed", "capture_rewound")


async def test_the_bytes_of_a_backup_were_copied_over_the_file(tmp_path: Path) -> None:
    """Same inode, same schema version, same triggers: only the log's end tells."""
    path = make(tmp_path / "a.db", SCRIPT, mode="delete")
    _, known = await installed(path)
    do(path, "insert into other(x) values (1), (2)")
    shutil.copyfile(path, tmp_path / "backup.db")
    do(path, "insert into other(x) values (3)")
    applied = look(path, known)
    with path.open("r+b") as target:
        target.write((tmp_path / "backup.db").read_bytes())
    assert look(path, known) == 2  # without knowing what was applied, all seems well
    assert noticed(path, known, applied=applied) == "capture_rewound"


def _restore(backup: Path, path: Path) -> None:
    with application(backup) as source, application(path) as target:
        source.backup(target)


async def test_an_index_came_or_went(shop: Shop) -> None:
    path, made, known = shop
    do(path, "create index plain on t(b)")
    assert noticed(path, known) == "capture_schema_changed"
    found = await accepted(shop)
    assert found.again == {"loose": Why.ROWIDS}
    assert found.plan == made


async def test_a_unique_index_came(shop: Shop) -> None:
    path, made, known = shop
    do(path, "create unique index later on t(b)", "insert or replace into t values (3, 'three', 2)")
    assert {key[0] for key in logged(path, "t")} == {3}  # 2 made room, unseen
    assert noticed(path, known) == "capture_schema_changed"
    found = await accepted(shop)
    assert found.again == {"t": Why.KEYS, "loose": Why.ROWIDS}
    do(path, "insert or replace into t values (4, 'four', 0)")
    assert {4, 9} <= {key[0] for key in logged(path, "t")}
    assert found.plan.table("other") == made.table("other")


async def test_the_application_made_a_trigger(shop: Shop) -> None:
    """It fires before ours. When it fails under OR FAIL, the row stays and ours never fires."""
    path, _, known = shop
    do(
        path,
        "create table strict(x unique)",
        "insert into strict values (1)",
        "create trigger theirs after insert on t begin insert into strict values (new.b); end",
    )
    with pytest.raises(sqlite3.IntegrityError):
        do(path, "insert or fail into t values (5, 'five', 1)")
    assert rows(path, "select id from t where id = 5") == [(5,)]
    assert logged(path, "t") == set()
    assert noticed(path, known) == "capture_schema_changed"
    found = await accepted(shop)
    assert found.again == {"t": Why.ORDER, "loose": Why.ROWIDS}
    with pytest.raises(sqlite3.IntegrityError):
        do(path, "insert or fail into t values (6, 'six', 1)")
    assert (6, None) in logged(path, "t") or (6,) in logged(path, "t")


@pytest.mark.parametrize(
    "ddl",
    [
        ["alter table t add column c"],
        ["alter table t rename column b to c"],
        ["alter table t drop column b"],
        [s.replace("a unique, b", "a unique, b text") for s in REBUILD],
    ],
)
async def test_columns_were_changed(shop: Shop, ddl: list[str]) -> None:
    path, made, known = shop
    do(path, *ddl)
    assert noticed(path, known) in ("capture_schema_changed", "capture_trigger_missing")
    before = catalog(path)
    with pytest.raises(Drift, match="'t'") as caught:
        await capture.accept_schema(path, known, made)
    assert caught.value.code == "capture_table_changed"
    assert catalog(path) == before


@pytest.mark.parametrize("ddl", ["drop table t", "alter table t rename to u"])
async def test_a_table_was_dropped_or_renamed(shop: Shop, ddl: str) -> None:
    path, made, known = shop
    do(path, ddl)
    assert noticed(path, known) in ("capture_schema_changed", "capture_trigger_missing")
    with pytest.raises(Drift, match="'t'") as caught:
        await capture.accept_schema(path, known, made)
    assert caught.value.code == "capture_table_dropped"


async def test_a_column_that_no_key_uses_can_still_be_dropped_by_the_application(shop: Shop) -> None:
    path, _, _ = shop
    do(path, "alter table t drop column b")
    with pytest.raises(sqlite3.OperationalError):
        do(path, "alter table t drop column a")


async def test_ddl_of_ours_is_not_taken_for_drift(shop: Shop) -> None:
    path, _, known = shop
    with application(path) as conn:
        conn.execute("begin immediate")
        assert capture.guard(conn, known, path) == 0
        conn.execute('create trigger "_sf_fence_t" before insert on t when 0 begin select 1; end')
        now = capture.stamp(conn, path)
        conn.execute("commit")
    assert now == replace(known, schema_version=now.schema_version)
    assert now.schema_version > known.schema_version
    assert look(path, known) == 0


async def test_renewed_triggers_are_the_same_and_the_newest(shop: Shop) -> None:
    path, _, known = shop
    with application(path) as conn:
        conn.execute("begin immediate")
        conn.execute("create trigger theirs after insert on t begin select 1; end")
        capture.renew_triggers(conn)
        now = capture.stamp(conn, path)
        conn.execute("commit")
    assert now.triggers_sha256 == known.triggers_sha256
    order = [name for (name,) in rows(path, "select name from sqlite_master where type = 'trigger' and tbl_name = 't'")]
    assert order[0] == "theirs"


async def test_a_removed_capture_is_noticed(shop: Shop) -> None:
    path, _, known = shop
    await capture.uninstall(path, RUN)
    assert noticed(path, known) == "capture_log_missing"
