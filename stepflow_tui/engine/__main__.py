"""`python -m stepflow_tui.engine RUN_FOLDER`: the detached engine, started by `journal.launch`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from stepflow_tui.engine.config import load_config
from stepflow_tui.engine.playbooks import playbook_for
from stepflow_tui.engine.process import engine_main
from stepflow_tui.engine.session import Wiring


async def _report(run_dir: Path) -> None:
    """The report reads the journal with its own connection, off the event loop: heartbeat and intents go on meanwhile."""
    from stepflow_tui.engine.report.write import write_report

    await asyncio.to_thread(write_report, run_dir, run_dir.parent.parent)


if __name__ == "__main__":
    engine_main(Path(sys.argv[1]), Wiring(load_config=load_config, playbook_for=playbook_for, write_report=_report))
