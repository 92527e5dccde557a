"""A worker process' own side: takes jobs from its pipe until the engine closes it or dies."""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import sys
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from stepflow_tui.engine.errors import StepFailed, StepFlowError
from stepflow_tui.engine.model.redact import unquoted

_PR_SET_PDEATHSIG = 1
_flag: mmap.mmap | None = None


def halted() -> bool:
    """Whether the engine asked that no new chunk begins (pause, stop, abort)."""
    return _flag is not None and _flag[0] != 0


def main(pipe: int, flag: int, parent: int) -> None:
    """Run jobs until the pipe closes.

    Args:
        pipe: file descriptor of the socket to the engine.
        flag: file descriptor of the one-byte file behind `halted`.
        parent: process id of the engine.
    """
    global _flag  # noqa: PLW0603 - one process, one flag
    _die_with(parent)
    os.umask(0o077)
    # Ctrl-C and `kill` of the group are the engine's business: it lets the chunk end first
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _flag = mmap.mmap(flag, 1)
    connection = Connection(pipe)
    with suppress(EOFError, OSError):  # the engine closed the pipe, or died
        while True:
            function, args, kwargs = connection.recv()
            connection.send(_answer(function, args, kwargs))
    sys.stderr.flush()
    os._exit(0)  # drivers' leftover threads must not keep an orphan alive


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the line above
        os._exit(0)


def _answer(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[bool, Any]:
    try:
        return True, function(*args, **kwargs)
    except StepFlowError as error:
        error.__cause__ = error.__context__ = None  # a driver's error may not survive the pipe
        return False, error
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return False, StepFailed(
            "A worker process failed in a way nobody foresaw.",
            detail=f"{type(error).__name__}: {unquoted(str(error))} ({place.filename.rpartition('/')[2]}:{place.lineno} in {place.name})",
            hint="This is a defect: please report it with the detail above. The run can be resumed.",
            code="worker_failed",
        )
