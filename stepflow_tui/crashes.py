"""Errors that nobody foresaw: their traceback goes to a private file in the state directory, never to a terminal."""

from __future__ import annotations

import os
import time
import traceback
from pathlib import Path

from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.model.redact import redactor
from stepflow_tui.files import save_text

_kept: dict[tuple[Path, str], Path] = {}
"""Where this process has put tracebacks."""


def unforeseen(exc: BaseException, state: Path) -> StepFlowError:
    """Keep the traceback, once for an error that comes back every second; what to tell the operator about it."""
    again = (state, repr(exc))
    where = _kept.get(again) or _keep(exc, state)
    if where is not None:
        _kept[again] = where
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
        blot = redactor(())  # drivers quote the address they were given
        return save_text(iter([state]), stem, ".log", map(blot, traceback.format_exception(exc)))
    except OSError:  # the error itself is told all the same
        return None
