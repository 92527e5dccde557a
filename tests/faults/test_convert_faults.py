"""A conversion struck down at every system call: killed, or refused by the disk. The file is in the old mode or in the new
one as a whole, with everything in it, and the next try converts it."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.sqlite.connect import open_living, side_file
from stepflow_tui.engine.sqlite.content_child import read
from stepflow_tui.engine.sqlite.convert_child import attempt
from stepflow_tui.engine.sqlite.serving import path_text
from tests.convert_kit import ROOT, make

STRACE = shutil.which("strace")
pytestmark = pytest.mark.skipif(STRACE is None, reason="strace can't be found: apt-get install strace")

CALLS = (
    "pwrite64",
    "fdatasync",
    "unlink",
    "ftruncate",
    "openat",
    "fcntl",
    "mmap",
    "close",
    "pread64",
    "fchown",
    "newfstatat",
)
KILL, EIO, FULL = "signal=SIGKILL", "error=EIO", "error=ENOSPC"

Outcome = dict[str, Any]


def request(path: Path, to: str) -> bytes:
    status = path.stat()
    facts = {
        "op": "try",
        "path": path_text(path),
        "to": to,
        "busy_ms": 0,
        "seconds": 0,
        "dev": status.st_dev,
        "inode": status.st_ino,
    }
    return json.dumps(facts).encode() + b"\n"


def strike(path: Path, to: str, fault: str, call: str, when: str) -> tuple[Outcome | None, bool]:
    """Convert in a process whose calls on the database's files are struck; its answer (None: killed), and whether one was."""
    names = [path, *(side_file(path, s) for s in ("-wal", "-shm", "-journal"))]
    log = path.with_name("strace.log")
    done = subprocess.run(
        [str(STRACE), "-f", "-qq", "-o", str(log), *itertools.chain(*(("-P", str(n)) for n in names)),
         "-e", f"inject={call}:{fault}:when={when}", sys.executable, "-P", "-m", "stepflow_tui.engine.sqlite.convert_child"],
        input=request(path, to), capture_output=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    struck = "INJECTED" in (text := log.read_text()) or "killed by SIGKILL" in text
    assert not done.stderr, done.stderr
    return (json.loads(done.stdout).get("result") if done.stdout else None), struck


def content(path: Path) -> dict[str, Any]:
    """All of it, as it is after the next opening: a journal left behind is rolled back by SQLite itself."""
    with closing(sqlite3.connect(path)) as conn:
        assert conn.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    with closing(open_living(path)) as conn:
        conn.text_factory = bytearray
        return read(conn, lambda _: None, sliced=False)["tables"]  # type: ignore[no-any-return]


def header(path: Path) -> tuple[int, int]:
    head = path.read_bytes()[18:20]
    return head[0], head[1]


def fresh(origin: Path, path: Path) -> None:
    """A copy of the file with its side files, and nothing left of the last one."""
    for suffix in ("-wal", "-shm", "-journal"):
        side_file(path, suffix).unlink(missing_ok=True)
        if side_file(origin, suffix).exists():
            shutil.copy(side_file(origin, suffix), side_file(path, suffix))
    shutil.copy(origin, path)


def origin_of(folder: Path, mode: str) -> Path:
    """A rollback-journal database; or a WAL one with rows that stand in its `-wal` alone."""
    origin = make(folder / "origin.db")
    if mode == "delete":
        return origin
    with closing(sqlite3.connect(origin)) as conn:
        conn.execute("PRAGMA journal_mode=wal").fetchall()
        conn.execute("insert into plain values ('only in the wal', 1)")
        conn.commit()
        kept = folder / "kept.db"
        shutil.copy(origin, kept)
        shutil.copy(side_file(origin, "-wal"), side_file(kept, "-wal"))
    return kept


def proved(path: Path, to: str, before: dict[str, Any]) -> None:
    """What must hold after every strike, whatever was struck."""
    assert content(path) == before
    assert header(path) in ((1, 1), (2, 2))
    assert attempt(path, to, 0).get("returned") == to
    assert content(path) == before
    assert header(path) == ((2, 2) if to == "wal" else (1, 1))


def sweep(folder: Path, to: str, fault: str, call: str, *, upto: int, once: bool = True) -> int:
    """Strike the first, the second … such call, until one comes too late; how many did not."""
    origin = origin_of(folder, "delete" if to == "wal" else "wal")
    path = folder / "x.db"
    fresh(origin, path)
    before = content(path)
    for n in range(1, upto + 1):
        fresh(origin, path)
        answer, struck = strike(path, to, fault, call, str(n) if once else f"{n}+")
        if fault == KILL and struck:
            assert answer is None
        elif answer is not None and answer.get("returned") == to:
            assert header(path) == ((2, 2) if to == "wal" else (1, 1))
        proved(path, to, before)
        if not struck:
            return n - 1
    return upto


QUICK = [
    (KILL, "pwrite64"),
    (KILL, "fdatasync"),
    (KILL, "unlink"),
    (EIO, "fdatasync"),
    (EIO, "unlink"),
    (FULL, "pwrite64"),
]


@pytest.mark.parametrize("to", ["wal", "delete"])
@pytest.mark.parametrize(("fault", "call"), QUICK)
def test_struck_where_it_writes(tmp_path: Path, fault: str, call: str, to: str) -> None:
    assert sweep(tmp_path, to, fault, call, upto=4) > 0


@pytest.mark.parametrize("to", ["wal", "delete"])
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("fault", [KILL, EIO, FULL])
@pytest.mark.parametrize("once", [True, False], ids=["once", "for good"])
def test_struck_at_every_call(tmp_path: Path, fault: str, call: str, to: str, once: bool) -> None:
    sweep(tmp_path, to, fault, call, upto=200, once=once)


@pytest.mark.parametrize("damage", ["journal deleted", "wal deleted"])
def test_a_conversion_that_removes_side_files_is_caught(tmp_path: Path, damage: str) -> None:
    """The control: what the sweep looks at shows a conversion that tidies up what SQLite still needs."""
    origin = origin_of(tmp_path, "wal")
    path = tmp_path / "x.db"
    fresh(origin, path)
    before = content(path)
    fresh(origin, path)
    if damage == "wal deleted":
        side_file(path, "-wal").unlink()
    else:
        torn_commit(path)
        side_file(path, "-journal").unlink()
    with pytest.raises((AssertionError, sqlite3.Error)):
        proved(path, "delete", before)


def torn_commit(path: Path) -> None:
    """An application killed in the middle of writing its pages: the journal holds what they were."""
    script = (
        "import os, sqlite3, sys\n"
        "conn = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "conn.execute('pragma journal_mode=delete'); conn.execute('pragma cache_size=1'); conn.execute('begin')\n"
        "conn.execute('update plain set a = a + 1000, b = randomblob(60)'); os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=False, timeout=30)
    assert side_file(path, "-journal").exists()
