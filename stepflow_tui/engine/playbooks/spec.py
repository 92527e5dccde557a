"""What a playbook is: phases and steps as data. The runner reads nothing else."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from stepflow_tui.engine.errors import TargetConnectionError, UsageError
from stepflow_tui.engine.model.checklist import ItemSpec
from stepflow_tui.engine.model.plan import PlannedPhase, PlannedStep
from stepflow_tui.engine.steps.context import RunContext, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseSpec:
    """One phase. `changes` tells that it changes source or target, so a run that began it can't be ignored any more."""

    name: str
    steps: tuple[Step, ...] = ()
    changes: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Playbook:
    """A kind of migration in one mode. `items` is its checklist, defaults and the config's own.

    `open` is called once by every engine, before any step in either direction: it finds the target, takes locks
    (`ctx.resources` gives them back), and restores what steps keep in `ctx.memory`. It changes nothing.
    `consent` is called before a rollback takes anything back, with the names of the phases to be undone: it raises
    NeedsConfirmation where somebody has to say yes first. It changes nothing either.
    `stranded` is called when a rollback ends because the target can't be reached, with the names of the phases to be undone:
    it makes the source what it was if it can, and returns what is left for the next rollback. None: it did nothing.
    `abandon` is called when the run is aborted: it takes out what would go on working in the databases. It drops no row.
    `retreat` is called when the run's work ended with an error: it ends what must not last until the next engine.
    """

    kind: str
    mode: str
    phases: tuple[PhaseSpec, ...]
    items: tuple[ItemSpec, ...] = ()
    open: Callable[[RunContext], Coroutine[Any, Any, None]] | None = None
    consent: Callable[[RunContext, Sequence[str]], Coroutine[Any, Any, None]] | None = None
    stranded: (
        Callable[[RunContext, Sequence[str], TargetConnectionError], Coroutine[Any, Any, TargetConnectionError | None]]
        | None
    ) = None
    abandon: Callable[[RunContext], Coroutine[Any, Any, None]] | None = None
    retreat: Callable[[RunContext], Coroutine[Any, Any, None]] | None = None

    def phase(self, name: str) -> PhaseSpec:
        """The phase of that name. Raises KeyError."""
        for phase in self.phases:
            if phase.name == name:
                return phase
        raise KeyError(name)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the phases, in order."""
        return tuple(p.name for p in self.phases)


def check_phase(playbook: Playbook, phase: str | None) -> None:
    """Refuse a phase that the playbook's mode lacks; None is no phase.

    Raises:
        UsageError: there is no such phase.
    """
    if phase is not None and phase not in playbook.names:
        raise UsageError(
            f"A {playbook.kind} run in mode {playbook.mode} has no phase {phase!r}.",
            hint=f"Its phases: {', '.join(playbook.names)}.",
            code="no_such_phase",
        )


def planned_phases(playbook: Playbook) -> tuple[PlannedPhase, ...]:
    """Phases and steps as the plan lists them."""
    return tuple(
        PlannedPhase(
            name=p.name, steps=tuple(PlannedStep(name=s.name, danger=s.danger.value, loses=s.loses) for s in p.steps)
        )
        for p in playbook.phases
    )
