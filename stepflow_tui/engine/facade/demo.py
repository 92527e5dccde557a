"""The demo's data and config, and tidying up after it."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import time
from pathlib import Path

import yaml

from stepflow_tui.engine.journal.rundir import StateDir
from stepflow_tui.engine.postgres.embedded import Embedded
from stepflow_tui.engine.sqlite.sample import make_shop


async def make_demo(state: Path, kind: str, rows: int) -> Path:
    """A folder of its own with a new sample database and its config; returns the config's path."""
    folder_of_state = StateDir.open(state, os.environ)
    name = f"demo-{secrets.token_hex(2)}"
    # The run's folder is made here, so that data and run carry the same id; `start` finds it waiting.
    run_dir = await asyncio.to_thread(folder_of_state.new_run, name, time.time_ns() // 1_000_000)
    folder = folder_of_state.path / "demo" / run_dir.name
    await asyncio.to_thread(folder.parent.mkdir, mode=0o700, exist_ok=True)
    await asyncio.to_thread(folder.mkdir, mode=0o700)
    await asyncio.to_thread(make_shop, folder / "shop.db", rows)
    config = folder / "stepflow.yaml"
    settings = {
        "version": 1,
        "name": name,
        "kind": kind,
        "mode": "copy",
        "source": {"path": "./shop.db"},
        "target": {"embedded": True},
        "copy": {"on_bad_value": "bytea"},
        "verify": {"level": "comprehensive"},
    }
    config.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    return config


async def end_demo(state: Path, config: Path) -> None:
    """Drop the demo's database and folder, and stop the server unless somebody else uses it. Runs and reports stay."""
    root = StateDir.open(state, os.environ).path
    name = yaml.safe_load(config.read_text(encoding="utf-8"))["name"]
    server = Embedded(root)
    await server.start()
    await server.drop_database(name)
    await server.release()
    if not _others(root, config.parent):
        await server.stop()
    await asyncio.to_thread(shutil.rmtree, config.parent, ignore_errors=True)


def _others(root: Path, mine: Path) -> bool:
    """Whether another demo kept its database."""
    return any(p != mine and p.is_dir() for p in (root / "demo").glob("demo-*"))
