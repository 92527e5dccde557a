"""The shop's process: `python -m stepflow_tui.demo.shop FOLDER OWNER`. The folder holds shop.db and gets `shop.ledger` and `shop.json`.

The address of PostgreSQL comes in the environment (SHOP_TARGET), as it holds a password. With SHOP_PORT it is the customers
alone: their orders go over HTTP to the application on that port (`stepflow_tui.demo.web`), which has the database. SIGTERM, or the end of the
process OWNER that started it, ends the shop: it then compares its ledger with the database that owns writes, and its exit status says whether
everything acknowledged was there.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from stepflow_tui.client import AsyncReadRouter, Side
from stepflow_tui.demo.ledger import Checked, Ledger
from stepflow_tui.demo.lite_orders import LiteOrders
from stepflow_tui.demo.names import COUNTERS, LEDGER, PORT_VARIABLE, SOURCE, TARGET_VARIABLE
from stepflow_tui.demo.orders import GONE, NotStored, Order, Orders
from stepflow_tui.demo.pg_orders import PgOrders
from stepflow_tui.demo.web_orders import Patient, WebOrders

WRITES_PER_SECOND, READS_PER_SECOND = 20.0, 60.0
TELL_SECONDS = 0.5
CHECK_SECONDS = 5.0
"""How often the ledger is compared with the database while the shop trades."""
FIND_OUT_TRIES, PATIENT_TRIES = 100, 600
"""How often it is asked what became of a write; an application that is being restarted is waited for longer."""
OPEN_ORDERS = 200
"""Orders of its own that the shop keeps; the oldest are cancelled."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A write: a new order (with its SKUs), an order's next state, or the end of one."""

    order: Order
    skus: tuple[str, ...] = ()
    cancels: bool = False

    async def write(self, side: Orders) -> Order:
        """Carry it out in one transaction. Returns the order as it is then."""
        if self.cancels:
            await side.cancel(self.order)
        elif self.skus:
            return replace(self.order, id=await side.place(self.order, list(self.skus)))
        else:
            await side.move(self.order)
        return self.order


