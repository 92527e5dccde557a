"""Leads the read switch: takes reports, asks the guard and the strategy, moves the share, and keeps the lease alive.

PostgreSQL's row is the truth and every change of it names the version it was decided on. A lease copy in the source tells
routers for the next seconds; while PostgreSQL is out of reach, or the new side too far behind, the copy says "nobody".
Moving reads back never waits for PostgreSQL: the copy is written first, the row as soon as it can be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from stepflow_tui.client.buckets import BUCKETS
from stepflow_tui.engine.errors import Refused, StepFlowError, TargetConnectionError
from stepflow_tui.engine.model.config import SwitchReads
from stepflow_tui.engine.model.live import Lag
from stepflow_tui.engine.postgres.switch import SwitchRow
from stepflow_tui.engine.switch.guard import Alarm, Count, Guard
from stepflow_tui.engine.switch.links import Held, Links, Owed
from stepflow_tui.engine.switch.panel import gauge_of
from stepflow_tui.engine.switch.reports import Batch, gathered
from stepflow_tui.engine.switch.staleness import Staleness
from stepflow_tui.engine.switch.strategies import Decision, Do, Figures, State, advance, strategy_of
from stepflow_tui.engine.switch.truth import LeaseKeeper, Truth

if TYPE_CHECKING:
    pass

TICK_SECONDS: Final = 1.0
PATIENCE_SECONDS: Final = 3.0
"""For so long PostgreSQL may not answer before nobody reads it any more."""


class SwitchController:
    """One per engine.

    Args:
        config: `switch` of the config.
        links: databases, time and where to tell.
    """

    def __init__(self, config: SwitchReads, links: Links) -> None:
        self._config, self._links, self._clock = config, links, links.clock
        self._strategy = strategy_of(config)
        self._guard = Guard(config.rollback_if)
        self._truth = Truth(links.connect, self._strategy.name, config.groups, links.roles)
        self._lease = LeaseKeeper(links.source, links.run, links.clock)
        self._turn = asyncio.Lock()
        self._held = Held(since=self._clock.monotonic())
        self._total = Batch()
        self._decision: Decision | None = None
        self._alarm: Alarm | None = None
        self._recalled = Owed(owed) if (owed := links.before.get("owed")) else None
        self._carried = 0.0
        self._staleness = Staleness(links.source, links.run, links.clock)
        self._stale: Lag | None = None
        self._behind, self._silent = True, False
        self._answered = self._cool_since = self._clock.monotonic()
        self._rearm_for: str | None = None
        self._reading: asyncio.Task[None] | None = None
        self._hushed = False
        self.trouble: StepFlowError | None = None
        """Why the newest round could not be finished; None when it could."""
        self.finished = asyncio.Event()
        """Set while all reads have been on the new side for the soak time, measured and without an alarm."""

    # ---- service

    async def run(self) -> None:
        """Round after round until cancelled; then nobody renews the lease any more.

        Raises:
            Stopping: by the control of the shadow reads' tail.
        """
        try:
            while True:
                await self.tick()
                self._read_along()
                await self._clock.sleep(TICK_SECONDS)
        finally:
            await self.hush()

    async def hush(self) -> None:
        """No shadow reads from now on: writes are about to move, and an open snapshot can keep those out that move them."""
        self._hushed, reading, self._reading = True, self._reading, None
        if reading is not None:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    def speak(self) -> None:
        """Shadow reads again."""
        self._hushed = False

    def _read_along(self) -> None:
        if self._reading is not None and self._reading.done():
            self._reading.result()
        if self._reading is None and self._links.shadow is not None and not self._hushed:
            self._reading = asyncio.create_task(self._links.shadow.run())

    async def tick(self) -> None:
        """One round. What fails is tried again in the next one; meanwhile nobody may rely on the new side for long."""
        async with self._turn:
            try:
                await self._in_time(self._round())
                self._answered, self.trouble = self._clock.monotonic(), None
            except StepFlowError as error:
                self._failed(error)
            self._silent = self._clock.monotonic() - self._answered > PATIENCE_SECONDS
            await self._look_behind()
            try:
                await self._renew()
            except StepFlowError as error:
                self.trouble = error
            self._show()

    async def close(self) -> None:
        """End the lease: reads follow the owner of writes. The row stays, for the next engine."""
        async with self._turn:
            if self._truth.row is not None:
                await self._lease.end(self._truth.row)
            self._truth.disconnect()

    # ---- orders

    async def set_share(self, share: int, who: str) -> None:
        """Move reads to this share (hundredths of a per cent), with the tests begun anew; from there the strategy goes on.
        0 is `back`.

        Raises:
            Refused: `switch_disarmed` after an automatic rollback: arm it again first.
            StepFlowError: PostgreSQL can't be reached; nothing has moved.
        """
        if share <= 0:
            await self.back(who)
            return
        async with self._turn:
            row = await self._truth.look()
            if not row.armed:
                raise Refused(
                    "Reads were moved back by themselves, and the switch is not armed.",
                    hint="Find the cause, then `stepflow switch rearm`.",
                    code="switch_disarmed",
                )
            share = min(share, BUCKETS)
            stage = self._strategy.stage_of(share)
            above = await self._lease.version()
            await self._truth.insist(lambda now: replace(now, share=share, stage=stage, held=False), above=above)
            self._guard.restart()
            self._notice()
            await self._tell(row.share, share, who)
            with suppress(StepFlowError):  # it has moved; the next round says what is wrong with the lease
                await self._renew()

    async def back(self, who: str) -> None:
        """All reads to the old side at once, also while PostgreSQL can't be reached; nothing rises until a share is set."""
        self._recalled = Owed.BACK  # a round that is under way ends with a lease for nobody
        async with self._turn:
            before = self._truth.row.share if self._truth.row else 0
            await self._recall(Owed.BACK)
            await self._tell(before, 0, who)

    async def withdraw(self, who: str) -> None:
        """All reads to the old side, and the strategy to its beginning.

        Raises:
            StepFlowError: PostgreSQL can't be reached; only routers know it so far.
        """
        async with self._turn:
            before = (await self._truth.look()).share
            await self._recall(Owed.WITHDRAWN)
            if self._recalled is not None and self.trouble is not None:
                raise self.trouble
            if before:
                await self._tell(before, 0, who)

    async def rearm(self, who: str) -> float:
        """Let reads rise again after an automatic rollback, as soon as the cool-down is over.

        Returns:
            Seconds until then; 0: now.
        """
        async with self._turn:
            self._rearm_for = who
            left = self._cool_left()
            if not left:
                await self._arm()
            return left

    # ---- a round

    async def _round(self) -> None:
        before = self._truth.row
        row = await self._truth.look()
        if before is not None and row.share != before.share:
            await self._tell(before.share, row.share, "?")
        await self._finish_recall()
        self._stale = await self._staleness.look(await self._truth.connection())
        await self._look_behind()
        if self._rearm_for is not None and not self._cool_left():
            await self._arm()
        self._notice()
        self._take(gathered(await self._truth.reports()))
        await self._decide()
        self._notice()

    def _take(self, batch: Batch) -> None:
        if self._links.shadow is not None:
            self._links.shadow.suspect(batch.suspects)
            batch.merge(self._links.shadow.take())
        self._guard.feed(batch.both, batch.mismatches)
        self._held.seen.merge(batch.both)
        self._total.merge(replace(batch, suspects=[]))

    async def _decide(self) -> None:
        row = await self._truth.known()
        decision = advance(self._strategy, self._state(row), self._figures(), self._clock.monotonic())
        self._decision = decision
        if decision.do is Do.DONE:
            self.finished.set()
        elif decision.do is Do.ROLL_BACK:
            await self._roll_back(row)
        elif decision.do in (Do.BEGIN, Do.PROMOTE):
            moved = await self._truth.change(lambda now: replace(now, share=decision.share, stage=decision.stage))
            if moved:
                await self._tell(row.share, decision.share, self._strategy.name)
        if decision.do is not Do.DONE:
            self.finished.clear()

    async def _roll_back(self, row: SwitchRow) -> None:
        self._alarm, self._cool_since = self._guard.alarm(), self._clock.monotonic()
        await self._recall(Owed.ROLLED_BACK)
        self._guard.restart()
        told = {"signal": self._alarm.signal.value, "params": self._alarm.params} if self._alarm is not None else {}
        await self._links.event("switch_rolled_back", {"from": row.share / 100, **told})

    async def _arm(self) -> None:
        await self._truth.insist(lambda now: replace(now, armed=True, held=False))
        who, self._rearm_for, self._alarm = self._rearm_for, None, None
        self._guard.restart()
        self._held = Held(since=self._clock.monotonic())
        self._notice()
        await self._links.keep({"rolled_back": False, "cool_down_left_seconds": 0.0})
        await self._links.event("switch_rearmed", {"by": who})

    async def _recall(self, why: Owed) -> None:
        """Take reads away: first for the routers, then in the row; what can't be written now is written later, by the next
        engine if this one ends before that."""
        self._recalled = why
        with suppress(StepFlowError):  # every round tries again
            await self._renew()
        await self._links.keep({"owed": why.value})
        try:
            await self._in_time(self._finish_recall())
        except StepFlowError as error:
            self._failed(error)
        self._notice()

    async def _finish_recall(self) -> None:
        why = self._recalled
        if why is not None:
            await self._truth.insist(why.change)
            self._recalled = None
            await self._links.keep({"owed": None})

    # ---- what routers may go by

    async def _look_behind(self) -> None:
        """Whether the new side is fit to be read; it is again when the lag is half of what is allowed."""
        now, lag, row = self._clock.monotonic(), self._links.lag(), self._truth.row
        allowed = self._config.max_lag / (2 if self._behind else 1)
        stale = self._stale.seconds if self._stale is not None else 0.0
        behind = self._silent or lag is None or max(lag.seconds, stale) > allowed
        if self._behind and not behind:
            self._held = Held(place=self._held.place, since=now - self._carried)
            self._carried = 0.0
        changed, self._behind = behind != self._behind, behind
        if changed and row is not None and (row.share or row.groups):
            seconds = None if lag is None else round(max(lag.seconds, stale), 1)
            await self._links.event("switch_suspended" if behind else "switch_resumed", {"lag_seconds": seconds})

    async def _renew(self) -> None:
        if self._truth.row is not None:
            await self._lease.keep(self._truth.row, *self._readable(self._truth.row))

    def _readable(self, row: SwitchRow) -> tuple[int, tuple[str, ...]]:
        """The share and groups that routers may go by now."""
        nobody = self._behind or self._recalled is not None or not row.armed or (row.held and not row.share)
        return (0, ()) if nobody else (row.share, row.groups)

    # ---- small

    def _notice(self) -> None:
        """Another share or stage is held from now on."""
        row, shadow = self._truth.row, self._links.shadow
        if row is None or (row.share, row.stage) == self._held.place:
            return
        self._carried = self._held_before(row)
        self._held = Held(place=(row.share, row.stage), since=self._clock.monotonic() - self._carried)
        self.finished.clear()
        if shadow is not None and not row.share:
            shadow.restart()

    def _held_before(self, row: SwitchRow) -> float:
        """Seconds that an engine before this one has held this very share; what it measured then is measured again."""
        before = self._links.before
        if before.get("version") != row.version - 1 or before.get("percentage") != row.share / 100:
            return 0.0
        return float(before.get("held_seconds") or 0.0)

    def _state(self, row: SwitchRow) -> State:
        return State(
            stage=min(row.stage, len(self._strategy.stages) - 1),
            share=row.share,
            since=self._held.since,
            armed=row.armed,
            held=row.held,
            grouped=bool(self._readable(row)[1]),
        )

    def _figures(self) -> Figures:
        seen, guard, shadow = self._held.seen, self._guard, self._links.shadow
        return Figures(
            new=Count(seen.new.errors + seen.new.timeouts, seen.new.requests),
            old=Count(seen.old.errors + seen.old.timeouts, seen.old.requests),
            alarm=guard.alarm(),
            both_fail=guard.both_fail,
            level=guard.level,
            needed=guard.needed,
            behind=self._behind,
            passed=shadow is not None and shadow.passed,
            nothing=shadow is not None and shadow.nothing,
        )

    def _cool_left(self) -> float:
        """Seconds until the switch may be armed; an engine that finds it disarmed begins anew."""
        row = self._truth.row
        if row is not None and row.armed:
            return 0.0
        return max(0.0, self._config.cool_down - (self._clock.monotonic() - self._cool_since))

    async def _tell(self, before: int, after: int, who: str) -> None:
        """Show it first: who hears of the move and looks must not see what was before it."""
        row = self._truth.row
        place = {} if row is None else {"stage": row.stage, "version": row.version}
        held = {"held_seconds": 0.0, "soak_left_seconds": None}  # the next round knows
        await self._links.keep({"percentage": after / 100, **place, **held})
        await self._links.event("switch", {"from": before / 100, "to": after / 100, "by": who})

    async def _in_time(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it, for so long as reads may depend on it.

        Raises:
            TargetConnectionError: it takes longer.
        """
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await work
        except TimeoutError:
            raise TargetConnectionError(
                "The target does not answer the read switch.",
                detail=f"waited {PATIENCE_SECONDS:g} s",
                hint="Meanwhile all reads go to the old side.",
                code="target_timeout",
            ) from None

    def _trouble(self) -> str | None:
        """Code of what keeps the switch, or its shadow reads, from working."""
        shadow = self._links.shadow
        error = self.trouble or (shadow.failure if shadow is not None else None)
        return error.code if error is not None else None

    def _failed(self, error: StepFlowError) -> None:
        self.trouble = error
        self._truth.disconnect()

    def _show(self) -> None:
        row = self._truth.row
        if row is None or self._decision is None:
            return
        gauge = gauge_of(
            row,
            self._strategy,
            self._decision,
            self._total,
            self._alarm,
            suspended=self._behind or self._recalled is not None,
            trouble=self._trouble(),
            cool_down_left=self._cool_left(),
            held_seconds=0.0 if self._behind else self._clock.monotonic() - self._held.since,
        )
        self._links.gauge(gauge)
