"""The tested backup: exact, private, resumable, interruptible, and the source stays as it was."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from stepflow_tui.engine.errors import DiskFull, Refused, StepFailed, Stopping
from stepflow_tui.engine.model.control import FreeRunning, silent
from stepflow_tui.engine.model.progress import Progress
from stepflow_tui.engine.sqlite import backup as backup_module
from stepflow_tui.engine.sqlite.backup import Backup, make_backup, manifest_of, read_manifest
from stepflow_tui.engine.sqlite.child import path_text, run_child
from stepflow_tui.engine.sqlite.connect import open_frozen
from stepflow_tui.engine.sqlite.examine import examine
from stepflow_tui.engine.sqlite.fingerprint import content_sha256, fingerprint, same_content, same_file
from stepflow_tui.engine.sqlite.restore_test import findings_of, refuse_damaged, restore_test
from tests.integration.sources import content, holder, hot_journal, live_wal, make_db
from tests.process_kit import children


async def back_up(
    path: Path,
    folder: Path,
    *,
    control: FreeRunning | None = None,
    stall_s: float | None = None,
    deadline_s: float = 60.0,
) -> Backup:
    return await make_backup(
        await examine(path),
        folder,
        name="b.db",
        control=control or FreeRunning(),
        report=silent,
        deadline_s=deadline_s,
        now_ms=1,
        stall_s=stall_s,
    )


def dump(path: Path) -> list[str]:
    conn = open_frozen(path)
    try:
        return list(conn.iterdump())
    finally:
        conn.close()


async def test_backup_is_one_private_sealed_file(tmp_path: Path) -> None:
    path = make_db(tmp_path / "s.db", "pragma journal_mode=wal")
    before = content(path)
    made = await back_up(path, tmp_path / "backups")
    assert content(path) == before
    assert sorted(f.name for f in (tmp_path / "backups").iterdir()) == ["b.db", "b.db.json"]
    assert (made.file.stat().st_mode & 0o777, (tmp_path / "backups").stat().st_mode & 0o777) == (0o600, 0o700)
    assert made.file.read_bytes()[18:20] == b"\x01\x01"  # rollback mode: reading it makes no side files
    assert (made.bytes, made.sha256) == (made.file.stat().st_size, await content_sha256(made.file))
    assert read_manifest(made.file) == made
    assert dump(made.file) == dump(path)


async def test_rows_of_a_live_wal_are_in_the_backup(tmp_path: Path) -> None:
    path = live_wal(tmp_path / "w.db")
    before = content(path)
    made = await back_up(path, tmp_path / "b")
    conn = open_frozen(made.file)
    assert conn.execute("select name from parent where id=100001").fetchall() == [("only in the wal",)]
    conn.close()
    assert content(path) == before


async def test_hot_journal_is_rolled_back_in_the_copy_only(tmp_path: Path) -> None:
    path = hot_journal(tmp_path / "h.db")
    before = content(path)
    made = await back_up(path, tmp_path / "b")
    conn = open_frozen(made.file)
    assert conn.execute("select count(*) from child where body = zeroblob(300)").fetchone() == (0,)
    conn.close()
    assert made.recovered
    assert (await restore_test(made.file)).sound
    assert content(path) == before
    assert (await examine(path)).state.value == "hot_journal"


async def test_progress_counts_pages(tmp_path: Path) -> None:
    path = make_db(tmp_path / "s.db", rows=9000)
    seen: list[Progress] = []
    made = await make_backup(
        await examine(path),
        tmp_path / "b",
        name="b.db",
        control=FreeRunning(),
        report=seen.append,
        deadline_s=60,
        now_ms=1,
    )
    assert [p.done for p in seen] == sorted({p.done for p in seen})
    assert len(seen) > 1
    assert (seen[-1].done, seen[-1].unit) == (made.pages, "pages")


async def test_finished_backup_is_taken_again_and_a_damaged_one_remade(tmp_path: Path) -> None:
    path = make_db(tmp_path / "s.db")
    first = await back_up(path, tmp_path / "b")
    assert await back_up(path, tmp_path / "b") == first
    with first.file.open("r+b") as file:
        file.seek(5000)
        file.write(b"damage")
    (tmp_path / "b" / "b.db.partial").write_bytes(b"left by a kill")
    again = await back_up(path, tmp_path / "b")
    assert (again.sha256, await content_sha256(again.file)) == (first.sha256, first.sha256)
    assert sorted(f.name for f in (tmp_path / "b").iterdir()) == ["b.db", "b.db.json"]


async def test_unreadable_manifest_means_unfinished(tmp_path: Path) -> None:
    first = await back_up(make_db(tmp_path / "s.db"), tmp_path / "b")
    manifest_of(first.file).write_text('{"path": 3')
    assert read_manifest(first.file) is None
    assert (await back_up(tmp_path / "s.db", tmp_path / "b")).sha256 == first.sha256


class Aborting(FreeRunning):
    """Tells to abort from the nth look on."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    @property
    def halted(self) -> bool:
        self.looks -= 1
        return self.looks < 0

    async def checkpoint(self) -> None:
        if self.looks < 0:
            raise Stopping(abort=True)


