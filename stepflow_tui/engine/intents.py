"""What front ends ask for: each intent checked, carried out or refused, answered, and written to the audit."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from stepflow_tui.engine.control import EngineControl, Wish
from stepflow_tui.engine.errors import Held, NeedsConfirmation, Refused, StepFailed, StepFlowError, UsageError
from stepflow_tui.engine.gates import Gate
from stepflow_tui.engine.journal.control_rows import Command, CommandState
from stepflow_tui.engine.lease import VERBS as LEASE
from stepflow_tui.engine.lease import ControlLease
from stepflow_tui.engine.model.live import Owner
from stepflow_tui.engine.model.state import TRANSITIONS, PhaseName, RunState, StepState
from stepflow_tui.engine.orders import LiveOrders
from stepflow_tui.engine.playbooks.spec import Playbook, check_phase
from stepflow_tui.engine.runner import Runner
from stepflow_tui.engine.steps.context import Answers, RepairWanted, RunContext
from stepflow_tui.engine.steps.wal.facts import changed

ANYBODY = frozenset({"pause", "tick", "ask", "reveal", "switch_back"})
"""Accepted whoever holds control: they can only make things safer or clearer, or change nothing at all."""
LATER = frozenset({"abort", "rollback"})
"""Acknowledged at once, done when the engine has carried them out."""
ENDING = frozenset({"tick", "ack", "note", "pause", "reveal", "rehearse"}) | LEASE
"""An engine started for one of these ends after it; any other makes it go on."""

PRESENT = frozenset({"rehearse"})
"""Asks the engine that is at work about what it works on; no engine is started for it."""

Answer = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class Desk:
    """Takes the intents of one engine. `goes_on` tells whether one of them asks the engine to work."""

    ctx: RunContext
    playbook: Playbook
    control: EngineControl
    runner: Runner
    goes_on: bool = False
    started: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def take(self) -> None:
        """Answer every new intent once, oldest first."""
        async with self.lock:
            for command in await self.ctx.journal.new_commands():
                await self._take(command)
            self.started = True  # what lay there at the start was meant for the engine before

    async def settle(self) -> None:
        """Intents that were taken up are carried out now; a rollback that was stopped half-way is not."""
        if await self.ctx.journal.state() is RunState.ROLLING_BACK:
            return
        await self.ctx.journal.execute("UPDATE command SET state='done' WHERE state='accepted'")

    async def _take(self, command: Command) -> None:
        journal = self.ctx.journal
        if await ControlLease(journal).renews(command):
            await journal.renew_control(command)
            return
        try:
            await self._allow(command)
            answer = await self._handler(command.verb)(command)
        except StepFlowError as exc:
            state, answer = CommandState.REFUSED, _refusal(exc)
        except Exception as exc:  # an intent that stayed unanswered would end every later engine too
            traceback.print_exc()  # the engine's stderr is its log
            error = StepFailed(f"An internal error: {type(exc).__name__}.", detail=str(exc), code="internal")
            state, answer = CommandState.REFUSED, _refusal(error)
        else:
            state = CommandState.ACCEPTED if command.verb in LATER else CommandState.DONE
            self.goes_on = self.goes_on or command.verb not in ENDING
            if command.verb not in ANYBODY | LEASE:
                await journal.give_control(command.who)
        await journal.audit(command.who, command.verb, {"args": command.args, "answer": state.value})
        await journal.answer_command(command, state, answer)
        self.control.tell()

    async def _allow(self, command: Command) -> None:
        seen = self.ctx.epoch if self.started else self.ctx.epoch - 1
        meant = command.epoch is None or command.epoch in (seen, self.ctx.epoch)
        if not meant or (command.verb in PRESENT and not self.started):
            raise Refused(
                f"{command.verb} was meant for an earlier engine of this run.",
                hint="Look at `stepflow status`, then send it again if it is still what you want.",
                code="stale",
            )
        if command.verb in ANYBODY or command.args.get("take"):
            return
        holder = await self.ctx.journal.control_holder()
        if holder is not None and holder != command.who:
            raise Held(f"{holder} steers this run.", hint="Wait a minute, or pass --take-control.", code="control_held")

    def _handler(self, verb: str) -> Callable[[Command], Awaitable[Answer]]:
        handler: Callable[[Command], Awaitable[Answer]] | None = {
            "pause": self._pause,
            "resume": self._resume,
            "continue": self._continue,
            "abort": self._abort,
            "rollback": self._rollback,
            "repair": self._repair,
            "reveal": self._reveal,
            "tick": self._tick,
            "ack": self._ack,
            "note": self._note,
            "until": self._until,
            "yes": self._yes,
        }.get(verb)
        handler = (
            handler or ControlLease(self.ctx.journal).handler(verb) or LiveOrders(self.ctx, self.playbook).handler(verb)
        )
        if handler is None:
            raise UsageError(
                f"{verb} can't be done in a {self.playbook.kind} run in mode {self.playbook.mode}.",
                hint="`stepflow status` shows the phases of the run.",
                code="no_such_intent",
            )
        return handler

    async def _pause(self, command: Command) -> Answer:
        await self.control.pause()
        return {"waits_for": "the chunks that are being written"}

    async def _resume(self, command: Command) -> Answer:
        if self.started or await self.ctx.journal.state() is not RunState.PAUSED:
            await self.control.resume()
        return {}  # paused by an engine that is gone: going on is all it takes

    async def _continue(self, command: Command) -> Answer:
        state = await self.ctx.journal.state()
        if state is not RunState.WAITING:
            raise await self._no_gate(state)
        gate = Gate(self.ctx, self.playbook)
        phase = await gate.next_phase()
        wanted = command.args.get("phase")
        if phase is None or (wanted and wanted != phase.name):
            raise Refused(
                f"The gate before {wanted} is not open.", hint="`stepflow status` shows which one is.", code="no_gate"
            )
        given = self._answers(command)
        typed = given.typed(self.ctx.config.name, production=self.ctx.config.production)
        questions = await gate.questions(phase)
        await gate.accept_by_person(questions, command.who, yes=given.yes, typed=typed)
        if self.ctx.answers.until == phase.name:
            self.ctx.answers.until = None
        return {"phase": phase.name, "answered": len(questions)}

    async def _no_gate(self, state: RunState) -> Refused:
        """What the run is doing instead of waiting."""
        detail = await self._switching()
        look = "`stepflow switch show` shows how far it is." if detail else "`stepflow status` shows what it is doing."
        return Refused(f"No gate is open: the run is {state}.", detail=detail, hint=look, code="no_gate")

    async def _switching(self) -> str:
        """How far the read switch is, "" where none is going on."""
        name, journal = PhaseName.SWITCH_READS.value, self.ctx.journal
        if name not in self.playbook.names or (await journal.phase_row(name))["state"] != StepState.RUNNING.value:
            return ""
        shown = journal.gauges().get("switch", {})
        left = shown.get("soak_left_seconds") or 0
        held = f", held for {left:.0f} s more" if left else ""
        return f"Reads are still being switched: {shown.get('percentage') or 0:g} % come from the new side{held}."

    async def _abort(self, command: Command) -> Answer:
        self._typed(command, "Aborting ends the run; nothing is dropped.")
        state = await self.ctx.journal.state()
        if self.ctx.journal.gauges().get("live", {}).get("owner") == Owner.POSTGRESQL.value:
            raise Refused(
                "PostgreSQL owns writes: an abort would leave the application without its way back.",
                hint="`stepflow rollback` goes back to SQLite, `stepflow cleanup` ends the run.",
                code="after_cutover",
            )
        if RunState.ABORTED not in TRANSITIONS[state]:
            raise Refused(
                f"A run that is {state} can't be aborted.", hint="`stepflow rollback` undoes a run.", code="transition"
            )
        self.control.end(Wish.ABORT)
        return {}

    async def _rollback(self, command: Command) -> Answer:
        to = command.args.get("to")
        check_phase(self.playbook, to)
        state = await self.ctx.journal.state()
        if state is not RunState.PENDING and RunState.ROLLING_BACK not in (state, *TRANSITIONS[state]):
            raise Refused(
                f"A run that is {state} can't be rolled back.",
                hint=await self._by_hand(command) or "`stepflow runs` lists the runs.",
                code="transition",
            )
        await self._way_back_open()
        given = self._answers(command)
        if command.args.get("restore"):
            await self._restorable(command, to)
        self.ctx.answers.yes = self.ctx.answers.yes or given.yes
        self.ctx.answers.confirm = given.confirm or self.ctx.answers.confirm
        self.ctx.reason = str(command.args.get("reason") or "rolled back by the operator")
        self.runner.go_back(to)
        return {"to": to}

    async def _by_hand(self, command: Command) -> str:
        """What puts the backup of a run back that is over; "" where that was not asked for, or there is none."""
        ctx = self.ctx
        if not command.args.get("restore") or not ctx.config.in_place or await ctx.journal.backup() is None:
            return ""
        name = f" --confirm {ctx.config.name}" if ctx.config.production else ""
        return (
            f"`stepflow backups restore --run {ctx.run_id} --everything --yes{name}` puts its tested backup back, while nobody has "
            "the database open; what was written since is lost from it, and kept aside."
        )

    async def _restorable(self, command: Command, to: str | None) -> None:
        """Putting the backup back is a way of its own: only where the database stays in its place, and typed."""
        if not self.ctx.config.in_place or to is not None:
            raise UsageError(
                "--restore belongs to a full rollback of a sqlite-wal run.",
                hint="`stepflow backups restore` puts other backups back.",
                code="no_restore_here",
            )
        if await self.ctx.journal.backup() is None:
            raise Refused(
                "The run has made no backup yet.", hint="`stepflow backups list` shows what there is.", code="no_backup"
            )
        before = await self.ctx.journal.last_accepted("rollback")
        goes_on = before is not None and bool(before.args.get("restore"))  # one that was killed
        if not goes_on and not await changed(self.ctx):
            raise Refused(
                "The run has not changed the database, so there is nothing to put a backup back for.",
                hint="A plain `stepflow rollback` is enough. " + await self._by_hand(command),
                code="no_restore_yet",
            )
        self._typed(command, "Putting the backup back loses everything that was written since it was made.")

    async def _way_back_open(self) -> None:
        if PhaseName.CLEANUP.value not in self.playbook.names:
            return
        if (await self.ctx.journal.phase_row(PhaseName.CLEANUP.value))["state"] != StepState.PENDING.value:
            raise Refused(
                "The way back ended with the clean-up: PostgreSQL alone is current.",
                hint="The tested backup and the old file are still there: `stepflow backups list`.",
                code="way_back_closed",
            )

    async def _repair(self, command: Command) -> Answer:
        """Open a run that has ended again from its verification on, which then repairs what differs."""
        if self.ctx.config.in_place:
            raise UsageError(
                "A sqlite-wal run has no second side that could be repaired.",
                hint="`stepflow rollback --restore` puts its backup back; `stepflow doctor` looks at the database.",
                code="no_second_side",
            )
        self._typed(command, "Repairing changes rows in the target.")
        state = await self.ctx.journal.state()
        await self._repairable_live()
        unproven = state is RunState.FAILED and PhaseName.CUTOVER.value in self.playbook.names
        if state not in (RunState.INCOMPLETE, RunState.COMPLETED) and not unproven:
            raise Refused(
                f"A run that is {state} can't be repaired.",
                hint="Let it end first; `stepflow status` shows what it is doing.",
                code="transition",
            )
        if not unproven:
            await self.ctx.journal.reopen(PhaseName.VALIDATE.value)
        await self.ctx.journal.set_state(RunState.RUNNING)
        given = self._answers(command)
        self.ctx.answers.yes, self.ctx.answers.confirm = given.yes, given.confirm
        self.ctx.memory.put(RepairWanted(who=command.who))
        return {}

    async def _repairable_live(self) -> None:
        """After the cutover PostgreSQL is the truth: nothing of it is repaired by what SQLite holds."""
        if PhaseName.CUTOVER.value not in self.playbook.names:
            return
        if (await self.ctx.journal.step_row("cutover.cut-over"))["state"] == StepState.DONE.value:
            raise Refused(
                "PostgreSQL owns writes: it is not repaired from SQLite any more.",
                hint="`stepflow rollback` goes back to SQLite; `stepflow verify` compares.",
                code="after_cutover",
            )

    async def _reveal(self, command: Command) -> Answer:
        """May somebody see a hidden value? The answer and the audit are all that passes through here, never the value."""
        if command.args.get("confirm") != self.ctx.config.name:
            raise NeedsConfirmation(
                "Showing a sensitive value needs the run's name typed.",
                hint=f"Confirm it with --confirm {self.ctx.config.name}.",
                code="needs_typed_confirmation",
            )
        return {"allowed": True}

    async def _tick(self, command: Command) -> Answer:
        item, note = str(command.args.get("item", "")), str(command.args.get("note") or "")
        await self.ctx.journal.tick_item(item, by=command.who, note=note)
        return {"item": item}

    async def _ack(self, command: Command) -> Answer:
        code, note = str(command.args.get("code", "")), str(command.args.get("note") or "")
        return {"acknowledged": await self.ctx.journal.ack_alert(code, by=command.who, note=note)}

    async def _note(self, command: Command) -> Answer:
        await self.ctx.journal.add_note(command.who, str(command.args.get("text", "")))
        return {}

    async def _until(self, command: Command) -> Answer:
        phase = command.args.get("phase")
        check_phase(self.playbook, phase)
        self.ctx.answers.until = phase
        return {"phase": phase}

    async def _yes(self, command: Command) -> Answer:
        if "until" in command.args:
            check_phase(self.playbook, command.args["until"])
            self.ctx.answers.until = command.args["until"]
        self.ctx.answers.yes = True
        self.ctx.answers.confirm = command.args.get("confirm") or self.ctx.answers.confirm
        return {}

    def _answers(self, command: Command) -> Answers:
        return Answers(yes=bool(command.args.get("yes")), confirm=command.args.get("confirm"), who=command.who)

    def _typed(self, command: Command, what: str) -> None:
        if not self._answers(command).typed(self.ctx.config.name, production=self.ctx.config.production):
            raise NeedsConfirmation(
                what, hint=f"Confirm it with --confirm {self.ctx.config.name}.", code="needs_typed_confirmation"
            )


def _refusal(error: StepFlowError) -> Answer:
    return {
        "code": error.code,
        "message": error.message,
        "detail": error.detail,
        "hint": error.hint,
        "exit_code": int(error.exit_code),
    }
