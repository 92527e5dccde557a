"""Sources in every state, made for real."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_WRITER = """
import os, signal, sqlite3, sys
conn = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2:]:
    conn.execute(statement)
os.kill(os.getpid(), signal.SIGKILL)
"""

_HOLDER = """
import sqlite3, sys
conn = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2:]:
    conn.execute(statement).fetchall()
print("ready", flush=True)
sys.stdin.read()
"""


def shop(path: Path, *before: str, rows: int = 400) -> Path:
    """A small sound database: two tables with a key between them, an index, a view and a trigger."""
    conn = sqlite3.connect(path, isolation_level=None)
    for statement in before:
        conn.execute(statement)
    conn.executescript(
        "create table customer(id integer primary key, email text unique not null, since date);"
        "create table orders(id integer primary key autoincrement, customer_id integer references customer(id), total numeric(10,2), note blob);"
        "create index orders_by_customer on orders(customer_id);"
        "create view spent as select customer_id, count(*) as orders from orders group by customer_id;"
        "create trigger no_total after insert on orders when new.total is null begin update customer set since = null where id = new.customer_id; end;"
    )
    conn.execute("begin")
    conn.executemany(
        "insert into customer values(?,?,?)", [(i, f"c{i}@example.org", "2024-05-06") for i in range(1, rows + 1)]
    )
    conn.executemany(
        "insert into orders(customer_id,total,note) values(?,?,?)",
        [(i, i / 4, bytes([i % 256]) * 40) for i in range(1, rows + 1)],
    )
    conn.execute("commit")
    conn.close()
    return path


def long(path: Path, rows: int) -> Path:
    """One table whose copy takes as long as `copy.max_rows_per_second` makes it."""
    conn = sqlite3.connect(path, isolation_level=None)
    conn.execute("create table items(id integer primary key, name text, amount integer)")
    conn.execute("begin")
    conn.executemany("insert into items values(?,?,?)", ((i, f"item {i}", i * 7) for i in range(1, rows + 1)))
    conn.execute("commit")
    conn.close()
    return path


def crash(path: Path, *statements: str) -> None:
    """Run statements in a process that is killed before it can close anything."""
    done = subprocess.run([sys.executable, "-c", _WRITER, str(path), *statements], check=False)
    assert done.returncode == -signal.SIGKILL


@contextmanager
def holding(path: Path, *statements: str) -> Iterator[None]:
    """Another process that has the database open and has run these statements."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(path), *statements], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"ready\n"
        yield
    finally:
        process.communicate()


def hot(path: Path) -> Path:
    """A database in the middle of a transaction whose writer died."""
    shop(path)
    crash(path, "pragma cache_size=1", "begin immediate", "update orders set note = zeroblob(40)")
    assert path.with_name(path.name + "-journal").stat().st_size > 0
    return path


def corrupt(path: Path) -> Path:
    """A database with a page of a table overwritten."""
    shop(path, rows=4000)
    with path.open("r+b") as file:
        for page in (5, 9, 14):
            file.seek(4096 * page + 8)
            file.write(os.urandom(2000))
    return path
