"""Applications beside a conversion: processes that write and read, hold locks, and tell what they saw."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]

HOLDER = """
import sqlite3, sys
conn = sqlite3.connect(sys.argv[1], isolation_level=None)
conn.executescript(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
"""

WRITER = """
import json, sqlite3, sys, threading, time
path, name, pause = sys.argv[1:]
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
conn = sqlite3.connect(path, isolation_level=None)
done, failed, longest = 0, [], 0.0
print("ready", flush=True)
while not stop.is_set():
    began = time.monotonic()
    try:
        conn.execute("begin immediate")
        conn.execute("insert into t (who, n) values (?, ?)", (name, done + 1))
        conn.execute("commit")
        done += 1
    except sqlite3.Error as error:
        failed.append(str(error))
        if conn.in_transaction:
            conn.execute("rollback")
    longest = max(longest, time.monotonic() - began)
    time.sleep(float(pause))
print(json.dumps({"done": done, "failed": failed, "longest": longest}), flush=True)
"""

READER = """
import json, sqlite3, sys, threading, time
path, name, pause = sys.argv[1:]
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
conn = sqlite3.connect(path, isolation_level=None)
done, failed, longest, last = 0, [], 0.0, 0
print("ready", flush=True)
while not stop.is_set():
    began = time.monotonic()
    try:
        [(count,)] = conn.execute("select count(*) from t").fetchall()
        if count < last:
            failed.append(f"{last} rows became {count}")
        last, done = count, done + 1
    except sqlite3.Error as error:
        failed.append(str(error))
    longest = max(longest, time.monotonic() - began)
    time.sleep(float(pause))
print(json.dumps({"done": done, "failed": failed, "longest": longest}), flush=True)
"""


class Client:
    """A process of the application."""

    def __init__(self, script: str, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    @property
    def pid(self) -> int:
        return self.process.pid

    def end(self) -> str:
        """Tell it to end; what it says then."""
        said, _ = self.process.communicate("end\n", timeout=60)
        return said


@contextmanager
def holder(path: Path, sql: str) -> Iterator[Client]:
    """An application that has done `sql` and stays as that left it."""
    client = Client(HOLDER, str(path), sql)
    try:
        yield client
    finally:
        client.process.kill()
        client.process.communicate()


def make(path: Path, *, rows: int = 200) -> Path:
    """A small rollback-journal database with several kinds of tables and values."""
    with closing(sqlite3.connect(path)) as conn:
        conn.executescript(
            """
            create table t (id integer primary key, who text, n integer, unique (who, n));
            create table plain (a, b);
            create table words (w text collate nocase primary key, b blob) without rowid;
            create index plain_b on plain (b);
            """
        )
        conn.executemany("insert into t (who, n) values ('before', ?)", ((n,) for n in range(rows)))
        conn.executemany("insert into plain values (?, ?)", ((n, os.urandom(40)) for n in range(rows)))
        conn.executemany("insert into words values (?, ?)", ((f"w{n}", bytes([n % 256])) for n in range(rows)))
        conn.commit()
    return path


def acknowledged(path: Path) -> dict[str, int]:
    """Rows per writer, each with all its numbers."""
    with closing(sqlite3.connect(path)) as conn:
        rows = conn.execute("select who, count(*), max(n) from t where who <> 'before' group by who").fetchall()
    assert all(count == last for _, count, last in rows)
    return {who: count for who, count, _ in rows}


def told(client: Client) -> dict[str, object]:
    """What a writer or reader says at its end."""
    answer: dict[str, object] = json.loads(client.end())
    return answer
