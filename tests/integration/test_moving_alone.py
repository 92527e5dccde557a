"""A database is moved aside only where nobody has it open, those included that can't be looked at."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from stepflow_tui.engine.errors import DiskFull, Refused
from stepflow_tui.engine.model.versions import has_wal_reset_bug
from stepflow_tui.engine.sqlite import checkpoint, file_locks
from stepflow_tui.engine.sqlite.alone import nobody_else
from stepflow_tui.engine.sqlite.backups import refuse_in_use
from stepflow_tui.engine.sqlite.checkpoint import prove_checkpoint
from stepflow_tui.engine.sqlite.holders import Holders, find_holders, scan
from stepflow_tui.engine.sqlite.mapping import mapped
from tests.convert_kit import Client, holder, make

BUGGED = has_wal_reset_bug(sqlite3.sqlite_version_info[:3])

ANSWERING = """
import sqlite3, sys
conn = sqlite3.connect(sys.argv[1], isolation_level=None)
conn.execute("select count(*) from plain").fetchall()
print("ready", flush=True)
sys.stdin.readline()
try:
    conn.execute("insert into plain values (1, 'late')")
    print("written")
except sqlite3.Error as error:
    print(error.sqlite_errorname)
"""


def mode(path: Path, to: str) -> None:
    with closing(sqlite3.connect(path)) as conn:
        assert conn.execute(f"pragma journal_mode={to}").fetchone() == (to,)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return make(tmp_path / "shop.db")


def unseen(path: Path, proc: Path) -> Holders:
    """As it looks where processes are another user's."""
    return replace(scan(path, proc), complete=False, processes=())


async def test_locks_tell_of_processes_that_can_not_be_looked_at(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_locks, "scan", unseen)
    mode(shop, "wal")
    await refuse_in_use(shop)
    with holder(shop, "select * from plain") as app, pytest.raises(Refused) as refused:
        await refuse_in_use(shop)
    assert (refused.value.code, f"pid {app.pid} " in refused.value.detail) == ("source_in_use", True)


async def test_sqlite_itself_is_asked(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither descriptors nor locks are seen, as across containers: the file is not moved under a connection."""
    monkeypatch.setattr(file_locks, "_users", unseen)
    mode(shop, "wal")
    with holder(shop, "select * from plain"):
        with pytest.raises(Refused) as refused:
            async with nobody_else(shop, wait=0.2):
                raise AssertionError
        assert refused.value.code == "source_in_use"
    async with nobody_else(shop, wait=0.2):
        with closing(sqlite3.connect(shop, timeout=0)) as conn, pytest.raises(sqlite3.OperationalError, match="locked"):
            conn.execute("select * from plain")
    with closing(sqlite3.connect(shop)) as conn:
        assert conn.execute("pragma journal_mode").fetchone() == ("delete",)


@pytest.mark.parametrize(("guarded", "answer"), [(True, "SQLITE_READONLY_DBMOVED"), (False, "written")])
async def test_a_connection_that_was_open_can_not_write_into_what_was_moved(
    shop: Path, guarded: bool, answer: str
) -> None:
    """In rollback-journal mode SQLite refuses it. In WAL mode, the negative control, it acknowledges and loses the row."""
    mode(shop, "delete" if guarded else "wal")
    app = Client(ANSWERING, str(shop))
    shop.rename(shop.with_name("aside.db"))
    assert app.end().strip() == answer


async def test_what_can_not_be_opened_may_be_moved(tmp_path: Path) -> None:
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"no database" * 1000)
    for path in (broken, tmp_path / "missing.db"):
        async with nobody_else(path, wait=0.2):
            assert not (await find_holders(path)).processes


async def test_beside_others_there_is_one_checkpoint(shop: Path) -> None:
    mode(shop, "wal")
    with holder(shop, "begin; select * from t"), closing(sqlite3.connect(shop)) as conn:
        conn.execute("insert into plain values (1, 2)")
        conn.commit()
        proof = await prove_checkpoint(shop, alone=False, wait=2.5)
    assert (proof.kind, proof.complete, proof.tries) == ("passive", False, 1)


@pytest.mark.skipif(not BUGGED, reason="this library has no WAL-reset bug")
async def test_nobody_commits_during_a_checkpoint_beside_others(shop: Path) -> None:
    mode(shop, "wal")
    with holder(shop, "begin immediate; insert into plain values (1, 2)"):
        proof = await prove_checkpoint(shop, alone=False, wait=0.2)
    assert (proof.busy, proof.frames, proof.tries, proof.complete) == (True, -1, 0, False)


async def test_who_can_not_be_looked_at_is_not_taken_for_nobody(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mode(shop, "wal")

    async def nobody_seen(path: Path) -> Holders:
        return Holders(known=True, complete=False)

    monkeypatch.setattr(checkpoint, "find_holders", nobody_seen)
    assert (await prove_checkpoint(shop, alone=True, wait=0)).kind == "passive"


def test_an_index_that_finds_no_room_is_a_full_disk() -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname = "SQLITE_IOERR_SHMSIZE"
    assert isinstance(mapped(error, "A look"), DiskFull)
