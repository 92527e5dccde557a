"""What front ends and the report read of a run. Read-only, synchronous, every call a few milliseconds at most.

An event loop calls it in a thread, or in its idle time: `data_version()` tells for 5 µs whether anything is new.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.journal.queries import RunQueries
from stepflow_tui.engine.journal.rundir import engine_alive
from stepflow_tui.engine.journal.status import status_of
from stepflow_tui.engine.model.state import RunState


class RunReader(RunQueries):
    """One run: `with RunReader(run_dir) as reader`."""

    def status(self) -> dict[str, Any]:
        """The run's state in the shape `status --json` prints."""
        return status_of(self)


def peek_state(run_dir: Path) -> RunState | None:
    """A run's state: `pending` while its journal is being made, None when it has none or can't be read."""
    try:
        with RunReader(run_dir) as reader:
            row = reader.run()
    except StepFlowError:
        return RunState.PENDING if engine_alive(run_dir) else None
    return RunState(row["state"]) if row else RunState.PENDING
