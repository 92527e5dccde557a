"""What tests of the changeover share: a real application with its settings in `.env`, and an engine's context beside it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil

from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.steps.application.changeover import Changeover, changeover_of
from stepflow_tui.engine.testing import FakeStep
from tests.run_kit import Bench, bench, book
from tests.sample_app import command_line, make_app, wait_health

Json = dict[str, Any]
SECRET = "geheim-und-lang-genug-0815"
PID, LOG = "app.pid", "app.log"


def application(folder: Path, port: int, **more: Any) -> Json:
    """The `application` section: `.env` is switched, the sample is a plain command, its health tells the new side."""
    check = {
        "http": f"http://127.0.0.1:{port}/health", "json": {"version": "1"}, "interval": "100ms", "retries": 20,
        "start_period": "1s", "timeout": "1s",
    }  # fmt: skip
    return {
        "switches": [{"file": str(folder / ".env"), "set": {"DATABASE_URL": "sqlite:///new.db", "MARK": "new"}}],
        "recipe": [
            {"kind": "command", "command": command_line(folder, port), "pid_file": str(folder / PID), "log": str(folder / LOG)}
        ],
        "health": [check],
        **more,
    }  # fmt: skip


def two_sides(folder: Path) -> Path:
    """The application with two SQLite files: the changeover asks no database, so any two will do."""
    make_app(folder, SECRET_KEY=SECRET)
    (folder / "new.db").write_bytes((folder / "shop.db").read_bytes())
    return folder


def start_app(folder: Path, port: int) -> None:
    """Start it as an operator had done, with its pid file; it is nobody's child."""
    line = f"({command_line(folder, port)}) >>{folder / LOG} 2>&1 & echo $! > {folder / PID}"
    subprocess.run(["/bin/sh", "-c", line], check=True, stdin=subprocess.DEVNULL)
    wait_health(port)


def end_app(folder: Path) -> None:
    """Whatever runs."""
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        psutil.Process(int((folder / PID).read_text().split()[0])).kill()


@asynccontextmanager
async def engine(folder: Path, config: Json) -> AsyncIterator[tuple[Bench, Changeover]]:
    """An engine with its changeover; entering it again is the next engine of the same run."""
    async with bench(folder, book(("prepare", (FakeStep(name="work"),))), application=json.dumps(config)) as made:
        made.ctx.target = Target(hosts=(("db.example.com", 5432),), database="shop", user="me", password="pw-0815-pw")
        yield made, changeover_of(made.ctx)


async def main(folder: Path, way: str) -> None:
    """One engine that goes one way."""
    config: Json = json.loads((folder / "application.json").read_text())
    async with engine(folder, config) as (_, changeover):
        await (changeover.switch_over() if way == "over" else changeover.switch_back())


if __name__ == "__main__":
    import asyncio

    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
