"""A way back that ends because PostgreSQL died after writes were taken back: the application goes where writes are."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stepflow_tui.engine.errors import TargetConnectionError
from stepflow_tui.engine.model.live import Owner
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.sqlite import capture, fence
from stepflow_tui.engine.steps.application.changeover import changeover_of
from stepflow_tui.engine.steps.application.state import Stage
from stepflow_tui.engine.steps.live.abandon import abandon
from stepflow_tui.engine.steps.live.application import CUT_OVER
from stepflow_tui.engine.steps.live.capture import STEP
from stepflow_tui.engine.steps.live.stranded import release_source
from stepflow_tui.engine.steps.services import Services
from stepflow_tui.engine.testing import FakeStep
from tests.capture_kit import catalog, make, plan
from tests.changeover_kit import application, end_app, start_app, two_sides
from tests.run_kit import Bench, bench, book
from tests.sample_app import free_port

SCRIPT = "create table t(id integer primary key, x text); insert into t values (1, 'one');"
BOOK = book(
    ("capture", (FakeStep(name="install-capture"),)),
    ("backfill", (FakeStep(name="claim-target"), FakeStep(name="create-tables"))),
    ("cutover", (FakeStep(name="cut-over"),)),
)
PHASES = ("capture", "backfill", "cutover")
DOWN = TargetConnectionError("PostgreSQL does not answer.", code="target_unreachable")


@pytest.fixture
def app(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """The application, on its old side."""
    made, port = two_sides(tmp_path / "app"), free_port()
    start_app(made, port)
    yield made, port
    end_app(made)


@asynccontextmanager
async def over(folder: Path, app: tuple[Path, int]) -> AsyncIterator[tuple[Bench, Path]]:
    """An engine whose cutover is done: the file is fenced, the application on the new side, and PostgreSQL is down."""
    file = make(folder / "shop.db", SCRIPT)
    async with bench(folder, BOOK, mode="live", application=json.dumps(application(*app))) as made:
        ctx = made.ctx
        ctx.target = Target(hosts=(("127.0.0.1", 1),), database="shop", user="me", password="pw-0815-pw")
        ctx.services = Services(lambda _error: None)
        for step in (STEP, "backfill.claim-target", CUT_OVER):
            await made.journal.step_intent(step)
        await capture.install(file, plan(file), ctx.run_id)
        await fence.raise_fence(file, ["t"], owner=Owner.POSTGRESQL, wait=5)
        await changeover_of(ctx).switch_over()
        yield made, file


def marked(app: tuple[Path, int]) -> bool:
    """Whether its settings are the new side's."""
    return "MARK=new" in (app[0] / ".env").read_text()


async def test_the_application_goes_back_with_the_writes(tmp_path: Path, app: tuple[Path, int]) -> None:
    async with over(tmp_path, app) as (made, file):
        ctx = made.ctx
        assert await release_source(ctx, PHASES, DOWN) is None, "nobody but PostgreSQL knows who owns writes"
        assert (changeover_of(ctx).stage, marked(app)) == (Stage.NEW, True)
        await fence.lift_fence(file, wait=5)
        assert await release_source(ctx, PHASES, DOWN) is None, "the file itself says that PostgreSQL does"

        await fence.lift_fence(file, owner=Owner.SQLITE, wait=5)  # as the way back does, before PostgreSQL dies
        left = await release_source(ctx, PHASES, DOWN)
        assert left is not None
        assert "the application is back on it" in left.message
        assert (changeover_of(ctx).stage, marked(app)) == (Stage.OLD, False)
        assert not await capture.is_installed(file, ctx.run_id)
        assert all("_sf_" not in str(entry) for entry in catalog(file))

        again = await release_source(ctx, PHASES, DOWN)
        assert again is not None
        assert again.code == "target_left_behind", "still down: said again"
        await made.journal.event("capture_installed", {})
        assert await release_source(ctx, PHASES, DOWN) is None, "another capture is gone: nobody knows who owns writes"


async def test_an_abort_takes_the_application_along(tmp_path: Path, app: tuple[Path, int]) -> None:
    async with over(tmp_path, app) as (made, file):
        with pytest.raises(TargetConnectionError):
            await abandon(made.ctx)
        assert marked(app)
        await fence.lift_fence(file, owner=Owner.SQLITE, wait=5)
        await abandon(made.ctx)
        assert (changeover_of(made.ctx).stage, marked(app)) == (Stage.OLD, False)
        assert not await capture.is_installed(file, made.ctx.run_id)
