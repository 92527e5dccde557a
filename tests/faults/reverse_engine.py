"""A process that forks one engine per line of its input, each to be killed somewhere, and tells how it ended.

`python -m tests.faults.reverse_engine JOB.json`; a line is `NAME:N` (a failpoint), `after:MILLISECONDS` (a kill at any
moment) or `end` (until nothing is left). With `unsafe` in the job, rows and position are committed one after the other.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg

from stepflow_tui.engine import failpoints
from stepflow_tui.engine.journal.clock import SystemClock
from stepflow_tui.engine.live.reverse import Reverse, ReverseJob
from stepflow_tui.engine.live.reverse_file import LiteSide
from stepflow_tui.engine.model.codec import from_plain
from stepflow_tui.engine.model.control import FreeRunning
from stepflow_tui.engine.model.plan import TablePlan
from stepflow_tui.engine.postgres.changelog import Changes
from stepflow_tui.engine.postgres.connect import Target


def _job(given: dict[str, Any]) -> ReverseJob:
    tables = tuple(from_plain(TablePlan, t) for t in given["tables"])
    return ReverseJob(
        run=given["run"], source=Path(given["source"]), target=Target.from_config(given["dsn"], {}), tables=tables, interval_seconds=0.005
    )  # fmt: skip


async def _work(job: ReverseJob, *, end: bool) -> None:
    reverse = Reverse(job, control=FreeRunning(), clock=SystemClock())
    if end:
        await reverse.drain()
    else:
        await reverse.run()
    await reverse.close()


def _position_first() -> None:
    """The protection taken out: the position is committed before the rows."""
    changes, begin, commit = Reverse._changes, LiteSide._begin, LiteSide._commit

    async def first(self: Reverse, conn: asyncpg.Connection, position: str | None, whole: frozenset[str]) -> Changes:
        found = await changes(self, conn, position, whole)
        if found.count:
            with closing(sqlite3.connect(self._job.source)) as file:
                file.execute("update _sf_ctl set reverse_snapshot=?", (found.snapshot,))
                file.commit()
        return found

    Reverse._changes = first  # type: ignore[method-assign]
    LiteSide._begin = lambda self, _: begin(self, self._position().snapshot)  # type: ignore[method-assign]
    LiteSide._commit = lambda self, _, to: commit(self, self._position().snapshot, to)  # type: ignore[method-assign]


def main() -> None:
    """Serve lines until the input ends."""
    given = json.loads(Path(sys.argv[1]).read_text())
    if given["unsafe"]:
        _position_first()
    for line in sys.stdin:
        order = line.strip()
        child = os.fork()
        if child == 0:
            _child(given, order)
        _, status = os.waitpid(child, 0)
        print("killed" if os.WIFSIGNALED(status) else f"exit {os.waitstatus_to_exitcode(status)}", flush=True)


def _child(given: dict[str, Any], order: str) -> None:
    name, _, number = order.partition(":")
    if name == "after":
        threading.Timer(int(number) / 1000, lambda: os.kill(os.getpid(), signal.SIGKILL)).start()
    elif number:
        os.environ["STEPFLOW_FAILPOINT"] = f"{order}:kill"
        failpoints._passed.clear()
    try:
        asyncio.run(_work(_job(given), end=name == "end"))
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main()
