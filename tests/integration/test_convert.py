"""Conversion there and back beside real applications: readers, writers, and those that never let go."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from stepflow_tui.engine.errors import DiskFull, Held, Refused, StepFailed, Stopping
from stepflow_tui.engine.model.config_wal import AutoVacuum
from stepflow_tui.engine.model.control import FreeRunning
from stepflow_tui.engine.sqlite import convert_errors, room
from stepflow_tui.engine.sqlite.checkpoint import prove_checkpoint
from stepflow_tui.engine.sqlite.connect import side_file
from stepflow_tui.engine.sqlite.content import content_of
from stepflow_tui.engine.sqlite.conversation import Conversation
from stepflow_tui.engine.sqlite.convert import Attempt, Converted, JournalMode, convert, read_mode, set_layout
from stepflow_tui.engine.sqlite.convert_child import attempt, switch
from stepflow_tui.engine.sqlite.exclusive import watch
from stepflow_tui.engine.sqlite.mounts import FileSystem
from stepflow_tui.engine.sqlite.room import room_needed
from tests.convert_kit import READER, WRITER, Client, acknowledged, holder, make, told

THINKING = "0.02"
"""Seconds between two transactions of a client: without any, writers starve each other, conversion or not."""

WAL, DELETE = JournalMode.WAL, JournalMode.DELETE
FREE = FreeRunning()


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return make(tmp_path / "shop.db")


def bytes_of(path: Path) -> tuple[bytes, ...]:
    return tuple(side.read_bytes() for s in ("", "-wal", "-journal") if (side := side_file(path, s)).exists())


async def there(path: Path, **more: object) -> Converted:
    return await convert(path, WAL, wait=10, control=FREE, **more)  # type: ignore[arg-type]


async def test_there_and_back(shop: Path) -> None:
    before = await content_of(shop, frozen=True)
    done = await there(shop)
    assert (done.returned, done.before.wal, done.after.wal, done.after.header) == ("wal", False, True, (2, 2))
    assert (await content_of(shop, frozen=False)).same(before)
    with closing(sqlite3.connect(shop)) as conn:
        conn.execute("insert into plain values ('later', null)")
        conn.commit()
        shutil.copy(shop, shop.with_name("killed.db"))
        shutil.copy(side_file(shop, "-wal"), shop.with_name("killed.db-wal"))
    killed = shop.with_name("killed.db")  # as the application's death leaves it: the row stands in -wal alone
    back = await convert(killed, DELETE, wait=10, control=FREE)
    assert (back.returned, back.after.mode, back.after.header) == ("delete", "delete", (1, 1))
    assert not side_file(killed, "-wal").exists()
    assert (await content_of(killed, frozen=True)).tables["plain"].rows == before.tables["plain"].rows + 1


async def test_what_is_in_wal_already_is_left_alone(shop: Path) -> None:
    await there(shop)
    with closing(sqlite3.connect(shop)) as conn:
        conn.execute("insert into plain values (1, 2)")
        conn.commit()
        before = bytes_of(shop)
        done = await there(shop)
        assert (done.attempts, done.returned) == (0, "wal")
        assert bytes_of(shop) == before


async def test_a_symlink_leads_to_the_real_file(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link.db"
    link.symlink_to(shop)
    assert (await there(link)).after.wal
    assert side_file(shop, "-wal").exists()
    assert not side_file(link, "-wal").exists()


@pytest.mark.parametrize(
    ("sql", "what"),
    [("begin; select * from t", "reading"), ("begin immediate", "waiting to write"), ("begin immediate; insert into plain values (1, 2)", "waiting to write")],
)  # fmt: skip
async def test_somebody_who_never_leaves_is_named(shop: Path, sql: str, what: str) -> None:
    before, tries = bytes_of(shop)[0], []
    with holder(shop, sql) as app:
        with pytest.raises(Held) as held:
            await convert(shop, WAL, wait=0.8, control=FREE, tell=tries.append)
        assert held.value.code == "source_busy_conversion"
        assert f"pid {app.pid} ({sys.executable} -c " in held.value.detail
        assert what in held.value.detail
        assert bytes_of(shop)[0] == before
        assert len(tries) > 3
        assert all(isinstance(t, Attempt) for t in tries)
    assert (await there(shop)).after.wal


async def test_it_goes_on_when_the_holder_leaves(shop: Path) -> None:
    with holder(shop, "begin; select * from t") as app:
        seen = asyncio.Event()
        work = asyncio.create_task(there(shop, tell=lambda _: seen.set()))
        await seen.wait()
        app.end()
        done = await work
    assert done.after.wal
    assert done.attempts > 1
    assert any(f"pid {app.pid} " in name for name in done.waited_for)


async def test_an_application_that_is_exclusive_is_told_so(shop: Path) -> None:
    with holder(shop, "pragma locking_mode=exclusive; insert into plain values (1, 2)") as app:
        with pytest.raises(Refused) as refused:
            await convert(shop, WAL, wait=60, control=FREE)
        assert refused.value.code == "source_exclusive"
        assert f"pid {app.pid} (" in refused.value.detail
        assert "locking_mode" in refused.value.hint
    assert (await read_mode(shop)).mode == "delete"


def test_a_writer_that_never_rests_is_not_taken_for_exclusive(shop: Path) -> None:
    """It holds the file exclusively in nearly every look, and lets go for a moment with every commit."""
    client = Client(WRITER, str(shop), "busy", "0")
    try:
        assert watch(shop, 1.0) is None
    finally:
        client.end()
    with holder(shop, "pragma locking_mode=exclusive; insert into plain values (1, 2)") as app:
        assert watch(shop, 0.5) == app.pid


async def test_back_is_not_forced_while_others_are_there(shop: Path) -> None:
    await there(shop)
    with holder(shop, "select * from t") as app:
        with pytest.raises(Held) as held:
            await convert(shop, DELETE, wait=0.5, control=FREE)
        assert f"pid {app.pid} (" in held.value.detail
        assert (await read_mode(shop)).wal
    assert (await convert(shop, DELETE, wait=10, control=FREE)).after.header == (1, 1)


async def test_hard_links_are_refused(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "second.db").hardlink_to(shop)
    await refused_untouched(shop, "source_hard_links")


async def test_network_file_systems_are_refused(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convert_errors, "filesystem_of", lambda _: FileSystem(kind="nfs4", mount_point="/srv"))
    await refused_untouched(shop, "source_wal_on_network")


async def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    await refused_untouched(tmp_path / "empty.db", "source_empty")


async def refused_untouched(path: Path, code: str) -> None:
    before = bytes_of(path)
    with pytest.raises(Refused) as refused:
        await there(path)
    assert refused.value.code == code
    assert bytes_of(path) == before


MOUNTED = """
import asyncio, sys
from pathlib import Path
from stepflow_tui.engine.errors import Refused
from stepflow_tui.engine.model.control import FreeRunning
from stepflow_tui.engine.sqlite.convert import JournalMode, convert
try:
    asyncio.run(convert(Path(sys.argv[1]), JournalMode.WAL, wait=1, control=FreeRunning()))
