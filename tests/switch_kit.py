"""What tests of the read switch share: a clock moved by hand, a captured source, a controller over real databases."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from stepflow_tui.client import Lease, LeaseFile, LeaseView
from stepflow_tui.client.figures import Arm, Pair, latency_bin
from stepflow_tui.engine.model.config import SwitchReads
from stepflow_tui.engine.model.live import CTL, Lag
from stepflow_tui.engine.model.schema import SourceSchema
from stepflow_tui.engine.plan.capture import capture_plan
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.switch.controller import SwitchController
from stepflow_tui.engine.switch.links import Links

RUN = "shop-20260101t000000-abcd"


@dataclass(slots=True)
class HandClock:
    """Time that passes when a test says so; the wall clock can jump on its own."""

    mono: float = 1_000.0
    wall_ms: int = 1_800_000_000_000

    def now_ms(self) -> int:
        return self.wall_ms

    def monotonic(self) -> float:
        return self.mono

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        self.mono += seconds
        self.wall_ms += round(seconds * 1000)


def captured(path: Path, mode: str = "wal") -> Path:
    """A source with the tables that capture makes."""
    with sqlite3.connect(path) as made:
        made.execute(f"pragma journal_mode={mode}")
        for sql in capture_plan(EMPTY, []).setup:
            made.execute(sql)
        made.execute(f"insert into {CTL}(one, run) values (1, ?)", (RUN,))
    made.close()
    return path


EMPTY = SourceSchema(
    encoding="UTF-8",
    page_size=4096,
    page_count=1,
    journal_mode="wal",
    schema_version=0,
    user_version=0,
    application_id=0,
    tables=(),
)


def arm(reads: int, bad: int = 0, seconds: float = 0.002, timeouts: int = 0) -> Arm:
    """One side's figures."""
    return Arm(reads, bad, timeouts, {latency_bin(seconds): reads - bad - timeouts})


def reads(new: Arm | None = None, old: Arm | None = None) -> Pair:
    """Both sides' figures."""
    return Pair(old or Arm(), new or Arm())


def chance(rng: random.Random, reads: int, rate: float) -> Arm:
    """A side that fails at that rate, by chance."""
    return arm(reads, sum(rng.random() < rate for _ in range(reads)))


@dataclass(kw_only=True)
class Bench:
    """A controller with everything around it in the test's hands."""

    controller: SwitchController
    clock: HandClock
    source: Path
    conn: asyncpg.Connection
    target: Target
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    gauge: dict[str, Any] = field(default_factory=dict)
    lag: Lag | None = None
    cut: bool = False
    view: LeaseView = field(init=False)

    def __post_init__(self) -> None:
        self.view = self.new_view()

    def new_view(self) -> LeaseView:
        """What a router that has just started sees."""
        return LeaseView(
            LeaseFile(self.source), refresh=0.0, monotonic=self.clock.monotonic, wall=lambda: self.clock.wall_ms / 1000
        )

    async def report(self, pair: Pair, **more: int) -> None:
        """A batch of an application."""
        await self.conn.execute("select _stepflow.report('r', $1)", json.dumps({"reads": pair.plain()} | more))

    async def tick(self, pair: Pair | None = None, seconds: float = 1.0, **more: int) -> None:
        """Time passes, an application reports, the controller looks."""
        self.clock.advance(seconds)
        if pair is not None or more:
            await self.report(pair or Pair(), **more)
        await self.controller.tick()

    @property
    def lease(self) -> tuple[Lease, bool]:
        """What routers know, and whether it still holds."""
        return self.view.look()

    @property
    def share(self) -> int:
        """The share that routers go by."""
        lease, alive = self.lease
        return lease.share if alive else -1

    @property
    def moves(self) -> list[float]:
        """The percentages reads were moved to."""
        return [event["to"] for code, event in self.events if code == "switch"]


def bench(
    config: SwitchReads, source: Path, conn: asyncpg.Connection, target: Target, *, run: str = RUN, **links: Any
) -> Bench:
    """A controller that has not begun."""
    clock = links.pop("clock", None) or HandClock()

    async def event(code: str, data: Mapping[str, Any]) -> None:
        made.events.append((code, dict(data)))

    async def connect() -> asyncpg.Connection:
        if made.cut:
            raise ConnectionRefusedError("cut by the test")
        return await target.connect()

    def show(data: Mapping[str, Any]) -> None:
        made.gauge.update(data)

    async def keep(data: Mapping[str, Any]) -> None:
        made.gauge.update(data)

    controller = SwitchController(
        config,
        Links(
            connect=connect,
            source=source,
            run=run,
            clock=clock,
            lag=lambda: made.lag,
            gauge=show,
            event=event,
            keep=keep,
            **links,
        ),
    )
    made = Bench(controller=controller, clock=clock, source=source, conn=conn, target=target)
    made.lag = Lag(changes=0, seconds=0.0)
    return made
