"""Every kind of source gets its name, and none is changed by being looked at."""

from __future__ import annotations

import os
import random
import shutil
import socket
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stepflow_tui.engine.sqlite.examine import SourceState, examine
from tests.integration.sources import content, examine_unprivileged, holder, hot_journal, live_wal, make_db


def _directory(path: Path) -> None:
    path.mkdir()


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def _empty(path: Path) -> None:
    path.touch()


def _random_pages(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(16_384))


def _text(path: Path) -> None:
    path.write_text("id;name\n1;Ada\n" * 500)


def _gzip(path: Path) -> None:
    path.write_bytes(b"\x1f\x8b" + random.Random(2).randbytes(8190))


def _sqlite2(path: Path) -> None:
    path.write_bytes(b"** This file contains an SQLite 2.1 database **\x00" + bytes(2000))


def _short_header(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\x00" + bytes(20))


def _cut_off(path: Path) -> None:
    make_db(path)
    os.truncate(path, path.stat().st_size // 8192 * 4096)


def _broken_root(path: Path) -> None:
    make_db(path)
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 60)


def _newer_format(path: Path) -> None:
    make_db(path)
    with path.open("r+b") as file:
        file.seek(18)
        file.write(b"\x05\x05")


def _encrypted_behind_header(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\x00" + random.Random(3).randbytes(16_384 - 16))


def _sound(path: Path) -> None:
    make_db(path)


def _hot(path: Path) -> None:
    hot_journal(path)


def _wal(path: Path) -> None:
    live_wal(path)


def _wal_of_empty_file(path: Path) -> None:
    live_wal(path)
    os.truncate(path, 0)


STATES: list[tuple[Callable[[Path], None], SourceState]] = [
    (_directory, SourceState.DIRECTORY),
    (_fifo, SourceState.NOT_REGULAR),
    (_socket, SourceState.NOT_REGULAR),
    (_empty, SourceState.EMPTY),
    (_random_pages, SourceState.ENCRYPTED),
    (_encrypted_behind_header, SourceState.ENCRYPTED),
    (_text, SourceState.NOT_SQLITE),
    (_gzip, SourceState.NOT_SQLITE),
    (_sqlite2, SourceState.NOT_SQLITE),
    (_short_header, SourceState.TRUNCATED),
    (_cut_off, SourceState.TRUNCATED),
    (_broken_root, SourceState.CORRUPT),
    (_newer_format, SourceState.TOO_NEW),
    (_sound, SourceState.SOUND),
    (_hot, SourceState.HOT_JOURNAL),
    (_wal, SourceState.SOUND),
    (_wal_of_empty_file, SourceState.TRUNCATED),
]


@pytest.mark.parametrize(("build", "state"), STATES, ids=[build.__name__[1:] for build, _ in STATES])
async def test_state_is_named_and_source_unchanged(
    tmp_path: Path, build: Callable[[Path], None], state: SourceState
) -> None:
    path = tmp_path / "s.db"
    build(path)
    before = content(path)
    found = await examine(path)
    assert found.state is state, found.detail
    assert content(path) == before


async def test_missing_and_dangling_symlink(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "gone.db")
    assert (await examine(tmp_path / "gone.db")).state is SourceState.MISSING
    assert (await examine(tmp_path / "link.db")).state is SourceState.MISSING
    assert (await examine(tmp_path / "no" / "folder.db")).state is SourceState.MISSING


async def test_what_a_foreign_file_looks_like_is_said(tmp_path: Path) -> None:
    _gzip(tmp_path / "a")
    _sqlite2(tmp_path / "b")
    assert (await examine(tmp_path / "a")).guess == "a gzip archive"
    assert (await examine(tmp_path / "b")).guess == "a SQLite 2 database"


@pytest.mark.parametrize(
    "name", ["a?b=c#d.db", "100%25 sure.db", "with space & 'quotes'.db", os.fsdecode(b"\xff\xfe.db"), "//x.db"]
)
async def test_names_of_any_kind(tmp_path: Path, name: str) -> None:
    path = tmp_path / name.lstrip("/")
    conn = sqlite3.connect(os.fsencode(path))
    conn.execute("create table t(a)")
    conn.close()
    found = await examine(path)
    assert (found.state, found.tables) == (SourceState.SOUND, 1)


async def test_live_wal_counts_and_its_rows_are_seen(tmp_path: Path) -> None:
    path = live_wal(tmp_path / "w.db")
    found = await examine(path)
    assert (found.wal, found.live_wal, found.immutable, found.journal_mode) == (True, True, False, "wal")


async def test_symlinks_lead_to_the_real_name(tmp_path: Path) -> None:
    path = make_db(tmp_path / "real.db")
    (tmp_path / "link.db").symlink_to(path)
    found = await examine(tmp_path / "link.db")
    assert (found.real, found.state) == (path, SourceState.SOUND)


async def test_hard_links_are_found(tmp_path: Path) -> None:
    path = make_db(tmp_path / "a.db")
    os.link(path, tmp_path / "b.db")
    found = await examine(path)
    assert (found.links, found.other_names) == (2, ("b.db",))


async def test_exclusive_lock_is_told_after_waiting(tmp_path: Path) -> None:
    path = make_db(tmp_path / "x.db")
    process = holder(path, "begin exclusive")
    try:
        assert (await examine(path, busy_timeout_ms=50)).state is SourceState.LOCKED
    finally:
        process.communicate()


async def test_entry_of_a_newer_sqlite_does_not_stop_the_rest(tmp_path: Path) -> None:
    path = make_db(tmp_path / "n.db", "create view v as select 1")
    conn = sqlite3.connect(path, isolation_level=None)
    conn.execute("pragma writable_schema=on")
    conn.execute("update sqlite_schema set sql='create view v as select frobnicate from later(' where name='v'")
    conn.close()
    found = await examine(path)
    assert found.state is SourceState.SOUND
    assert "malformed database schema (v)" in found.schema_error


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user may enter; pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="stepflow-test-"))
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def _close(folder: Path) -> None:
    for file in folder.iterdir():
        file.chmod(0o644)
    folder.chmod(0o555)


