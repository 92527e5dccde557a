"""Both routers: what they count, what they send, and that nothing of it ever reaches a request."""

from __future__ import annotations

import asyncio
import json
import math
import os
import threading
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepflow_tui.client import AsyncReadRouter, Lease, ReadRouter, Side, dbapi_report
from stepflow_tui.client.figures import Arm, bin_seconds, is_timeout, latency_bin
from stepflow_tui.engine.postgres.switch import Report
from stepflow_tui.engine.switch.reports import Batch, gathered


def lease(share: int = 5_000) -> Lease:
    return Lease(owner="sqlite", version=1, share=share, salt="s", until_ms=round(time.time() * 1000) + 30_000)


class Outbox:
    """What would have gone to PostgreSQL."""

    def __init__(self) -> None:
        self.sent: list[Report] = []
        self.fails = False
        self.arrived = threading.Event()

    def __call__(self, router: str, body: str) -> None:
        if self.fails:
            raise ConnectionError("no PostgreSQL")
        self.sent.append(Report(router=router, body=body))
        self.arrived.set()

    async def asynchronous(self, router: str, body: str) -> None:
        self(router, body)

    @property
    def batch(self) -> Batch:
        found = gathered(self.sent)
        assert found.refused == 0
        return found


def test_reads_are_routed_measured_and_reported_in_the_background() -> None:
    outbox = Outbox()
    with ReadRouter(lease, report=outbox, every=0.01) as router:
        sides = [router.read(n, lambda side: side) for n in range(200)]
        assert sides == [router.route(n) for n in range(200)]
        assert outbox.arrived.wait(10)
    reads = outbox.batch.reads
    assert (reads.old.requests, reads.new.requests) == (sides.count("sqlite"), sides.count("postgresql"))
    assert reads.new.answered == reads.new.requests
    assert {r.router for r in outbox.sent} == {router.figures.router}


def test_errors_are_counted_and_raised() -> None:
    outbox = Outbox()

    def broken(side: Side) -> int:
        raise TimeoutError if side == "sqlite" else ValueError("x")

    with ReadRouter(lease, report=outbox, every=60) as router:
        for n in range(50):
            with pytest.raises((TimeoutError, ValueError)):
                router.read(n, broken)
        router.record("postgresql", 0.1, True)
    reads = outbox.batch.reads
    assert (reads.old.timeouts, reads.old.errors) == (reads.old.requests, 0)
    assert (reads.new.timeouts, reads.new.errors) == (0, reads.new.requests)


def test_without_postgresql_figures_are_dropped_and_counted() -> None:
    outbox = Outbox()
    outbox.fails = True
    router = ReadRouter(lease, report=outbox, every=60)
    for n in range(10):
        router.read(n, lambda side: side)
    assert router.flush() is False
    assert router.figures.lost == 10
    outbox.fails = False
    assert router.flush() is True  # nothing left to send
    assert outbox.sent == []
    router.close()


def test_a_row_seen_to_differ_is_named() -> None:
    outbox = Outbox()
    router = ReadRouter(lease, report=outbox, every=60)
    router.mismatch("orders", 42)
    router.mismatch()
    router.close()
    batch = outbox.batch
    assert [(s.table, s.key) for s in batch.suspects] == [("orders", "42")]
    assert batch.mismatches == 1


def wait_for(done: Any) -> None:
    until = time.monotonic() + 20
    while not done():
        assert time.monotonic() < until
        time.sleep(0.005)


def counted(router: ReadRouter | AsyncReadRouter) -> dict[str, int]:
    return dict(router.figures._counts)


def test_a_shadow_read_that_differs_counts_only_while_it_does() -> None:
    router = ReadRouter(lambda: lease(0), shadow=1.0, confirm_after=0.01)
    behind = ["stale"]

    def catching_up(side: Side) -> str:
        return "new" if side == "sqlite" or not behind else behind.pop()

    assert router.read("k", catching_up) == "new"
    wait_for(lambda: counted(router)["shadows"] == 1)
    router.read("k", lambda side: side)
    wait_for(lambda: counted(router)["mismatches"] == 1)
    changing = iter(range(1_000))
    router.read("k", lambda side: next(changing))
    wait_for(lambda: counted(router)["moving"] == 1)
    assert counted(router)["mismatches"] == 1
    router.close()


def test_a_slow_candidate_slows_nobody_and_its_errors_reach_nobody() -> None:
    hang = threading.Event()
    router = ReadRouter(lambda: lease(0), shadow=1.0, shadow_workers=2, shadow_timeout=0.05)

    def fetch(side: Side) -> int:
        if side == "postgresql":
            hang.wait(20)
            raise RuntimeError("broken")
        return 1

    start = time.monotonic()
    assert [router.read(n, fetch) for n in range(200)] == [1] * 200
    assert time.monotonic() - start < 10  # 200 hanging reads would take over an hour
    assert counted(router)["skipped"] >= 200 - 2 - 4  # two at once, four in line
    wait_for(lambda: time.monotonic() - start > 0.1)
    router.flush()
    router._shadows.expire()
    hang.set()
    router.close()


