"""One writer or reader of the crowd: `python -m stepflow_tui.demo.crowd_member FOLDER OWNER ROLE NUMBER`.

An ordinary program on SQLite: a connection, `timeout=10`, short transactions. It never closes or opens again because of the
conversion. A write counts only when it is in the member's own ledger, on disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import sqlite3
import sys
import time
from dataclasses import replace
from pathlib import Path

from stepflow_tui.demo.ledger import Ledger
from stepflow_tui.demo.lite_orders import LiteOrders
from stepflow_tui.demo.names import SOURCE
from stepflow_tui.demo.orders import Order

ACTIONS_PER_SECOND = {"writer": 8.0, "reader": 16.0}
TELL_SECONDS = 0.5
STRIDE = 1000
"""Numbers of a writer's orders are this far apart, so that no two writers use one."""
LOOKED_AT = 2000
"""Orders that readers look for; some are not there, which is an answer as well."""


def ledger_path(folder: Path, number: int) -> Path:
    """What the writer of that number was told to have stored."""
    return folder / f"writer-{number}.ledger"


def figures_path(folder: Path, role: str, number: int) -> Path:
    """The figures of one member."""
    return folder / f"{role}-{number}.json"


def noted(path: Path) -> dict[int, Order]:
    """The orders of one ledger, as they were acknowledged last. A line that a kill cut off was never acknowledged."""
    found: dict[int, Order] = {}
    with contextlib.suppress(FileNotFoundError):
        for line in path.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                entry = json.loads(line)
                found[entry["number"]] = Order(**entry)
    return found


class Member:
    """Writes or reads, a little at a time, and keeps its figures."""

    def __init__(self, folder: Path, role: str, number: int) -> None:
        self._orders = LiteOrders(folder / SOURCE)
        self._ledger = Ledger(ledger_path(folder, number)) if role == "writer" else None
        self._random = random.Random(f"{role} {number}")  # noqa: S311 - sample data
        self._path = figures_path(folder, role, number)
        self._pause = 1 / ACTIONS_PER_SECOND[role]
        self._next_number = number
        if self._ledger is not None:
            self._ledger.orders.update(noted(ledger_path(folder, number)))
            self._next_number = max((number, *self._ledger.orders))
        self._catalog: tuple[list[int], list[str]] = ([], [])
        self._figures: dict[str, float] = {"done": 0, "errors": 0, "longest_wait_ms": 0.0}
        with contextlib.suppress(FileNotFoundError):
            self._figures |= json.loads(self._path.read_text(encoding="utf-8"))
        self._told = 0.0

    async def run(self, stop: asyncio.Event, owner: int) -> None:
        """Go on until told to stop, or until the owner is gone."""
        self._catalog = await self._orders.catalog()
        while not stop.is_set() and os.getppid() == owner:
            await self._act()
            self._tell()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._pause * self._random.uniform(0.5, 1.5))
        self._tell(now=True)
        await self._orders.close()

    async def _act(self) -> None:
        began = time.monotonic()
        try:
            await (self._read() if self._ledger is None else self._write(self._ledger))
        except sqlite3.OperationalError:  # "database is locked": an application shows its users an error, and goes on
            self._figures["errors"] += 1
            return
        self._figures["done"] += 1
        self._figures["longest_wait_ms"] = max(self._figures["longest_wait_ms"], (time.monotonic() - began) * 1000)

    async def _read(self) -> None:
        await self._orders.look(self._random.randint(1, LOOKED_AT))

    async def _write(self, ledger: Ledger) -> None:
        mine = list(ledger.orders.values())
        if mine and self._random.random() < 0.5:
            moved = self._random.choice(mine).moved()
            await self._orders.move(moved)
            ledger.keep(moved)
            return
        order, skus = self._new()
        ledger.keep(replace(order, id=await self._orders.place(order, skus)))

    def _new(self) -> tuple[Order, list[str]]:
        self._next_number += STRIDE
        customers, skus = self._catalog
        chosen = self._random.sample(skus, self._random.randint(1, 3))
        return Order(
            number=self._next_number, customer=self._random.choice(customers),
            cents=self._random.randrange(100, 50_000), lines=len(chosen),
        ), chosen  # fmt: skip

    def _tell(self, *, now: bool = False) -> None:
        if not now and time.monotonic() - self._told < TELL_SECONDS:
            return
        self._told = time.monotonic()
        partial = self._path.with_suffix(".partial")
        partial.write_text(json.dumps(self._figures), encoding="utf-8")
        partial.replace(self._path)


async def main(folder: Path, owner: int, role: str, number: int) -> None:
    """Work until SIGTERM, or until the owner is gone."""
    stop = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    await Member(folder, role, number).run(stop, owner)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
