"""The dry run of the cutover: every guard, and how long writes would stand still. Changes nothing that stays."""

from __future__ import annotations

import asyncio
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stepflow_tui.engine.errors import Refused, StepFlowError
from stepflow_tui.engine.model.config import TablesMode
from stepflow_tui.engine.model.plan import Stage
from stepflow_tui.engine.model.state import PhaseName, StepState
from stepflow_tui.engine.postgres import progress
from stepflow_tui.engine.postgres.errors import pg_errors
from stepflow_tui.engine.sqlite.applying import begin, open_applying, rollback
from stepflow_tui.engine.sqlite.connect import real_path
from stepflow_tui.engine.sqlite.mapping import sqlite_errors
from stepflow_tui.engine.steps.application.changeover import Ready, changeover_of
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.facts import backup_schema, connection, plan_of
from stepflow_tui.engine.steps.live.living import living_schema
from stepflow_tui.engine.steps.live.prove import clean_pass
from stepflow_tui.engine.steps.live.reads_by_restart import moves_by_restart
from stepflow_tui.engine.steps.live.sequences import set_sequences
from stepflow_tui.engine.steps.live.set_aside import show_set_aside
from stepflow_tui.engine.steps.live.tailing import keep_tailing, tail_of, undisturbed
from stepflow_tui.engine.texts.switching import GUARDS

if TYPE_CHECKING:
    import asyncpg

RETRY_SECONDS = 5.0
PASSING = ("source_busy", "source_locked")
"""Errors that only say that writers were quicker, so the next try may go through."""

PER_KEY_SECONDS = 0.0002
"""Comparing one row by its key on both sides, on a slow machine."""

