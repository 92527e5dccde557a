"""`kill -9` at every writing statement of installing and removing capture: the file is as before, or captured as a whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.sqlite import capture
from tests.capture_kit import RUN, application, catalog, installed, logged, look, make, plan

SCRIPT = "create table t(id integer primary key, x unique); insert into t values (1, 'a')"


def run(path: Path, what: str, kill_at: int = 0, **environment: str) -> int:
    command = [sys.executable, "-m", "tests.faults.capture_engine", str(path), what, str(kill_at)]
    environment = {**os.environ, **environment}
    return subprocess.run(command, cwd=Path(__file__).parents[2], env=environment, check=False).returncode


def replaces(path: Path) -> set[Any]:
    """What a write that removes a row leaves in the log; the row is put back."""
    with application(path) as conn:
        conn.execute("insert or replace into t values (2, 'a')")
        conn.execute("insert or replace into t values (1, 'a')")
    return {key[0] for key in logged(path, "t")}


@pytest.mark.parametrize("mode", ["wal", "delete"])
async def test_killed_at_every_statement_of_the_installation(tmp_path: Path, mode: str) -> None:
    path = make(tmp_path / "a.db", SCRIPT, mode=mode)
    before = catalog(path)
    for kill_at in range(1, 200):
        code = run(path, "install", kill_at)
        if code != -signal.SIGKILL:
            break
        assert catalog(path) == before
    assert code == 0
    assert kill_at > 11  # so many statements there were to be killed at
    known = await capture.install(path, plan(path), RUN)
    assert look(path, known) == 0
    assert replaces(path) == {1, 2}


async def test_killed_at_every_statement_of_the_removal(tmp_path: Path) -> None:
    path = make(tmp_path / "a.db", SCRIPT)
    before = catalog(path)
    _, known = await installed(path)
    whole = catalog(path)
    for kill_at in range(1, 200):
        code = run(path, "uninstall", kill_at)
        if code != -signal.SIGKILL:
            break
        assert catalog(path) == whole
        look(path, known)
    assert code == 0
    assert kill_at > 11
    assert catalog(path) == before


@pytest.mark.parametrize("name", ["capture_tables_made", "capture_triggers_made", "capture_stamped"])
def test_killed_at_its_named_places(tmp_path: Path, name: str) -> None:
    path = make(tmp_path / "a.db", SCRIPT)
    before = catalog(path)
    assert run(path, "install", STEPFLOW_FAILPOINT=f"{name}:1:kill") == -signal.SIGKILL
    assert catalog(path) == before
    assert run(path, "install") == 0
    assert replaces(path) == {1, 2}


async def test_triggers_made_one_by_one_lose_changes_when_they_are_cut_off(tmp_path: Path) -> None:
    """Without the one transaction, a kill leaves a file that logs some changes and not others."""
    path = make(tmp_path / "a.db", SCRIPT)
    made = plan(path)
    with application(path) as conn:
        conn.execute(made.setup[0])
        for name, sql in made.triggers.items():
            if name.endswith(("_ai", "_au")):
                conn.execute(sql)
    assert catalog(path)
    with application(path) as conn:
        conn.execute("insert or replace into t values (2, 'a')")
    assert {key[0] for key in logged(path, "t")} == {2}
