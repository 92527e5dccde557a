"""Whole runs through the real command line: one process per command, a state directory, a source and a target per test."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import psutil
import yaml

from stepflow_tui.engine.postgres.fingerprint import catalog_fingerprint
from tests.run_kit import until

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
SECONDS = 240
"""No command may take longer: a hang is a failure, not a slow test."""

SIDES = ("", "-wal", "-journal")
"""The files that make up a SQLite database; `-shm` is only an index."""


def source_hash(path: Path) -> tuple[str | None, ...]:
    """sha256 of database, `-wal` and `-journal`; None for one that is not there or holds nothing."""
    found = []
    for side in SIDES:
        file = path.with_name(path.name + side)
        content = file.read_bytes() if file.is_file() else b""
        found.append(hashlib.sha256(content).hexdigest() if content else None)
    return tuple(found)


def wait_for(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, whatever loop the test has."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


@dataclass(frozen=True)
class Ran:
    """What one command left behind."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """JSON Lines of `run --json`."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def last(self) -> dict[str, Any]:
        """The last line of `run --json`."""
        return self.events[-1]

    @property
    def object(self) -> dict[str, Any]:
        """The one object of another command with `--json`."""
        found: dict[str, Any] = json.loads(self.out)
        return found

    @property
    def errors(self) -> list[dict[str, Any]]:
        """The error events of `run --json`."""
        return [e for e in self.events if e["event"] == "error"]

    def of(self, event: str) -> list[dict[str, Any]]:
        """The events of one sort."""
        return [e for e in self.events if e["event"] == event]


