"""The one loop: phases and steps forward, undo steps backward, one ending for everything that can happen.

Owns the order of intent, effect and evidence, and what a run's result is. Knows no database and no step by name.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stepflow_tui.engine.alerts import watch
from stepflow_tui.engine.control import EngineControl, Wish
from stepflow_tui.engine.errors import (
    DiskFull,
    ExitCode,
    NeedsConfirmation,
    Refused,
    StepFailed,
    StepFlowError,
    Stopping,
    TargetConnectionError,
)
from stepflow_tui.engine.failpoints import failpoint
from stepflow_tui.engine.gates import Gate
from stepflow_tui.engine.journal.steps import StepEntry
from stepflow_tui.engine.model.finding import Finding, Severity
from stepflow_tui.engine.model.outcome import first_code, verdict
from stepflow_tui.engine.model.state import TRANSITIONS, RunResult, RunState, StepState
from stepflow_tui.engine.playbooks.spec import PhaseSpec, Playbook
from stepflow_tui.engine.steps.context import RunContext, Step
from stepflow_tui.engine.steps.same_config import BACK_HINT, refuse_other_config
from stepflow_tui.engine.texts import render

BLOCKED = "blocked"
HELD = "held"
"""State of a gate that `--until` keeps shut while the engine stays."""
WriteReport = Callable[[Path], Awaitable[None]]
"""Writes the report of a run folder from its journal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How this engine's share of the run ended. `state` None keeps the run's state.

    `standing` is the result and exit code the run keeps, where this share ended without touching what it is.
    """

    state: RunState | None
    result: RunResult
    exit_code: int
    standing: tuple[RunResult, int] | None = None


class Runner:
    """One engine's work on one run."""

    def __init__(self, ctx: RunContext, playbook: Playbook, control: EngineControl, write_report: WriteReport) -> None:
        self._ctx = ctx
        self._playbook = playbook
        self._control = control
        self._write_report = write_report
        self._gate = Gate(ctx, playbook)
        self._back_to: str | None = None

    async def prepare(self) -> None:
        """List phases, steps and checklist in the journal. Raises Drift when the run was started with other steps."""
        steps = [
            StepEntry(phase=p.name, name=s.name, danger=s.danger.value, loses=s.loses)
            for p in self._playbook.phases
            for s in p.steps
        ]
        await self._ctx.journal.set_playbook(self._playbook.names, steps)
        await self._ctx.journal.set_items(self._playbook.items)

    def go_back(self, to: str | None) -> None:
        """Ask for a rollback until phase `to` is the next one; None undoes everything."""
        self._back_to = to
        self._control.end(Wish.ROLLBACK)

    async def run(self) -> int:
        """Go forward from wherever the run is (or back, when it was going back) to an ending.

        Returns:
            The exit code.
        """
        ending = await self._ended(self._forward if self._control.wish is not Wish.ROLLBACK else self._turned)
        while self._control.wish is Wish.ROLLBACK:
            self._control.turn_back()
            ending = await self._ended(self._backward)
        return await self.finish(ending)

    async def finish(self, ending: Ending) -> int:
        """Journal the ending and write the report. Returns the exit code, that of a failed report included."""
        try:
            return await self._finish(ending)
        except DiskFull:
            return await self._finish(ending)  # the reserve is free now

    async def write_report(self) -> int:
        """Write the report; a report that fails is journalled and costs the run its exit code 0."""
        try:
            await self._write_report(self._ctx.run_dir)
        except Exception as exc:
            error = exc if isinstance(exc, StepFlowError) else _internal(exc)
            await self._ctx.journal.error_event(error)
            return int(error.exit_code)
        return int(ExitCode.OK)

    async def _finish(self, ending: Ending) -> int:
        journal = self._ctx.journal
        await journal.flush_progress()
        await watch.quiet(journal)
        result, kept = ending.standing or (ending.result, ending.exit_code)
        await journal.finish(ending.state or await journal.state(), result, kept)
        await journal.audit(
            self._ctx.answers.who, "ended", {"result": ending.result.value, "exit_code": ending.exit_code}
        )
        code = first_code((ending.exit_code, await self.write_report()))
        if code != ending.exit_code and ending.standing is None:
            await journal.execute("UPDATE run SET exit_code=?", (code,))
        await journal.finished_event(ending.result.value, code, str(self._ctx.run_dir / "report.json"))
        return code

    async def _ended(self, work: Callable[[], Awaitable[Ending]]) -> Ending:
        try:
            return await work()
        except Stopping:
            return await self._ended(self._asked_to_end)
        except StepFlowError as exc:
            return await self._retreated(await self._failed(exc))
        except Exception as exc:
            traceback.print_exc()  # the engine's stderr is its log
            return await self._retreated(await self._failed(_internal(exc)))

    async def _retreated(self, ending: Ending) -> Ending:
        """What must not last until the next engine is ended; where that fails too, both errors are told."""
        try:
            if self._playbook.retreat is not None:
                await self._playbook.retreat(self._ctx)
        except StepFlowError as exc:
            await self._ctx.journal.error_event(exc)
        except Exception as exc:
            traceback.print_exc()
            await self._ctx.journal.error_event(_internal(exc))
        return ending

    async def _asked_to_end(self) -> Ending:
        if self._control.wish is Wish.ABORT:
            if self._playbook.abandon is not None:
                await refuse_other_config(self._ctx, BACK_HINT)
                await self._playbook.abandon(self._ctx)
            return Ending(state=RunState.ABORTED, result=RunResult.ABORTED, exit_code=ExitCode.INTERRUPTED)
        state = await self._ctx.journal.state()
        resting = {RunState.RUNNING: RunState.PENDING, RunState.PAUSING: RunState.PAUSED}.get(state)
        return Ending(state=resting, result=RunResult.STOPPED, exit_code=ExitCode.TERMINATED)

    async def _failed(self, error: StepFlowError) -> Ending:
        await self._ctx.journal.error_event(error)
        if isinstance(error, NeedsConfirmation):
            result = RunResult.WAITING
        else:
            result = RunResult.REFUSED if isinstance(error, Refused) else RunResult.FAILED
        state = await self._ctx.journal.state()
        # half undone, the only way on is further back: the next engine goes on undoing
        may_fail = RunState.FAILED in TRANSITIONS[state] and state is not RunState.ROLLING_BACK
        return Ending(state=RunState.FAILED if may_fail else None, result=result, exit_code=error.exit_code)

    async def _not_undone(self, error: StepFlowError) -> Ending:
        """A rollback that ended before it took anything back: what the run had reached still stands."""
        ending = await self._failed(error)
        state = await self._ctx.journal.state()
        if state in (RunState.COMPLETED, RunState.INCOMPLETE):
            reached = await self._outcome()
            return replace(ending, state=None, standing=(reached.result, reached.exit_code))
        if state is RunState.ABORTED:
            return replace(ending, state=None, standing=(RunResult.ABORTED, ExitCode.INTERRUPTED))
        if state is RunState.OBSERVING:  # the new side works, and goes on working
            return replace(ending, state=None)
        return ending

    async def _turned(self) -> Ending:
        raise Stopping(abort=True)

    async def fail(self, error: StepFlowError) -> int:
        """End before anything was tried. Returns the exit code."""
        return await self.finish(await self._failed(error))

    async def _forward(self) -> Ending:
        await self._control.checkpoint()
        await self._ctx.journal.set_state(RunState.RUNNING)
        await self._ctx.journal.clear_blocking()  # the steps that found them look again
        if self._playbook.open is not None:
            await self._control.guard(self._playbook.open(self._ctx))
        for phase in self._playbook.phases:
            row = await self._ctx.journal.phase_row(phase.name)
            fresh = row["state"] != StepState.DONE.value
            if fresh and (ending := await self._pass_gate(phase)) is not None:
                return ending
            await self._phase(phase, fresh=fresh)
        return await self._outcome()

    async def _phase(self, phase: PhaseSpec, *, fresh: bool) -> None:
        journal = self._ctx.journal
        if fresh:
            if phase.changes:
                await journal.mark_changed()
            await journal.set_phase(phase.name, StepState.RUNNING)
        try:
            for step in phase.steps:
                await self._control.checkpoint()
                await self._step(f"{phase.name}.{step.name}", step)
        except StepFlowError:
            await journal.set_phase(phase.name, StepState.FAILED)
            raise
        await journal.set_phase(phase.name, StepState.DONE)

    async def _step(self, step_id: str, step: Step) -> None:
        journal = self._ctx.journal
        row = await journal.step_row(step_id)
        if row["state"] == StepState.DONE.value:
            return  # journalled with its evidence; what later steps need of it they find for themselves
        if row["attempt"] > 0 and not _blocked(row):
            proved = await self._control.guard(step.probe(self._ctx))
            if proved is not None:
                await journal.step_done(step_id, proved)
                return
        failpoint("before_intent")
        await journal.step_intent(step_id)
        failpoint("after_intent")
        try:
            evidence = await self._control.guard(step.apply(self._ctx))
            failpoint("after_effect")
            await self._refuse_if_blocked(step_id)
        except Stopping:
            await journal.step_stopped(step_id, StepState.PENDING)
            raise
        except Exception:
            await journal.step_stopped(step_id, StepState.FAILED)
            raise
        await journal.flush_progress()
        await journal.step_done(step_id, evidence)
        failpoint("after_done")

    async def _refuse_if_blocked(self, step_id: str) -> None:
        rows = await self._ctx.journal.findings(Severity.BLOCKING)
        if not rows:
            return
        await self._ctx.journal.set_evidence(step_id, {BLOCKED: [r["code"] for r in rows]})
        raise Refused(
            "A check refuses the run." if len(rows) == 1 else f"{len(rows)} checks refuse the run.",
            detail="\n".join(_sentence(r["code"], r["object"], r["params"]) for r in rows),
            code="blocking_findings",
        )

    async def _pass_gate(self, phase: PhaseSpec) -> Ending | None:
        """Wait until nothing is open before the phase; an Ending when the engine ends here."""
        journal, answers = self._ctx.journal, self._ctx.answers
        told: list[str] | None = None
        while True:
            await self._control.checkpoint()
            questions = await self._gate.questions(phase)
            if answers.until == phase.name and not self._gate.captures(phase):
                await self._gate.tell(phase, questions, "stopped")
                return Ending(state=RunState.WAITING, result=RunResult.STOPPED, exit_code=ExitCode.OK)
            if answers.until == phase.name:  # the engine stays: the target is kept current until somebody goes on
                told = [HELD]
                await journal.set_state(RunState.WAITING)
                await self._gate.tell(phase, questions, HELD)
                await self._control.news()
                continue
            if answers.yes and questions:
                await self._gate.accept_by_yes(questions, typed=self._ctx.typed)
                questions = await self._gate.questions(phase)
            if not questions:
                await journal.set_state(RunState.RUNNING)
                if told is not None:
                    await self._gate.tell(phase, (), "passed")
                return None
            open_ids = [q.id for q in questions]
            if told != open_ids:
                told = open_ids
                await self._gate.tell(phase, questions, "open")
            await journal.set_state(RunState.WAITING)
            if not self._gate.may_wait(phase):
                await journal.error_event(self._gate.unanswered(phase, questions))
                return Ending(state=RunState.WAITING, result=RunResult.WAITING, exit_code=ExitCode.CONFIRMATION)
            await self._control.news()

    async def _outcome(self) -> Ending:
        journal = self._ctx.journal
        run = await journal.run_row()
        assert run is not None
        outcome = verdict(
            await journal.table_facts(),
            source_changed=bool(run["source_changed"]),
            discrepancies=await journal.count("discrepancy"),
            rejects=await journal.count("reject"),
        )
        return Ending(state=outcome.state, result=outcome.result, exit_code=outcome.exit_code)

    async def _backward(self) -> Ending:
        names = self._playbook.names
        keep = names.index(self._back_to) if self._back_to else 0
        try:
            return await self._undone(keep)
        except TargetConnectionError as exc:
            return await self._retreated(await self._stranded(names[keep:], exc))

    async def _stranded(self, phases: Sequence[str], error: TargetConnectionError) -> Ending:
        """The target can't be asked: what does not need it is taken back all the same, and the rest is named."""
        left = None
        if self._playbook.stranded is not None:
            left = await self._playbook.stranded(self._ctx, phases, error)
        if left is not None:
            await self._begin_undoing()
            return await self._failed(left)
        return await self._not_undone(error)

    async def _begin_undoing(self) -> None:
        journal = self._ctx.journal
        if await journal.state() is RunState.PENDING:
            await journal.set_state(RunState.RUNNING)
        await journal.set_state(RunState.ROLLING_BACK)

    async def _undone(self, keep: int) -> Ending:
        journal, names = self._ctx.journal, self._playbook.names
        try:
            await refuse_other_config(self._ctx, BACK_HINT)
            if self._playbook.open is not None:
                await self._control.guard(self._playbook.open(self._ctx))
            if self._playbook.consent is not None:
                await self._control.guard(self._playbook.consent(self._ctx, names[keep:]))
        except TargetConnectionError:
            raise
        except StepFlowError as exc:
            return await self._retreated(await self._not_undone(exc))
        await self._begin_undoing()
        for phase in reversed(self._playbook.phases[keep:]):
            for step in reversed(phase.steps):
                await self._control.checkpoint()
                await self._undo(f"{phase.name}.{step.name}", step)
            row = await journal.phase_row(phase.name)
            if row["state"] != StepState.PENDING.value:
                await journal.set_phase(phase.name, StepState.PENDING if self._back_to else StepState.UNDONE)
            await journal.forget_answers(f"{phase.name}.")  # it is asked for again before it is done again
        if self._back_to:
            await journal.set_state(RunState.RUNNING)
            return Ending(state=RunState.WAITING, result=RunResult.STOPPED, exit_code=ExitCode.OK)
        return Ending(state=RunState.ROLLED_BACK, result=RunResult.ROLLED_BACK, exit_code=ExitCode.OK)

    async def _undo(self, step_id: str, step: Step) -> None:
        journal = self._ctx.journal
        row = await journal.step_row(step_id)
        if row["attempt"] == 0 or row["state"] == StepState.UNDONE.value:
            return
        failpoint("before_undo")
        evidence = await self._control.guard(step.undo(self._ctx))
        failpoint("after_undo")
        await journal.step_done(step_id, evidence, StepState.UNDONE)


def _blocked(row: dict[str, Any]) -> bool:
    """Whether the step's last attempt was refused by a check: only doing it again can tell what the check says now."""
    return row["state"] == StepState.FAILED.value and BLOCKED in json.loads(row["evidence"] or "{}")


def _internal(exc: BaseException) -> StepFailed:
    return StepFailed(
        f"An internal error stopped the run: {type(exc).__name__}.",
        detail=str(exc),
        hint="engine.log in the run's folder has the details; the run can be resumed with `stepflow run`.",
        code="internal",
    )


def _sentence(code: str, obj: str | None, params: str) -> str:
    words = render(Finding(code=code, severity=Severity.BLOCKING, params=json.loads(params), object=obj))
    return f"{code}: {words.what} {words.fix}".strip()