except Refused as error:
    print(error.code)
"""


@pytest.mark.parametrize(
    ("mount", "code"),
    [("mount --bind {0} {0}", "source_file_mount"), ("mount --bind {1} {1} && mount -o remount,ro,bind {1}", "source_read_only")],
)  # fmt: skip
def test_mounts_of_a_file_and_read_only_folders_are_refused(shop: Path, mount: str, code: str) -> None:
    before = bytes_of(shop)
    script = f"{mount.format(shop, shop.parent)} && exec {sys.executable} -c '{MOUNTED}' {shop}"
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    if "not permitted" in done.stderr or "denied" in done.stderr:
        pytest.skip("mounting needs rights that this user has not")
    assert done.stdout.strip() == code, done.stderr
    assert bytes_of(shop) == before


async def test_a_file_that_was_replaced(shop: Path) -> None:
    facts = await read_mode(shop)
    make(shop.with_name("other.db")).replace(shop)
    before = bytes_of(shop)
    with pytest.raises(Refused) as refused:
        await there(shop, identity=(facts.dev, facts.inode))
    assert refused.value.code == "source_replaced"
    assert bytes_of(shop) == before


async def test_a_file_that_is_replaced_between_two_tries(shop: Path) -> None:
    with holder(shop, "begin immediate"):
        other = make(shop.with_name("other.db"))
        with pytest.raises(Refused) as refused:
            await there(shop, tell=lambda _: other.exists() and other.replace(shop))
    assert refused.value.code == "source_replaced"
    assert (await read_mode(shop)).mode == "delete"


def test_the_mode_that_is_answered_counts(shop: Path) -> None:
    """SQLite refuses these without an error."""
    with closing(sqlite3.connect(f"file:{shop}?immutable=1", uri=True, isolation_level=None)) as conn:
        assert switch(conn, "wal") == "delete"
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as conn:
        assert switch(conn, "wal") == "memory"
    with closing(sqlite3.connect(shop)) as conn:
        conn.execute("insert into plain values (1, 2)")
        assert switch(conn, "wal") == "delete"


async def test_what_is_set_back_at_once_is_no_success(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Conversation.ask

    async def then_set_back(self: Conversation, request: dict[str, object]) -> object:
        answer = await asked(self, request)
        attempt(shop, "delete", 0)
        return answer

    monkeypatch.setattr(Conversation, "ask", then_set_back)
    with pytest.raises(Refused) as refused:
        await there(shop)
    assert refused.value.code == "conversion_refused"
    assert "delete, header 1,1" in refused.value.detail


class Ordered(FreeRunning):
    """Told to stop at the second look."""

    looks = 0

    async def checkpoint(self) -> None:
        self.looks += 1
        if self.looks > 4:
            raise Stopping(abort=True)


async def test_an_abort_leaves_no_lock(shop: Path) -> None:
    with holder(shop, "begin; select * from t") as app:
        with pytest.raises(Stopping):
            await convert(shop, WAL, wait=60, control=Ordered())
        with closing(sqlite3.connect(shop, timeout=0)) as conn:  # a pending lock left behind would keep this out
            conn.execute("select * from t").fetchall()
        app.end()
    assert (await read_mode(shop)).mode == "delete"


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace can't be found: apt-get install strace")
@pytest.mark.parametrize(
    ("fault", "code"),
    [("fdatasync:error=EIO", "conversion_io"), ("pwrite64:error=ENOSPC", "disk_full"), ("unlink:signal=SIGKILL", "child_failed")],
)  # fmt: skip
async def test_what_the_disk_does_is_told_with_the_state_of_the_file(
    shop: Path, monkeypatch: pytest.MonkeyPatch, fault: str, code: str
) -> None:
    paths = [w for s in ("", "-wal", "-journal") for w in ("-P", str(side_file(shop, s)))]
    tracer = ("strace", "-f", "-qq", "-o", "/dev/null", *paths, "-e", f"inject={fault}:when=1", sys.executable)
    monkeypatch.setattr(Conversation, "interpreter", tracer)
    before = await content_of(shop, frozen=False)
    with pytest.raises(StepFailed) as failed:
        await there(shop)
    assert failed.value.code == code
    assert "integrity_check: ok; the file is in delete, header 1,1" in failed.value.detail
    monkeypatch.undo()
    assert (await there(shop)).after.wal
    assert (await content_of(shop, frozen=False)).same(before)


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace can't be found: apt-get install strace")
async def test_no_room_on_the_way_back_says_how_much_is_needed(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands in -wal alone has to get into the file, which grows by it."""

    async def sound(_path: Path) -> str:
        return "ok"

    await there(shop)
    with holder(shop, "pragma wal_autocheckpoint=0; insert into plain select 1, randomblob(900) from plain") as app:
        app.process.kill()
    grows = await room_needed(shop)
    assert grows > 200 * 900
    tracer = (
        "strace",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-P",
        str(shop),
        "-e",
        "inject=pwrite64:error=ENOSPC",
        sys.executable,
    )
    monkeypatch.setattr(Conversation, "interpreter", tracer)
    monkeypatch.setattr(room, "room_free", lambda _folder: 4096)
    monkeypatch.setattr(convert_errors, "soundness", sound)  # its disk is not full: it would empty the -wal
    with pytest.raises(DiskFull) as failed:
        await convert(shop, DELETE, wait=5, control=FREE)
    assert f"{shop.parent} has 4096 bytes free" in failed.value.hint
    assert f"make room for {grows - 4096} more" in failed.value.hint
    monkeypatch.undo()
    assert (await convert(shop, DELETE, wait=5, control=FREE)).after.mode == "delete"
    assert await room_needed(shop) < 200 * 900


