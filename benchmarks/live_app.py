"""The application of the live benchmarks: a steady load of small transactions through `stepflow_tui.client`.

python -m benchmarks.live_app FOLDER RATE   (PostgreSQL's address in SHOP_TARGET; ends when FOLDER/stop appears)

Writes FOLDER/acks.csv: side, seconds (monotonic) when each transaction was acknowledged, milliseconds it took.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import asyncpg

from stepflow_tui.client import AsyncReadRouter, Side

WORKERS = 8
UPDATE = "update account set balance = balance + 1, touched = {} where id = {}"
INSERT = "insert into movement(account, amount, note) values ({}, 1, 'x')"


class Application:
    """Eight clients, each with its share of the offered rate; what is late is made up for, as users don't go away."""

    def __init__(self, folder: Path, rate: float, dsn: str) -> None:
        self._folder, self._every, self._dsn = folder, WORKERS / rate, dsn
        self._lite = sqlite3.connect(folder / "app.db", timeout=10, isolation_level=None, check_same_thread=False)
        self._lite.execute("pragma synchronous=normal")
        self._thread = ThreadPoolExecutor(1)
        self._lock = threading.Lock()
        self._pool: asyncpg.Pool | None = None
        self._router = AsyncReadRouter(folder / "app.db", refresh=0.05)
        self._acks: list[tuple[str, float, float]] = []

    async def run(self) -> None:
        """Write until told to stop."""
        self._pool = await asyncpg.create_pool(self._dsn, min_size=WORKERS, max_size=WORKERS, statement_cache_size=0)
        began = time.monotonic()
        await asyncio.gather(self._telling(), *(self._client(i, began) for i in range(WORKERS)))
        self._pool.terminate()

    async def _client(self, number: int, began: float) -> None:
        due, turn = began + number * self._every / WORKERS, 0
        while not (self._folder / "stop").exists():
            turn += 1
            account = (number * 7919 + turn) % 1000 + 1
            due += self._every
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            start = time.monotonic()
            side = await self._router.write(partial(self._write, account), timeout=60)
            end = time.monotonic()
            self._acks.append((side, end, (end - start) * 1000))

    async def _write(self, account: int, side: Side) -> Side:
        if side == "sqlite":
            await asyncio.get_running_loop().run_in_executor(self._thread, self._on_sqlite, account)
        else:
            assert self._pool is not None
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(UPDATE.format("now() at time zone 'utc'", "$1"), account)
                await connection.execute(INSERT.format("$1"), account)
        return side

    def _on_sqlite(self, account: int) -> None:
        self._lite.execute("begin immediate")
        try:
            self._lite.execute(UPDATE.format("current_timestamp", "?"), (account,))
            self._lite.execute(INSERT.format("?"), (account,))
            self._lite.execute("commit")
        except BaseException:
            if self._lite.in_transaction:
                self._lite.execute("rollback")
            raise

    async def _telling(self) -> None:
        with (self._folder / "acks.csv").open("a", encoding="ascii") as file:
            while not (self._folder / "stop").exists():
                await asyncio.sleep(0.05)
                self._tell(file)
            self._tell(file)

    def _tell(self, file: object) -> None:
        acks, self._acks = self._acks, []
        with contextlib.suppress(BrokenPipeError):
            file.writelines(f"{side},{at:.6f},{took:.3f}\n" for side, at, took in acks)  # type: ignore[attr-defined]
            file.flush()  # type: ignore[attr-defined]


def main() -> None:
    """The command line."""
    asyncio.run(Application(Path(sys.argv[1]), float(sys.argv[2]), os.environ["SHOP_TARGET"]).run())


if __name__ == "__main__":
    main()
