"""What a lost engine left behind: its last words, and the config it can be started with again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.journal.reader import RunReader
from stepflow_tui.engine.journal.rundir import ENGINE_LOG

LOG_BYTES = 4096


def remains(run_dir: Path) -> Mapping[str, Any]:
    """`config`: the config file's path; `log`: the end of the engine's log.

    What can't be read is None.
    """
    return {"config": _config(run_dir), "log": _tail(run_dir / ENGINE_LOG)}


def _config(run_dir: Path) -> str | None:
    try:
        with RunReader(run_dir) as reader:
            run = reader.run()
    except StepFlowError:
        return None
    return str(run["config_path"]) if run else None


def _tail(path: Path) -> str | None:
    try:
        with path.open("rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - LOG_BYTES))
            return log.read().decode("utf-8", "replace")
    except OSError:
        return None
