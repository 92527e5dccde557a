"""Whether the application answers, measured all the time: one request every second, figures for each phase.

Figures are a fold over samples in the order in which they were sent. From the sending of a failed request to the sending of
the next one that was answered the application counts as unavailable. A gap that crosses from one phase into another counts
in each with its own part, and its whole length is the longest gap of both. Time in which nobody asked is not measured: it
is neither good nor bad, and said to be so.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from stepflow_tui.engine.application.asking import NoAnswer, request
from stepflow_tui.engine.model.clock import Clock
from stepflow_tui.engine.model.config_application import Availability

MOST_UNDER_WAY = 16
"""Requests that wait for their answer at the same time; while there are so many, ticks are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One request. `at`: monotonic seconds when it was sent; `phase`: the one that was going on then."""

    at: float
    ok: bool
    phase: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured in one phase."""

    requests: int = 0
    failed: int = 0
    unavailable_seconds: float = 0.0
    longest_gap_seconds: float = 0.0
    measured_seconds: float = 0.0
    unmeasured_seconds: float = 0.0

    def data(self) -> dict[str, Any]:
        """As it is shown and kept."""
        return {
            "requests": self.requests,
            "failed": self.failed,
            **{name: round(getattr(self, name), 3) for name in _SECONDS},
        }


_SECONDS = ("unavailable_seconds", "longest_gap_seconds", "measured_seconds", "unmeasured_seconds")


