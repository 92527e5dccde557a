"""A hook as a step: a command of the operator's at the beginning or the end of a phase, and the command that takes it back.

Nobody can look whether a command has had its effect; only its exit status 0, written down at once, tells. So one that was
interrupted (the engine was lost, the run aborted) is reported, what is left of it is ended, its `undo` is run, and then it
is run again. An `undo` may therefore run more than once, and after a command that did nothing; it takes back a command that
failed, too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from stepflow_tui.engine.application.commands import Ran, Session, end_session, run_command, tail
from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.model.config import Config
from stepflow_tui.engine.model.config_application import Hook
from stepflow_tui.engine.model.finding import info, warning
from stepflow_tui.engine.model.redact import Redact, redactor
from stepflow_tui.engine.model.state import Danger
from stepflow_tui.engine.steps.context import Evidence, RunContext

ERROR_CHARACTERS = 1_000
"""Newest output that an error shows."""


class When(StrEnum):
    """On which side of its phase's steps a hook stands."""

    BEFORE = "before"
    AFTER = "after"


class HookState(StrEnum):
    """What a hook's evidence tells about a command whose step is not done."""

    ENDED = "ended"  # it succeeded
    RUNNING = "running"  # written before it begins: found by the next engine, it was interrupted
    FAILED = "failed"  # not taken back (there is no undo, or that failed too)
    UNDONE = "undone"  # failed, and taken back


@dataclass(frozen=True, slots=True, kw_only=True)
class HookStep:
    """One hook. `number` counts from 1 on its side of the phase."""

    phase: str
    when: When
    number: int
    hook: Hook
    danger: ClassVar[Danger] = Danger.NONE
    loses: ClassVar[str] = ""

    @property
    def name(self) -> str:
        """`hook-before-1`."""
        return f"hook-{self.when.value}-{self.number}"

    async def probe(self, ctx: RunContext) -> Evidence | None:
        """Done if its success was written down before the engine was lost."""
        known = await self._known(ctx)
        return known if known.get("state") == HookState.ENDED else None

    async def apply(self, ctx: RunContext) -> Evidence:
        """Run the command; if it fails, take it back.

        Raises:
            StepFailed: `hook_failed`, with the end of its output.
        """
        await self._settle(ctx)
        if self.hook.undo is not None:
            await ctx.journal.mark_changed()  # there is something that only a rollback takes back
        ran = await self._run(ctx, self.hook.run, "run")
        if not ran.ok:
            await self._fail(ctx, ran)
        evidence = {"state": HookState.ENDED.value, **_evidence(ran)}
        await ctx.journal.set_evidence(self._id, evidence)
        return evidence

    async def undo(self, ctx: RunContext) -> Evidence:
        """Run the command's `undo`, unless it was run when the command failed.

        Raises:
            StepFailed: `hook_undo_failed`; the rollback stops, and runs it again when it goes on.
        """
        known = await self._known(ctx)
        await _end_rest(known)
        if self.hook.undo is None or known.get("state") == HookState.UNDONE:
            return {}
        ran = await self._run(ctx, self.hook.undo, "undo")
        if not ran.ok:
            raise self._not_undone(ran)
        return _evidence(ran)

    async def _settle(self, ctx: RunContext) -> None:
        """Put right what an interrupted attempt left."""
        known = await self._known(ctx)
        if known.get("state") != HookState.RUNNING:
            return
        ended = await _end_rest(known)
        tell, code = (warning, "hook_interrupted") if self.hook.undo is None else (info, "hook_interrupted_undone")
        await ctx.journal.set_findings(self._id, [tell(code, self._id, ended=ended)])
        if self.hook.undo is not None:
            ran = await self._run(ctx, self.hook.undo, "undo")
            if not ran.ok:
                raise self._not_undone(ran)

    async def _fail(self, ctx: RunContext, ran: Ran) -> None:
        undone = None if self.hook.undo is None else await self._run(ctx, self.hook.undo, "undo")
        state = HookState.UNDONE if undone is not None and undone.ok else HookState.FAILED
        await ctx.journal.set_evidence(self._id, {"state": state.value, **_evidence(ran)})
        if undone is None:
            message = f"The hook {self._id} failed, and has no undo: {ran.ending}."
        elif undone.ok:
            message = f"The hook {self._id} failed and was taken back: {ran.ending}."
        else:
            message = f"The hook {self._id} failed, and its undo too: {ran.ending}; {undone.ending}."
        raise StepFailed(message, detail=_said(ran, undone), hint=_HINT, code="hook_failed")

    async def _run(self, ctx: RunContext, command: str, action: str) -> Ran:
        before = await self._known(ctx)

        async def started(session: Session) -> None:
            running = {"state": HookState.RUNNING.value, "session": session.id, "token": session.token}
            await ctx.journal.set_evidence(self._id, {**before, **running})

        return await run_command(
            command,
            folder=ctx.loaded.path.parent,
            env=self._environment(ctx, action),
            seconds=self.hook.timeout,
            redact=_redact(ctx),
            started=started,
        )

    def _environment(self, ctx: RunContext, action: str) -> Mapping[str, str]:
        return {
            **{name: value.get_secret_value() for name, value in self.hook.env.items()},
            "STEPFLOW_RUN": ctx.run_id,
            "STEPFLOW_STATE_DIR": str(ctx.state_dir),
            "STEPFLOW_PHASE": self.phase,
            "STEPFLOW_HOOK": self.when.value,
            "STEPFLOW_ACTION": action,
        }

    async def _known(self, ctx: RunContext) -> dict[str, Any]:
        row = await ctx.journal.step_row(self._id)
        known: dict[str, Any] = json.loads(row["evidence"] or "{}")
        return known

    @property
    def _id(self) -> str:
        return f"{self.phase}.{self.name}"

    def _not_undone(self, ran: Ran) -> StepFailed:
        message = f"The hook {self._id} could not be taken back: {ran.ending}."
        return StepFailed(message, detail=_said(ran, None), hint=_UNDO_HINT, code="hook_undo_failed")


_HINT = "Correct the command or what it met, then `stepflow run` again: the hook is run again and the run goes on from there."
_UNDO_HINT = "Correct the hook's `undo` or what it met, then run the same command again: the undo is run once more."


def _said(ran: Ran, undone: Ran | None) -> str:
    """What the command printed, and its undo if that failed."""
    texts = [ran.output] + ([undone.output] if undone is not None and not undone.ok else [])
    return "\n".join(tail(t, ERROR_CHARACTERS) for t in texts if t) or "it printed nothing"


def _evidence(ran: Ran) -> Evidence:
    return {"status": ran.status, "seconds": ran.seconds, "output": ran.output, "cut": ran.cut}


async def _end_rest(known: Mapping[str, Any]) -> int:
    if known.get("state") != HookState.RUNNING:
        return 0
    return await end_session(Session(id=int(known["session"]), token=str(known["token"])))


def _redact(ctx: RunContext) -> Redact:
    """The run's own redaction, and every value in any hook's `env`: one hook may show what another was given."""
    own = redactor(secrets_of_hooks(ctx.config))
    return lambda text: ctx.journal.clean(own(text))


def secrets_of_hooks(config: Config) -> set[str]:
    """All values in the hooks' environments."""
    hooks = (hook for both in config.hooks.values() for hook in (*both.before, *both.after))
    return {value.get_secret_value() for hook in hooks for value in hook.env.values()}
