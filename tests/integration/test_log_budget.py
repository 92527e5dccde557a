"""A log that has reached its budget while somebody holds the file: capture is taken out when it can be, and nobody says so
before."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from stepflow_tui.engine.alerts import watch
from stepflow_tui.engine.errors import Drift, StepFailed
from stepflow_tui.engine.sqlite import capture, fence
from stepflow_tui.engine.steps.live import cut_over, figures
from stepflow_tui.engine.steps.services import Services
from tests.capture_kit import application, catalog, make, plan
from tests.run_kit import Bench, bench, book

SCRIPT = "create table t(id integer primary key, x text); insert into t values (1, 'one');"
NOTICED = Drift("The log is gone.", code="capture_log_missing")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The application's file."""
    return make(tmp_path / "shop.db", SCRIPT)


@pytest.fixture
def holder(file: Path) -> Iterator[sqlite3.Connection]:
    """An application that holds the write lock until it is rolled back."""
    with closing(sqlite3.connect(file, isolation_level=None)) as conn:
        yield conn


@asynccontextmanager
async def full(file: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    """An engine whose log is full."""
    monkeypatch.setattr(figures, "TRY_SECONDS", 0.05)
    async with bench(file.parent, book(("prepare", ())), mode="live", capture="{budget: 1000}") as made:
        await capture.install(file, plan(file), made.ctx.run_id)
        with application(file) as conn:
            conn.executemany("insert into t values (?, 'more')", [(n,) for n in range(2, 300)])
        yield made


async def alerts(made: Bench) -> list[str]:
    """Codes of what stands after a look."""
    await watch.look(made.journal)
    rows = await made.journal.fetch("SELECT code FROM alert WHERE cleared_seq IS NULL")
    return [r["code"] for r in rows if r["code"].startswith("log_")]


async def look(made: Bench) -> None:
    """One look of the service."""
    await figures._keep_to_budget(made.ctx, told=True)


async def test_who_holds_the_file_is_waited_for(
    file: Path, holder: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = catalog(file)
    async with full(file, monkeypatch) as made:
        holder.execute("begin immediate")
        await look(made)
        assert await alerts(made) == ["log_over_budget"]
        assert [e["code"] for e in await made.events("log_not_tended")] == ["source_busy"]
        assert await made.events("capture_removed") == []
        figures.refuse_taken_out(made.ctx)
        assert await figures.why_it_ended(made.ctx, NOTICED) is NOTICED
        assert await capture.is_installed(file, made.ctx.run_id)

        holder.execute("rollback")
        with pytest.raises(StepFailed) as caught:
            await look(made)
        assert caught.value.code == "log_full"
        assert await alerts(made) == ["log_full"]
        assert await figures.why_it_ended(made.ctx, NOTICED) is caught.value
        with application(file) as conn:
            conn.execute("delete from t where id > 1")
        assert catalog(file) == before


async def test_while_it_is_being_tried_nobody_says_it_is_done(
    file: Path, holder: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tail may run into something else meanwhile: that is its own."""
    async with full(file, monkeypatch) as made:
        monkeypatch.setattr(figures, "TRY_SECONDS", 20.0)
        holder.execute("begin immediate")
        task = asyncio.create_task(look(made))
        while made.ctx.memory.find(figures.TakenOut) is None:
            await asyncio.sleep(0)
        assert await figures.why_it_ended(made.ctx, NOTICED) is NOTICED
        holder.execute("rollback")
        with pytest.raises(StepFailed):
            await task


async def test_a_cutover_hears_of_what_the_service_was_about_to_say(
    file: Path, holder: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the middle of it, the service ends what it does, and the cutover does not begin."""
    async with full(file, monkeypatch) as made:
        monkeypatch.setattr(figures, "TRY_SECONDS", 20.0)
        made.ctx.services = Services(lambda _error: None)
        holder.execute("begin immediate")
        made.ctx.services.start(figures.SERVICE, lambda: look(made))
        while made.ctx.memory.find(figures.TakenOut) is None:
            await asyncio.sleep(0)
        cutover = asyncio.create_task(cut_over._one_try(made.ctx))
        await asyncio.sleep(0)
        holder.execute("rollback")
        with pytest.raises(StepFailed) as caught:
            await cutover
        assert caught.value.code == "log_full"
        assert not await capture.is_installed(file, made.ctx.run_id)


async def test_a_fence_that_rose_meanwhile_stays(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with full(file, monkeypatch) as made:
        unfenced = await fence.fence_state(file)
        await fence.raise_fence(file, ["t"], wait=5)

        async def seen_before(_path: Path) -> fence.FenceState:
            return unfenced

        monkeypatch.setattr(figures, "fence_state", seen_before)
        await look(made)
        assert await made.events("capture_removed") == []
        assert (await fence.fence_state(file)).fenced
