"""Orders on PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import asyncpg

from stepflow_tui.demo.orders import ALL, LOOK, Order, exactly_one


class PgOrders:
    """On PostgreSQL. The pool is made at the first use, so that the server need not be there before."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._pool: asyncpg.Pool | None = None

    async def place(self, order: Order, skus: list[str]) -> int:
        """See Orders."""
        at = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
        total = Decimal(order.cents) / 100
        async with (await self._ready()).acquire() as connection, connection.transaction():
            made = await connection.fetchval(
                "insert into orders(customer_id, status, placed_at, placed_epoch, total, gift, note)"
                " values ($1, $2, $3, $4, $5, $6, $7) returning id",
                order.customer, order.status, at, int(at.timestamp()), total, bool(order.number % 2), order.note,
            )  # fmt: skip
            await connection.executemany(
                "insert into order_items(order_id, line, sku, quantity, unit_price) values ($1, $2, $3, 1, $4)",
                [(made, line, sku, total) for line, sku in enumerate(skus, 1)],
            )
        return int(made)

    async def move(self, order: Order) -> None:
        """See Orders."""
        before = replace(order, version=order.version - 1).note
        sql = "update orders set status = $1, note = $2 where id = $3 and note = $4"
        exactly_one(
            _count(await (await self._ready()).execute(sql, order.status, order.note, order.id, before)), before
        )

    async def cancel(self, order: Order) -> None:
        """See Orders."""
        sql = "delete from orders where id = $1 and note = $2"
        exactly_one(_count(await (await self._ready()).execute(sql, order.id, order.note)), order.note)

    async def look(self, order_id: int) -> tuple[str, str, int] | None:
        """See Orders."""
        row = await (await self._ready()).fetchrow(LOOK.format("$1"), order_id)
        return None if row is None else (row[0], row[1], row[2])

    async def find(self, note: str) -> int | None:
        """See Orders."""
        found = await (await self._ready()).fetchval("select id from orders where note = $1", note)
        return None if found is None else int(found)

    async def all(self) -> list[tuple[str, str, int, int]]:
        """See Orders."""
        rows = await (await self._ready()).fetch(ALL)
        return [(note, status, int(cents), lines) for note, status, cents, lines in rows]

    async def catalog(self) -> tuple[list[int], list[str]]:
        """See Orders."""
        pool = await self._ready()
        customers = await pool.fetch("select id from customers order by id limit 500")
        skus = await pool.fetch("select sku from products order by sku limit 500")
        return [r[0] for r in customers], [r[0] for r in skus]

    async def report(self, router: str, body: str) -> None:
        """Deliver the router's figures to the engine."""
        await (await self._ready()).execute("select _stepflow.report($1, $2)", router, body)

    async def close(self) -> None:
        """See Orders."""
        if self._pool is not None:
            self._pool.terminate()

    async def _ready(self) -> asyncpg.Pool:
        if self._pool is None:
            # no statement cache: the cutover adds foreign keys and triggers under the statements
            self._pool = await asyncpg.create_pool(
                self._dsn, min_size=1, max_size=3, timeout=10, statement_cache_size=0
            )
        return self._pool


def _count(answer: str) -> int:
    return int(answer.rpartition(" ")[2])
