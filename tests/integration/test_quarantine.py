"""Rows that the tail set aside: named by key, column and reason, and recognised by a verification."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from stepflow_tui.engine.live.quarantine import Quarantine, explained, read_quarantine
from stepflow_tui.engine.model.config import Level
from stepflow_tui.engine.model.discrepancy import SET_ASIDE
from stepflow_tui.engine.model.sensitive import NO_MASK, Mask, make_mask
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.verify.job import VerifyJob
from stepflow_tui.engine.verify.levels import verify_tables
from stepflow_tui.engine.verify.repair import plan_repair
from tests.tail_kit import RUN, Rig, rig

Make = Callable[..., Awaitable[Rig]]

STOCK = """
create table item(sku text primary key, qty decimal(10,1), total numeric);
insert into item values ('a', 1.5, 1.5), ('b', 2.5, 2.5), ('c', 3, 3);
create table box(w integer, h integer, label text, primary key (w, h)) without rowid;
insert into box values (1, 2, 'x'), (1, 3, 'y');
"""


@pytest.fixture
async def make(tmp_path: Path, pg_target: Target) -> AsyncIterator[Make]:
    made: list[Rig] = []

    async def build() -> Rig:
        made.append(await rig(tmp_path, pg_target, STOCK))
        return made[-1]

    yield build
    for one in made:
        await one.close()


async def quarantine(live: Rig, mask: Mask = NO_MASK) -> Quarantine:
    return await read_quarantine(live.pg, RUN, live.path, live.plan.tables, mask)


async def test_rows_are_named_and_their_absence_is_explained(make: Make) -> None:
    """An INSERT that the target would refuse is proposed for none of them; another missing row keeps its repair."""
    live = await make()
    tail = live.tail()
    await tail.step()
    live.app.execute("update item set qty = 12345678901 where sku = 'a'")
    live.app.execute("update item set total = 2.55 where sku = 'b'")
    live.app.execute("update item set total = 123456789012345678 where sku = 'c'")
    live.app.execute("update box set label = 'x' || char(0) where h = 2")
    await tail.step()
    found = await quarantine(live)
    assert {(r.table, *r.key.items(), r.column, r.reason, r.file) for r in found.rows} == {
        ("item", ("sku", "a"), "qty", "more digits than numeric(10,1) holds", SET_ASIDE),
        ("box", ("w", 1), ("h", 2), "label", "text contains a NUL character", SET_ASIDE),
    }
    assert found.counts == {"item": 1, "box": 1}
    held = await live.pg.fetch("select sku, total::text from app.item i order by i.sku")
    assert [tuple(r) for r in held] == [("b", "2.55"), ("c", "123456789012345678")]
    await live.pg.execute("delete from app.item where sku = 'b'")
    job = VerifyJob(
        level=Level.DETAILED, source=live.path, frozen=False, target=live.job.target, tables=live.plan.tables
    )
    before = {v.table: v for v in await verify_tables(job)}
    assert [d.repair_sql[:6] for d in before["item"].discrepancies] == ["insert", "insert"], "what it was"
    verdicts = {t: explained(v, found.by_key.get(t, {})) for t, v in before.items()}
    causes = {d.key["sku"]: (d.column, d.cause) for d in verdicts["item"].discrepancies}
    assert causes == {
        "a": ("qty", "set aside: more digits than numeric(10,1) holds"),
        "b": (None, "never copied, or deleted afterwards"),
    }
    assert [d.cause for d in verdicts["box"].discrepancies] == ["set aside: text contains a NUL character"]
    assert verdicts["item"].reason == "2 differences, 1 of them set aside, because the target can't hold them"
    named = [d for v in verdicts.values() for d in v.discrepancies]
    assert [a.key for a in plan_repair(named, live.plan.tables)] == [{"sku": "b"}]


async def test_sensitive_keys_are_shown_as_everywhere(make: Make) -> None:
    live = await make()
    mask = make_mask(b"key", {"item": {"sku": "configured"}, "box": {"h": "configured"}})
    tail = live.tail(mask=mask)
    await tail.step()
    live.app.execute("update item set total = 'words' where sku = 'a'")
    live.app.execute("update box set label = char(0) where h = 2")
    await tail.step()
    rows = {r.table: r for r in (await quarantine(live, mask)).rows}
    assert rows["item"].key == {"sku": mask.fingerprint("a")}
    assert rows["box"].key == {"w": 1, "h": mask.fingerprint(2)}
    assert "words" not in repr(rows)
    live.app.execute("delete from item where sku = 'a'")  # gone before it was read: its row number is all there is
    assert {r.table: dict(r.key) for r in (await quarantine(live, mask)).rows}["item"] == {"rowid": 1}
