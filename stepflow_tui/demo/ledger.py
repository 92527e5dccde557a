"""What was acknowledged to the shop's customers: on disk before the next order is taken, and compared with the database."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from stepflow_tui.demo.orders import Order, parse_note


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One comparison of ledger and database; all but `orders` should be 0.

    lost: acknowledged and not there, or there in an older version. returned: cancelled and there, or never acknowledged.
    doubled: there more than once. different: there with another status, total or number of lines.
    """

    side: str
    orders: int
    lost: int = 0
    returned: int = 0
    doubled: int = 0
    different: int = 0

    @property
    def wrong(self) -> int:
        """How many orders are there that shouldn't be, or otherwise than they were acknowledged."""
        return self.returned + self.doubled + self.different

    @property
    def right(self) -> bool:
        """Whether every acknowledged write is there, once, as it was acknowledged, and nothing else."""
        return not (self.lost or self.wrong)


class Ledger:
    """The acknowledged orders; `path` is written before a write counts."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")
        self.orders: dict[int, Order] = {}
        self.acknowledged = 0

    def keep(self, order: Order) -> None:
        """A new or changed order was acknowledged."""
        self.orders[order.number] = order
        self._write(asdict(order))

    def strike(self, order: Order) -> None:
        """A cancellation was acknowledged."""
        del self.orders[order.number]
        self._write({"number": order.number, "cancelled": True})

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, entry: dict[str, object]) -> None:
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.acknowledged += 1

    def compare(self, side: str, rows: Iterable[tuple[str, str, int, int]]) -> Checked:
        """Compare with the orders of ours that a database holds: note, status, cents, lines."""
        seen: dict[int, int] = {}
        older = returned = different = 0
        for note, status, cents, lines in rows:
            number, version = parse_note(note)
            seen[number] = seen.get(number, 0) + 1
            order = self.orders.get(number)
            if order is None or version > order.version:
                returned += 1
            elif version < order.version:
                older += 1
            else:
                different += (status, cents, lines) != (order.status, order.cents, order.lines)
        return Checked(
            side=side,
            orders=len(self.orders),
            lost=older + len(self.orders.keys() - seen.keys()),
            returned=returned,
            doubled=sum(times - 1 for times in seen.values()),
            different=different,
        )