RETURN_SECONDS = 0.1
"""The canary's way there and back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """One condition of the cutover, with what its text needs."""

    code: str
    ok: bool
    params: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """What a dry run found: seconds that writes would stand still, and the guards."""

    freeze_seconds: float
    guards: tuple[Guard, ...]

    @property
    def ready(self) -> bool:
        """Whether nothing stands in the way."""
        return all(g.ok for g in self.guards)

    def plain(self, at_ms: int) -> dict[str, Any]:
        """As the gauge and the answer show it."""
        guards = [{"code": g.code, "ok": g.ok, "params": g.params} for g in self.guards]
        return {"freeze_seconds": self.freeze_seconds, "guards": guards, "at": at_ms}


class Rehearse(PlainStep):
    """Tries everything that the cutover will do, and takes it back."""

    name = "rehearse"

    async def apply(self, ctx: RunContext) -> Evidence:
        """Rehearse.

        Raises:
            Refused: a guard does not hold.
        """
        found = await self._in_tries(ctx)
        refuse_unready(found)
        return {"freeze_seconds": found.freeze_seconds, "guards": [g.code for g in found.guards]}

    async def _in_tries(self, ctx: RunContext) -> Rehearsal:
        """Writers that were quicker are no reason to give up: the cutover itself would try again too."""
        left = ctx.config.cutover.retries
        while True:
            await ctx.control.checkpoint()
            try:
                return await rehearse(ctx)
            except StepFlowError as exc:
                if left == 0 or exc.code not in PASSING:
                    raise
            left -= 1
            await ctx.clock.sleep(RETRY_SECONDS)


async def rehearse(ctx: RunContext) -> Rehearsal:
    """The dry run.

    Raises:
        Different: both sides are not equal.
        StepFlowError: a side can't be reached, or refuses what the cutover will ask of it.
    """
    await keep_tailing(ctx)
    keys = await clean_pass(ctx)
    tail_seconds = await undisturbed(ctx, lambda: _step_seconds(ctx))
    lock_seconds = await asyncio.to_thread(_lock_seconds, ctx)
    async with connection(ctx) as conn:
        target_seconds = await _try_target(ctx, conn)
        poison = sum((await progress.count_poison(conn, ctx.run_id)).values())
    if poison:
        await show_set_aside(ctx)
    freeze = round(lock_seconds + 2 * tail_seconds + keys * PER_KEY_SECONDS + target_seconds + RETURN_SECONDS, 2)
    behind = (await tail_of(ctx)).lag.changes
    switched = (await ctx.journal.phase_row(PhaseName.SWITCH_READS.value))["state"] == StepState.DONE.value
    guards = _guards(ctx, freeze, poison, behind, await _added_tables(ctx), switched=switched)
    application = map(_application_guard, await changeover_of(ctx).ready())
    found = Rehearsal(freeze_seconds=freeze, guards=(*guards, *application))
    ctx.journal.gauge("live", {"freeze_seconds": freeze, "rehearsal": found.plain(ctx.clock.now_ms())})
    await ctx.journal.event("cutover_rehearsed", {"freeze_seconds": freeze, "ready": found.ready})
    return found


def refuse_unready(found: Rehearsal) -> None:
    """Raise Refused when a guard does not hold."""
    missing = [g for g in found.guards if not g.ok]
    if missing:
        raise Refused(
            "The cutover's guards do not all hold.",
            detail="; ".join(map(_in_the_way, missing)),
            hint="`stepflow cutover --rehearse` shows each with its reason.",
            code="cutover_guards",
        )


def _in_the_way(guard: Guard) -> str:
    """`reads: reads from the new side: 1 %`."""
    return f"{guard.code}: {GUARDS[guard.code][1].format_map(guard.params)}"


def _guards(
    ctx: RunContext, freeze: float, poison: int, behind: int, added: list[str], *, switched: bool
) -> tuple[Guard, ...]:
    differing = int(ctx.journal.gauges().get("live", {}).get("verifier", {}).get("differing", 0))
    share = float(ctx.journal.gauges().get("switch", {}).get("percentage") or 0)
    return (
        Guard(code="verified", ok=True, params={}),
        Guard(code="differing", ok=differing == 0, params={"count": differing}),
        Guard(code="poison", ok=poison == 0, params={"count": poison}),
        Guard(code="lag", ok=behind < 10_000, params={"count": behind}),
        Guard(code="reads_by_restart", ok=True, params={})
        if moves_by_restart(ctx.config)
        else Guard(code="reads", ok=share >= 100, params={"percent": f"{share:g}"}),
        _switched(ctx, switched=switched),
        Guard(code="tables", ok=not added, params={"names": ", ".join(added)}),
        Guard(code="freeze", ok=freeze <= ctx.config.cutover.max_freeze, params={"time": f"{freeze:g} s"}),
    )


def _switched(ctx: RunContext, *, switched: bool) -> Guard:
    """Whether the read switch is over: the gate before the cutover opens after it, however far reads have moved."""
    left = ctx.journal.gauges().get("switch", {}).get("soak_left_seconds") or 0
    if not switched and left:
        return Guard(code="reads_held", ok=False, params={"time": f"{left:.0f} s"})
    return Guard(code="switched", ok=switched, params={})


def _application_guard(ready: Ready) -> Guard:
    return Guard(code=f"application_{ready.code}", ok=ready.ok, params={"reason": ready.reason})


async def _step_seconds(ctx: RunContext) -> float:
    began = time.monotonic()
    await (await tail_of(ctx)).step()
    return time.monotonic() - began


async def _added_tables(ctx: RunContext) -> list[str]:
    """Tables that nobody captures, because they came after the plan: what is in them would stay behind."""
    known = {t.name for t in (await backup_schema(ctx)).tables}
    now = await asyncio.to_thread(living_schema, real_path(ctx.config.source.path))
    return sorted(t.name for t in now.tables if t.name not in known)


def _lock_seconds(ctx: RunContext) -> float:
    """How long it takes to get the source's write lock among its writers; given back at once."""
    path = real_path(ctx.config.source.path)
    with sqlite_errors(f"Trying the write lock of {path}"), closing(open_applying(path)) as opened:
        began = time.monotonic()
        begin(opened, path, ctx.config.cutover.max_freeze)  # as the fence asks for it
        rollback(opened)
        return time.monotonic() - began


async def _try_target(ctx: RunContext, conn: asyncpg.Connection) -> float:
    """Foreign keys, triggers and sequences, made for real and rolled back: what would be refused is refused now."""
    plan = await plan_of(ctx)
    if ctx.config.target.tables is TablesMode.EXISTING:
        return 0.0
    began = time.monotonic()
    with pg_errors("try the cutover's statements"):
        transaction = conn.transaction()
        await transaction.start()
        try:
            await conn.execute("set local lock_timeout = '2s'")
            for statement in (s for stage in (Stage.FOREIGN_KEY, Stage.TRIGGER) for s in plan.stage(stage)):
                if not statement.optional:
                    await conn.execute(statement.sql)
            await set_sequences(ctx, conn)
        finally:
            await transaction.rollback()
    return time.monotonic() - began
