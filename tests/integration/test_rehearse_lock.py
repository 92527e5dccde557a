"""The rehearsal asks for the write lock as the fence does: by its own tries, for as long as writes may stand still."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from stepflow_tui.engine.errors import Held
from stepflow_tui.engine.steps.context import RunContext
from stepflow_tui.engine.steps.live.rehearse import PASSING, _lock_seconds

HOLD = """
import sqlite3, sys
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute("begin immediate"); print("held", flush=True)
sys.stdin.readline()
"""


def context(path: Path, max_freeze: float) -> RunContext:
    """What the rehearsal reads of a run."""
    config = SimpleNamespace(source=SimpleNamespace(path=path), cutover=SimpleNamespace(max_freeze=max_freeze))
    return cast(RunContext, SimpleNamespace(config=config))


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A rollback-journal file."""
    with closing(sqlite3.connect(tmp_path / "app.db")) as made:
        made.execute("create table t(a)")
    return tmp_path / "app.db"


@contextmanager
def writing(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process in a write transaction."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        try:
            yield holder
        finally:
            holder.kill()


def test_a_writer_that_stays_is_no_final_refusal(app: Path) -> None:
    with writing(app), pytest.raises(Held) as caught:
        _lock_seconds(context(app, 0.2))
    assert caught.value.code in PASSING


def test_it_waits_for_a_writer(app: Path) -> None:
    with writing(app) as holder, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(_lock_seconds, context(app, 60))
        holder.kill()
        assert asked.result(60) >= 0