class Stand:
    """One test's world: a folder with config and state, a source, a target."""

    def __init__(self, folder: Path, dsn: str, source: Path | None = None) -> None:
        self.folder = folder
        self.dsn = dsn
        self.source = source or folder / "source.db"
        self.state = folder / "state"
        self.config_path = folder / "stepflow.yaml"
        self.env: dict[str, str] = {}
        self.name = "acc"
        self._open: list[subprocess.Popen[str]] = []
        self.config()

    def config(self, **changes: Any) -> Path:
        """Write the config: comprehensive verification of `source` into `${TARGET_DSN}`, with changed top-level keys."""
        keys: dict[str, Any] = {
            "version": 1,
            "name": self.name,
            "kind": "sqlite-to-postgres",
            "source": {"path": str(self.source)},
            "target": {"dsn": "${TARGET_DSN}"},
            "verify": {"level": "comprehensive"},
        }
        keys |= changes
        self.config_path.write_text(yaml.safe_dump({k: v for k, v in keys.items() if v is not None}), encoding="utf-8")
        return self.config_path

    @property
    def environ(self) -> dict[str, str]:
        """A clean environment: nothing of the test's own PostgreSQL or StepFlow settings."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "STEPFLOW", "XDG", "TARGET_"))}
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        return kept | {"HOME": str(home), "PYTHONPATH": str(ROOT), "TARGET_DSN": self.dsn, "NO_COLOR": "1"} | self.env

    def command(self, *args: str) -> list[str]:
        """The command line of a call."""
        return [sys.executable, "-m", "stepflow_tui", *args, "--state-dir", str(self.state)]

    def cli(self, *args: str, env: dict[str, str] | None = None, before: Sequence[str] = ()) -> Ran:
        """Call StepFlow (`before`: what stands before its own command line) and wait for its end.

        No traceback may show anywhere, whatever happened.
        """
        done = subprocess.run(
            [*before, *self.command(*args)], env=self.environ | (env or {}), cwd=self.folder, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=SECONDS, check=False,
        )  # fmt: skip
        self.no_traceback(done.stdout, done.stderr)
        return Ran(done.returncode, done.stdout, done.stderr)

    def start(self, *args: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """Call StepFlow and leave it running."""
        process = subprocess.Popen(
            self.command(*args), env=self.environ | (env or {}), cwd=self.folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._open.append(process)
        return process

    def ended(self, process: subprocess.Popen[str]) -> Ran:
        """Wait for the end of a call that was left running."""
        out, err = process.communicate(timeout=SECONDS)
        self.no_traceback(out, err)
        return Ran(process.returncode, out, err)

    def run(self, *args: str, yes: bool = True, env: dict[str, str] | None = None, before: Sequence[str] = ()) -> Ran:
        """`stepflow run CONFIG --json`, whose last line is always how it ended."""
        ran = self.cli(
            "run", str(self.config_path), "--json", *(("--yes",) if yes else ()), *args, env=env, before=before
        )
        assert ran.out, f"nothing on stdout; stderr: {ran.err}"
        assert ran.last["event"] == "run_finished", ran.out
        assert ran.last["exit_code"] == ran.code, ran.out
        return ran

    def rollback(self, *args: str, run: str | None = None, env: dict[str, str] | None = None) -> Ran:
        """`stepflow rollback --yes`, with a reason of its own unless one is given."""
        why = () if "--reason" in args else ("--reason", "a test")
        return self.cli("rollback", run or self.name, "--yes", "--json", *why, *args, env=env)

    def status(self, run: str | None = None) -> dict[str, Any]:
        """`stepflow status --json`."""
        ran = self.cli("status", run or self.name, "--json")
        assert ran.code == 0, ran.out + ran.err
        return ran.object

    @property
    def runs(self) -> list[Path]:
        """Run folders, oldest first."""
        folder = self.state / "runs"
        return (
            sorted((p for p in folder.iterdir() if p.is_dir()), key=lambda p: p.stat().st_ctime_ns)
            if folder.exists()
            else []
        )

    @property
    def run_dir(self) -> Path:
        """The newest run's folder."""
        return self.runs[-1]

    def report(self) -> dict[str, Any]:
        """report.json of the newest run."""
        found: dict[str, Any] = json.loads((self.run_dir / "report.json").read_text(encoding="utf-8"))
        return found

    def plan(self) -> dict[str, Any]:
        """The newest run's plan, as its journal keeps it."""
        with contextlib.closing(sqlite3.connect(f"file:{self.run_dir / 'journal.db'}?mode=ro", uri=True)) as journal:
            row = journal.execute("select data from plan where hash=(select plan_hash from run)").fetchone()
        found: dict[str, Any] = json.loads(row[0])
        return found

    def journal(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of the newest run's journal."""
        with contextlib.closing(sqlite3.connect(f"file:{self.run_dir / 'journal.db'}?mode=ro", uri=True)) as journal:
            return journal.execute(sql).fetchall()

    def source_hash(self) -> tuple[str | None, ...]:
        """What proves that the source is unchanged."""
        return source_hash(self.source)

    def target_hash(self, *, data: bool = True) -> str:
        """A fingerprint of the target: catalog, sequences and rows."""
        return self.target(lambda conn: catalog_fingerprint(conn, data=data))

    def target(self, work: Any) -> Any:
        """Run `work(connection)` on the target."""

        async def call() -> Any:
            conn = await asyncpg.connect(self.dsn)
            try:
                return await work(conn)
            finally:
                await conn.close()

        return wait_for(call())

    def sql(self, *statements: str) -> list[tuple[Any, ...]]:
        """Statements on the target; the rows of the last one."""

        async def call(conn: asyncpg.Connection) -> list[tuple[Any, ...]]:
            for statement in statements[:-1]:
                await conn.execute(statement)
            return [tuple(r) for r in await conn.fetch(statements[-1])]

        found: list[tuple[Any, ...]] = self.target(call)
        return found

    def engines(self) -> list[psutil.Process]:
        """Engine processes of this state directory."""
        return [p for p in psutil.process_iter() if self._ours(p)]

    def _ours(self, process: psutil.Process) -> bool:
        with contextlib.suppress(psutil.Error):
            line = process.cmdline()
            return "stepflow_tui.engine" in line and any(a.startswith(f"{self.state}/") for a in line)
        return False

    def idle(self) -> None:
        """Wait until no engine works for this state directory."""
        until(lambda: not self.engines(), 60)

    def no_traceback(self, *texts: str) -> None:
        """No traceback, on the terminal or in an engine's log."""
        logs = [f.read_text(errors="replace") for f in self.state.glob("runs/*/engine.log")]
        crashes = [f.read_text(errors="replace") for f in self.state.glob("crash-*.log")]
        for text in (*texts, *logs, *crashes):
            assert "Traceback (most recent call last)" not in text, text

    def close(self) -> None:
        """End what is left running."""
        for process in self._open:
            if process.poll() is None:
                process.kill()
            process.communicate()
        for engine in self.engines():
            with contextlib.suppress(psutil.NoSuchProcess):
                engine.kill()
        until(lambda: not self.engines(), 60)


@contextlib.contextmanager
def standing(folder: Path, dsn: str, source: Path | None = None) -> Iterator[Stand]:
    """A stand that is cleared afterwards."""
    stand = Stand(folder, dsn, source)
    try:
        yield stand
    finally:
        stand.close()


def once(stand: Stand, exit_code: int) -> dict[str, Any]:
    """Start, complete, check. Returns the report."""
    source = stand.source_hash()
    ran = stand.run()
    assert ran.code == exit_code, ran.out
    assert stand.source_hash() == source
    report = stand.report()
    _compare(stand, report)
    return report


def scenario(stand: Stand, exit_code: int) -> dict[str, Any]:
    """Start, check, roll back, check, start again, complete, check. Returns the report of the last run.

    After each leg the source's bytes are the same; after the way back the target is exactly what it was.
    """
    source, target = stand.source_hash(), stand.target_hash()
    once(stand, exit_code)
    back = stand.rollback()
    assert (back.code, back.object["state"]) == (0, "rolled_back"), back.out + back.err
    assert (stand.source_hash(), stand.target_hash()) == (source, target)
    report = once(stand, exit_code)
    assert len(stand.runs) == 2
    return report


def _compare(stand: Stand, report: dict[str, Any]) -> None:
    from tests.acceptance.compare import compare

    compare(stand, report)
