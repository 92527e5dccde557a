"""What tests of runs share: a config file, a run folder, an in-process runner, and waiting for what another process does."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from stepflow_tui.engine.config import LoadedConfig, load_config
from stepflow_tui.engine.control import EngineControl
from stepflow_tui.engine.intents import Desk
from stepflow_tui.engine.journal.audit import load_key
from stepflow_tui.engine.journal.clock import SystemClock
from stepflow_tui.engine.journal.rundir import StateDir
from stepflow_tui.engine.journal.runs import NewRun
from stepflow_tui.engine.journal.store import Journal
from stepflow_tui.engine.model.checklist import ItemSpec
from stepflow_tui.engine.model.clock import Clock
from stepflow_tui.engine.playbooks.spec import PhaseSpec, Playbook
from stepflow_tui.engine.runner import Runner
from stepflow_tui.engine.steps.context import Answers, RunContext, Step

T = TypeVar("T")


def new_state(folder: Path) -> StateDir:
    """A fresh state directory."""
    return StateDir.open(folder / "state", {})


def write_config(folder: Path, **lines: str) -> Path:
    """A small valid config; `lines` are added or replace top-level keys."""
    keys = {"version": "1", "name": "shop", "kind": "sqlite-to-postgres", "source": "{path: ./shop.db}"} | lines
    path = folder / "stepflow.yaml"
    path.write_text("".join(f"{k}: {v}\n" for k, v in keys.items()))
    return path


def new_run(config: LoadedConfig, run_id: str) -> NewRun:
    """The row of a new run."""
    c = config.config
    return NewRun(
        id=run_id,
        name=c.name,
        kind=c.kind.value,
        mode=c.mode.value,
        environment=c.environment,
        config_hash=config.text_hash,
        config={"relevant": config.plan_relevant, "sides": config.sides},
        config_path=str(config.path),
        tool="test",
    )


def book(*phases: tuple[str, tuple[Step, ...]], items: tuple[ItemSpec, ...] = ()) -> Playbook:
    """A playbook in mode copy; `prepare` changes nothing."""
    specs = tuple(PhaseSpec(name=name, steps=steps, changes=name != "prepare") for name, steps in phases)
    return Playbook(kind="sqlite-to-postgres", mode="copy", phases=specs, items=items)


@dataclass(kw_only=True)
class Bench:
    """One in-process engine: everything but the process."""

    ctx: RunContext
    journal: Journal
    control: EngineControl
    runner: Runner
    desk: Desk
    reports: list[Path] = field(default_factory=list)

    async def events(self, code: str) -> list[dict[str, Any]]:
        """Data of all events of that code."""
        import json

        rows = await self.journal.fetch("SELECT data FROM event WHERE code=? ORDER BY seq", (code,))
        return [json.loads(r["data"]) for r in rows]


@asynccontextmanager
async def bench(
    folder: Path, playbook: Playbook, answers: Answers | None = None, clock: Clock | None = None, **config: str
) -> AsyncIterator[Bench]:
    """An engine on the run folder `folder/state/runs/r`; entering it again is a new engine on the same run."""
    state = new_state(folder)
    run_dir = state.runs_path / "shop-20260101T000000-0000"
    run_dir.mkdir(mode=0o700, exist_ok=True)
    loaded = load_config(write_config(folder, **config), {})
    async with await Journal.open(run_dir, clock or SystemClock()) as journal:
        key = load_key(state.path, create=True)
        assert key is not None
        journal.use_audit_key(key, "testhost")
        await journal.create_run(new_run(loaded, run_dir.name))
        epoch = await journal.take_engine_lease("1@testhost")
        control = EngineControl(journal)
        ctx = RunContext(
            loaded=loaded,
            run_id=run_dir.name,
            run_dir=run_dir,
            state_dir=state.path,
            journal=journal,
            control=control,
            clock=journal.clock,
            epoch=epoch,
            answers=answers or Answers(yes=True, who="tester"),
        )
        reports: list[Path] = []

        async def report(path: Path) -> None:
            reports.append(path)

        runner = Runner(ctx, playbook, control, report)
        await runner.prepare()
        desk = Desk(ctx=ctx, playbook=playbook, control=control, runner=runner)
        yield Bench(ctx=ctx, journal=journal, control=control, runner=runner, desk=desk, reports=reports)
        await ctx.resources.aclose()


def until(seen: Callable[[], T | None], seconds: float = 30.0) -> T:
    """Wait for something another process does. Raises AssertionError when it does not happen."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = seen()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"not seen within {seconds} s")
