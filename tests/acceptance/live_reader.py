"""An application: `live_reader.py FILE DSN` reads through the router of `stepflow_tui.client`, and writes, until it is told to end.

It takes one command per line on its standard input, and answers every one with a line of JSON: `map` (which of the keys read
the new side now), `worse N` (every Nth read of the new side fails from now on, 0: none), `served` (reads so far by side, and
those that failed without being told to), `end`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import select
import sqlite3
import sys
import threading
from collections import Counter
from typing import Any

import asyncpg

from stepflow_tui.client import OLD, ReadRouter, Side

KEYS = range(2_000)
ROWS = 100
SQL = "select id, customer_id from orders where id = "


class New:
    """The new side, over a driver whose loop runs in a thread of its own."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._loop = asyncio.new_event_loop()
        self._connections: dict[str, asyncpg.Connection] = {}
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def fetch(self, sql: str, *args: object, by: str = "reads") -> Any:
        """The first row, None without any."""
        return asyncio.run_coroutine_threadsafe(self._fetch(by, sql, args), self._loop).result(5)

    async def _fetch(self, by: str, sql: str, args: tuple[object, ...]) -> Any:
        connection = self._connections.get(by)
        if connection is None or connection.is_closed():
            connection = self._connections[by] = await asyncpg.connect(self._dsn)
        row = await connection.fetchrow(sql, *args)
        return None if row is None else tuple(row)


class Application:
    """Reads one order after the other, and now and then makes one."""

    def __init__(self, path: str, dsn: str) -> None:
        self._old = sqlite3.connect(path, timeout=20, isolation_level=None, check_same_thread=False)
        self._new = New(dsn)
        self.router = ReadRouter(path, report=self._report, every=0.2)
        self.served, self.worse, self._count = Counter[str](), 0, 0
        self._chance = random.Random(5)

    def turn(self) -> None:
        """A read; every tenth time a write."""
        self._count += 1
        try:
            self.router.read(self._chance.choice(KEYS), self._fetch, groups=("beta",) if self._count % 7 == 0 else ())
        except ConnectionError:  # as it was told
            self.served["told"] += 1
        except Exception as error:
            self.served[f"{type(error).__name__}: {error}"] += 1
        if self._count % 10 == 0:
            with contextlib.suppress(sqlite3.OperationalError):  # busy: the next one
                self.router.write(self._write)

    def _fetch(self, side: Side) -> Any:
        self.served[side] += 1
        number = self._chance.randint(1, ROWS)
        if side == OLD:
            return self._old.execute(f"{SQL} ?", (number,)).fetchone()
        if self.worse and self.served[side] % self.worse == 0:
            raise ConnectionError("as told")
        return self._new.fetch(f"{SQL} $1", number)

    def _write(self, side: Side) -> None:
        total = self._count
        if side == OLD:
            self._old.execute("update orders set total = ? where id = ?", (total, total % ROWS + 1))
        else:
            self._new.fetch("update orders set total = $1 where id = $2", total, total % ROWS + 1)

    def _report(self, router: str, body: str) -> None:
        self._new.fetch("select _stepflow.report($1, $2)", router, body, by="reports")

    def answer(self, command: str, *args: str) -> dict[str, Any]:
        """What a command is answered with."""
        if command == "worse":
            self.worse = int(args[0])
        if command == "map":
            routed = {key: self.router.route(key) for key in KEYS}
            beta = self.router.route("nobody", groups=("beta",))
            new = [key for key, side in routed.items() if side != OLD]
            return {"new": new, "beta": beta != OLD, "owner": self.router.write_owner()}
        return dict(self.served)


def main(path: str, dsn: str) -> None:
    """Work, and answer."""
    application = Application(path, dsn)
    while True:
        if select.select([sys.stdin], [], [], 0.002)[0]:
            line = sys.stdin.readline().split()
            if not line or line[0] == "end":
                break
            sys.stdout.write(json.dumps(application.answer(*line)) + "\n")
            sys.stdout.flush()
        application.turn()
    application.router.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
