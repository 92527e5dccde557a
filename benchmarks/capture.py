"""What change capture costs the application: the same transactions on two equal files, one of them captured, in turns.

`python -m benchmarks.capture [--transactions 2000] [--folder DIR]` prints p50 and p99 per workload and journal mode, and
their ratios. Which of the two files comes first changes with every pair, so that both meet the same disk and neighbours.
The folder should be on the disk that the application uses: on tmpfs a commit costs nothing and ratios look worse.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from stepflow_tui.engine.model.plan import Compare, CompareKind, TablePlan, Walk, WalkKind
from stepflow_tui.engine.plan.capture import capture_plan, key_of
from stepflow_tui.engine.sqlite import capture
from stepflow_tui.engine.sqlite.catalog import read_schema
from stepflow_tui.engine.sqlite.connect import open_living, real_path

SCHEMA = """
create table users(id integer primary key, email text not null unique collate nocase, name text, visits int default 0);
create table orders(id integer primary key autoincrement, user_id int references users(id) on delete cascade,
  placed_at text default current_timestamp, total real, state text default 'new');
create index orders_user on orders(user_id);
create table lines(order_id int, no int, sku text, amount int, primary key (order_id, no)) without rowid;
create table sessions(token text primary key not null, user_id int, seen_at text);
create unique index one_open on orders(user_id) where state = 'open';
"""
USERS = 20_000
LIMIT = 1.5

Work = Callable[[sqlite3.Connection, int, random.Random], None]


def checkout(conn: sqlite3.Connection, n: int, dice: random.Random) -> None:
    """An order of three lines, and the customer's counter."""
    user = dice.randint(1, USERS)
    order = conn.execute("insert into orders(user_id, total) values (?, ?)", (user, n * 1.5)).lastrowid
    conn.executemany("insert into lines values (?, ?, ?, ?)", [(order, i, f"sku{n + i}", i) for i in range(3)])
    conn.execute("update users set visits = visits + 1 where id = ?", (user,))


def one_insert(conn: sqlite3.Connection, n: int, dice: random.Random) -> None:
    """One row."""
    conn.execute("insert into sessions values (?, ?, 'now')", (f"token {n}", dice.randint(1, USERS)))


def one_update(conn: sqlite3.Connection, n: int, dice: random.Random) -> None:
    """One row by its key."""
    conn.execute("update users set name = ? where id = ?", (f"name {n}", dice.randint(1, USERS)))


def upsert(conn: sqlite3.Connection, n: int, dice: random.Random) -> None:
    """One row that may be there."""
    conn.execute(
        "insert into sessions values (?, ?, ?) on conflict(token) do update set seen_at = excluded.seen_at",
        (f"again {n % 500}", dice.randint(1, USERS), str(n)),
    )


def replacing(conn: sqlite3.Connection, n: int, dice: random.Random) -> None:
    """One row that takes the place of another through a secondary key."""
    user = dice.randint(1, USERS)
    conn.execute("replace into users(email, name) values (?, ?)", (f"User{user}@example.org", f"n{n}"))


def bulk(conn: sqlite3.Connection, n: int, _dice: random.Random) -> None:
    """A thousand rows in one transaction."""
    conn.executemany("insert into orders(user_id, total) values (?, ?)", [(i, i * 1.5) for i in range(1_000)])


WORKLOADS: dict[str, tuple[Work, float]] = {
    "checkout (5 rows)": (checkout, 1.0),
    "insert": (one_insert, 1.0),
    "update": (one_update, 1.0),
    "upsert": (upsert, 1.0),
    "replace": (replacing, 1.0),
    "bulk (1,000 rows)": (bulk, 0.1),
}
MODES = (("wal", "normal"), ("wal", "full"), ("delete", "full"))


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table; milliseconds per transaction."""

    mode: str
    workload: str
    plain: tuple[float, float]
    captured: tuple[float, float]

    @property
    def ratios(self) -> tuple[float, float]:
        """Captured to plain at p50 and p99."""
        return self.captured[0] / self.plain[0], self.captured[1] / self.plain[1]


def main() -> None:
    """Measure all workloads and print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--transactions", type=int, default=2_000)
    options.add_argument("--folder", type=Path, default=None)
    options.add_argument("--keep", action="store_true", help="write the table to benchmarks/results/")
    chosen = options.parse_args()
    lines = []
    with tempfile.TemporaryDirectory(prefix="stepflow-bench-", dir=chosen.folder) as folder:
        for number, (mode, synchronous) in enumerate(MODES):
            lines += list(_mode(Path(folder) / str(number), mode, synchronous, chosen.transactions))
    text = table(lines)
    sys.stdout.write(text)
    if chosen.keep:
        (Path(__file__).parent / "results" / f"{time.strftime('%Y%m%dT%H%M%S')}-capture.md").write_text(text)


