"""Availability: what the figures add up to, and that slow answers delay nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import groupby, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepflow_tui.engine.alerts.application import application_rules
from stepflow_tui.engine.application.availability import Figures, Measured, Sample, Sampler, resumed, take, until
from stepflow_tui.engine.journal.clock import SystemClock
from stepflow_tui.engine.model.config_application import Availability
from stepflow_tui.engine.testing import ManualClock
from tests.service_kit import Handler, hang, http, saying, serving

PAUSE = 3.0


def fold(samples: list[tuple[float, bool, str]]) -> Measured:
    measured = Measured()
    for at, ok, phase in samples:
        measured = take(measured, Sample(at=at, ok=ok, phase=phase), longest_pause=PAUSE)
    return measured


def test_a_gap_begins_with_the_first_failure_and_ends_with_the_next_answer() -> None:
    measured = fold([(0, True, "a"), (1, False, "a"), (2, False, "a"), (3, True, "a"), (4, False, "a"), (5, True, "a")])
    assert measured.of("a") == Figures(
        requests=6, failed=3, unavailable_seconds=3.0, longest_gap_seconds=2.0, measured_seconds=5.0
    )


def test_a_gap_across_phases_counts_in_each_with_its_part_and_whole_as_the_longest() -> None:
    samples = [(0, True, "a"), (1, False, "a"), (2, False, "b"), (3, False, "b"), (4, True, "c"), (5, True, "c")]
    measured = fold(samples)
    parts = {name: (f.unavailable_seconds, f.longest_gap_seconds) for name, f in measured.phases.items()}
    assert parts == {"a": (1.0, 3.0), "b": (2.0, 3.0), "c": (0.0, 0.0)}
    assert measured.total().unavailable_seconds == 3.0


def test_an_open_gap_grows_while_nobody_answers() -> None:
    measured = fold([(0, True, "a"), (1, False, "a"), (2, False, "a")])
    assert measured.gap_seconds == 1.0
    assert until(measured, 2.5, longest_pause=PAUSE).of("a").longest_gap_seconds == 1.5


def test_time_in_which_nobody_asked_is_neither_good_nor_bad() -> None:
    measured = fold([(0, True, "a"), (1, False, "a"), (9, False, "b"), (10, True, "b")])
    assert measured.of("a") == Figures(requests=2, failed=1, measured_seconds=1.0, unmeasured_seconds=8.0)
    assert measured.of("b") == Figures(
        requests=2, failed=1, unavailable_seconds=1.0, longest_gap_seconds=1.0, measured_seconds=1.0
    )


def test_another_engine_goes_on_and_tells_how_long_nobody_asked() -> None:
    kept = {"a": fold([(0, True, "a"), (1, False, "a"), (2, True, "a")]).of("a").data()}
    gauge = {"now": {"ok": True, "at_ms": 10_000}, "phase": "a", "phases": kept}
    measured = resumed(gauge, 17_500)
    assert measured.of("a") == Figures(
        requests=3,
        failed=1,
        unavailable_seconds=1.0,
        longest_gap_seconds=1.0,
        measured_seconds=2.0,
        unmeasured_seconds=7.5,
    )
    assert resumed({}, 17_500) == Measured()
    assert resumed({**gauge, "now": {"at_ms": 99_000}}, 17_500).of("a").unmeasured_seconds == 0.0, "the clock went back"


samples = st.lists(
    st.tuples(st.floats(0.1, 5.0), st.booleans(), st.sampled_from("abc")), min_size=1, max_size=40
)  # fmt: skip


@given(samples)
def test_phases_add_up_to_the_whole(steps: list[tuple[float, bool, str]]) -> None:
    """Against figures computed in another way: over the whole row of intervals at once."""
    at, row = 0.0, []
    for step, ok, phase in steps:
        at += step
        row.append((at, ok, phase))
    measured, total = fold(row), fold(row).total()
    spans = [(b[0] - a[0], a[1]) for a, b in pairwise(row)]
    near = pytest.approx
    assert total.requests == len(row)
    assert total.failed == sum(not ok for _, ok, _ in row)
    assert total.measured_seconds == near(sum(s for s, _ in spans if s <= PAUSE))
    assert total.unmeasured_seconds == near(sum(s for s, _ in spans if s > PAUSE))
    assert total.unavailable_seconds == near(sum(s for s, ok in spans if s <= PAUSE and not ok))
    assert total.measured_seconds + total.unmeasured_seconds == near(row[-1][0] - row[0][0])
    runs = groupby(spans, key=lambda span: not span[1] and span[0] <= PAUSE)
    longest = max((sum(s for s, _ in run) for bad, run in runs if bad), default=0.0)
    assert total.longest_gap_seconds == near(longest)
    for figures in measured.phases.values():
        assert figures.unavailable_seconds <= figures.measured_seconds + 1e-9
        assert figures.longest_gap_seconds <= total.longest_gap_seconds


@given(samples, st.integers(0, 39))
def test_an_engine_that_is_replaced_loses_no_figure(steps: list[tuple[float, bool, str]], cut: int) -> None:
    at, row = 0.0, []
    for step, ok, phase in steps:
        at += step
        row.append((at, ok, phase))
    first, rest = row[: cut + 1], row[cut + 1 :]
    before = fold(first)
    gauge = {
        "now": {"at_ms": int(first[-1][0] * 1000)}, "phase": first[-1][2], "phases": {n: f.data() for n, f in before.phases.items()}
    }  # fmt: skip
    at_ms = int((rest[0] if rest else first[-1])[0] * 1000)
    after = resumed(gauge, at_ms)
    for sample in rest:
        after = take(after, Sample(at=sample[0], ok=sample[1], phase=sample[2]), longest_pause=PAUSE)
    whole, parts = fold(row).total(), after.total()
    assert (parts.requests, parts.failed) == (whole.requests, whole.failed)
    covered = whole.measured_seconds + whole.unmeasured_seconds
    assert parts.measured_seconds + parts.unmeasured_seconds == pytest.approx(covered, abs=0.01)


Gauge = dict[str, Any]


async def measure(handler: Handler, seen: Callable[[Gauge], bool], *, status: int = 200, **more: Any) -> Gauge:
    """The first gauge for which `seen` is true."""
    found: asyncio.Future[Gauge] = asyncio.get_running_loop().create_future()

    def show(gauge: Gauge) -> None:
        if seen(gauge) and not found.done():
            found.set_result(gauge)

    async def phase() -> str:
        return "backfill"

    async with serving(handler) as port:
        url = f"http://127.0.0.1:{port}/health"
        config = Availability.model_validate({"http": url, "every": "0.05s", "timeout": "0.3s", "status": status})
        sampler = Sampler(config, clock=SystemClock(), phase=phase, show=show, **more)
        task = asyncio.create_task(sampler.run())
        try:
            async with asyncio.timeout(20):
                return await found
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_a_service_that_answers() -> None:
    gauge = await measure(saying(http(200)), lambda g: g["phases"].get("backfill", {}).get("requests", 0) >= 3)
    assert gauge["now"]["ok"] is True
    assert gauge["now"]["latency_ms"] > 0
    assert (gauge["phase"], gauge["total"]["failed"], gauge["total"]["unavailable_seconds"]) == ("backfill", 0, 0.0)
    assert application_rules(gauge, {}) == []


async def test_slow_answers_do_not_delay_the_next_request() -> None:
    """While the first answer is waited for, the others have been sent already."""
    together = 0
    most = asyncio.Event()

    async def slow(_method: str, _path: str, _body: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal together
        together += 1
        if together == 3:
            most.set()
        await most.wait()
        writer.write(http(200))

    gauge = await measure(slow, lambda g: g["total"]["requests"] >= 3)
    assert gauge["total"]["failed"] == 0


@pytest.mark.parametrize("handler", [hang, saying(http(503)), saying(http(302, location="http://127.0.0.1:1/"))])
async def test_a_service_that_does_not(handler: Handler) -> None:
    gauge = await measure(handler, lambda g: g["gap_seconds"] > 0)
    assert gauge["now"]["ok"] is False
    assert gauge["total"]["failed"] >= 2
    assert gauge["total"]["unavailable_seconds"] > 0
    assert [(a.code, a.severity.value) for a in application_rules(gauge, {})] == [
        ("application_unavailable", "critical")
    ]


async def test_the_next_engine_goes_on_with_the_figures() -> None:
    before = {"now": {"ok": True, "at_ms": 0}, "phase": "prepare", "phases": {"prepare": {"requests": 5, "failed": 1}}}
    gauge = await measure(saying(http(200)), lambda g: bool(g["phases"].get("backfill")), before=before)
    assert (gauge["phases"]["prepare"]["requests"], gauge["phases"]["prepare"]["failed"]) == (5, 1)
    assert gauge["phases"]["prepare"]["unmeasured_seconds"] > 0


async def test_a_gap_that_is_open_at_the_end_gets_its_length() -> None:
    """A rollback ends with the application back and its engine gone: its one failed request is no outage of 0.0 s."""
    told: list[Gauge] = []
    failed = asyncio.Event()
    answers = iter([503])

    async def handler(_method: str, _path: str, _body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(http(next(answers, 200)))

    def show(gauge: Gauge) -> None:
        told.append(gauge)
        failed.set()

    async def phase() -> str:
        return "rollback"

    async with serving(handler) as port:
        config = Availability.model_validate({"http": f"http://127.0.0.1:{port}/", "every": "1h"})
        task = asyncio.create_task(Sampler(config, clock=SystemClock(), phase=phase, show=show).run())
        async with asyncio.timeout(20):
            await failed.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    figures = told[-1]["phases"]["rollback"]
    assert (figures["requests"], figures["failed"], told[-1]["now"]["ok"]) == (2, 1, True)
    assert figures["unavailable_seconds"] == figures["longest_gap_seconds"] > 0


def test_one_failure_is_no_alert_and_a_stop_on_purpose_is_none() -> None:
    down = {"now": {"ok": False}, "gap_seconds": 4.2}
    assert [a.params for a in application_rules(down, {"state": "new"})] == [{"seconds": 4.2}]
    assert application_rules({**down, "gap_seconds": 0.0}, {}) == []
    assert application_rules({"now": {"ok": True}, "gap_seconds": 0.0}, {}) == []
    assert application_rules({}, {}) == []
    for state in ("stopping", "stopped", "switching", "starting", "going back"):
        assert application_rules(down, {"state": state}) == []


async def test_requests_under_way_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    from stepflow_tui.engine.application import availability

    monkeypatch.setattr(availability, "MOST_UNDER_WAY", 4)
    waiting: list[int] = []
    clock = ManualClock()

    async def never(*_: Any, **__: Any) -> Any:
        waiting.append(1)
        await asyncio.Event().wait()

    monkeypatch.setattr(availability, "request", never)

    async def phase() -> str:
        await asyncio.sleep(0)
        return "x"

    config = Availability.model_validate({"http": "http://127.0.0.1:1/"})
    task = asyncio.create_task(Sampler(config, clock=clock, phase=phase, show=lambda _: None).run())
    for _ in range(200):
        clock.advance(0.5)
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(waiting) == 4
