"""Intents of live runs: reads moved or brought back, the dry run, the end of observation. Checked here, done by the steps."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from stepflow_tui.engine.errors import NeedsConfirmation, Refused, UsageError
from stepflow_tui.engine.journal.control_rows import Command
from stepflow_tui.engine.model.state import PhaseName, RunState, StepState
from stepflow_tui.engine.playbooks.spec import Playbook
from stepflow_tui.engine.steps.context import Answers, RunContext
from stepflow_tui.engine.steps.live.orders import Order, OrderKind, orders_of

Answer = dict[str, Any]
WHOLE = 10_000
"""A share of 100 %."""
GOING = frozenset({RunState.RUNNING, RunState.WAITING})
"""States in which both sides are kept equal and somebody takes orders."""


@dataclass(frozen=True, slots=True)
class LiveOrders:
    """Takes the intents that only live runs know."""

    ctx: RunContext
    playbook: Playbook

    def handler(self, verb: str) -> Callable[[Command], Awaitable[Answer]] | None:
        """What carries out that verb; None when the run's mode knows none of them."""
        if verb == OrderKind.CLEANUP.value and PhaseName.OBSERVE.value in self.playbook.names:
            return self._cleanup
        if PhaseName.SWITCH_READS.value not in self.playbook.names:
            return None
        return {
            OrderKind.SHARE.value: self._share,
            OrderKind.BACK.value: self._back,
            OrderKind.REARM.value: self._rearm,
            OrderKind.REHEARSE.value: self._rehearse,
        }.get(verb)

    async def _share(self, command: Command) -> Answer:
        share = command.args.get("share")
        if not isinstance(share, int) or not 0 <= share <= WHOLE:
            raise UsageError(
                "The share of reads is a percentage.", hint="Between 0 and 100, such as 25.", code="share_out_of_range"
            )
        await self._while_switching("move reads")
        if share == WHOLE:
            self._typed(command, "All reads move to PostgreSQL.")
        orders_of(self.ctx).put(Order(kind=OrderKind.SHARE, who=command.who, share=share))
        return {"share": share}

    async def _back(self, command: Command) -> Answer:
        await self._while_switching("bring reads back")
        orders_of(self.ctx).put(Order(kind=OrderKind.BACK, who=command.who))
        return {"share": 0}

    async def _rearm(self, command: Command) -> Answer:
        await self._while_switching("arm the switch again")
        orders_of(self.ctx).put(Order(kind=OrderKind.REARM, who=command.who))
        return {}

    async def _rehearse(self, command: Command) -> Answer:
        from stepflow_tui.engine.steps.live.rehearsals import (
            cutting_over,
            keep_rehearsing,
        )  # every other run lives without

        if await self._done(PhaseName.CUTOVER) or not await self._done(PhaseName.VALIDATE):
            raise self._no_rehearsal("The cutover is rehearsed between verification and cutover.")
        if await cutting_over(self.ctx):
            raise self._no_rehearsal("The cutover has begun, and rehearses by itself.")
        state = await self.ctx.journal.state()
        if state not in GOING:
            raise self._no_rehearsal(f"Nothing is rehearsed while the run is {state}.")
        orders_of(self.ctx).put(Order(kind=OrderKind.REHEARSE, who=command.who))
        keep_rehearsing(self.ctx)  # at a gate nothing else has started it
        return {}

    def _no_rehearsal(self, why: str) -> Refused:
        return Refused(why, hint="`stepflow status` shows where the run is.", code="no_rehearsal_now")

    async def _cleanup(self, command: Command) -> Answer:
        state = await self.ctx.journal.state()
        observing = (await self.ctx.journal.phase_row(PhaseName.OBSERVE.value))["state"]
        if state is not RunState.OBSERVING and observing != StepState.RUNNING.value:
            raise Refused(
                f"There is nothing to clean up yet: the run is {state}.",
                hint="Cleanup ends an observation; `stepflow rollback` takes a run back.",
                code="not_observing",
            )
        if not self.ctx.config.in_place:  # there the watch ends, and the way back stays
            self._typed(command, "Cleanup removes the way back.")
        rename = bool(command.args.get("rename"))
        orders_of(self.ctx).put(Order(kind=OrderKind.CLEANUP, who=command.who, rename=rename))
        return {}

    async def _while_switching(self, what: str) -> None:
        row = await self.ctx.journal.phase_row(PhaseName.SWITCH_READS.value)
        if row["state"] == StepState.PENDING.value or await self._done(PhaseName.CUTOVER):
            raise Refused(
                f"Nobody can {what} now.",
                hint="Reads are switched between verification and cutover; `stepflow status` shows where the run is.",
                code="no_switch_now",
            )

    async def _done(self, phase: PhaseName) -> bool:
        return bool((await self.ctx.journal.phase_row(phase.value))["state"] == StepState.DONE.value)

    def _typed(self, command: Command, what: str) -> None:
        given = Answers(yes=bool(command.args.get("yes")), confirm=command.args.get("confirm"), who=command.who)
        if not given.typed(self.ctx.config.name, production=self.ctx.config.production):
            raise NeedsConfirmation(
                what, hint=f"Confirm it with --confirm {self.ctx.config.name}.", code="needs_typed_confirmation"
            )
