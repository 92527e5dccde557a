"""A process that copies one table, for tests that kill it: `python -m tests.faults.copy_engine FILE URI KILL_AFTER PIDS`.

After KILL_AFTER segments (0: never) it kills itself with SIGKILL; PIDS is where it writes its workers' process ids.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from stepflow_tui.engine.bulk.pool import WorkerPool
from stepflow_tui.engine.model.progress import Progress
from stepflow_tui.engine.postgres import control
from stepflow_tui.engine.postgres.connect import Target
from tests.copy_kit import INTEGER, RUN, TEXT, make_job, plan_table, run_copy


async def main(path: Path, uri: str, kill_after: int, pids: Path) -> None:
    """Raise the epoch and copy what is open."""
    target = Target.from_config(uri, {})
    connection = await target.connect()
    epoch = await control.raise_epoch(connection, RUN)
    await connection.close()
    chunks = 0

    def report(progress: Progress) -> None:
        nonlocal chunks
        chunks += progress.item == "t"
        if chunks == kill_after > 0:
            os.kill(os.getpid(), signal.SIGKILL)

    job = make_job(path, target, plan_table(path, "t", {"id": INTEGER, "x": TEXT}), streams=2)
    async with WorkerPool(2) as pool:
        pids.write_text(" ".join(map(str, pool.pids)))
        await run_copy(replace(job, epoch=epoch), report=report, pool=pool)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])))