async def test_side_files_belong_to_whom_the_database_belongs(shop: Path) -> None:
    shop.chmod(0o664)
    if os.getuid() == 0:
        os.chown(shop, 1234, 1235)
    await there(shop)
    await read_mode(shop)
    for suffix in ("-wal", "-shm"):
        facts, main = side_file(shop, suffix).stat(), shop.stat()
        assert (facts.st_mode, facts.st_uid, facts.st_gid) == (main.st_mode, main.st_uid, main.st_gid)


async def test_beside_writers_and_readers_nothing_is_lost(tmp_path: Path) -> None:
    """Eight processes write and eight read, with SQLite's own timeout of five seconds."""
    folder = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else tmp_path
    shop = make(folder / f"{tmp_path.name}-{os.getpid()}.db")
    clients = [Client(WRITER, str(shop), f"w{n}", THINKING) for n in range(8)]
    clients += [Client(READER, str(shop), "", THINKING) for _ in range(8)]
    try:
        done = await convert(shop, WAL, wait=60, control=FREE)
    finally:
        said = [told(client) for client in clients]
    kept = acknowledged(shop)
    for suffix in ("", "-wal", "-shm"):
        side_file(shop, suffix).unlink(missing_ok=True)
    assert done.after.wal
    assert [one["failed"] for one in said] == [[]] * 16
    assert kept == {f"w{n}": one["done"] for n, one in enumerate(said[:8]) if one["done"]}