async def test_wal_file_in_read_only_folder_is_read_without_side_files(open_folder: Path) -> None:
    path = make_db(open_folder / "w.db", "pragma journal_mode=wal")
    _close(open_folder)
    found = await examine_unprivileged(path)
    assert (found.state, found.folder_read_only, found.immutable) == (SourceState.SOUND, True, True)
    assert [f.name for f in open_folder.iterdir()] == ["w.db"]


async def test_rollback_file_in_read_only_folder_keeps_its_locks(open_folder: Path) -> None:
    path = make_db(open_folder / "r.db")
    _close(open_folder)
    found = await examine_unprivileged(path)
    assert (found.state, found.immutable) == (SourceState.SOUND, False)


async def test_live_wal_in_read_only_folder_is_refused(open_folder: Path) -> None:
    path = live_wal(open_folder / "w.db")
    _close(open_folder)
    before = content(path)
    assert (await examine_unprivileged(path)).state is SourceState.WAL_LOCKED_IN
    assert content(path) == before


async def test_hot_journal_in_read_only_folder_is_still_seen(open_folder: Path) -> None:
    path = hot_journal(open_folder / "h.db")
    _close(open_folder)
    assert (await examine_unprivileged(path)).state is SourceState.HOT_JOURNAL


async def test_permission_denied_is_said(open_folder: Path) -> None:
    path = make_db(open_folder / "p.db")
    path.chmod(0)
    found = await examine_unprivileged(path)
    assert (found.state, found.detail) == (SourceState.UNREADABLE, "Permission denied")


@pytest.mark.parametrize("first", [b"{", b"[", b"<", b" "])
async def test_noise_that_begins_like_a_text_is_still_encrypted(tmp_path: Path, first: bytes) -> None:
    path = tmp_path / "noise.db"
    path.write_bytes(first + random.Random(7).randbytes(16383))
    assert (await examine(path)).state is SourceState.ENCRYPTED
