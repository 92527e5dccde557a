"""A process that applies changes until none is left, for tests that kill it: `python -m tests.faults.tail_engine FILE`.

FILE is a pickled `TailJob`; the epoch is raised first, as every engine does.
"""

from __future__ import annotations

import asyncio
import pickle
import sys
from dataclasses import replace
from pathlib import Path

from stepflow_tui.engine.journal.clock import SystemClock
from stepflow_tui.engine.live.tail import Tail
from stepflow_tui.engine.live.tail_job import TailJob
from stepflow_tui.engine.model.control import FreeRunning
from stepflow_tui.engine.postgres import control, progress


async def main(job: TailJob) -> None:
    """Take over and catch up."""
    connection = await job.target.connect()
    epoch = await control.raise_epoch(connection, job.run)
    await progress.start(connection, job.run, epoch, 0)
    await connection.close()
    tail = Tail(replace(job, epoch=epoch), control=FreeRunning(), clock=SystemClock())
    while not (await tail.step()).whole:
        pass
    await tail.close()


if __name__ == "__main__":
    asyncio.run(main(pickle.loads(Path(sys.argv[1]).read_bytes())))