async def test_abort_between_steps_leaves_nothing(tmp_path: Path) -> None:
    path = make_db(tmp_path / "s.db", rows=9000)
    with pytest.raises(Stopping):
        await back_up(path, tmp_path / "b", control=Aborting(1))
    assert list((tmp_path / "b").iterdir()) == []


class Pausing(FreeRunning):
    """Pauses once, until somebody resumes it."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.resumed = asyncio.Event()

    @property
    def halted(self) -> bool:
        return not self.resumed.is_set()

    async def checkpoint(self) -> None:
        self.asked.set()
        await self.resumed.wait()


async def test_pause_holds_it_between_steps_and_does_not_count_as_copying(tmp_path: Path) -> None:
    path = make_db(tmp_path / "s.db", rows=9000)
    control = Pausing()
    job = asyncio.create_task(back_up(path, tmp_path / "b", control=control))
    await control.asked.wait()
    assert [f.name for f in (tmp_path / "b").iterdir() if f.name.endswith(".db")] == []
    control.resumed.set()
    assert dump((await job).file) == dump(path)


async def test_cancelling_lets_go_of_source_and_leaves_nothing(tmp_path: Path) -> None:
    path = make_db(tmp_path / "s.db", rows=9000)
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def report(_: Progress) -> None:
        loop.call_soon_threadsafe(begun.set)

    job = asyncio.create_task(
        make_backup(
            await examine(path),
            tmp_path / "b",
            name="b.db",
            control=FreeRunning(),
            report=report,
            deadline_s=60,
            now_ms=1,
        )
    )
    await begun.wait()
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert list((tmp_path / "b").iterdir()) == []


async def test_deadline_ends_it_between_steps(tmp_path: Path) -> None:
    path = make_db(tmp_path / "s.db", rows=9000)
    with pytest.raises(StepFailed) as late:
        await back_up(path, tmp_path / "b", deadline_s=0)
    assert late.value.code == "backup_deadline"
    assert list((tmp_path / "b").iterdir()) == []


async def test_writers_are_not_kept_waiting_longer_than_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_db(tmp_path / "s.db", rows=9000)
    process = holder(path, "select count(*) from parent")
    try:
        with pytest.raises(Refused) as foreseen:
            await back_up(path, tmp_path / "b", stall_s=0)
        monkeypatch.setattr(backup_module, "BYTES_PER_SECOND", 1e30)  # the estimate says that it takes no time
        with pytest.raises(Refused) as noticed:
            await back_up(path, tmp_path / "b", stall_s=1e-6)
    finally:
        process.communicate()
    assert (foreseen.value.code, noticed.value.code) == ("backup_would_stall", "backup_would_stall")
    assert "convert the file to WAL" in noticed.value.hint
    assert await back_up(path, tmp_path / "b", stall_s=0)  # nobody waits any more


async def test_a_wal_source_never_keeps_writers_waiting(tmp_path: Path) -> None:
    path = make_db(tmp_path / "s.db", "pragma journal_mode=wal")
    process = holder(path, "select count(*) from parent")
    try:
        assert await back_up(path, tmp_path / "b", stall_s=0)
    finally:
        process.communicate()


async def test_commits_during_the_backup_neither_restart_nor_enter_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_db(tmp_path / "w.db", "pragma journal_mode=wal", rows=2000)
    monkeypatch.setattr(backup_module, "PAGES_PER_STEP", 20)
    writer = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    seen: list[Progress] = []

    def report(progress: Progress) -> None:
        seen.append(progress)
        writer.execute("insert into parent(name) values('during the backup')")

    made = await make_backup(
        await examine(path), tmp_path / "b", name="b.db", control=FreeRunning(), report=report, deadline_s=60, now_ms=1
    )
    writer.close()
    assert [p.done for p in seen] == sorted({p.done for p in seen})
    conn = open_frozen(made.file)
    assert conn.execute("select count(*) from parent where name='during the backup'").fetchone() == (0,)
    conn.close()


async def test_replaced_source_is_refused(tmp_path: Path) -> None:
    path = make_db(tmp_path / "s.db")
    examined = await examine(path)
    make_db(tmp_path / "other.db")
    (tmp_path / "other.db").replace(path)
    with pytest.raises(Refused) as error:
        await make_backup(
            examined, tmp_path / "b", name="b.db", control=FreeRunning(), report=silent, deadline_s=60, now_ms=1
        )
    assert error.value.code == "source_replaced"


LIMITED = """
import asyncio, resource, signal, sys
from pathlib import Path
from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.model.control import FreeRunning, silent
from stepflow_tui.engine.sqlite.backup import make_backup
from stepflow_tui.engine.sqlite.examine import examine
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
async def main():
    examined = await examine(Path(sys.argv[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    await make_backup(examined, Path(sys.argv[2]), name="b.db", control=FreeRunning(), report=silent, deadline_s=60, now_ms=1)
try:
    asyncio.run(main())
except StepFlowError as error:
    print(error.code)
"""


async def test_failing_writes_leave_no_partial_file(tmp_path: Path) -> None:
    path = make_db(tmp_path / "s.db", rows=3000)
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path), str(tmp_path / "b")], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "sqlite_io"
    assert list((tmp_path / "b").iterdir()) == []


@pytest.mark.skipif(
    not Path("/dev/full").exists() or os.geteuid() != 0, reason="a small file system can only be made by root"
)
async def test_full_disk_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    path = make_db(tmp_path / "s.db", rows=9000)
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)], capture_output=True, check=False
    ).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        with pytest.raises(DiskFull):
            await back_up(path, small / "b")
        assert list((small / "b").iterdir()) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


def damage(path: Path, table: str) -> None:
    """Overwrite the root page of a table or index with what is no b-tree page."""
    conn = sqlite3.connect(path)
    [root], [size] = (
        conn.execute("select rootpage from sqlite_schema where name=?", (table,)).fetchone(),
        conn.execute("pragma page_size").fetchone(),
    )
    conn.close()
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\x77" * 64)


@pytest.mark.parametrize("table", ["child", "child_parent"])
async def test_damage_is_found_in_the_backup_and_refused(tmp_path: Path, table: str) -> None:
    path = make_db(tmp_path / "s.db")
    damage(path, table)
    before = content(path)
    made = await back_up(path, tmp_path / "b")
    found = await restore_test(made.file)
    assert not found.sound
    with pytest.raises(Refused) as error:
        refuse_damaged(found, path)
    assert (error.value.code, int(error.value.exit_code)) == ("source_corrupt", 4)
    assert "integrity_check: " in error.value.detail
    assert content(path) == before


async def test_index_that_lacks_rows_is_damage(tmp_path: Path) -> None:
    path = make_db(tmp_path / "s.db")
    conn = sqlite3.connect(path, isolation_level=None)
    conn.execute("pragma writable_schema=on")
    conn.execute("update sqlite_schema set sql='create index child_parent on child(id)' where name='child_parent'")
    conn.execute("update child set parent_id=1")
    conn.close()
    conn = sqlite3.connect(path, isolation_level=None)
    conn.execute("pragma writable_schema=on")
    conn.execute("update child set id=id+10000 where id<5")
    conn.execute(
        "update sqlite_schema set sql='create index child_parent on child(parent_id)' where name='child_parent'"
    )
    conn.close()
    found = await restore_test((await back_up(path, tmp_path / "b")).file)
    assert found.damage == ()
    assert "missing from index child_parent" in found.indexes[0]


async def test_orphans_are_counted_per_key(tmp_path: Path) -> None:
    path = make_db(tmp_path / "s.db")
    conn = sqlite3.connect(path, isolation_level=None)
    conn.execute("delete from parent where id in (7, 8, 9)")
    conn.execute(
        "create table pair(a, b, n integer references nowhere(id), foreign key(a, b) references parent(id, name))"
    )
    conn.execute("insert into pair values(1,'name 1',null),(1,'wrong',5),(null,'x',6)")
    conn.execute("create table strange(p references parent(name), q references parent)")
    conn.execute("insert into strange values('name 1', 1),('nobody', 99999),('name 2', 99999)")
    conn.close()
    found = await restore_test((await back_up(path, tmp_path / "b")).file)
    counts = {(k.table, k.columns, k.parent): (k.count, bool(k.error)) for k in found.foreign_keys}
    assert counts == {
        ("child", ("parent_id",), "parent"): (3, False),
        ("pair", ("n",), "nowhere"): (None, True),
        ("pair", ("a", "b"), "parent"): (1, True),
        ("strange", ("p",), "parent"): (1, True),
        ("strange", ("q",), "parent"): (2, False),
    }
    assert next(k.first_keys for k in found.foreign_keys if k.table == "child") == ("7", "8", "9")
    assert {f.code for f in findings_of(found)} == {"source_orphans", "source_key_mismatch"}


async def test_missing_collation_is_no_damage_and_the_other_tables_are_checked(tmp_path: Path) -> None:
    path = make_db(tmp_path / "s.db")
    conn = sqlite3.connect(path, isolation_level=None)
    conn.create_collation("LOCALIZED", lambda a, b: (a > b) - (a < b))
    conn.execute("create table word(w text collate LOCALIZED)")
    conn.execute("create index word_w on word(w)")
    conn.execute("insert into word values('b'),('a')")
    conn.execute("create table strict_one(n integer not null check(n > 0))")
    conn.execute("pragma ignore_check_constraints=on")
    conn.execute("insert into strict_one values(-1)")
    conn.close()
    found = await restore_test((await back_up(path, tmp_path / "b")).file)
    assert found.sound
    assert [table for table, _ in found.unchecked] == ["word"]
    assert found.constraints == ("CHECK constraint failed in strict_one",)
    assert {f.code for f in findings_of(found)} == {"source_table_unchecked", "source_constraint_violated"}


async def test_abort_ends_a_child_that_is_still_at_work(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "never ends")
    request = {"op": "copy", "path": path_text(tmp_path / "never ends"), "copy": path_text(tmp_path / "copy")}
    with pytest.raises(Stopping):
        await run_child("stepflow_tui.engine.sqlite.backup_child", request, control=Aborting(0))
    assert children("backup_child") == []


async def test_fingerprint_tells_writes_wal_reuse_and_replacement(tmp_path: Path) -> None:
    path = make_db(tmp_path / "s.db", "pragma journal_mode=wal")
    first = await fingerprint(path)
    assert same_content(first, await fingerprint(path))
    process = holder(path, "pragma wal_autocheckpoint=0", "insert into parent(name) values('x')")
    second = await fingerprint(path)
    assert second.wal_size > 0
    assert not same_content(first, second)
    assert same_file(first, second)
    process.communicate()
    make_db(tmp_path / "o.db")
    (tmp_path / "o.db").replace(path)
    assert not same_file(first, await fingerprint(path))
    path.unlink()
    with pytest.raises(Refused) as error:
        await fingerprint(path)
    assert error.value.code == "source_missing"


def test_backup_child_of_a_dead_parent_ends(tmp_path: Path) -> None:
    """Closing stdin before an answer is what a killed engine looks like to its child."""
    path = make_db(tmp_path / "s.db", rows=9000)
    fifo = tmp_path / "slow"
    os.mkfifo(fifo)
    request = f'{{"op": "copy", "path": "{os.fsencode(fifo).hex()}", "copy": "{os.fsencode(tmp_path / "c").hex()}"}}\n'
    process = subprocess.Popen(
        [sys.executable, "-m", "stepflow_tui.engine.sqlite.backup_child"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    process.communicate(request.encode(), timeout=60)
    assert process.returncode == 1
    assert path.exists()
