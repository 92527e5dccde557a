"""Errors that nobody foresaw: their traceback goes to a private file in the state directory, never to a terminal."""

from __future__ import annotations

import os
import time
import traceback
from pathlib import Path

from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.files import save_text


def unforeseen(exc: BaseException, state: Path) -> StepFlowError:
    """Keep the traceback; what to tell the operator about it."""
    where = _keep(exc, state)
    return StepFlowError(
        "StepFlow met an error of its own.",
        detail=f"{type(exc).__name__}; the traceback is in {where}" if where else type(exc).__name__,
        hint="A run that was started goes on or can be resumed; please report the traceback.",
        code="internal",
    )


def _keep(exc: BaseException, state: Path) -> Path | None:
    stem = f"crash-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.getpid()}"
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        return save_text(iter([state]), stem, ".log", traceback.format_exception(exc))
    except OSError:  # the error itself is told all the same
        return None
