"""An order of the shop, and what the shop asks of a database that holds orders."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import asyncpg

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


ALL = (
    "select o.note, o.status, o.total * 100, (select count(*) from order_items i where i.order_id = o.id)"
    f" from orders o where o.note like '{MARK}%'"
)
LOOK = "select o.note, o.status, (select count(*) from order_items i where i.order_id = o.id) from orders o where o.id = {}"
"""SQL that both databases understand; `{}` is a parameter."""


class NotStored(LookupError):
    """A write whose connection broke was not stored: it may be made again."""


def exactly_one(count: int, note: str) -> None:
    """Raises LookupError unless one row was touched."""
    if count != 1:
        raise LookupError(f"{count} rows have the note {note!r}")
