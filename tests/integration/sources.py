"""Source files in every state, made for real, and proof that nothing changed them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

from stepflow_tui.engine.sqlite.child import path_text
from stepflow_tui.engine.sqlite.connect import real_path
from stepflow_tui.engine.sqlite.examine import Examined, classify, examine

WRITER = """
import os, signal, sqlite3, sys
conn = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2:]:
    conn.execute(statement)
os.kill(os.getpid(), signal.SIGKILL)
"""

HOLDER = """
import sqlite3, sys
conn = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2:]:
    conn.execute(statement).fetchall()
print("ready", flush=True)
sys.stdin.read()
"""


UNPRIVILEGED = """
import os
from stepflow_tui.engine.sqlite.probe_child import handle
from stepflow_tui.engine.sqlite.serving import serve
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
serve(handle)
"""


def make_db(path: Path, *statements: str, rows: int = 200) -> Path:
    """A sound database with a parent and a child table."""
    conn = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        conn.execute(statement)
    conn.execute("create table parent(id integer primary key, name text)")
    conn.execute("create table child(id integer primary key, parent_id integer references parent(id), body blob)")
    conn.execute("create index child_parent on child(parent_id)")
    conn.execute("begin")
    conn.executemany("insert into parent values(?,?)", [(i, f"name {i}") for i in range(1, rows + 1)])
    conn.executemany("insert into child values(?,?,?)", [(i, i, b"x" * 300) for i in range(1, rows + 1)])
    conn.execute("commit")
    conn.close()
    return path


def crash(path: Path, *statements: str) -> None:
    """Run statements in a process that is killed before it can close anything."""
    done = subprocess.run([sys.executable, "-c", WRITER, str(path), *statements], check=False)
    assert done.returncode == -9


def hot_journal(path: Path) -> Path:
    """A database in the middle of a transaction whose writer died: all bodies are overwritten, none committed."""
    make_db(path)
    crash(path, "pragma cache_size=1", "begin immediate", "update child set body = zeroblob(300)")
    assert path.with_name(path.name + "-journal").stat().st_size > 0
    return path


def live_wal(path: Path) -> Path:
    """A WAL database whose newest rows are in `-wal` only."""
    make_db(path, "pragma journal_mode=wal")
    crash(path, "pragma wal_autocheckpoint=0", "insert into parent values(100001,'only in the wal')")
    assert path.with_name(path.name + "-wal").stat().st_size > 0
    return path


def holder(path: Path, *statements: str) -> subprocess.Popen[bytes]:
    """A process that has the database open until its stdin is closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path), *statements], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def content(path: Path) -> dict[str, str]:
    """SHA-256 of main file, -wal and -journal; an absent and an empty side file are the same."""
    found = {}
    for suffix in ("", "-wal", "-journal"):
        side = path.with_name(path.name + suffix)
        if side.is_file() and side.stat().st_size:
            found[suffix] = hashlib.sha256(side.read_bytes()).hexdigest()
    return found


async def examine_unprivileged(path: Path) -> Examined:
    """`examine` as a user without special rights: as root, the child process runs as `nobody`."""
    if os.geteuid() != 0:
        return await examine(path)
    return await asyncio.to_thread(_as_nobody, path)


def _as_nobody(path: Path) -> Examined:
    # The interpreter itself may lie where only root can look, so everything is imported before the rights are given up.
    root = str(Path(__file__).parents[2])
    process = subprocess.Popen(
        [sys.executable, "-c", UNPRIVILEGED],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(
        json.dumps({"op": "examine", "path": path_text(real_path(path)), "busy_timeout_ms": 0}).encode() + b"\n"
    )
    process.stdin.flush()
    answer = json.loads(process.stdout.readline())
    process.stdin.close()
    process.wait()
    process.stdout.close()
    return classify(path, real_path(path), answer["result"])
