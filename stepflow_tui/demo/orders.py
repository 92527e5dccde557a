"""The shop's orders on either database: the same few transactions, in each database's own statements."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol, TypeVar

import asyncpg

T = TypeVar("T")

GONE = (OSError, EOFError, asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError, asyncpg.InterfaceError)
"""The connection broke; what was under way may or may not have been stored."""

MARK = "demo shop "
"""How the notes of the shop's own orders begin."""

STATES = ("new", "paid", "sent", "returned")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order as the shop knows it. `version` counts its changes; `cents` is its total, `lines` its number of items;
    `id` is the database's number, 0 until it has given one."""

    number: int
    id: int = 0
    customer: int
    status: str = "new"
    version: int = 1
    cents: int = 0
    lines: int = 1

    @property
    def note(self) -> str:
        """What its row says, so that it is found again and its age is seen."""
        return f"{MARK}{self.number} version {self.version}"

    def moved(self) -> Order:
        """The order in its next state."""
        return replace(self, status=STATES[(STATES.index(self.status) + 1) % len(STATES)], version=self.version + 1)


def parse_note(note: str) -> tuple[int, int]:
    """Number and version from a row's note. Raises ValueError."""
    number, _, version = note.removeprefix(MARK).partition(" version ")
    return int(number), int(version)


class Orders(Protocol):
    """What the shop asks of a database. Each call is one transaction; nothing stays of one that raises."""

    async def place(self, order: Order, skus: list[str]) -> int:
        """A new order with a line for each SKU. Returns its id."""

    async def move(self, order: Order) -> None:
        """The order's row gets status and note of `order`. Raises LookupError when it isn't there."""

    async def cancel(self, order: Order) -> None:
        """The order goes, and its lines with it. Raises LookupError when it isn't there."""

    async def look(self, order_id: int) -> tuple[str, str, int] | None:
        """Note, status and number of lines of an order; None when it isn't there."""

    async def find(self, note: str) -> int | None:
        """The id of the order with that note, looked for everywhere; None when there is none."""

    async def all(self) -> list[tuple[str, str, int, int]]:
        """Note, status, cents and number of lines of all orders of ours."""

    async def catalog(self) -> tuple[list[int], list[str]]:
        """Some customers and SKUs to order from."""

    async def close(self) -> None:
        """End the connections."""


_ALL = (
    "select o.note, o.status, o.total * 100, (select count(*) from order_items i where i.order_id = o.id)"
    f" from orders o where o.note like '{MARK}%'"
)
_LOOK = "select o.note, o.status, (select count(*) from order_items i where i.order_id = o.id) from orders o where o.id = {}"


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
            _one(done.rowcount, before)

        await self._transaction(work)

    async def cancel(self, order: Order) -> None:
        """See Orders."""
        sql = "delete from orders where id = ? and note = ?"
        await self._transaction(lambda c: _one(c.execute(sql, (order.id, order.note)).rowcount, order.note))

    async def look(self, order_id: int) -> tuple[str, str, int] | None:
        """See Orders."""
        rows = await self._fetch(_LOOK.format("?"), (order_id,))
        return tuple(rows[0]) if rows else None

    async def find(self, note: str) -> int | None:
        """See Orders."""
        rows = await self._fetch("select id from orders where note = ?", (note,))
        return rows[0][0] if rows else None

    async def all(self) -> list[tuple[str, str, int, int]]:
        """See Orders."""
        return [(note, status, round(cents), lines) for note, status, cents, lines in await self._fetch(_ALL)]

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
        _one(_count(await (await self._ready()).execute(sql, order.status, order.note, order.id, before)), before)

    async def cancel(self, order: Order) -> None:
        """See Orders."""
        sql = "delete from orders where id = $1 and note = $2"
        _one(_count(await (await self._ready()).execute(sql, order.id, order.note)), order.note)

    async def look(self, order_id: int) -> tuple[str, str, int] | None:
        """See Orders."""
        row = await (await self._ready()).fetchrow(_LOOK.format("$1"), order_id)
        return None if row is None else (row[0], row[1], row[2])

    async def find(self, note: str) -> int | None:
        """See Orders."""
        found = await (await self._ready()).fetchval("select id from orders where note = $1", note)
        return None if found is None else int(found)

    async def all(self) -> list[tuple[str, str, int, int]]:
        """See Orders."""
        rows = await (await self._ready()).fetch(_ALL)
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


def _one(count: int, note: str) -> None:
    if count != 1:
        raise LookupError(f"{count} rows have the note {note!r}")


def _count(answer: str) -> int:
    return int(answer.rpartition(" ")[2])
