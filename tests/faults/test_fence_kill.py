"""`kill -9` at every statement of raising and lifting the fence: all of it is there, or none."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.sqlite import fence
from tests.copy_kit import INTEGER, TEXT
from tests.reverse_kit import install_capture, live_table, new_file

SCRIPT = """
create table t(id integer primary key, x text);
create table w(k text primary key not null, x text) without rowid;
create table audit(id);
create trigger one after insert on t begin insert into audit values (new.id); end;
create trigger two after delete on w begin insert into audit values (old.k); end;
"""
TABLES = ("t", "w")
POINTS = {"raise": ("fence_statement", "fence_raise_commit", "fence_raised"),
          "lift": ("fence_statement", "fence_lift_commit", "fence_lifted")}  # fmt: skip


def test_every_failpoint_is_used() -> None:
    found = re.findall(r'failpoint\("(\w+)"\)', Path("stepflow_tui/engine/sqlite/fence.py").read_text())
    assert set(found) == {p for points in POINTS.values() for p in points}


class Process:
    """Forks children that are killed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, what: str, point: str) -> str:
        """How the child ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{what} {point}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()


@contextmanager
def _process(path: Path) -> Iterator[Process]:
    command = [sys.executable, "-m", "tests.faults.fence_engine", str(path), *TABLES]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    ) as process:
        yield Process(process)
        assert process.stdin is not None
        process.stdin.close()


async def _source(tmp_path: Path, journal: str) -> Path:
    path = new_file(tmp_path, SCRIPT, {"t": [(1, "x")], "w": [("a", "x")]})
    with closing(sqlite3.connect(path)) as conn:
        conn.execute(f"pragma journal_mode={journal}")
    await install_capture(
        path, [live_table(path, "t", {"id": INTEGER, "x": TEXT}), live_table(path, "w", {"k": TEXT, "x": TEXT})]
    )
    return path


def _theirs(path: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as conn:
        return conn.execute(
            "select name, sql from sqlite_schema where type='trigger' and name not glob '_sf_*' order by name"
        ).fetchall()


def _writable(path: Path) -> list[bool]:
    """Which of the tables takes a write."""
    answers = []
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        for sql in ("insert into t values (7, '')", "update t set x = ''", "delete from t",
                    "insert into w values ('z', '')", "update w set x = ''", "delete from w"):  # fmt: skip
            conn.execute("begin")
            try:
                conn.execute(sql)
                answers.append(True)
            except sqlite3.IntegrityError:
                answers.append(False)
            conn.execute("rollback")
    return answers


async def _half(path: Path, triggers: list[tuple[Any, ...]]) -> str | None:
    """What is half done, None where the fence is wholly up or wholly down."""
    state = await fence.fence_state(path)
    writable = _writable(path)
    if state.fenced:
        kept = sorted((k.name, k.sql) for k in state.kept)
        sound = kept == triggers and not _theirs(path) and not any(writable) and set(state.tables) == set(TABLES)
    else:
        sound = _theirs(path) == triggers and all(writable) and not state.kept and not state.tables
    return None if sound else f"{state} {writable} {_theirs(path)}"


async def _sweep(path: Path, process: Process, what: str, triggers: list[tuple[Any, ...]]) -> tuple[int, list[str]]:
    """Kills at every pass of every point until one run gets through; counts them, and what was found half done."""
    kills, halves = 0, []
    for point in POINTS["lift" if what == "lift" else "raise"]:
        for n in range(1, 100):
            answer = process.run(what, f"{point}:{n}")
            half = await _half(path, triggers)
            halves += [f"{point}:{n} {half}"] if half else []
            if answer != "killed":
                assert answer == "exit 0"
                break
            kills += 1
            if (await fence.fence_state(path)).fenced is (what != "lift"):
                break  # the kill came after the commit
        if what != "lift":
            await fence.lift_fence(path, wait=5)
        else:
            await fence.raise_fence(path, TABLES, wait=5)
    return kills, halves


@pytest.mark.parametrize("journal", ["wal", "delete"])
async def test_killed_at_every_statement(tmp_path: Path, journal: str) -> None:
    path = await _source(tmp_path, journal)
    triggers = _theirs(path)
    with _process(path) as process:
        kills, halves = await _sweep(path, process, "raise", triggers)
        assert kills > 2 + 6
        assert halves == []
        await fence.raise_fence(path, TABLES, wait=5)
        kills, more = await _sweep(path, process, "lift", triggers)
        assert kills > 2 + 6
        assert more == []
    await fence.lift_fence(path, wait=5)
    assert _theirs(path) == triggers


async def test_control_statements_committed_by_themselves_leave_halves(tmp_path: Path) -> None:
    path = await _source(tmp_path, "wal")
    triggers = _theirs(path)
    with _process(path) as process:
        assert process.run("apart", "fence_statement:1") == "killed"
        assert await _half(path, triggers) is not None
