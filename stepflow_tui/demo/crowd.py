"""The application of the `sqlite-wal` demo: `python -m stepflow_tui.demo.crowd FOLDER OWNER`, eight writers and eight readers,
each a process of its own, all on `FOLDER/shop.db`. Started again, it goes on with its ledgers and figures.

It doesn't know that anything is changed beneath it. SIGTERM, or the end of the process OWNER that started it, ends it: the
ledgers of all writers are then compared with the database, and the exit status says whether everything acknowledged is there.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from stepflow_tui.demo.crowd_member import figures_path, ledger_path, noted
from stepflow_tui.demo.ledger import Checked, Ledger
from stepflow_tui.demo.lite_orders import LiteOrders
from stepflow_tui.demo.names import COUNTERS, LEDGER, SOURCE
from stepflow_tui.demo.web import alive

MEMBER = "stepflow_tui.demo.crowd_member"
WRITERS = READERS = 8
TELL_SECONDS = 0.5
END_SECONDS = 30.0


class Crowd:
    """Starts the members, adds their figures up, and counts at the end."""

    def __init__(self, folder: Path, *, owner: int) -> None:
        self.folder, self._owner = folder, owner
        self._members: list[asyncio.subprocess.Process] = []

    async def run(self, stop: asyncio.Event) -> Checked:
        """Let all of them work until told to stop, then count."""
        roles = [("writer", n) for n in range(WRITERS)] + [("reader", n) for n in range(READERS)]
        self._tell()  # one that was stopped before had said that it was at its end
        try:
            self._members = [await self._start(role, number) for role, number in roles]
            while not stop.is_set():
                self._tell()
                if not alive(self._owner):
                    stop.set()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), TELL_SECONDS)
        finally:
            await self._end()
        checked = await self._count()
        self._tell(lost=checked.lost, wrong=checked.wrong, ended=True)
        return checked

    async def _start(self, role: str, number: int) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", MEMBER, str(self.folder), str(os.getpid()), role, str(number), stdin=asyncio.subprocess.DEVNULL
        )  # fmt: skip

    async def _end(self) -> None:
        """Each ends between two of its writes."""
        for member in self._members:
            if member.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    member.terminate()
        for member in self._members:
            try:
                await asyncio.wait_for(member.wait(), END_SECONDS)
            except TimeoutError:
                member.kill()
                await member.wait()

    async def _count(self) -> Checked:
        """All ledgers against the database as anybody sees it."""
        ledger = Ledger(self.folder / LEDGER)
        for number in range(WRITERS):
            ledger.orders.update(noted(ledger_path(self.folder, number)))
        database = LiteOrders(self.folder / SOURCE)
        try:
            return ledger.compare("sqlite", await database.all())
        finally:
            await database.close()
            ledger.close()

    def _tell(self, *, lost: int | None = None, wrong: int = 0, ended: bool = False) -> None:
        """Write the figures of all; readers see the old or the new file, never half of one."""
        told = {role: [_figures(figures_path(self.folder, role, n)) for n in range(count)]
                for role, count in (("writer", WRITERS), ("reader", READERS))}  # fmt: skip
        writes, reads = (sum(int(one.get("done", 0)) for one in told[role]) for role in ("writer", "reader"))
        counters = {
            "pid": os.getpid(), "side": "sqlite", "acknowledged": writes, "moves": [], "checks": [],
            "writes": {"sqlite": writes, "postgresql": 0}, "reads": {"sqlite": reads, "postgresql": 0},
            "write_errors": sum(int(one.get("errors", 0)) for one in told["writer"]),
            "read_errors": sum(int(one.get("errors", 0)) for one in told["reader"]),
            "longest_wait_ms": max((float(one.get("longest_wait_ms", 0)) for one in told["writer"]), default=0.0),
            "lost": lost, "wrong": wrong, "ended": ended,
        }  # fmt: skip
        partial = self.folder / f"{COUNTERS}.partial"
        partial.write_text(json.dumps(counters), encoding="utf-8")
        partial.replace(self.folder / COUNTERS)


def _figures(path: Path) -> dict[str, Any]:
    with contextlib.suppress(FileNotFoundError):
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found
    return {}


async def trade(folder: Path, owner: int) -> Checked:
    """Run the crowd until SIGTERM or SIGINT, or until `owner`, the process that started it, is gone."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return await Crowd(folder, owner=owner).run(stop)


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(trade(Path(sys.argv[1]), int(sys.argv[2]))).right else 1)