async def test_layout_is_changed_before(shop: Path) -> None:
    before = await content_of(shop, frozen=False)
    done = await set_layout(shop, page_size=8192, auto_vacuum=AutoVacuum.INCREMENTAL, wait=5, control=FREE)
    assert done["changed"]
    assert (done["after"]["page_size"], done["after"]["auto_vacuum"], done["integrity"]) == (8192, "incremental", "ok")
    assert (await content_of(shop, frozen=False)).same(before)
    again = await set_layout(shop, page_size=8192, auto_vacuum=None, wait=5, control=FREE)
    assert not again["changed"]
    await there(shop)
    with pytest.raises(Refused) as refused:
        await set_layout(shop, page_size=4096, auto_vacuum=None, wait=5, control=FREE)
    assert refused.value.code == "layout_needs_rollback_journal"


async def test_rows_keep_their_numbers(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "gaps.db")) as conn:
        conn.executescript("create table g (a); insert into g values (1), (2), (3); delete from g where a = 2")
    before = await content_of(tmp_path / "gaps.db", frozen=True)
    with pytest.raises(Refused) as refused:
        await set_layout(tmp_path / "gaps.db", page_size=8192, auto_vacuum=None, wait=5, control=FREE)
    assert refused.value.code == "layout_renumbers_rows"
    assert "g" in refused.value.detail
    with closing(sqlite3.connect(tmp_path / "gaps.db")) as conn:  # the control: what would have happened
        conn.execute("vacuum")
    assert before.differences(await content_of(tmp_path / "gaps.db", frozen=True)) == ("g",)


async def test_a_collation_of_the_application_keeps_the_layout(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "own.db")) as conn:
        conn.create_collation("own", lambda a, b: (a > b) - (a < b))
        conn.executescript(
            "create table k (a text collate own primary key, b) without rowid; insert into k values ('a', 1)"
        )
    before = await content_of(tmp_path / "own.db", frozen=True)
    with pytest.raises(Refused) as refused:
        await set_layout(tmp_path / "own.db", page_size=8192, auto_vacuum=None, wait=5, control=FREE)
    assert (refused.value.code, refused.value.detail) == ("layout_refused", "no such collation sequence: own")
    assert (await there(tmp_path / "own.db")).after.wal
    assert (await content_of(tmp_path / "own.db", frozen=False)).same(before)


async def test_layout_waits_for_others_and_names_them(shop: Path) -> None:
    with holder(shop, "begin; select * from t") as app, pytest.raises(Held) as held:
        await set_layout(shop, page_size=8192, auto_vacuum=None, wait=0.3, control=FREE)
    assert f"pid {app.pid} (" in held.value.detail
    assert (await read_mode(shop)).page_size == 4096


async def test_a_checkpoint_is_proved(shop: Path) -> None:
    with pytest.raises(Refused) as refused:
        await prove_checkpoint(shop, alone=True, wait=0)
    assert refused.value.code == "checkpoint_no_wal"
    await there(shop)
    with holder(shop, "begin; select * from t"), closing(sqlite3.connect(shop)) as conn:
        conn.execute("insert into plain values (1, 2)")
        conn.commit()
        pinned = await prove_checkpoint(shop, alone=True, wait=0)
        assert (pinned.kind, pinned.complete) == ("passive", False)  # others are there, whatever was said
        assert pinned.checkpointed < pinned.frames
    with closing(sqlite3.connect(shop)) as conn:
        conn.execute("insert into plain values (1, 2)")
        conn.commit()
        free = await prove_checkpoint(shop, alone=False, wait=0)
        assert (free.kind, free.complete) == ("passive", True)
    proof = await prove_checkpoint(shop, alone=True, wait=0)
    assert (proof.kind, proof.complete, proof.wal_bytes_after) == ("truncate", True, 0)
