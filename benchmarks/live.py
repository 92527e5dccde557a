"""`make bench-live`: catch-up rate, freeze at cutover and seconds of the way back, kept in benchmarks/results/."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import psutil

STEPFLOW = [sys.executable, "-m", "stepflow_tui"]
ROOT = Path(__file__).parents[1]
PATIENCE_SECONDS = 300.0

SCHEMA = """
create table account (id integer primary key, name text not null unique, balance integer not null, touched datetime);
create table movement (id integer primary key autoincrement, account integer not null references account(id), amount integer not null,
  note text);
create index movement_account on movement(account);
"""


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, default=10, help="cutovers, each followed by a way back")
    options.add_argument("--rate", type=float, default=1000.0, help="writes per second the application offers")
    options.add_argument("--changes", type=int, default=200_000, help="changes to catch up with")
    chosen = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="stepflow-bench-"))
    try:
        with Bench(folder) as bench:
            lines = [*bench.catch_up(chosen.changes), *bench.cutovers(chosen.runs, chosen.rate)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    title = f"# Live, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}"
    text = "\n".join((title, "", *lines, ""))
    sys.stdout.write(text)
    (Path(__file__).parent / "results" / f"{time.strftime('%Y%m%dT%H%M%S')}-live.md").write_text(text)


@dataclass(frozen=True, slots=True)
class Ack:
    """One acknowledged transaction. `at` in seconds, monotonic."""

    side: str
    at: float
    took_ms: float


class Bench:
    """A state directory with an embedded server; every run has a database of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._env = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "STEPFLOW"))} | {
            "PYTHONPATH": str(ROOT),
            "HOME": str(folder),
        }

    def __enter__(self) -> Bench:
        self._stepflow("embedded", "start")
        self._server = str(self._json("embedded", "dsn")["dsn"])
        return self

    def __exit__(self, *_: object) -> None:
        self._stepflow("embedded", "stop")

    def catch_up(self, changes: int) -> Iterator[str]:
        """Changes that piled up while the engine was away, per second until the last of them is in PostgreSQL."""
        run = self._prepare("catch-up", accounts=50_000)
        config = run / "stepflow.yaml"
        config.write_text(config.read_text().replace("steps: [100], soak: 0s", "steps: [1, 100], soak: 1h"))
        self._stepflow("run", str(config), "--yes", "--detach")
        self._wait(lambda: self._status("catch-up")["phase"] == "switch_reads")
        (engine,) = self._engines("catch-up")
        engine.suspend()  # the change log grows without anybody reading it
        try:
            with contextlib.closing(sqlite3.connect(run / "app.db")) as connection:
                before = _newest(connection)
                _pile_up(connection, changes)
                newest = _newest(connection)
        finally:
            engine.resume()
        first = time.monotonic()
        last = self._wait(lambda: self._applied("catch-up") >= newest)
        entries = newest - before
        self._stepflow("abort", "catch-up", "--yes", "--confirm", "catch-up")
        seconds = last - first
        yield "| catch-up | entries in the log | seconds | entries/s | rows/s |"
        yield "|--|--|--|--|--|"
        yield f"| {changes:,} rows touched | {entries:,} | {seconds:.1f} | {entries / seconds:,.0f} | {changes / seconds:,.0f} |"
        yield ""

    def cutovers(self, runs: int, rate: float) -> Iterator[str]:
        """Cutover and way back under load, `runs` times over."""
        freezes, waits, backs, commands = [], [], [], []
        achieved = []
        for number in range(runs):
            one = self._cutover(f"cutover-{number}", rate)
            for values, value in zip((freezes, waits, backs, commands, achieved), one, strict=True):
                values.append(value)
        yield f"| {runs} cutovers, {rate:,.0f} writes/s offered | p50 | p99 | worst |"
        yield "|--|--|--|--|"
        yield f"| freeze: last write acknowledged by SQLite to first by PostgreSQL, ms | {_spread(freezes)} |"
        yield f"| longest wait of one write, ms | {_spread(waits)} |"
        yield f"| way back: command to the first write acknowledged by SQLite, s | {_spread(backs, 2)} |"
        yield f"| way back: command to its end, s | {_spread(commands, 2)} |"
        yield ""
        yield f"Writes/s acknowledged before the cutover: {statistics.median(achieved):,.0f}."

    def _cutover(self, name: str, rate: float) -> tuple[float, float, float, float, float]:
        run = self._prepare(name, accounts=1000)
        config = str(run / "stepflow.yaml")
        with self._application(run, rate, name):
            self._wait(lambda: len(_acks(run)) > rate)
            self._stepflow("run", config, "--yes", "--detach")
            self._wait(lambda: self._status(name)["state"] == "observing")
            self._wait(lambda: sum(a.side == "postgresql" for a in _acks(run)) > rate)
            began = time.monotonic()
            self._stepflow("rollback", name, "--yes", "--reason", "measured")
            ended = time.monotonic()
            back = self._wait_ack(run, began)
        acks = _acks(run)
        last = max(a.at for a in acks if a.side == "sqlite" and a.at < began)
        first = min(a.at for a in acks if a.side == "postgresql")
        before = [a for a in acks if a.side == "sqlite" and a.at < first]
        return (
            (first - last) * 1000,
            max(a.took_ms for a in acks if first - 5 < a.at < first + 5),
            back - began,
            ended - began,
            len(before) / (last - before[0].at),
        )

    def _prepare(self, name: str, *, accounts: int) -> Path:
        run = self.folder / name
        run.mkdir()
        with contextlib.closing(sqlite3.connect(run / "app.db", isolation_level=None)) as connection:
            connection.execute("pragma journal_mode=wal")
            connection.executescript(SCHEMA)
            connection.execute("begin")
            rows = ((i, f"account {i}", 0, "2025-01-01 00:00:00") for i in range(1, accounts + 1))
            connection.executemany("insert into account values (?, ?, ?, ?)", rows)
            connection.execute("insert into movement(account, amount, note) values (1, 1, 'first')")
            connection.execute("commit")
        (run / "stepflow.yaml").write_text(
            f"version: 1\nname: {name}\nkind: sqlite-to-postgres\nmode: live\nsource: {{path: ./app.db}}\n"
            "target: {embedded: true}\nswitch: {steps: [100], soak: 0s}\n"
        )
        asyncio.run(self._database(name))
        return run

    async def _database(self, name: str) -> None:
        connection = await asyncpg.connect(self._address("postgres"))
        try:
            await connection.execute(f'create database "{name}"')
        finally:
            await connection.close()

    @contextlib.contextmanager
    def _application(self, run: Path, rate: float, name: str) -> Iterator[None]:
        with (run / "app.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.live_app", str(run), str(rate)],
                env=self._env | {"SHOP_TARGET": self._address(name)}, cwd=ROOT, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            yield
        finally:
            (run / "stop").touch()
            process.wait(30)
        if process.returncode:
            raise RuntimeError((run / "app.log").read_text()[-2000:])

    def _address(self, database: str) -> str:
        head, mark, query = self._server.partition("?")
        return f"{head.rpartition('/')[0]}/{database}{mark}{query}"

    def _applied(self, name: str) -> int:
        async def ask() -> int:
            connection = await asyncpg.connect(self._address(name))
            try:
                return int(await connection.fetchval("select w from _stepflow.progress") or 0)
            finally:
                await connection.close()

        return asyncio.run(ask())

    def _status(self, name: str) -> dict[str, Any]:
        return self._json("status", name)

    def _engines(self, name: str) -> list[psutil.Process]:
        """The run's engine, without the processes it started itself."""
        found = [p for p in psutil.process_iter() if self._is_engine(p, name)]
        return [p for p in found if p.ppid() not in {q.pid for q in found}]

    def _is_engine(self, process: psutil.Process, name: str) -> bool:
        with contextlib.suppress(psutil.Error):
            line = process.cmdline()
            return "stepflow_tui.engine" in line and any(f"/runs/{name}-" in word for word in line)
        return False

    def _wait_ack(self, run: Path, began: float) -> float:
        self._wait(lambda: any(a.side == "sqlite" and a.at > began for a in _acks(run)))
        return min(a.at for a in _acks(run) if a.side == "sqlite" and a.at > began)

    def _wait(self, seen: Any) -> float:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not seen():
            if time.monotonic() > deadline:
                raise TimeoutError("not seen in time")
            time.sleep(0.05)
        return time.monotonic()

    def _json(self, *args: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._stepflow(*args, "--json"))
        return found

    def _stepflow(self, *args: str) -> str:
        command = [*STEPFLOW, *args, "--state-dir", str(self.folder / "state")]
        done = subprocess.run(command, env=self._env, cwd=self.folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(
                f"{' '.join(args)} ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
            )
        return done.stdout


def _pile_up(connection: sqlite3.Connection, changes: int) -> None:
    """Half updates, half inserts, a thousand to a transaction."""
    for start in range(0, changes, 1000):
        with connection:
            accounts = [(i % 50_000 + 1,) for i in range(start, start + 500)]
            connection.executemany("update account set balance = balance + 1 where id = ?", accounts)
            connection.executemany("insert into movement(account, amount, note) values (?, 1, 'piled up')", accounts)


def _newest(connection: sqlite3.Connection) -> int:
    return int(connection.execute("select coalesce(max(n), 0) from _sf_log").fetchone()[0])


def _acks(run: Path) -> list[Ack]:
    with contextlib.suppress(FileNotFoundError):
        rows = (
            line.split(",") for line in (run / "acks.csv").read_text().splitlines(keepends=True) if line.endswith("\n")
        )
        return [Ack(side, float(at), float(took)) for side, at, took in rows]
    return []


def _spread(values: list[float], digits: int = 0) -> str:
    ordered = sorted(values)
    late = ordered[min(len(ordered) - 1, round(0.99 * (len(ordered) - 1)))]
    return " | ".join(f"{v:,.{digits}f}" for v in (statistics.median(ordered), late, ordered[-1]))


if __name__ == "__main__":
    main()
