"""Capture that is being taken out while a cutover begins: the fence stands, or nothing was decided.

Each protection has the damage beside it that comes without it.
"""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path

import pytest

from stepflow_tui.engine.errors import Drift, Refused
from stepflow_tui.engine.model.live import CapturePlan, Owner
from stepflow_tui.engine.sqlite import capture, fence
from stepflow_tui.engine.sqlite.capture_state import newest
from stepflow_tui.engine.sqlite.capture_write import in_one_write
from stepflow_tui.engine.sqlite.connect import open_living
from stepflow_tui.engine.steps.live import freeze
from stepflow_tui.engine.steps.live.proven import Proven
from stepflow_tui.engine.steps.services import Services
from tests.capture_kit import RUN, application, make, plan
from tests.run_kit import Bench, bench, book

SCRIPT = "create table t(id integer primary key, x text); insert into t values (1, 'one');"
TABLES = ["t"]


async def captured(tmp_path: Path, mode: str = "wal", run: str = RUN) -> tuple[Path, CapturePlan]:
    """A file whose changes are captured."""
    path = make(tmp_path / "shop.db", SCRIPT, mode=mode)
    made = plan(path)
    await capture.install(path, made, run)
    return path, made


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """An application that may hold the write lock."""
    with closing(sqlite3.connect(tmp_path / "shop.db", isolation_level=None, check_same_thread=False)) as conn:
        yield conn


def written(path: Path) -> int:
    """The newest entry of the log."""
    with closing(open_living(path)) as conn:
        return newest(conn)


async def stands(path: Path) -> bool:
    """Whether the application is refused."""
    await fence.hold_fence(path, TABLES, compared=written(path))
    with application(path) as conn, pytest.raises(sqlite3.IntegrityError, match="takes none"):
        conn.execute("insert into t values (9, 'nine')")
    return True


# the race itself


@pytest.mark.parametrize("mode", ["wal", "delete"])
async def test_a_removal_that_was_cancelled_does_not_come_later(
    tmp_path: Path, holder: sqlite3.Connection, mode: str
) -> None:
    """The service waits for a writer, is stopped, and the fence rises when the writer is through."""
    path, _ = await captured(tmp_path, mode)
    for _turn in range(2):
        holder.execute("begin immediate")
        services = Services(lambda _error: None)
        services.start("figures", lambda: _uninstall(path))
        await asyncio.sleep(0.05)
        await services.stop("figures")
        timer = threading.Timer(0.03, lambda: holder.execute("rollback"))
        timer.start()
        await fence.raise_fence(path, TABLES, wait=10)
        await asyncio.sleep(0.25)  # as long as an attempt of SQLite's may wait for its lock
        assert await stands(path)
        timer.join()
        await fence.lift_fence(path)


async def _uninstall(path: Path) -> None:
    await capture.uninstall(path, RUN)


async def test_a_cancellation_waits_for_the_attempt_that_is_under_way(tmp_path: Path) -> None:
    path, _ = await captured(tmp_path)
    began, go_on = threading.Event(), threading.Event()

    def work(conn: sqlite3.Connection) -> None:
        began.set()
        go_on.wait(20)
        conn.execute("update t set x = 'later'")

    task = asyncio.create_task(in_one_write(path, "A test", work))
    await asyncio.to_thread(began.wait, 20)
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=0.1)
    assert not done, "its commit would come when nobody expects it any more"
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    with application(path) as conn:
        assert conn.execute("select x from t").fetchall() == [("later",)]


async def test_an_attempt_that_fails_while_it_is_cancelled_writes_nothing_to_the_log(
    tmp_path: Path, holder: sqlite3.Connection
) -> None:
    """asyncio tells of errors that nobody asked for, with a traceback."""
    path, _ = await captured(tmp_path)
    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))
    holder.execute("begin immediate")
    services = Services(lambda _error: None)
    services.start("figures", lambda: _uninstall(path))
    await asyncio.sleep(0.05)
    await services.stop("figures")
    await asyncio.sleep(0)  # what the loop still holds of it
    gc.collect()
    assert told == []


# a removal that comes after the fence


