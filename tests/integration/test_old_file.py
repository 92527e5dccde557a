"""The old file after a clean-up: renamed on request, with its side files, as often as an engine asks for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.sqlite.mark import Renamed, mark_of, set_mark
from stepflow_tui.engine.steps.live.clean_up import rename_source

_HOLD = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('create table t(x)'); print(1, flush=True); sys.stdin.read()"


async def test_renamed_with_its_side_files_and_again_by_the_next_engine(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    path.write_bytes(b"file")
    (tmp_path / "shop.db-wal").write_bytes(b"wal")
    for _ in range(2):
        assert (await rename_source(path, "run-1")).endswith("shop.db.migrated")
        assert {p.name: p.read_bytes() for p in tmp_path.iterdir() if p != mark_of(path)} == {
            "shop.db.migrated": b"file", "shop.db.migrated-wal": b"wal",
        }  # fmt: skip


async def test_a_half_renamed_file_is_finished(tmp_path: Path) -> None:
    """An engine that dies in between has renamed a side file, never the file alone."""
    path = tmp_path / "shop.db"
    path.write_bytes(b"file")
    set_mark(path, "run-1", renamed=Renamed(name="shop.db.migrated", inode=path.stat().st_ino))
    (tmp_path / "shop.db.migrated-wal").write_bytes(b"wal")
    await rename_source(path, "run-1")
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "shop.db-stepflow", "shop.db.migrated", "shop.db.migrated-wal",
    ]  # fmt: skip


async def test_a_file_that_is_open_elsewhere_keeps_its_name(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    holder = subprocess.Popen([sys.executable, "-c", _HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdin is not None
    assert holder.stdout is not None
    holder.stdout.readline()
    try:
        with pytest.raises(StepFailed) as caught:
            await rename_source(path, "run-1")
    finally:
        holder.communicate()
    assert caught.value.code == "source_open"
    assert path.exists()
