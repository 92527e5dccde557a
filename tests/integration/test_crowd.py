"""The application of the `sqlite-wal` demo: it counts what it was told, goes on after a restart, and notices what is missing."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from stepflow_tui.demo import keeper
from stepflow_tui.demo.crowd_member import ledger_path, noted
from stepflow_tui.demo.figures import counters
from stepflow_tui.engine.sqlite.sample import make_shop
from stepflow_tui.render.shop import is_right, shop_report

DEADLINE = 60.0


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder with a shop in rollback-journal mode, and its crowd at work."""
    make_shop(tmp_path / "shop.db", 500, wal=False)
    keeper.open_crowd(tmp_path)
    yield tmp_path
    keeper.close_shop(tmp_path)


async def written(folder: Path, count: int) -> None:
    """Wait until so many writes more are acknowledged."""
    wanted = int(counters(folder)["acknowledged"]) + count
    async with asyncio.timeout(DEADLINE):
        while int(counters(folder).get("acknowledged", 0)) < wanted:
            await asyncio.sleep(0.05)


def to_wal(folder: Path) -> None:
    connection = sqlite3.connect(folder / "shop.db", timeout=0, isolation_level=None)
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            assert connection.execute("pragma journal_mode=wal").fetchone() == ("wal",)
            break
        except sqlite3.OperationalError:
            assert time.monotonic() < deadline
            time.sleep(0.005)
    connection.close()


async def test_sixteen_processes_lose_nothing_over_a_conversion_and_a_restart(folder: Path) -> None:
    command = [sys.executable, "-m", keeper.CROWD_MODULE]
    at_work = psutil.Process(counters(folder)["pid"])
    assert len(at_work.children()) == 16
    await written(folder, 20)
    await asyncio.to_thread(to_wal, folder)
    await written(folder, 20)
    figures = await asyncio.to_thread(keeper.close_shop, folder)
    assert is_right(figures)
    assert not keeper.is_open(folder)
    again = subprocess.Popen(keeper.crowd_command(folder))
    assert keeper.crowd_command(folder)[:3] == command
    try:
        await written(folder, 20)
        figures = await asyncio.to_thread(keeper.close_shop, folder)
    finally:
        again.kill()
        again.wait()
    assert is_right(figures)
    assert figures["write_errors"] == figures["read_errors"] == 0
    told = "\n".join(shop_report(figures, in_place=True))
    assert "acknowledged writes lost: 0" in told
    assert "PostgreSQL" not in told
    assert at_work.pid != figures["pid"]


async def test_a_write_that_is_gone_is_noticed(folder: Path) -> None:
    await written(folder, 30)
    number = next(n for writer in range(8) for n in noted(ledger_path(folder, writer)))
    connection = sqlite3.connect(folder / "shop.db", timeout=30)
    connection.execute("delete from orders where note like ?", (f"demo shop {number} version %",))
    connection.commit()
    connection.close()
    figures = await asyncio.to_thread(keeper.close_shop, folder)
    assert figures["lost"] == 1
    assert not is_right(figures)
    assert "THAT MUST NEVER HAPPEN" in "\n".join(shop_report(figures, in_place=True))


def test_a_line_that_a_kill_cut_off_was_never_acknowledged(tmp_path: Path) -> None:
    path = ledger_path(tmp_path, 0)
    path.write_text(
        '{"number": 1000, "customer": 1, "version": 1}\n{"number": 1000, "customer": 1, "version": 2}\n{"number": 20'
    )
    assert {n: o.version for n, o in noted(path).items()} == {1000: 2}
