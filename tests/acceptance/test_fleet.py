"""The fleet itself: its expectations hold where nothing is migrated and where it is moved by hand, and every damage is seen."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.harness import Stand, standing
from tests.fleet import by_hand
from tests.fleet.checker import Verdict
from tests.fleet.compare import differences
from tests.fleet.fleet import Fleet, sailing
from tests.fleet.history import lines
from tests.fleet.nemesis import serving
from tests.fleet.schema import make_fleet


@pytest.mark.parametrize("wal", [True, False], ids=["wal", "rollback-journal"])
async def test_nothing_is_found_where_nothing_is_migrated(tmp_path: Path, wal: bool) -> None:
    path = make_fleet(tmp_path / "a.db", wal=wal)
    with sailing(path, tmp_path / "history") as fleet:
        await asyncio.to_thread(fleet.wait, 400)
        fleet.stop()
        verdict = await fleet.judge()
    assert verdict.clean, verdict.examples
    assert verdict.acknowledged >= 400
    assert verdict.refused > 0, "some transactions are rolled back on purpose"


async def test_over_and_back_by_hand(stand: Stand, tmp_path: Path) -> None:
    make_fleet(stand.source)
    with sailing(stand.source, tmp_path / "history", stand.dsn) as fleet:
        await asyncio.to_thread(fleet.wait, 200)
        by_hand.fence(stand.source)
        assert (await asyncio.to_thread(stand.run)).code == 0
        assert await differences(stand.source, stand.dsn) == []
        await by_hand.open_there(stand.source, stand.dsn)
        await asyncio.to_thread(fleet.wait, 200, "postgresql")
        await by_hand.close_there(stand.dsn)
        fleet.healthy()
        await by_hand.bring_back(stand.source, stand.dsn)
        await asyncio.to_thread(fleet.wait, 100)
        fleet.stop()
        verdict = await fleet.judge()
    assert verdict.clean, verdict.examples
    moves = [line["to"] for line in lines(tmp_path / "history") if line["event"] == "side"]
    assert sorted(moves) == ["postgresql"] * 3 + ["sqlite"] * 3


async def test_what_a_crashed_server_acknowledged_is_known(tmp_path: Path) -> None:
    """Writers find out what came of a COMMIT whose answer never arrived, and lose nothing over it."""
    with serving() as server, standing(tmp_path, server.dsn) as stand:
        make_fleet(stand.source)
        by_hand.fence(stand.source)
        assert (await asyncio.to_thread(stand.run)).code == 0
        await by_hand.open_there(stand.source, stand.dsn)
        with sailing(stand.source, tmp_path / "history", stand.dsn, pause=0.0) as fleet:
            for _ in range(3):
                await asyncio.to_thread(fleet.wait, 60, "postgresql")
                await asyncio.to_thread(server.crash)
            await asyncio.to_thread(fleet.wait, 60, "postgresql")
            fleet.stop()
            verdict = await fleet.judge(owner="postgresql")
    assert verdict.clean, verdict.examples
    assert verdict.acknowledged >= 240


Damage = Callable[[sqlite3.Connection, Fleet], None]


def _run(sql: str) -> Damage:
    def damage(connection: sqlite3.Connection, _fleet: Fleet) -> None:
        assert connection.execute(sql).rowcount == 1

    return damage


def _deleted_again(connection: sqlite3.Connection, fleet: Fleet) -> None:
    """A row that was deleted for good comes back as it was."""
    rows: dict[str, dict[str, object]] = {}
    for line in lines(fleet.folder):
        if line["event"] == "invoke":
            for table, key in line["dels"]:
                rows[key[0]] = rows.get(key[0], {}) if table == "fold" else {}
            rows |= {r["name"]: r for t, r in line["puts"] if t == "fold"}
    gone = next(
        r for name, r in rows.items()
        if r and not connection.execute("select 1 from fold where name = ?", (name,)).fetchone()
    )  # fmt: skip
    connection.execute("insert into fold(name, w, v, body) values (:name, :w, :v, :body)", gone)


def _refused_one(connection: sqlite3.Connection, fleet: Fleet) -> None:
    """A row of a transaction that was rolled back is there."""
    failed = next(line for line in lines(fleet.folder) if line["event"] == "fail")
    connection.execute("insert into loose(w, v, n, body) values (?, ?, 999999, 'x')", (failed["w"], failed["v"]))


DAMAGES: dict[str, tuple[str, Damage]] = {
    "a row is gone": ("lost", _run("delete from code where id = (select max(id) from code)")),
    "an entry without a key is gone": ("lost", _run("delete from loose where rowid = (select max(rowid) from loose)")),
    "an audit entry is gone": ("lost", _run("delete from audit where id = 50")),
    "a transaction's own row is gone": ("lost", _run("delete from event where id = 50")),
    "a counted transaction is forgotten": ("lost", _run("update counter set n = n - 1 where name = 'total'")),
    "a shared row is gone": ("lost", _run("delete from shared where rev = (select max(rev) from shared)")),
    "a row is there twice": (
        "duplicated",
        _run("insert into loose select * from loose where w > 0 and rowid = (select max(rowid) from loose)"),
    ),
    "an event is there twice": ("duplicated", _run("insert into event(w, v, kind) select w, v, kind from event where id = 50")),
    "an audit entry is there twice": (
        "duplicated",
        _run("insert into audit(w, v, item, action) select w, v, item, action from audit where id = 50"),
    ),
    "a row has an older version": (
        "stale",
        _run("update tag set v = v - 1000000 where name = (select max(name) from tag where w > 0)"),
    ),
    "a shared row has an older revision": (
        "stale",
        _run("update shared set rev = -1 where rev = (select max(rev) from shared)"),
    ),
    "a deleted row is back": ("resurrected", _deleted_again),
    "a row of a refused transaction is there": ("phantom", _refused_one),
    "a row of nobody is there": ("phantom", _run("insert into pair(a, b, w, v, swap) values ('who', 1, 1, 1, -5)")),
    "a value is another": ("different", _run("update item set ratio = 0.123 where id = (select max(id) from item)")),
    "a value has another storage class": (
        "different",
        _run("update code set val = cast(val as text) where id = (select max(id) from code where typeof(val) = 'integer')"),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """A fleet that has come to rest on SQLite."""
    folder = tmp_path_factory.mktemp("fleet")
    with sailing(make_fleet(folder / "a.db"), folder / "history") as fleet:
        fleet.wait(400)
        fleet.stop()
    return fleet


@pytest.mark.parametrize("name", list(DAMAGES))
async def test_the_checker_sees(past: Fleet, name: str, tmp_path: Path) -> None:
    """The negative control: one damage is found, counted once, under its own name."""
    kind, damage = DAMAGES[name]
    verdict = await _damaged(past, tmp_path / "damaged.db", damage)
    assert dict(verdict.counts) == {kind: 1}, verdict.examples
    assert verdict.examples


async def _damaged(fleet: Fleet, path: Path, damage: Damage) -> Verdict:
    with closing(sqlite3.connect(fleet.path)) as source, closing(sqlite3.connect(path)) as copy:
        source.backup(copy)
        for (name,) in copy.execute("select name from sqlite_schema where type = 'trigger'").fetchall():
            copy.execute(f"drop trigger {name}")
        damage(copy, fleet)
        copy.commit()
    other = Fleet(path, fleet.folder)
    return await other.judge()
