"""The old file after a clean-up: renamed on request, with its side files, as often as an engine asks for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.steps.live.clean_up import rename_source

_HOLD = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('create table t(x)'); print(1, flush=True); sys.stdin.read()"


async def test_renamed_with_its_side_files_and_again_by_the_next_engine(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    path.write_bytes(b"file")
    (tmp_path / "shop.db-wal").write_bytes(b"wal")
    for _ in range(2):
        assert (await rename_source(path)).endswith("shop.db.migrated")
        assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {
            "shop.db.migrated": b"file", "shop.db.migrated-wal": b"wal",
        }  # fmt: skip


async def test_a_half_renamed_file_is_finished(tmp_path: Path) -> None:
    """An engine that dies in between has renamed a side file, never the file alone."""
    (tmp_path / "shop.db").write_bytes(b"file")
    (tmp_path / "shop.db.migrated-wal").write_bytes(b"wal")
    await rename_source(tmp_path / "shop.db")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["shop.db.migrated", "shop.db.migrated-wal"]


async def test_a_file_that_is_open_elsewhere_keeps_its_name(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    holder = subprocess.Popen([sys.executable, "-c", _HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdin is not None
    assert holder.stdout is not None
    holder.stdout.readline()
    try:
        with pytest.raises(StepFailed) as caught:
            await rename_source(path)
    finally:
        holder.communicate()
    assert caught.value.code == "source_open"
    assert path.exists()