def test_a_forked_process_reports_by_itself() -> None:
    outbox = Outbox()
    router = ReadRouter(lease, report=outbox, every=0.01, shadow=1.0)
    router.read(1, lambda side: 1)
    assert outbox.arrived.wait(10)
    child = os.fork()
    if child == 0:
        outbox.sent.clear()
        outbox.arrived.clear()
        router.read(1, lambda side: 1)
        os._exit(0 if outbox.arrived.wait(10) else 1)
    assert os.waitpid(child, 0)[1] == 0
    router.close()


async def test_the_asynchronous_router_does_the_same() -> None:
    outbox = Outbox()

    async def fetch(side: Side) -> str:
        await asyncio.sleep(0)
        return side

    async with AsyncReadRouter(lease, report=outbox.asynchronous, every=0.01) as router:
        sides = [await router.read(n, fetch) for n in range(200)]
        assert sides == [router.route(n) for n in range(200)]
        while not outbox.sent:
            await asyncio.sleep(0.005)
    reads = outbox.batch.reads
    assert (reads.old.requests, reads.new.requests) == (sides.count("sqlite"), sides.count("postgresql"))


async def test_asynchronous_shadow_reads_have_a_budget_a_timeout_and_a_second_look() -> None:
    outbox = Outbox()
    stale = ["stale"]

    async def hanging(side: Side) -> int:
        if side == "postgresql":
            await asyncio.sleep(60)
        return 1

    async def catching_up(side: Side) -> str:
        return "new" if side == "sqlite" or not stale else stale.pop()

    async def apart(side: Side) -> str:
        return side

    async def broken(side: Side) -> str:
        if side == "postgresql":
            raise RuntimeError("broken")
        return side

    router = AsyncReadRouter(
        lambda: lease(0), report=outbox.asynchronous, every=60, shadow=1.0, shadow_limit=2, shadow_timeout=0.05,
        confirm_after=0.01,
    )  # fmt: skip
    for n in range(20):
        assert await router.read(n, hanging) == 1
    assert counted(router)["skipped"] == 18
    while router._shadows:
        await asyncio.sleep(0.01)
    for fetch in (catching_up, apart, broken):
        await router.read(1, fetch)
        while router._shadows:
            await asyncio.sleep(0.01)
    await router.close()
    batch = outbox.batch
    assert (batch.shadows, batch.mismatches) == (5, 1)
    assert (batch.shadow.new.timeouts, batch.shadow.new.errors) == (2, 1)


async def test_reporting_that_hangs_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(router: str, body: str) -> None:
        await asyncio.sleep(600)

    router = AsyncReadRouter(lease, report=hang, every=60)
    router.record("sqlite", 0.1)
    original = asyncio.wait_for
    monkeypatch.setattr(asyncio, "wait_for", lambda work, timeout: original(work, 0.01))
    assert await router.flush() is False
    assert router.figures.lost == 1
    monkeypatch.undo()
    await router.close()


def test_a_db_api_connection_is_kept_and_opened_again_after_a_failure() -> None:
    opened: list[Connection] = []

    class Connection:
        """The part of a driver that matters."""

        def __init__(self) -> None:
            self.executed: list[Any] = []
            self.commits = 0
            self.closed = self.fails = False

        def cursor(self) -> Connection:
            return self

        def execute(self, sql: str, parameters: Any) -> None:
            if self.fails:
                raise ConnectionError("lost")
            self.executed.append((sql, parameters))

        def commit(self) -> None:
            self.commits += 1

        def close(self) -> None:
            self.closed = True

    def connect() -> Connection:
        opened.append(Connection())
        return opened[-1]

    report = dbapi_report(connect)
    report("r", "1")
    opened[0].fails = True
    with pytest.raises(ConnectionError):
        report("r", "2")
    report("r", "3")
    assert len(opened) == 2
    assert opened[0].closed
    assert opened[1].executed == [("select _stepflow.report(%s, %s)", ("r", "3"))]
    assert opened[1].commits == 1


def test_timeouts_are_told_apart_by_their_class() -> None:
    class QueryCanceledError(Exception): ...

    class ReadTimeout(Exception): ...

    assert is_timeout(TimeoutError())
    assert is_timeout(QueryCanceledError())
    assert is_timeout(ReadTimeout())
    assert not is_timeout(ValueError())
    assert not is_timeout(True)


@given(st.lists(st.floats(1e-6, 900), min_size=1, max_size=200), st.floats(0.01, 1))
def test_a_quantile_is_at_most_a_tenth_too_long(durations: list[float], share: float) -> None:
    arm = Arm()
    for seconds in durations:
        arm.add(seconds)
    exact = sorted(durations)[math.ceil(share * len(durations)) - 1]
    found = arm.quantile(share)
    assert found == bin_seconds(latency_bin(exact))
    assert exact * 0.999_999 <= found <= exact * 1.1001


@given(st.lists(st.tuples(st.floats(0, 1000), st.sampled_from([None, True, TimeoutError()])), max_size=50))
def test_figures_survive_their_way_as_json(reads: list[tuple[float, Any]]) -> None:
    arm = Arm()
    for seconds, error in reads:
        arm.add(seconds, error)
    assert Arm.of(json.loads(json.dumps(arm.plain()))) == arm
