"""Starts the demo's shop beside the run (or its customers, and the application they order from), finds it again, and ends
it with its figures."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from stepflow_tui.demo.figures import counters
from stepflow_tui.demo.names import (
    CROWD_PID,
    LOG,
    PORT_VARIABLE,
    SETTINGS,
    SOURCE,
    TARGET_VARIABLE,
    URL_VARIABLE,
    WEB_LOG,
    WEB_PID,
)

MODULE, WEB_MODULE, CROWD_MODULE = "stepflow_tui.demo.shop", "stepflow_tui.demo.web", "stepflow_tui.demo.crowd"
END_SECONDS = 60.0
START_SECONDS = 20.0


def open_shop(folder: Path, dsn: str | None, *, port: int | None = None) -> None:
    """Start the shop on `folder/shop.db`; it trades until `close_shop`, or until the process that started it is gone.

    Args:
        dsn: where it will write after the cutover; it goes through the environment, as it holds a password.
        port: of the application that the customers order from; None: the shop uses the databases itself.

    Raises:
        RuntimeError: it ended at once, or doesn't begin to trade.
    """
    environment = os.environ | ({TARGET_VARIABLE: dsn} if dsn else {}) | ({PORT_VARIABLE: str(port)} if port else {})
    _open(folder, MODULE, environment)


def open_crowd(folder: Path) -> None:
    """Start writers and readers on `folder/shop.db`; they work until `close_shop`, or until this process is gone.

    Raises:
        RuntimeError: they ended at once, or don't begin.
    """
    pid = _open(folder, CROWD_MODULE, dict(os.environ))
    (folder / CROWD_PID).write_text(f"{pid}\n", encoding="utf-8")


def crowd_command(folder: Path) -> list[str]:
    """The command line of writers and readers; they end with this process, however often they are restarted by others."""
    return [sys.executable, "-m", CROWD_MODULE, str(folder), str(os.getpid())]


def _open(folder: Path, module: str, environment: dict[str, str]) -> int:
    with (folder / LOG).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module, str(folder), str(os.getpid())],
            env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    deadline = time.monotonic() + START_SECONDS
    while not counters(folder).get("acknowledged"):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise RuntimeError(f"the shop does not start; see {folder / LOG}")
        time.sleep(0.05)
    return process.pid


def web_command(folder: Path, port: int) -> list[str]:
    """The command line of the application; it ends with this process, however often it is restarted by others."""
    return [sys.executable, "-m", WEB_MODULE, str(folder), str(port), str(os.getpid())]


def open_web(folder: Path, port: int) -> None:
    """Start the application on `folder/shop.db`, with its settings in `folder/.env` and its process id in a file.

    Raises:
        RuntimeError: it doesn't listen.
    """
    settings = folder / SETTINGS
    settings.touch(mode=0o600)
    settings.write_text(f"# settings of the sample shop\n{URL_VARIABLE}=sqlite:///{SOURCE}\n", encoding="utf-8")
    with (folder / WEB_LOG).open("ab") as log:
        process = subprocess.Popen(
            web_command(folder, port), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    (folder / WEB_PID).write_text(f"{process.pid}\n", encoding="utf-8")
    deadline = time.monotonic() + START_SECONDS
    while not _listens(port):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise RuntimeError(f"the application does not start; see {folder / WEB_LOG}")
        time.sleep(0.05)


def close_web(folder: Path) -> None:
    """End the application, whoever has started it last; nothing where there is none."""
    with contextlib.suppress(FileNotFoundError, ValueError, psutil.Error):
        process = psutil.Process(int((folder / WEB_PID).read_text(encoding="utf-8")))
        if {WEB_MODULE, str(folder)} <= set(process.cmdline()):
            process.terminate()
            process.wait(END_SECONDS)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def is_open(folder: Path) -> bool:
    """Whether the shop of this folder trades."""
    return _process(folder) is not None


def close_shop(folder: Path) -> dict[str, Any]:
    """End the shop, which then compares its ledger with the database. Returns its last figures; `ended` says whether it
    came so far."""
    process = _process(folder)
    if process is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
            with contextlib.suppress(psutil.TimeoutExpired):
                process.wait(END_SECONDS)
            process.kill()
    close_web(folder)
    return counters(folder)


def _process(folder: Path) -> psutil.Process | None:
    """Our own process only: a number may have been given to somebody else since."""
    pid = counters(folder).get("pid")
    if pid is None or counters(folder).get("ended"):
        return None
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        command = set(process.cmdline())
        ours = str(folder) in command and not command.isdisjoint((MODULE, CROWD_MODULE))
        if ours and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None
