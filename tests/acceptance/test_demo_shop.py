"""The demo's shop: what it acknowledged is there on either side, and it notices when something is not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from stepflow_tui.demo import keeper
from stepflow_tui.engine.sqlite.sample import make_shop
from tests.acceptance.harness import Stand
from tests.fleet import by_hand
from tests.run_kit import until

TABLES = ("orders", "order_items")


def _traded(folder: Path, side: str, writes: int) -> bool:
    return keeper.is_open(folder) and keeper.counters(folder)["writes"][side] >= writes


@pytest.mark.parametrize("damage", [None, "lost", "returned", "doubled", "different"])
async def test_the_shop_goes_over_and_counts(stand: Stand, damage: str | None) -> None:
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
        if damage:
            await by_hand.close_there(stand.dsn)
            stand.sql(*_DAMAGES[damage], "select 1")
    finally:
        told = await asyncio.to_thread(keeper.close_shop, stand.folder)
    assert told["ended"], (stand.folder / "shop.log").read_text()
    assert [m["to"] for m in told["moves"]] == ["postgresql"]
    assert [c["side"] for c in told["checks"]] == ["postgresql", "postgresql"], "after the move, and at the end"
    figures = {k: told["checks"][-1][k] for k in ("lost", "returned", "doubled", "different")}
    assert figures == {k: int(k == damage) for k in figures}
    assert told["lost"] == figures["lost"]
    assert told["acknowledged"] == sum(told["writes"].values())
    assert told["write_errors"] == told["read_errors"] == 0


_NEWEST = "(select max(id) from orders where note like 'demo shop %')"
_OPEN = "update _stepflow.gate set writes = 'open'"
_COPY = "insert into orders(customer_id, status, placed_at, placed_epoch, total, gift, note) select customer_id, status, placed_at, placed_epoch, total, gift,"
_DAMAGES = {
    "lost": (_OPEN, f"delete from orders where id = {_NEWEST}"),
    "returned": (_OPEN, f"{_COPY} 'demo shop 999999 version 1' from orders where id = {_NEWEST}"),
    "doubled": (
        _OPEN,
        f"with made as ({_COPY} note from orders where id = {_NEWEST} returning id)"
        f" insert into order_items select made.id, line, sku, quantity, unit_price from order_items, made where order_id = {_NEWEST}",
    ),
    "different": (_OPEN, f"update orders set total = total + 0.01 where id = {_NEWEST}"),
}
"""Done in one go while the shop waits for the gate, so that it is the only difference."""
