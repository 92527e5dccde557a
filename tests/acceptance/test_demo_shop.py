"""The demo's shop: what it acknowledged is there on either side, and it notices when something is not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from stepflow_tui.demo import keeper
from stepflow_tui.demo.figures import counters
from stepflow_tui.demo.ledger import Ledger
from stepflow_tui.demo.orders import Order
from stepflow_tui.engine.sqlite.sample import make_shop
from tests.acceptance.harness import Stand
from tests.fleet import by_hand
from tests.run_kit import until

TABLES = ("orders", "order_items")


def _traded(folder: Path, side: str, writes: int) -> bool:
    return keeper.is_open(folder) and counters(folder)["writes"][side] >= writes


@pytest.mark.parametrize("damaged", [False, True])
async def test_the_shop_goes_over_and_counts(stand: Stand, damaged: bool) -> None:
    """Nothing is lost; the negative control takes one order out behind the shop's back."""
    stand.source = stand.folder / "shop.db"
    await asyncio.to_thread(make_shop, stand.source, 3000)
    stand.config(copy={"on_bad_value": "bytea"}, verify={"level": "basic"})
    keeper.open_shop(stand.folder, stand.dsn)
    try:
        await asyncio.to_thread(until, lambda: _traded(stand.folder, "sqlite", 20))
        by_hand.fence(stand.source, *TABLES)
        assert (await asyncio.to_thread(stand.run)).code == 0
        await by_hand.open_there(stand.source, stand.dsn, *TABLES)
        await asyncio.to_thread(until, lambda: _traded(stand.folder, "postgresql", 20))
        if damaged:
            await by_hand.close_there(stand.dsn, "orders")
            stand.sql(f"update _stepflow.gate set writes = 'open'; delete from orders where id = {_NEWEST}", "select 1")
    finally:
        told = await asyncio.to_thread(keeper.close_shop, stand.folder)
    assert told["ended"], (stand.folder / "shop.log").read_text()
    assert [m["to"] for m in told["moves"]] == ["postgresql"]
    assert [c["side"] for c in told["checks"]] == ["postgresql", "postgresql"], "after the move, and at the end"
    assert told["lost"] == int(damaged)
    assert told["checks"][-1]["returned"] == told["checks"][-1]["doubled"] == told["checks"][-1]["different"] == 0
    assert told["acknowledged"] == sum(told["writes"].values())
    assert damaged or told["write_errors"] == told["read_errors"] == 0


_NEWEST = "(select max(id) from orders where note like 'demo shop %')"


def _ledger(folder: Path) -> Ledger:
    ledger = Ledger(folder / "ledger")
    for number in (1, 2, 3):
        ledger.keep(Order(number=number, id=number, customer=1, cents=100))
    ledger.keep(ledger.orders[2].moved())
    ledger.strike(ledger.orders[3])
    ledger.close()
    return ledger


RIGHT = [("demo shop 1 version 1", "new", 100, 1), ("demo shop 2 version 2", "paid", 100, 1)]


@pytest.mark.parametrize(
    ("found", "rows"),
    [
        ({}, RIGHT),
        ({"lost": 1}, RIGHT[:1]),
        ({"lost": 1}, [RIGHT[0], ("demo shop 2 version 1", "new", 100, 1)]),
        ({"doubled": 1}, [*RIGHT, RIGHT[0]]),
        ({"returned": 1}, [*RIGHT, ("demo shop 3 version 1", "new", 100, 1)]),
        ({"returned": 1}, [RIGHT[1], ("demo shop 1 version 2", "paid", 100, 1)]),
        ({"different": 1}, [RIGHT[1], ("demo shop 1 version 1", "new", 101, 1)]),
        ({"different": 1}, [RIGHT[1], ("demo shop 1 version 1", "new", 100, 2)]),
        ({"different": 1}, [RIGHT[1], ("demo shop 1 version 1", "sent", 100, 1)]),
    ],
)
def test_the_ledger_tells_what_is_wrong(
    tmp_path: Path, found: dict[str, int], rows: list[tuple[str, str, int, int]]
) -> None:
    checked = _ledger(tmp_path).compare("sqlite", rows)
    assert {k: v for k in ("lost", "returned", "doubled", "different") if (v := getattr(checked, k))} == found
    assert checked.right is (not found)
    assert checked.orders == 2
