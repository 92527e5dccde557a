"""Runs to watch and wizards to watch them with."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from stepflow_tui.engine import api
from tests.acceptance.harness import ROOT, Stand
from tests.acceptance.sources import long
from tests.pty.terminal import Terminal
from tests.run_kit import until

NOT_OURS = (
    "PG",
    "STEPFLOW",
    "XDG",
    "TARGET_",
    "SSH_",
    "TMUX",
    "NO_COLOR",
    "LC_",
    "LANG",
    "ACCESSIBLE",
    "TEXTUAL",
    "COLUMNS",
    "LINES",
)


def environ(folder: Path, **more: str) -> dict[str, str]:
    """The environment of a person at a modern terminal."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(NOT_OURS)}
    home = folder / "home"
    home.mkdir(exist_ok=True)
    there = {
        "HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
        "LANG": "C.UTF-8",
    }
    return kept | there | more


class Wizards:
    """Opens programs at terminals."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.opened: list[Terminal] = []

    def __call__(
        self, *args: str, stand: Stand | None = None, env: Mapping[str, str] | None = None,
        program: tuple[str, ...] = ("-m", "stepflow_tui"), **more: Any,
    ) -> Terminal:  # fmt: skip
        """`stepflow ARG…` at a terminal."""
        state = stand.state if stand is not None else self.folder / "state"
        secrets = {"TARGET_DSN": stand.dsn} if stand is not None else {}
        made = Terminal(
            [sys.executable, *program, *args, "--state-dir", str(state)],
            env=environ(self.folder, **secrets, **(env or {})), cwd=self.folder, **more,
        )  # fmt: skip
        self.opened.append(made)
        return made

    def close(self) -> None:
        """Close all; none may have shown a traceback."""
        for terminal in self.opened:
            terminal.close()
            assert b"Traceback (most recent call last)" not in terminal.raw, terminal.text


def copying(stand: Stand, seconds: float, *, rows_per_second: int = 2000, **config: Any) -> Path:
    """Start a run whose copy takes so long, and come back when it copies. Returns the run's folder."""
    started(stand, round(seconds * rows_per_second), rows_per_second, yes=True, **config)
    until(lambda: rows_copied(stand) > 0)
    return stand.run_dir


def at_the_gate(stand: Stand, *, rows: int = 2000, **config: Any) -> Path:
    """Start a run that asks before its copy, and come back when it asks. Returns the run's folder."""
    started(stand, rows, None, yes=False, **config)
    until(lambda: state(stand) == "waiting")
    return stand.run_dir


def started(stand: Stand, rows: int, rows_per_second: int | None, *, yes: bool, **config: Any) -> None:
    """Start an engine as a wizard does."""
    stand.source = long(stand.folder / "source.db", rows)
    copy = {"copy": {"max_rows_per_second": rows_per_second, "streams": 1}} if rows_per_second else {}
    stand.config(**copy, verify={"level": "standard"}, **config)
    loaded = api.load_config(stand.config_path, {"TARGET_DSN": stand.dsn})
    work = api.start(
        loaded, state=stand.state, until=None, plan_file=None, new=False, yes=yes, confirm=None, interactive=True
    )
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work).result()


def state(stand: Stand) -> str:
    """The run's state, as its journal has it; empty while there is none."""
    return str(_first(stand, "select state from run") or "")


def result(stand: Stand) -> str | None:
    """The run's result, None while it goes on."""
    found: str | None = _first(stand, "select result from run")
    return found


def rows_copied(stand: Stand) -> int:
    """How far the copy is."""
    return int(_first(stand, "select sum(done) from progress where step='copy'") or 0)


def commands(stand: Stand) -> list[tuple[Any, ...]]:
    """The intents that were sent: verb and state."""
    return _rows(stand, "select verb,state from command order by id")


def ended(stand: Stand, wanted: str = "completed", seconds: float = 60) -> None:
    """Wait for the run's end."""
    until(lambda: result(stand) is not None, seconds)
    assert result(stand) == wanted


def _first(stand: Stand, sql: str) -> Any:
    rows = _rows(stand, sql)
    return rows[0][0] if rows else None


def _rows(stand: Stand, sql: str) -> list[tuple[Any, ...]]:
    """Rows of the newest run's journal; none while it is being made."""
    try:
        return stand.journal(sql)
    except (sqlite3.OperationalError, IndexError):
        return []


Open = Callable[..., Terminal]
