"""The demo's data, config and shop, and tidying up after it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shlex
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from stepflow_tui.demo.keeper import close_shop, crowd_command, open_crowd, open_shop, open_web, web_command
from stepflow_tui.demo.names import CROWD_PID, LOG, SETTINGS, URL_VARIABLE, WEB_LOG, WEB_PID
from stepflow_tui.engine.errors import Held, StepFailed
from stepflow_tui.engine.journal.rundir import StateDir
from stepflow_tui.engine.model.draft import IN_PLACE
from stepflow_tui.engine.postgres.embedded import Embedded
from stepflow_tui.engine.sqlite.sample import make_shop

FULL_TEXT = "product_search"
"""SQLite has no triggers on virtual tables, so its changes can't be captured; an application makes such an index anew."""

_servers: dict[Path, Embedded] = {}
"""What the demos of this process use, by config: their shops need the server longer than their runs do."""


async def make_demo(state: Path, kind: str, rows: int, *, restart: bool = False) -> Path:
    """A folder of its own with a new sample database, its config, and a shop that trades on it; returns the config's path.

    The shop ends with this process, or with `end_demo` or `keep_demo`.

    Args:
        restart: the shop is a web application, which finds its database in `.env` and is switched by a restart.

    Raises:
        StepFailed: the shop doesn't start.
    """
    folder_of_state = StateDir.open(state, os.environ)
    name = f"demo-{secrets.token_hex(2)}"
    # The run's folder is made here, so that data and run carry the same id; `start` finds it waiting.
    run_dir = await asyncio.to_thread(folder_of_state.new_run, name, time.time_ns() // 1_000_000)
    folder = folder_of_state.path / "demo" / run_dir.name
    await asyncio.to_thread(folder.parent.mkdir, mode=0o700, exist_ok=True)
    await asyncio.to_thread(folder.mkdir, mode=0o700)
    in_place = kind in IN_PLACE
    await asyncio.to_thread(make_shop, folder / "shop.db", rows, wal=not in_place)
    config = folder / "stepflow.yaml"
    if in_place:
        config.write_text(yaml.safe_dump(_in_place(name, kind, folder), sort_keys=False), encoding="utf-8")
        await _opened(open_crowd, config.parent)
        return config
    port = _free_port() if restart else None
    settings = _settings(name, kind) | ({} if port is None else _application(folder, port))
    config.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    await _open(folder_of_state.path, config, name, port)
    return config


def _in_place(name: str, kind: str, folder: Path) -> dict[str, object]:
    """Everything short: it is watched for a few seconds, and the benchmark's sides take turns as often as they must.

    The recipe is there for the way back: SQLite leaves WAL only when nobody else has the file open.
    """
    path = os.environ.get("PYTHONPATH")
    recipe = {
        "kind": "command",
        "command": f"exec {shlex.join(crowd_command(folder))}",
        "pid_file": CROWD_PID,
        "log": LOG,
        **({"env": {"PYTHONPATH": path}} if path else {}),
    }
    return {
        "application": {"recipe": recipe},
        "version": 1,
        "name": name,
        "kind": kind,
        "source": {"path": "./shop.db", "busy_timeout": "10s"},
        "benchmark": {"writers": 4, "readers": 4, "seconds": "200ms", "rounds": 3},
        "observe": {"window": "5s"},
    }


def _settings(name: str, kind: str) -> dict[str, object]:
    return {
        "version": 1,
        "name": name,
        "kind": kind,
        "mode": "live",
        "source": {"path": "./shop.db"},
        "target": {"embedded": True},
        "tables": {"exclude": [FULL_TEXT]},
        "copy": {"on_bad_value": "bytea"},
        "verify": {"level": "comprehensive"},
        "switch": {"strategy": "gradual", "steps": [25, 100], "soak": "3s", "shadow_reads": 200},
        "observe": {"window": "24h", "then": "wait"},
    }


def _application(folder: Path, port: int) -> dict[str, object]:
    """Reads and writes move together with the restart: nothing of `switch` but the shadow reads is of use."""
    health = f"http://127.0.0.1:{port}/health"
    path = os.environ.get("PYTHONPATH")
    return {
        "switch": {"shadow_reads": 200},
        "application": {
            "switches": [{"file": SETTINGS, "set": {URL_VARIABLE: "{target_dsn}"}}],
            "recipe": {
                "kind": "command",
                "command": f"exec {shlex.join(web_command(folder, port))}",
                "pid_file": WEB_PID,
                "log": WEB_LOG,
                **({"env": {"PYTHONPATH": path}} if path else {}),
            },
            "health": [{"http": health, "json": {"database.kind": "postgresql"}, "timeout": "2s", "interval": "1s"}],
            "availability": {"http": health, "every": "1s"},
        },
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _open(root: Path, config: Path, name: str, port: int | None) -> None:
    server = _servers[config] = Embedded(root)
    await server.start()
    try:
        if port is not None:
            await asyncio.to_thread(open_web, config.parent, port)
        await asyncio.to_thread(open_shop, config.parent, server.target(name).application_uri(), port=port)
    except RuntimeError as exc:
        raise _not_started(exc) from exc


async def _opened(start: Callable[[Path], None], folder: Path) -> None:
    try:
        await asyncio.to_thread(start, folder)
    except RuntimeError as exc:
        raise _not_started(exc) from exc


def _not_started(cause: RuntimeError) -> StepFailed:
    return StepFailed("The demo's shop does not start.", detail=str(cause), code="demo_shop")


async def end_demo(state: Path, config: Path) -> None:
    """End the shop, drop the demo's database and folder, and stop the server unless somebody else uses it.

    Runs and reports stay.
    """
    await asyncio.to_thread(close_shop, config.parent)
    settings = yaml.safe_load(config.read_text(encoding="utf-8"))
    if settings["kind"] in IN_PLACE:
        await asyncio.to_thread(shutil.rmtree, config.parent, ignore_errors=True)
        return
    name = settings["name"]
    server = await _server(state, config)
    await server.drop_database(name)
    await server.release()
    if not _others(config.parent):
        with contextlib.suppress(Held):  # another run's; whoever ends it stops it
            await server.stop()
    await asyncio.to_thread(shutil.rmtree, config.parent, ignore_errors=True)


def _others(mine: Path) -> bool:
    """Whether another demo kept its database: the run of each has pinned the server."""
    return any(p != mine and p.is_dir() and _has_server(p) for p in mine.parent.glob("demo-*"))


def _has_server(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        return yaml.safe_load((folder / "stepflow.yaml").read_text(encoding="utf-8"))["kind"] not in IN_PLACE
    return True


async def keep_demo(state: Path, config: Path) -> None:
    """End the shop; database, folder and server stay (until `stepflow embedded stop`)."""
    await asyncio.to_thread(close_shop, config.parent)
    if yaml.safe_load(config.read_text(encoding="utf-8"))["kind"] in IN_PLACE:
        return
    server = await _server(state, config)
    await server.pin()
    await server.release()


async def _server(state: Path, config: Path) -> Embedded:
    server = _servers.pop(config, None) or Embedded(StateDir.open(state, os.environ).path)
    await server.start()
    return server
