"""Live migrations under a fleet of writers: over, back, and over again, while engines and servers are killed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.harness import Stand, standing
from tests.fleet.history import lines
from tests.fleet.nemesis import Server, serving, striking
from tests.fleet.schema import make_fleet
from tests.fleet.voyage import Voyage, live_config, traces, under_way

pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize(
    ("wal", "writes", "strikes"), [(True, 100, 5), (False, 30, 3)], ids=["wal", "rollback-journal"]
)
async def test_over_and_back_while_engines_are_killed(
    stand: Stand, tmp_path: Path, wal: bool, writes: int, strikes: int
) -> None:
    """Capture, backfill, catch-up, cutover, reverse and rollback: nothing acknowledged is lost, doubled, old or undead."""
    make_fleet(stand.source, wal=wal)
    live_config(stand)
    with under_way(stand, tmp_path / "history", seed=1 + wal) as voyage:
        with voyage.nemesis(seed=1 + wal, strikes=strikes).loose() as nemesis:
            await asyncio.to_thread(_there_and_back, voyage, writes)
        voyage.write(writes // 2, "sqlite")
        voyage.fleet.stop()
        verdict = await voyage.fleet.judge()
    assert verdict.clean, f"{verdict.figures}: {verdict.examples}"
    assert nemesis.strikes["kill"] + nemesis.strikes["freeze"] > 0
    assert {line["to"] for line in lines(tmp_path / "history") if line["event"] == "side"} == {"postgresql", "sqlite"}
    assert traces(stand.source) == []


def _there_and_back(voyage: Voyage, writes: int) -> None:
    voyage.write(writes // 2, "sqlite")
    voyage.until("observing")
    voyage.write(writes, "postgresql")
    voyage.back()


async def test_both_sides_are_equal_after_the_cutover_and_after_the_way_back(stand: Stand, tmp_path: Path) -> None:
    make_fleet(stand.source)
    live_config(stand)
    with under_way(stand, tmp_path / "history", seed=3) as voyage:
        await asyncio.to_thread(voyage.until, "observing")
        await asyncio.to_thread(voyage.write, 60, "postgresql")
        voyage.fleet.stop()
        verdict = await voyage.fleet.judge(owner="postgresql")
        assert verdict.clean, f"{verdict.figures}: {verdict.examples}"
        await voyage.equal()
        await asyncio.to_thread(voyage.back, "--to", "cutover")
        verdict = await voyage.fleet.judge()
        assert verdict.clean, f"{verdict.figures}: {verdict.examples}"
        await voyage.equal()


async def test_there_and_back_again(stand: Stand, tmp_path: Path) -> None:
    """Writes move twice and come back once; the second cutover starts from where the way back ended."""
    make_fleet(stand.source)
    live_config(stand)
    with under_way(stand, tmp_path / "history", seed=4) as voyage:
        await asyncio.to_thread(voyage.until, "observing")
        await asyncio.to_thread(voyage.write, 60, "postgresql")
        await asyncio.to_thread(voyage.back, "--to", "cutover")
        await asyncio.to_thread(voyage.write, 60, "sqlite")
        await asyncio.to_thread(voyage.until, "observing")
        await asyncio.to_thread(voyage.write, 60, "postgresql")
        voyage.fleet.stop()
        verdict = await voyage.fleet.judge(owner="postgresql")
        assert verdict.clean, f"{verdict.figures}: {verdict.examples}"
        await voyage.equal()
        assert stand.cli("cleanup", stand.name, "--yes", "--json").code == 0
    assert traces(stand.source) == []
    assert stand.sql("select to_regnamespace('_stepflow')") == [(None,)]


@pytest.fixture
def crashing(tmp_path: Path) -> Iterator[tuple[Stand, Server]]:
    """A stand on a PostgreSQL of its own, which may crash."""
    with serving() as server, standing(tmp_path, server.dsn) as stand:
        yield stand, server


RUNNING = "code = 'step' and data like '%\"running\"%' and data like '%\"{}\"%'"
MOMENTS = {
    "copy": RUNNING.format("copy"),
    "catch-up": RUNNING.format("catch-up"),
    "cutover": "code = 'cutover_drained'",
    "after the point of no return": "code = 'cutover_point_of_no_return'",
    "the way back": "code = 'state' and data like '%\"rolling_back\"%'",
}
"""When PostgreSQL is stopped, by what the run's journal says then."""


async def test_the_server_crashes(crashing: tuple[Stand, Server], tmp_path: Path) -> None:
    """PostgreSQL stopped without a checkpoint during copy, catch-up, cutover and the way back."""
    stand, server = crashing
    make_fleet(stand.source, rows=200)
    live_config(stand, copy={"max_rows_per_second": 1_000})
    with under_way(stand, tmp_path / "history", seed=5, seeded=200) as voyage:
        with striking(server.crash, {name: voyage.has(sql) for name, sql in MOMENTS.items()}) as crashes:
            await asyncio.to_thread(_there_and_back, voyage, 50)
        voyage.fleet.stop()
        verdict = await voyage.fleet.judge()
    assert verdict.clean, f"{verdict.figures}: {verdict.examples}"
    assert crashes == list(MOMENTS)
