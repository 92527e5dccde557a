"""Looking after backups: list, verify, prune, copy, restore as one set, undo."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from stepflow_tui.engine.errors import Refused, StepFailed
from stepflow_tui.engine.model.control import FreeRunning, silent
from stepflow_tui.engine.sqlite.backup import Backup, make_backup, write_manifest
from stepflow_tui.engine.sqlite.backups import (
    copy_backup,
    list_backups,
    prune_backups,
    restore_backup,
    undo_restore,
    verify_backup,
)
from stepflow_tui.engine.sqlite.examine import examine
from tests.integration.sources import content, holder, hot_journal, live_wal, make_db


async def back_up(path: Path, folder: Path, name: str = "b.db", now_ms: int = 1) -> Backup:
    examined = await examine(path)
    return await make_backup(
        examined, folder, name=name, control=FreeRunning(), report=silent, deadline_s=60, now_ms=now_ms
    )


def names(path: Path) -> list[str]:
    conn = sqlite3.connect(path)
    try:
        return [n for (n,) in conn.execute("select name from parent where id > 200 order by id")]
    finally:
        conn.close()


async def test_listed_newest_first_and_only_finished_ones(tmp_path: Path) -> None:
    path = make_db(tmp_path / "s.db")
    old = await back_up(path, tmp_path / "b", "old.db", now_ms=1)
    new = await back_up(path, tmp_path / "b", "new.db", now_ms=2)
    (tmp_path / "b" / "half.db.partial").write_bytes(b"x")
    (tmp_path / "b" / "note.json").write_text("{}")
    assert list_backups([tmp_path / "b", tmp_path / "nowhere"]) == [new, old]


async def test_verify_tells_changed_bytes_and_damage_apart(tmp_path: Path) -> None:
    made = await back_up(make_db(tmp_path / "s.db"), tmp_path / "b")
    assert (await verify_backup(made)).verified
    with made.file.open("r+b") as file:
        file.seek(4096)
        file.write(b"\x55" * 100)
    changed = await verify_backup(made)
    assert (changed.verified, changed.test) == (False, None)
    write_manifest(replace(made, sha256=changed.sha256))
    damaged = await verify_backup(replace(made, sha256=changed.sha256))
    assert damaged.test is not None
    assert not damaged.verified


async def test_pruning_keeps_the_newest_and_never_touches_a_protected_one(tmp_path: Path) -> None:
    path = make_db(tmp_path / "s.db")
    made = [await back_up(path, tmp_path / "b", f"{n}.db", now_ms=n) for n in range(1, 6)]
    removed = prune_backups(made, keep=2, protected={made[0].path})
    assert removed == [made[2], made[1]]
    assert list_backups([tmp_path / "b"]) == [made[4], made[3], made[0]]
    assert sorted(f.name for f in (tmp_path / "b").iterdir()) == [
        "1.db",
        "1.db.json",
        "4.db",
        "4.db.json",
        "5.db",
        "5.db.json",
    ]


async def test_further_copies_are_proven(tmp_path: Path) -> None:
    made = await back_up(make_db(tmp_path / "s.db"), tmp_path / "b")
    copy = await copy_backup(made, tmp_path / "also")
    assert copy.read_bytes() == made.file.read_bytes()
    assert copy.stat().st_mode & 0o777 == 0o600
    assert await copy_backup(made, tmp_path / "also") == copy
    with pytest.raises(StepFailed) as error:
        await copy_backup(replace(made, sha256="0" * 64), tmp_path / "other")
    assert error.value.code == "backup_copy_differs"
    assert list((tmp_path / "other").iterdir()) == []


async def test_restore_moves_database_and_side_files_as_one_set_and_back(tmp_path: Path) -> None:
    path = make_db(tmp_path / "s.db", "pragma journal_mode=wal")
    path.chmod(0o640)
    made = await back_up(path, tmp_path / "b")
    other = live_wal(tmp_path / "other.db")
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f"other.db{suffix}").replace(tmp_path / f"s.db{suffix}")
    path.chmod(0o640)
    before = content(path)

    done = await restore_backup(made, path, stamp="r1")
    assert not other.exists()
    assert [Path(n).name for n in done.aside] == [
        "s.db.before-restore-r1",
        "s.db.before-restore-r1-wal",
        "s.db.before-restore-r1-shm",
    ]
    assert (names(path), path.stat().st_mode & 0o777) == ([], 0o640)
    assert content(Path(done.aside[0])) == before
    assert sorted(f.name for f in tmp_path.iterdir() if f.name.startswith(".")) == []

    aside = await undo_restore(done, stamp="u1")
    assert content(path) == before
    assert names(path) == ["only in the wal"]
    assert Path(aside[0]).name == "s.db.restored-u1"


async def test_leftover_journal_is_not_replayed_into_the_restored_file(tmp_path: Path) -> None:
    path = hot_journal(tmp_path / "h.db")
    made = await back_up(path, tmp_path / "b")
    done = await restore_backup(made, path, stamp="x")
    assert [Path(n).name for n in done.aside] == ["h.db.before-restore-x", "h.db.before-restore-x-journal"]
    assert path.read_bytes() == made.file.read_bytes()


async def test_restore_where_nothing_was(tmp_path: Path) -> None:
    made = await back_up(make_db(tmp_path / "s.db"), tmp_path / "b")
    done = await restore_backup(made, tmp_path / "new.db", stamp="x")
    assert done.aside == ()
    assert (tmp_path / "new.db").read_bytes() == made.file.read_bytes()
    with pytest.raises(Refused) as error:
        await undo_restore(done, stamp="y")
    assert error.value.code == "restore_not_undoable"


async def test_restore_refuses_while_somebody_has_it_open(tmp_path: Path) -> None:
    path = make_db(tmp_path / "s.db")
    made = await back_up(path, tmp_path / "b")
    before = content(path)
    process = holder(path, "select count(*) from parent")
    try:
        with pytest.raises(Refused) as error:
            await restore_backup(made, path, stamp="x")
    finally:
        process.communicate()
    assert error.value.code == "source_in_use"
    assert f"pid {process.pid}" in error.value.detail
    assert content(path) == before


async def test_restore_of_a_changed_backup_changes_nothing(tmp_path: Path) -> None:
    path = make_db(tmp_path / "s.db")
    made = await back_up(path, tmp_path / "b")
    with made.file.open("ab") as file:
        file.write(b"x")
    before = content(path)
    with pytest.raises(StepFailed):
        await restore_backup(made, path, stamp="x")
    assert content(path) == before
    assert sorted(f.name for f in tmp_path.iterdir()) == ["b", "s.db"]


async def test_restore_never_overwrites_an_earlier_old_set(tmp_path: Path) -> None:
    path = make_db(tmp_path / "s.db")
    made = await back_up(path, tmp_path / "b")
    await restore_backup(made, path, stamp="x")
    with pytest.raises(Refused) as error:
        await restore_backup(made, path, stamp="x")
    assert error.value.code == "restore_name_taken"
