"""Live migrations under a fleet of writers: over, back, and over again, while engines and servers are killed."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.harness import Stand, standing
from tests.fleet.history import lines
from tests.fleet.nemesis import Server, serving
from tests.fleet.schema import lite, make_fleet
from tests.fleet.voyage import Voyage, live_config, traces, under_way

pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize("wal", [True, False], ids=["wal", "rollback-journal"])
async def test_over_and_back_while_engines_are_killed(stand: Stand, tmp_path: Path, wal: bool) -> None:
    """Capture, backfill, catch-up, cutover, reverse and rollback: nothing acknowledged is lost, doubled, old or undead."""
    make_fleet(stand.source, wal=wal)
    live_config(stand)
    with under_way(stand, tmp_path / "history", seed=1 + wal) as voyage:
        with voyage.nemesis(seed=1 + wal).loose() as nemesis:
            await asyncio.to_thread(_there_and_back, voyage)
        voyage.write(50, "sqlite")
        voyage.fleet.stop()
        verdict = await voyage.fleet.judge()
    assert verdict.clean, f"{verdict.figures}: {verdict.examples}"
    assert nemesis.strikes["kill"] + nemesis.strikes["freeze"] > 0
    assert {line["to"] for line in lines(tmp_path / "history") if line["event"] == "side"} == {"postgresql", "sqlite"}
    assert traces(stand.source) == []


def _there_and_back(voyage: Voyage) -> None:
    voyage.write(50, "sqlite")
    voyage.until("observing")
    voyage.write(100, "postgresql")
    voyage.back()


async def test_both_sides_are_equal_after_the_cutover_and_after_the_way_back(stand: Stand, tmp_path: Path) -> None:
    make_fleet(stand.source)
    live_config(stand)
    with under_way(stand, tmp_path / "history", seed=3) as voyage:
        await asyncio.to_thread(voyage.until, "observing")
        await asyncio.to_thread(voyage.write, 150, "postgresql")
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


async def test_the_server_crashes(crashing: tuple[Stand, Server], tmp_path: Path) -> None:
    """PostgreSQL stopped without a checkpoint during copy, catch-up, cutover and the way back."""
    stand, server = crashing
    make_fleet(stand.source, rows=200)
    live_config(stand)
    with under_way(stand, tmp_path / "history", seed=5, seeded=200) as voyage:
        with voyage.nemesis(server.crash, every=3.0, seed=5).loose() as nemesis:
            await asyncio.to_thread(_there_and_back, voyage)
        voyage.fleet.stop()
        verdict = await voyage.fleet.judge()
    assert verdict.clean, f"{verdict.figures}: {verdict.examples}"
    assert nemesis.strikes["crash"] > 0


Disaster = Callable[[Path], None]


def _rebuild(path: Path) -> None:
    """The twelve steps by which SQLite's manual changes a table: triggers of the old table go with it."""
    with contextlib.closing(lite(path, foreign_keys=False, timeout=60)) as connection:
        connection.execute("begin immediate")
        connection.execute("create table new_tag(name text primary key not null, w integer not null, v integer not null,"
                           " rank integer not null default 0, slot integer, active boolean not null default 1, unique (w, rank))")  # fmt: skip
        connection.execute("insert into new_tag select * from tag")
        connection.execute("drop table tag")
        connection.execute("alter table new_tag rename to tag")
        connection.execute("create unique index tag_slot on tag(slot) where active = 1")
        connection.execute("commit")


def _vacuum(path: Path) -> None:
    with contextlib.closing(lite(path, timeout=60)) as connection:
        connection.execute("vacuum")


def _drop_trigger(path: Path) -> None:
    with contextlib.closing(lite(path, timeout=60)) as connection:
        (name,) = connection.execute(
            "select name from sqlite_schema where type = 'trigger' and tbl_name = 'code' and name like '\\_sf\\_%' escape '\\'"
        ).fetchone()
        connection.execute(f'drop trigger "{name}"')


def _replace_file(path: Path) -> None:
    copy = path.with_name("copy.db")
    with contextlib.closing(lite(path)) as source, contextlib.closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    for side in ("-wal", "-shm"):
        path.with_name(path.name + side).unlink(missing_ok=True)
    copy.replace(path)


def _restore(kept: Path) -> Disaster:
    def restore(path: Path) -> None:
        with contextlib.closing(sqlite3.connect(kept)) as source, contextlib.closing(lite(path, timeout=60)) as target:
            source.backup(target)

    return restore


@pytest.mark.parametrize("name", ["rebuild", "vacuum", "trigger"])
async def test_what_capture_may_have_missed_is_copied_again(stand: Stand, tmp_path: Path, name: str) -> None:
    """A rebuilt table, a VACUUM, a dropped trigger: noticed, mended, and both sides equal in the end."""
    disaster = {"rebuild": _rebuild, "vacuum": _vacuum, "trigger": _drop_trigger}[name]
    make_fleet(stand.source)
    live_config(stand)
    with under_way(stand, tmp_path / "history", seed=6) as voyage:
        await asyncio.to_thread(_captured, voyage)
        await asyncio.to_thread(disaster, stand.source)
        await asyncio.to_thread(voyage.write, 80, "sqlite")
        ran = await asyncio.to_thread(stand.cli, "cutover", stand.name, "--yes", "--json")
        assert ran.code == 0, f"{ran.out}{ran.err}{voyage.trouble()}"
        await asyncio.to_thread(voyage.until, "observing")
        assert voyage.events("capture_disturbed")
        voyage.fleet.stop()
        verdict = await voyage.fleet.judge(owner="postgresql")
        assert verdict.clean, f"{verdict.figures}: {verdict.examples}"
        await voyage.equal()


@pytest.mark.parametrize("name", ["replaced", "restored"])
async def test_another_file_is_never_taken_for_the_source(stand: Stand, tmp_path: Path, name: str) -> None:
    """A replaced file and a restored backup: the run stops and says so; PostgreSQL gets nothing of either."""
    make_fleet(stand.source)
    live_config(stand)
    with under_way(stand, tmp_path / "history", seed=7) as voyage:
        await asyncio.to_thread(_captured, voyage)
        kept = tmp_path / "kept.db"
        with contextlib.closing(lite(stand.source)) as source, contextlib.closing(sqlite3.connect(kept)) as target:
            source.backup(target)
        await asyncio.to_thread(voyage.write, 80, "sqlite")
        voyage.fleet.stop()
        disaster = _replace_file if name == "replaced" else _restore(kept)
        disaster(stand.source)
        ran = await asyncio.to_thread(stand.run)
    assert ran.code in (4, 5), ran.out
    codes = {e["code"] for e in ran.errors}
    assert codes & {"capture_file_replaced", "capture_rewound", "watermark_before_log", "log_before_watermark"}, codes
    shutil.rmtree(tmp_path / "history")


def _captured(voyage: Voyage) -> None:
    """Let the run come to its cutover and no further: from capture on, every change is recorded."""
    voyage.write(30, "sqlite")
    ran = voyage.stand.run("--until", "cutover")
    assert ran.code == 0, ran.out
