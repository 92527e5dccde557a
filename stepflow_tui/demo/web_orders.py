"""The customers' side of the sample shop as a web application: orders over HTTP, and whoever waits until it takes them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any, TypeVar, cast
from urllib.parse import quote

from stepflow_tui.client import Side
from stepflow_tui.demo.messages import ask
from stepflow_tui.demo.orders import NotStored, Order

T = TypeVar("T")

ANSWER_SECONDS = 60.0
PATIENCE_SECONDS = 120.0
"""How long a customer tries again before the order is given up."""
AGAIN_SECONDS = 0.05


class Unavailable(OSError):
    """The shop says that it can't just now; whether a write was stored is looked up."""


class WebOrders:
    """Orders through the application. `side`: the database behind its last answer."""

    def __init__(self, port: int, told: Callable[[Side], None]) -> None:
        self._port, self._told = port, told
        self.side: Side = "sqlite"

    async def place(self, order: Order, skus: list[str]) -> int:
        """See Orders."""
        return int(await self._ask("POST", "/orders", {"order": asdict(order), "skus": skus}))

    async def move(self, order: Order) -> None:
        """See Orders."""
        await self._ask("PUT", "/orders", asdict(order))

    async def cancel(self, order: Order) -> None:
        """See Orders."""
        await self._ask("DELETE", "/orders", asdict(order))

    async def look(self, order_id: int) -> tuple[str, str, int] | None:
        """See Orders."""
        found = await self._ask("GET", f"/orders/{order_id}")
        return None if found is None else (found[0], found[1], found[2])

    async def find(self, note: str) -> int | None:
        """See Orders."""
        found = await self._ask("GET", f"/orders?note={quote(note)}")
        return None if found is None else int(found)

    async def all(self) -> list[tuple[str, str, int, int]]:
        """See Orders."""
        return [(note, status, cents, lines) for note, status, cents, lines in await self._ask("GET", "/orders")]

    async def catalog(self) -> tuple[list[int], list[str]]:
        """See Orders."""
        customers, skus = await self._ask("GET", "/catalog")
        return customers, skus

    async def close(self) -> None:
        """See Orders."""

    async def _ask(self, method: str, address: str, body: Any = None) -> Any:
        answer = await ask(self._port, method, address, body, seconds=ANSWER_SECONDS)
        if answer.status == 503:
            raise Unavailable("the shop can't just now")
        if answer.status == 409:
            raise LookupError("the shop refuses")
        self.side = cast(Side, answer.side)
        self._told(self.side)
        return answer.body


class Patient:
    """In place of a router: everything goes to the application, again and again until it takes it."""

    def __init__(self, orders: WebOrders) -> None:
        self._orders = orders

    @property
    def view(self) -> Patient:
        """Itself: the application knows its database."""
        return self

    def owner(self, *, fresh: bool = False) -> Side:
        """The database behind the application's last answer."""
        return self._orders.side

    def route(self, _key: int) -> Side:
        """The same."""
        return self._orders.side

    async def write(self, attempt: Callable[[Side], Awaitable[T]]) -> T:
        """Try until it is stored.

        Raises:
            LookupError: it is refused, or nobody knows what became of it.
            NotStored: nobody took it for a long time.
        """
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return await attempt(self._orders.side)
            except NotStored:
                if time.monotonic() >= until:
                    raise
            await asyncio.sleep(AGAIN_SECONDS)

    async def read(self, _key: int, fetch: Callable[[Side], Awaitable[T]]) -> T:
        """Read once."""
        return await fetch(self._orders.side)

    async def close(self) -> None:
        """Nothing to end."""