async def test_a_removal_does_not_take_the_fence_away(tmp_path: Path) -> None:
    path, _ = await captured(tmp_path)
    await fence.raise_fence(path, TABLES, wait=5)
    with pytest.raises(Refused) as caught:
        await capture.uninstall(path, RUN)
    assert caught.value.code == "capture_fenced"
    assert await stands(path)


async def test_who_knows_the_owner_takes_both(tmp_path: Path) -> None:
    """The control of the test above: this is what the race did."""
    path, _ = await captured(tmp_path)
    await fence.raise_fence(path, TABLES, wait=5)
    assert await capture.uninstall(path, RUN, with_fence=True)
    with application(path) as conn:
        conn.execute("insert into t values (9, 'nine')")
    with pytest.raises(Drift, match="not as it was raised"):
        await fence.hold_fence(path, TABLES, compared=0)


# the last look


async def gone(path: Path) -> None:
    """What the race left."""
    await capture.uninstall(path, RUN, with_fence=True)


async def lifted(path: Path) -> None:
    """Somebody lets writes through."""
    await fence.lift_fence(path)


async def written_meanwhile(path: Path) -> None:
    """The fence stands again; in between the application wrote."""
    await fence.lift_fence(path)
    with application(path) as conn:
        conn.execute("insert into t values (9, 'nine')")
    await fence.raise_fence(path, TABLES, wait=5)


async def one_trigger_less(path: Path) -> None:
    """A hole in it, made so that the schema version stays."""
    with application(path) as conn:
        [(version,)] = conn.execute("pragma schema_version")
        conn.execute('drop trigger "_sf_fence_update_t"')
        conn.execute(f"pragma schema_version = {version:d}")


async def another_text(path: Path) -> None:
    """A trigger of that name that lets everything through."""
    with application(path) as conn:
        [(version,)] = conn.execute("pragma schema_version")
        conn.execute('drop trigger "_sf_fence_update_t"')
        conn.execute('create trigger "_sf_fence_update_t" before update on t begin select 1; end')
        conn.execute(f"pragma schema_version = {version:d}")


async def vacuumed(path: Path) -> None:
    """The schema was changed behind the fence."""
    with application(path) as conn:
        conn.execute("create table later(x)")


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (gone, "fence_broken"),
        (lifted, "fence_broken"),
        (written_meanwhile, "fence_broken"),
        (one_trigger_less, "fence_broken"),
        (another_text, "fence_broken"),
        (vacuumed, "capture_schema_changed"),
    ],
)
async def test_a_fence_that_is_not_whole_is_noticed(
    tmp_path: Path, damage: Callable[[Path], Awaitable[None]], code: str
) -> None:
    path, _ = await captured(tmp_path)
    await fence.raise_fence(path, TABLES, wait=5)
    compared = written(path)
    await fence.hold_fence(path, TABLES, compared=compared)
    await damage(path)
    with pytest.raises(Drift) as caught:
        await fence.hold_fence(path, TABLES, compared=compared)
    assert caught.value.code == code


class Opened(Exception):
    """Writes would be open in PostgreSQL now."""


@pytest.mark.parametrize("damaged", [False, True])
async def test_nothing_opens_behind_a_fence_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damaged: bool
) -> None:
    """The point of no return looks at the fence before anything else."""

    async def open_target(_ctx: object, **_named: object) -> None:
        raise Opened

    monkeypatch.setattr(freeze, "open_target", open_target)
    async with moving(tmp_path) as made:
        run, path = made.ctx.run_id, tmp_path / "shop.db"
        _, made_plan = await captured(tmp_path, run=run)
        await fence.raise_fence(path, TABLES, owner=Owner.SQLITE, wait=5)
        made.ctx.memory.put(made_plan)
        made.ctx.memory.put(Proven(written(path)))
        if damaged:
            await capture.uninstall(path, run, with_fence=True)
        with pytest.raises(Drift if damaged else Opened):
            await freeze._point_of_no_return(made.ctx, freeze.Frozen(), 1)
        assert len(await made.events("cutover_point_of_no_return")) == (0 if damaged else 1)


def moving(folder: Path) -> AbstractAsyncContextManager[Bench]:
    """An engine of a live run."""
    return bench(folder, book(("prepare", ())), mode="live")
