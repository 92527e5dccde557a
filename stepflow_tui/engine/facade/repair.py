"""`verify --repair apply`: the newest run of that name is opened again by its engine, with its locks and its journal."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stepflow_tui.engine.errors import UsageError
from stepflow_tui.engine.facade.steer import EngineRefusal, send
from stepflow_tui.engine.journal.reader import RunReader
from stepflow_tui.engine.journal.rundir import RunEntry, engine_alive
from stepflow_tui.engine.model.state import RunResult

LOOK_SECONDS = 0.1


async def repair_run(entry: RunEntry | None, *, state: Path, yes: bool, confirm: str | None) -> Mapping[str, Any]:
    """Ask for the repair and wait until the engine has ended.

    Returns:
        The run's row after it.

    Raises:
        UsageError: there is no run that could be repaired.
        StepFlowError: the engine refused.
    """
    if entry is None:
        raise UsageError(
            "There is no run of this name whose rows could be repaired.",
            hint="`--repair plan` shows the SQL; a repair needs the run that made the tables.",
            code="no_such_run",
        )
    answer = await send(entry, "repair", {"yes": yes, "confirm": confirm}, state=state)
    while engine_alive(entry.path):  # noqa: ASYNC110 - another process ends, there is no event of ours
        await asyncio.sleep(LOOK_SECONDS)
    with RunReader(entry.path) as reader:
        row = reader.run() or {}
        said = [e["data"] for e in reader.last_events() if e["code"] == "error" and e["seq"] > answer["after"]]
    if said and row.get("result") not in (RunResult.COMPLETED, RunResult.INCOMPLETE):
        raise EngineRefusal(said[-1])
    return row