def _mode(folder: Path, mode: str, synchronous: str, transactions: int) -> Iterator[Line]:
    folder.mkdir()
    plain, captured = (_make(folder / name, mode) for name in ("plain.db", "captured.db"))
    asyncio.run(_capture(captured))
    with closing(_open(plain, synchronous)) as one, closing(_open(captured, synchronous)) as two:
        for name, (work, share) in WORKLOADS.items():
            times = _turns((one, two), work, max(20, int(transactions * share)))
            yield Line(f"{mode}, {synchronous}", name, _percentiles(times[0]), _percentiles(times[1]))


def _make(path: Path, mode: str) -> Path:
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute(f"pragma journal_mode = {mode}")
        conn.executescript(SCHEMA)
        conn.execute("begin")
        users = ((i, f"user{i}@example.org", f"name {i}") for i in range(1, USERS + 1))
        conn.executemany("insert into users(id, email, name) values (?, ?, ?)", users)
        conn.execute("commit")
    return path


async def _capture(path: Path) -> None:
    with closing(open_living(path)) as conn:
        schema = read_schema(conn)
    tables = [
        TablePlan(
            source=t.name, schema="public", name=t.name, columns=(), walk=Walk(kind=WalkKind.SINGLE),
            compare=Compare(kind=CompareKind.MULTISET), live_key=key_of(t, usable_primary=True))
        for t in schema.tables
    ]  # fmt: skip
    await capture.install(real_path(path), capture_plan(schema, tables), "bench-20260101T000000-0001")


def _open(path: Path, synchronous: str) -> sqlite3.Connection:
    conn = sqlite3.connect(path, isolation_level=None, timeout=30)
    conn.execute(f"pragma synchronous = {synchronous}")
    return conn


def _turns(
    conns: tuple[sqlite3.Connection, sqlite3.Connection], work: Work, count: int
) -> tuple[list[float], list[float]]:
    """Milliseconds per transaction on each file; the same transactions in the same order, the first tenth not counted."""
    times: tuple[list[float], list[float]] = ([], [])
    order = random.Random(1)
    for n in range(count):
        for which in order.sample((0, 1), 2):
            begin = time.perf_counter()
            conns[which].execute("begin immediate")
            work(conns[which], n, random.Random(n))
            conns[which].execute("commit")
            times[which].append((time.perf_counter() - begin) * 1_000)
    skip = count // 10
    return times[0][skip:], times[1][skip:]


def _percentiles(times: list[float]) -> tuple[float, float]:
    cut = statistics.quantiles(times, n=100)
    return cut[49], cut[98]


def table(lines: list[Line]) -> str:
    """Markdown, one line per mode and workload, the worst ratios last."""
    rows = [
        "| journal, synchronous | transaction | plain p50 ms | captured p50 ms | × | plain p99 ms | captured p99 ms | × |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for line in lines:
        p50, p99 = line.ratios
        rows.append(
            f"| {line.mode} | {line.workload} | {line.plain[0]:.3f} | {line.captured[0]:.3f} | {p50:.2f} "
            f"| {line.plain[1]:.3f} | {line.captured[1]:.3f} | {p99:.2f} |"
        )
    worst = max(itertools.chain.from_iterable(line.ratios for line in lines))
    rows.append("")
    rows.append(f"SQLite {sqlite3.sqlite_version}; worst ratio {worst:.2f}, limit {LIMIT} per transaction.")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    main()
