"""Statuses of runs, phases, steps and checklist items, each with its meaning, and the run's table of transitions."""

from __future__ import annotations

from enum import StrEnum


class PhaseName(StrEnum):
    """The one vocabulary of phases, in order."""

    PREPARE = "prepare"
    CAPTURE = "capture"
    BACKFILL = "backfill"
    VALIDATE = "validate"
    SWITCH_READS = "switch_reads"
    CUTOVER = "cutover"
    OBSERVE = "observe"
    CLEANUP = "cleanup"
    COMPLETE = "complete"


class RunState(StrEnum):
    """What a run is doing."""

    PENDING = "pending"  # made, no engine has started it
    RUNNING = "running"  # an engine works on it
    WAITING = "waiting"  # a gate is open: a question needs an answer
    PAUSING = "pausing"  # told to pause, finishing a chunk
    PAUSED = "paused"  # between two chunks, engine alive
    OBSERVING = "observing"  # the new side owns writes, the way back is kept open
    ROLLING_BACK = "rolling_back"  # undo steps are running
    ROLLED_BACK = "rolled_back"  # everything undone
    ABORTED = "aborted"  # ended by the operator, nothing dropped
    FAILED = "failed"  # a step failed or a check refused; resumable
    INCOMPLETE = "incomplete"  # ended with rows rejected, missing or different
    COMPLETED = "completed"  # done, nothing missing


UNFINISHED = frozenset(
    {RunState.PENDING, RunState.RUNNING, RunState.WAITING, RunState.PAUSING, RunState.PAUSED, RunState.OBSERVING,
     RunState.ROLLING_BACK, RunState.FAILED}
)  # fmt: skip
FINISHED = frozenset(RunState) - UNFINISHED
"""States that a run does not leave by itself."""

TRANSITIONS: dict[RunState, frozenset[RunState]] = {
    # an engine takes it, or it is given up before it started
    RunState.PENDING: frozenset({RunState.RUNNING, RunState.ABORTED, RunState.FAILED}),
    # FAILED and back: every failure is resumable; ROLLING_BACK: the operator goes back from any phase
    RunState.RUNNING: frozenset({RunState.WAITING, RunState.PAUSING, RunState.OBSERVING, RunState.ROLLING_BACK, RunState.ABORTED,
                                 RunState.FAILED, RunState.INCOMPLETE, RunState.COMPLETED, RunState.PENDING}),
    # the gate is answered, or the engine ends while it is open and another one resumes
    RunState.WAITING: frozenset({RunState.RUNNING, RunState.PAUSING, RunState.ROLLING_BACK, RunState.ABORTED, RunState.FAILED}),
    # resumed, aborted or failed before the chunk was finished
    RunState.PAUSING: frozenset({RunState.PAUSED, RunState.RUNNING, RunState.ABORTED, RunState.FAILED, RunState.ROLLING_BACK}),
    RunState.PAUSED: frozenset({RunState.RUNNING, RunState.ABORTED, RunState.ROLLING_BACK, RunState.FAILED}),
    RunState.OBSERVING: frozenset({RunState.RUNNING, RunState.ROLLING_BACK, RunState.FAILED, RunState.COMPLETED, RunState.INCOMPLETE}),
    RunState.ROLLING_BACK: frozenset({RunState.ROLLED_BACK, RunState.FAILED, RunState.RUNNING, RunState.ABORTED}),
    RunState.ROLLED_BACK: frozenset(),  # a new run starts instead
    RunState.ABORTED: frozenset({RunState.ROLLING_BACK}),  # nothing was dropped, so it can still be undone
    RunState.FAILED: frozenset({RunState.RUNNING, RunState.ROLLING_BACK, RunState.ABORTED}),
    # repairs re-open an incomplete run; both can be undone
    RunState.INCOMPLETE: frozenset({RunState.RUNNING, RunState.ROLLING_BACK, RunState.COMPLETED}),
    RunState.COMPLETED: frozenset({RunState.RUNNING, RunState.ROLLING_BACK}),
}  # fmt: skip


class RunResult(StrEnum):
    """How a run, or this engine's share of it, ended."""

    COMPLETED = "completed"
    INCOMPLETE = "incomplete"
    REFUSED = "refused"
    FAILED = "failed"
    ABORTED = "aborted"
    ROLLED_BACK = "rolled_back"
    STOPPED = "stopped"
    WAITING = "waiting"


class StepState(StrEnum):
    """What a step, or a phase, is doing."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    UNDONE = "undone"


class Danger(StrEnum):
    """What a step asks for before it runs."""

    NONE = "none"
    PLAIN = "plain"
    TYPED = "typed"


class ItemState(StrEnum):
    """A checklist item."""

    OPEN = "open"
    TICKED = "ticked"  # by a person, or by a check
    ACCEPTED = "accepted"  # by --yes, never "done by a person"
    FAILED = "failed"  # its check says no
