"""`kill -9` of the copying process after every segment: its workers go with it, and a resume copies only what is open."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import psutil

from stepflow_tui.engine.postgres.connect import Target
from tests.copy_kit import INTEGER, TEXT, fetch, make_file, make_job, plan_table, prepare

ROWS, SEGMENTS = 24, 8


def _engine(path: Path, target: Target, kill_after: int, pids: Path) -> int:
    command = [sys.executable, "-m", "tests.faults.copy_engine", str(path), target.uri(), str(kill_after), str(pids)]
    return subprocess.run(command, cwd=Path(__file__).parents[2], check=False).returncode


def _workers(pids: Path) -> list[psutil.Process]:
    found = []
    for pid in pids.read_text().split():
        try:
            found.append(psutil.Process(int(pid)))
        except psutil.NoSuchProcess:
            continue
    return found


async def test_killed_after_every_segment_nothing_is_copied_twice(tmp_path: Path, pg_target: Target) -> None:
    path = make_file(
        tmp_path / "t.db",
        "create table t(id integer primary key, x text)",
        {"t": [(i, f"row {i}") for i in range(ROWS)]},
    )
    await prepare(make_job(path, pg_target, plan_table(path, "t", {"id": INTEGER, "x": TEXT}), max_rows_per_second=10))
    pids = tmp_path / "pids"
    kills = 0
    done_before = -1
    while _engine(path, pg_target, 1, pids) == -signal.SIGKILL:
        kills += 1
        _, alive = psutil.wait_procs(_workers(pids), timeout=10)
        assert not alive
        [(rows, distinct)] = await fetch(pg_target, "select count(*), count(distinct id) from t")
        [(done, noted)] = await fetch(
            pg_target, "select count(*), coalesce(sum(rows), 0)::bigint from _stepflow.ledger where state = 'done'"
        )
        assert rows == distinct == noted
        assert done > done_before
        done_before = done
    assert kills >= SEGMENTS // 2
    assert await fetch(pg_target, "select id, x from t order by id") == [(i, f"row {i}") for i in range(ROWS)]
    assert await fetch(pg_target, "select state, count(*) from _stepflow.ledger group by state") == [("done", SEGMENTS)]
    assert await fetch(pg_target, "select max(xmin::text::bigint) - min(xmin::text::bigint) > 0 from t") == [(True,)]
