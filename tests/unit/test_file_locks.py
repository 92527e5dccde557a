"""Locks by the text of the system's table: who reads, writes, waits, or lets nobody in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stepflow_tui.engine.sqlite.file_locks import FileLock, exclusive_holders, locks_on

PENDING = 0x40000000


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "shop.db"
    path.touch()
    return path


def table(tmp_path: Path, *rows: str) -> Path:
    """A /proc with these rows, `{db}` and `{shm}` put in as device and inode; pid 7 is an application."""
    proc = tmp_path / "proc"
    (proc / "7").mkdir(parents=True, exist_ok=True)
    (proc / "7" / "cmdline").write_bytes(b"python\0app.py\0")
    names = {}
    for key, name in (("db", "shop.db"), ("shm", "shop.db-shm")):
        if (tmp_path / name).exists():
            facts = (tmp_path / name).stat()
            names[key] = f"{os.major(facts.st_dev):02x}:{os.minor(facts.st_dev):02x}:{facts.st_ino}"
    (proc / "locks").write_text("".join(f"{n}: {row.format(**names)}\n" for n, row in enumerate(rows, 1)))
    return proc


def lock(kind: str, file: str, first: int, last: int | str | None = None, pid: int = 7, waits: str = "") -> str:
    return f"{waits}POSIX  ADVISORY  {kind} {pid} {{{file}}} {first} {first if last is None else last}"


SHARED = PENDING + 2, PENDING + 511


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ([lock("READ ", "db", *SHARED)], "reading"),
        ([lock("READ ", "db", *SHARED), lock("WRITE", "db", PENDING + 1)], "waiting to write"),
        ([lock("READ ", "db", *SHARED), lock("WRITE", "db", PENDING)], "waiting to write"),
        ([lock("WRITE", "db", PENDING, PENDING + 511)], "exclusive"),
        ([lock("WRITE", "db", 0, "EOF")], "exclusive"),
        ([lock("WRITE", "db", PENDING, PENDING + 511, waits="-> ")], None),
        ([lock("READ ", "db", PENDING)], None),
        ([lock("READ ", "db", 0, 100)], None),
        ([lock("READ ", "db", *SHARED).replace("POSIX", "FLOCK")], None),
        (["POSIX  ADVISORY  WRITE 7 00:99:1 0 EOF"], None),
        (["nonsense", lock("READ ", "db", *SHARED)], "reading"),
    ],
)
def test_what_a_lock_on_the_main_file_means(tmp_path: Path, database: Path, rows: list[str], what: str | None) -> None:
    found = locks_on(database, table(tmp_path, *rows))
    assert found == ((FileLock(pid=7, command="python app.py", what=what),) if what else ())
    if found:
        assert found[0].text == f"pid 7 (python app.py): {what}"


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ([], None),
        ([lock("READ ", "shm", 124)], "reading"),
        ([lock("WRITE", "shm", 120)], "writing"),
        ([lock("READ ", "shm", 124), lock("WRITE", "shm", 120)], "writing"),
        ([lock("READ ", "shm", 128)], None),
        ([lock("WRITE", "db", PENDING, PENDING + 511)], "exclusive"),
    ],
)
def test_beside_an_index_the_shared_lock_says_nothing(
    tmp_path: Path, database: Path, rows: list[str], what: str | None
) -> None:
    (tmp_path / "shop.db-shm").touch()
    found = locks_on(database, table(tmp_path, lock("READ ", "db", *SHARED), *rows))
    assert [entry.what for entry in found or ()] == ([what] if what else [])


def test_several_processes_and_one_of_another_world(tmp_path: Path, database: Path) -> None:
    rows = [lock("READ ", "db", *SHARED, pid=pid) for pid in (9, 7, -1)]
    found = locks_on(database, table(tmp_path, *rows))
    assert [(entry.pid, entry.command) for entry in found or ()] == [(-1, "?"), (7, "python app.py"), (9, "?")]


def test_a_system_that_does_not_tell(tmp_path: Path, database: Path) -> None:
    assert locks_on(database, tmp_path / "nowhere") is None


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    proc = table(tmp_path)
    assert locks_on(tmp_path / "gone.db", proc) == ()


async def test_exclusive_in_every_look(tmp_path: Path, database: Path) -> None:
    proc = table(tmp_path, lock("WRITE", "db", PENDING, PENDING + 511))
    [held] = await exclusive_holders(database, looks=3, every=0, proc=proc)
    assert held.pid == 7


async def test_not_in_every_look(tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = FileLock(pid=7, command="app", what="exclusive")
    looks = iter([(held,), (), (held,)])
    monkeypatch.setattr("stepflow_tui.engine.sqlite.file_locks.locks_on", lambda *_: next(looks))
    assert await exclusive_holders(database, looks=3, every=0) == ()
