"""Starts the demo's shop beside the run, finds it again, and ends it with its figures."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from stepflow_tui.demo.figures import counters
from stepflow_tui.demo.names import LOG, TARGET_VARIABLE

MODULE = "stepflow_tui.demo.shop"
END_SECONDS = 60.0
START_SECONDS = 20.0


def open_shop(folder: Path, dsn: str | None) -> None:
    """Start the shop on `folder/shop.db`; it trades until `close_shop`, or until the process that started it is gone.

    Args:
        dsn: where it will write after the cutover; it goes through the environment, as it holds a password.

    Raises:
        RuntimeError: it ended at once, or doesn't begin to trade.
    """
    environment = os.environ | ({TARGET_VARIABLE: dsn} if dsn else {})
    with (folder / LOG).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", MODULE, str(folder), str(os.getpid())],
            env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    deadline = time.monotonic() + START_SECONDS
    while not counters(folder).get("acknowledged"):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise RuntimeError(f"the shop does not start; see {folder / LOG}")
        time.sleep(0.05)


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
    return counters(folder)


def _process(folder: Path) -> psutil.Process | None:
    """Our own process only: a number may have been given to somebody else since."""
    pid = counters(folder).get("pid")
    if pid is None or counters(folder).get("ended"):
        return None
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        if {MODULE, str(folder)} <= set(process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None