class Shop:
    """Takes, moves and cancels orders, and looks at them, on whatever side the client names."""

    def __init__(self, folder: Path, dsn: str | None, *, owner: int, seed: int = 1, port: int | None = None) -> None:
        self.folder = folder
        self.ledger = Ledger(folder / LEDGER)
        self.sides: dict[Side, Orders]
        self.router: AsyncReadRouter | Patient
        self._tries = FIND_OUT_TRIES if port is None else PATIENT_TRIES
        if port is None:
            new = PgOrders(dsn) if dsn else None
            self.sides = {"sqlite": LiteOrders(folder / SOURCE), **({"postgresql": new} if new else {})}
            self.router = AsyncReadRouter(
                folder / SOURCE, report=new.report if new else None, shadow=0.05 if new else 0.0
            )
        else:
            web = WebOrders(port, self._answered)
            self.sides = {"sqlite": web, "postgresql": web}
            self.router = Patient(web)
        self.counters: dict[str, Any] = {
            "pid": os.getpid(), "writes": {"sqlite": 0, "postgresql": 0}, "reads": {"sqlite": 0, "postgresql": 0},
            "read_errors": 0, "write_errors": 0, "longest_wait_ms": 0.0, "moves": [], "checks": [], "lost": None, "wrong": 0, "ended": False,
        }  # fmt: skip
        self._random = random.Random(seed)  # noqa: S311 - sample data
        self._numbers = 0
        self._side: Side = "sqlite"
        self._wrote: Side = "sqlite"
        self._owner = owner
        self._checked = time.monotonic()
        self._customers: list[int] = []
        self._skus: list[str] = []

    async def run(self, stop: asyncio.Event) -> Checked:
        """Trade until told to stop, then count."""
        self._customers, self._skus = await self.sides["sqlite"].catalog()
        tasks = [asyncio.create_task(work(stop)) for work in (self._writing, self._reading, self._telling)]
        try:
            await asyncio.gather(*tasks)
            checked = await self.check(kept=True)
        finally:
            for task in tasks:
                task.cancel()
            await self.router.close()
            for side in self.sides.values():
                await side.close()
            self.ledger.close()
        self._tell(ended=True)
        return checked

    async def check(self, *, kept: bool) -> Checked:
        """Compare the ledger with the side that owns writes, with no write of ours under way; the worst counts.

        Args:
            kept: the whole result stands among the figures.
        """
        side = self.router.view.owner(fresh=True)
        checked = self.ledger.compare(side, await self.sides[side].all())
        if kept:
            self.counters["checks"].append(asdict(checked))
        self.counters["lost"] = max(checked.lost, self.counters["lost"] or 0)
        self.counters["wrong"] = max(checked.wrong, self.counters["wrong"])
        self._checked = time.monotonic()
        self._tell()
        return checked

    async def _writing(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            began = time.monotonic()
            order = await self._write(self._next())
            if order is not None and self._moved(began):
                await self.check(kept=True)
            elif order is not None and time.monotonic() - self._checked > CHECK_SECONDS:
                await self.check(kept=False)
            await self._rest(stop, 1 / WRITES_PER_SECOND)

    def _moved(self, began: float) -> bool:
        """Count the wait; whether the write went to another side than the one before."""
        waited = round((time.monotonic() - began) * 1000, 1)
        self.counters["longest_wait_ms"] = max(self.counters["longest_wait_ms"], waited)
        before, self._side = self._side, self._wrote
        if before != self._side:
            self.counters["moves"].append({"to": self._side, "waited_ms": waited, "at": time.time()})
        return before != self._side

    async def _write(self, wanted: Wanted) -> Order | None:
        """One write, acknowledged only when it is in the ledger. None when it failed."""

        async def attempt(side: Side) -> Order:
            self._wrote = side
            try:
                return await wanted.write(self.sides[side])
            except GONE:
                return await self._find_out(self.sides[side], wanted)

        try:
            order = await self.router.write(attempt)
        except Exception:  # a shop answers "try again later" to whatever went wrong, and goes on
            self.counters["write_errors"] += 1
            return None
        if wanted.cancels:
            self.ledger.strike(order)
        else:
            self.ledger.keep(order)
        self.counters["writes"][self._wrote] += 1
        return order

    def _next(self) -> Wanted:
        mine = list(self.ledger.orders.values())
        if len(mine) > OPEN_ORDERS:
            return Wanted(mine[0], cancels=True)
        if mine and self._random.random() < 0.5:
            return Wanted(self._random.choice(mine).moved())
        self._numbers += 1
        skus = self._random.sample(self._skus, self._random.randint(1, 3))
        order = Order(
            number=self._numbers, customer=self._random.choice(self._customers),
            cents=self._random.randrange(100, 50_000), lines=len(skus),
        )  # fmt: skip
        return Wanted(order, skus=tuple(skus))

    async def _find_out(self, side: Orders, wanted: Wanted) -> Order:
        """The connection broke: whether the write was stored is looked up, never guessed.

        Raises:
            NotStored: it was not.
            LookupError: the side does not come back.
        """
        for _ in range(self._tries):
            try:
                found = await side.find(wanted.order.note)
            except GONE:
                await asyncio.sleep(0.1)
                continue
            if (found is None) is wanted.cancels:
                return replace(wanted.order, id=found or 0)
            raise NotStored("not stored")
        raise LookupError("nobody knows")

    def _answered(self, side: Side) -> None:
        """The application took it, with that database behind it."""
        self._wrote = side

    async def _reading(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            if mine := list(self.ledger.orders.values()):
                await self._read(self._random.choice(mine))
            await self._rest(stop, 1 / READS_PER_SECOND)

    async def _read(self, order: Order) -> None:
        async def fetch(side: Side) -> tuple[str, str, int] | None:
            return await self.sides[side].look(order.id)

        side = self.router.route(order.customer)
        try:
            await self.router.read(order.customer, fetch)
        except Exception:  # counted, and by the router too
            self.counters["read_errors"] += 1
        else:
            self.counters["reads"][side] += 1

    async def _telling(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self._tell()
            if os.getppid() != self._owner:
                stop.set()
            await self._rest(stop, TELL_SECONDS)

    def _tell(self, *, ended: bool = False) -> None:
        """Write the counters; readers see the old or the new file, never half of one."""
        self.counters |= {"acknowledged": self.ledger.acknowledged, "side": self._side, "ended": ended}
        partial = self.folder / f"{COUNTERS}.partial"
        partial.write_text(json.dumps(self.counters), encoding="utf-8")
        partial.replace(self.folder / COUNTERS)

    async def _rest(self, stop: asyncio.Event, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), seconds)


async def trade(folder: Path, dsn: str | None, owner: int) -> Checked:
    """Run the shop until SIGTERM or SIGINT, or until `owner`, the process that started it, is gone."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    port = os.environ.get(PORT_VARIABLE)
    return await Shop(folder, dsn, owner=owner, port=int(port) if port else None).run(stop)


def main() -> int:
    """The command line. Returns 0 when everything acknowledged was there, 1 when not."""
    checked = asyncio.run(trade(Path(sys.argv[1]), os.environ.get(TARGET_VARIABLE), int(sys.argv[2])))
    return 0 if checked.right else 1


if __name__ == "__main__":
    sys.exit(main())
