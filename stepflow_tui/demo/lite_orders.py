"""Orders on SQLite."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from stepflow_tui.demo.orders import ALL, LOOK, Order, exactly_one

T = TypeVar("T")


class LiteOrders:
    """On SQLite. One connection, used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
        self._connection.execute("pragma foreign_keys=on")
        self._lock = asyncio.Lock()

    async def place(self, order: Order, skus: list[str]) -> int:
        """See Orders."""

        def work(connection: sqlite3.Connection) -> int:
            at = datetime.now(UTC)
            ((made,),) = connection.execute(
                "insert into orders(customer_id, status, placed_at, placed_epoch, total, gift, note)"
                " values (?, ?, ?, ?, ?, ?, ?) returning id",
                (order.customer, order.status, at.strftime("%Y-%m-%d %H:%M:%S"), int(at.timestamp()),
                 order.cents / 100, order.number % 2, order.note),
            ).fetchall()  # fmt: skip
            connection.executemany(
                "insert into order_items(order_id, line, sku, quantity, unit_price) values (?, ?, ?, 1, ?)",
                [(made, line, sku, order.cents / 100) for line, sku in enumerate(skus, 1)],
            )
            return int(made)

        return int(await self._transaction(work))

    async def move(self, order: Order) -> None:
        """See Orders."""

        def work(connection: sqlite3.Connection) -> None:
            before = replace(order, version=order.version - 1).note
            done = connection.execute(
                "update orders set status = ?, note = ? where id = ? and note = ?",
                (order.status, order.note, order.id, before),
            )
            exactly_one(done.rowcount, before)

        await self._transaction(work)

    async def cancel(self, order: Order) -> None:
        """See Orders."""
        sql = "delete from orders where id = ? and note = ?"
        await self._transaction(lambda c: exactly_one(c.execute(sql, (order.id, order.note)).rowcount, order.note))

    async def look(self, order_id: int) -> tuple[str, str, int] | None:
        """See Orders."""
        rows = await self._fetch(LOOK.format("?"), (order_id,))
        return tuple(rows[0]) if rows else None

    async def find(self, note: str) -> int | None:
        """See Orders."""
        rows = await self._fetch("select id from orders where note = ?", (note,))
        return rows[0][0] if rows else None

    async def all(self) -> list[tuple[str, str, int, int]]:
        """See Orders."""
        return [(note, status, round(cents), lines) for note, status, cents, lines in await self._fetch(ALL)]

    async def catalog(self) -> tuple[list[int], list[str]]:
        """See Orders."""
        customers = await self._fetch("select id from customers order by id limit 500")
        skus = await self._fetch("select sku from products order by sku limit 500")
        return [r[0] for r in customers], [r[0] for r in skus]

    async def close(self) -> None:
        """See Orders."""
        self._connection.close()

    async def _transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        async with self._lock:
            return await asyncio.to_thread(self._carry_out, work)

    def _carry_out(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with _transaction(self._connection):
            return work(self._connection)

    async def _fetch(self, sql: str, values: tuple[Any, ...] = ()) -> list[Any]:
        async with self._lock:
            return await asyncio.to_thread(lambda: self._connection.execute(sql, values).fetchall())


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("begin immediate")
    try:
        yield
        connection.execute("commit")
    except BaseException:
        if connection.in_transaction:
            connection.execute("rollback")
        raise