def read_figures(data: Mapping[str, Any]) -> Figures:
    """Figures as `data` wrote them; what is missing counts as nothing."""
    return Figures(
        requests=int(data.get("requests") or 0),
        failed=int(data.get("failed") or 0),
        unavailable_seconds=float(data.get("unavailable_seconds") or 0.0),
        longest_gap_seconds=float(data.get("longest_gap_seconds") or 0.0),
        measured_seconds=float(data.get("measured_seconds") or 0.0),
        unmeasured_seconds=float(data.get("unmeasured_seconds") or 0.0),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Everything so far. `gap_from` is when the present gap began, and `gap_phases` those it reaches into."""

    phases: Mapping[str, Figures] = field(default_factory=dict)
    last: Sample | None = None
    gap_from: float | None = None
    gap_phases: tuple[str, ...] = ()

    def of(self, phase: str) -> Figures:
        """A phase's figures."""
        return self.phases.get(phase, Figures())

    @property
    def gap_seconds(self) -> float:
        """How long nothing has been answered, as far as is known; 0 while it answers, and at the first failure."""
        return 0.0 if self.gap_from is None or self.last is None else self.last.at - self.gap_from

    def total(self) -> Figures:
        """All phases together."""
        found = tuple(self.phases.values())
        return Figures(
            requests=sum(f.requests for f in found),
            failed=sum(f.failed for f in found),
            unavailable_seconds=sum(f.unavailable_seconds for f in found),
            longest_gap_seconds=max((f.longest_gap_seconds for f in found), default=0.0),
            measured_seconds=sum(f.measured_seconds for f in found),
            unmeasured_seconds=sum(f.unmeasured_seconds for f in found),
        )


def take(before: Measured, sample: Sample, *, longest_pause: float) -> Measured:
    """The figures with one more sample, later than those before it.

    Args:
        longest_pause: seconds between two samples after which the time between them counts as not measured (the machine
            slept, or the engine was busy).
    """
    known = until(before, sample.at, longest_pause=longest_pause)
    mine = known.of(sample.phase)
    mine = replace(mine, requests=mine.requests + 1, failed=mine.failed + (not sample.ok))
    begun, within = known.gap_from, known.gap_phases
    if sample.ok:
        begun, within = None, ()
    else:
        begun = sample.at if begun is None else begun
        within = within if sample.phase in within else (*within, sample.phase)
    return Measured(phases={**known.phases, sample.phase: mine}, last=sample, gap_from=begun, gap_phases=within)


def until(before: Measured, now: float, *, longest_pause: float) -> Measured:
    """The figures as they stand at `now`, no sample since: a gap that is still open counts up to here."""
    last = before.last
    if last is None:
        return before
    passed = max(0.0, now - last.at)
    mine = before.of(last.phase)
    if passed > longest_pause:
        mine = replace(mine, unmeasured_seconds=mine.unmeasured_seconds + passed)
        return replace(before, phases={**before.phases, last.phase: mine}, gap_from=None, gap_phases=())
    mine = replace(mine, measured_seconds=mine.measured_seconds + passed)
    if last.ok or before.gap_from is None:
        return replace(before, phases={**before.phases, last.phase: mine})
    mine = replace(mine, unavailable_seconds=mine.unavailable_seconds + passed)
    phases = {**before.phases, last.phase: mine}
    for name in before.gap_phases:
        longest = max(phases[name].longest_gap_seconds, now - before.gap_from)
        phases[name] = replace(phases[name], longest_gap_seconds=longest)
    return replace(before, phases=phases)


def resumed(gauge: Mapping[str, Any], now_ms: int) -> Measured:
    """What the engine before this one measured; the time since its last sample is not measured.

    Args:
        gauge: as `Sampler` showed it last.
        now_ms: milliseconds since 1970: no other clock of both engines is the same.
    """
    phases = {name: read_figures(data) for name, data in (gauge.get("phases") or {}).items()}
    at, phase = (gauge.get("now") or {}).get("at_ms"), gauge.get("phase")
    if at is not None and phase in phases:
        away = max(0.0, (now_ms - int(at)) / 1000)
        phases[phase] = replace(phases[phase], unmeasured_seconds=phases[phase].unmeasured_seconds + away)
    return Measured(phases=phases)


@dataclass(slots=True)
class _Asked:
    """A request that was sent: its sample once there is one."""

    at: float
    phase: str
    sample: Sample | None = None


Show = Callable[[dict[str, Any]], None]


class Sampler:
    """Asks at every tick, whatever the answers before take.

    Args:
        config: what to ask.
        clock: monotonic time decides, wall time is shown.
        phase: the phase that is going on.
        show: takes the gauge `availability` whenever it changed.
        before: its value as the engine before this one left it.
    """

    def __init__(
        self,
        config: Availability,
        *,
        clock: Clock,
        phase: Callable[[], Awaitable[str]],
        show: Show,
        before: Mapping[str, Any] | None = None,
    ) -> None:
        self._config = config
        self._clock = clock
        self._phase = phase
        self._show = show
        self._measured = resumed(before or {}, clock.now_ms())
        self._asked: deque[_Asked] = deque()
        self._under_way: set[asyncio.Task[None]] = set()
        self._newest = float("-inf")

    @property
    def longest_pause(self) -> float:
        """Seconds between two samples that are still taken for one stretch."""
        return max(3 * self._config.every, self._config.every + self._config.timeout)

    async def run(self) -> None:
        """Ask until cancelled; where nobody answered last, once more then, for `timeout` at most."""
        due = self._clock.monotonic()
        try:
            while True:
                phase = await self._phase()
                if len(self._under_way) < MOST_UNDER_WAY:
                    self._send(phase)
                now = self._clock.monotonic()
                due += self._config.every
                if due <= now:  # we were held up: ticks that were missed are not made up for
                    due = now + self._config.every
                await self._clock.sleep(due - now)
        finally:
            await self._end()

    async def _end(self) -> None:
        """One more request where the newest one failed: else a gap that ends with the engine would have no length."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        self._asked.clear()
        last = self._measured.last
        if last is not None and not last.ok:
            self._send(last.phase)
            await asyncio.gather(*self._under_way)

    def _send(self, phase: str) -> None:
        asked = _Asked(at=self._clock.monotonic(), phase=phase)
        self._asked.append(asked)
        task = asyncio.create_task(self._ask(asked))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _ask(self, asked: _Asked) -> None:
        latency: float | None = None
        try:
            reply = await request(self._config.http, seconds=self._config.timeout)
            latency, ok = reply.seconds, reply.status == self._config.status
        except NoAnswer:
            ok = False
        asked.sample = Sample(at=asked.at, ok=ok, phase=asked.phase)
        self._fold()
        if asked.at > self._newest:
            self._newest = asked.at
            self._tell(ok, latency)

    def _fold(self) -> None:
        """Samples are counted in the order in which they were sent: a slow answer holds up those behind it."""
        while self._asked and (sample := self._asked[0].sample) is not None:
            self._asked.popleft()
            self._measured = take(self._measured, sample, longest_pause=self.longest_pause)

    def _tell(self, ok: bool, latency: float | None) -> None:
        shown = self._measured
        self._show(
            {
                "now": {
                    "ok": ok,
                    "latency_ms": None if latency is None else round(latency * 1000, 1),
                    "at_ms": self._clock.now_ms(),
                },
                "gap_seconds": round(shown.gap_seconds, 3),
                "phase": shown.last.phase if shown.last else None,
                "phases": {name: figures.data() for name, figures in shown.phases.items()},
                "total": shown.total().data(),
            }
        )
