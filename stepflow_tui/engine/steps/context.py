"""What a step is, and what it works with.

Facts that a later step needs after a restart belong into the journal or the target; `Memory` only saves reading them again.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from stepflow_tui.engine.errors import NeedsConfirmation, StepFailed
from stepflow_tui.engine.model.clock import Clock
from stepflow_tui.engine.model.control import Control
from stepflow_tui.engine.model.progress import Progress
from stepflow_tui.engine.model.state import Danger

if TYPE_CHECKING:
    from stepflow_tui.engine.config import LoadedConfig
    from stepflow_tui.engine.journal.store import Journal
    from stepflow_tui.engine.model.config import Config
    from stepflow_tui.engine.postgres.connect import Target
    from stepflow_tui.engine.steps.services import Services

T = TypeVar("T")
Evidence = dict[str, Any]
"""What a step proves, JSON-ready: counts, hashes, names; never row data, never secrets."""


@dataclass(slots=True, kw_only=True)
class Answers:
    """What the operator allows this engine beforehand; intents (`yes`, `until`) change it while it runs.

    `confirm` is the name typed for dangerous steps, `interactive` tells that somebody may answer questions, `until` is the
    phase to stop before, `who` the operator.
    """

    yes: bool = False
    confirm: str | None = None
    interactive: bool = False
    until: str | None = None
    who: str = ""

    def typed(self, run_name: str, *, production: bool) -> bool:
        """Whether a typed confirmation is given: the run's name, or `--yes` outside production."""
        return self.confirm == run_name or (self.yes and not production and self.confirm is None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairWanted:
    """Somebody asked for the differences to be repaired; the verification does it, and verifies again."""

    who: str


class Memory:
    """Values of this engine's life, one per type."""

    def __init__(self) -> None:
        self._values: dict[type, Any] = {}

    def put(self, value: object) -> None:
        """Keep a value under its own type."""
        self._values[type(value)] = value

    def find(self, kind: type[T]) -> T | None:
        """The value of that type, None when nobody has put one."""
        return self._values.get(kind)

    def drop(self, kind: type) -> None:
        """Forget the value of that type."""
        self._values.pop(kind, None)

    def get(self, kind: type[T]) -> T:
        """The value of that type. Raises StepFailed when nobody has put one."""
        value: T | None = self._values.get(kind)
        if value is None:
            raise StepFailed(f"A step needs the {kind.__name__} that no step before it made.", code="missing_fact")
        return value


@dataclass(slots=True, kw_only=True)
class RunContext:
    """Everything a step may use.

    `resources` closes what a step opened for the life of the engine (pools, locks), whatever ends it.
    `epoch` fences: it stands in every ledger write, so that an engine that was taken over can't write any more.
    """

    loaded: LoadedConfig
    run_id: str
    run_dir: Path
    state_dir: Path
    journal: Journal
    control: Control
    clock: Clock
    epoch: int
    answers: Answers = field(default_factory=Answers)
    memory: Memory = field(default_factory=Memory)
    resources: AsyncExitStack = field(default_factory=AsyncExitStack)
    reason: str = ""  # why the run is rolled back, "" while it goes forward
    _services: Services | None = None
    _target: Target | None = None

    @property
    def config(self) -> Config:
        """The run's config."""
        return self.loaded.config

    @property
    def services(self) -> Services:
        """The engine's background work. Raises StepFailed outside an engine."""
        if self._services is None:
            raise StepFailed("Nothing goes on in the background here.", code="missing_fact")
        return self._services

    @services.setter
    def services(self, services: Services) -> None:
        self._services = services

    @property
    def target(self) -> Target:
        """Where the target is. Raises StepFailed before a step has found out."""
        if self._target is None:
            raise StepFailed("A step needs the target before it was found.", code="missing_fact")
        return self._target

    @target.setter
    def target(self, target: Target) -> None:
        self._target = target

    @property
    def has_target(self) -> bool:
        """Whether the target was found already."""
        return self._target is not None

    def report(self, progress: Progress) -> None:
        """`model.control.Report`: the newest progress of an item; may be called for every chunk."""
        self.journal.report(progress)

    @property
    def typed(self) -> bool:
        """Whether the typed confirmation for dangerous work is given."""
        return self.answers.typed(self.config.name, production=self.config.production)

    def need_typed(self, what: str) -> None:
        """Ask for the typed confirmation of something dangerous.

        Args:
            what: one sentence telling what would happen.

        Raises:
            NeedsConfirmation: it was not given.
        """
        if not self.typed:
            raise NeedsConfirmation(
                what,
                hint=f"Pass --yes --confirm {self.config.name} if that is what you want.",
                code="needs_typed_confirmation",
            )


class Step(Protocol):
    """One step kind with its parameters.

    `apply` is idempotent and calls `ctx.control.checkpoint()` between chunks. `name` is unique in its phase.
    `loses` says what undoing it would lose, "" when nothing.
    """

    @property
    def name(self) -> str:
        """Stable name, also the key of its title."""
        ...

    @property
    def danger(self) -> Danger:
        """What it asks for before it runs."""
        ...

    @property
    def loses(self) -> str:
        """What going back after it would lose."""
        ...

    async def probe(self, ctx: RunContext) -> Evidence | None:
        """Is it already done? Evidence if so, None if not. Changes nothing.

        Asked after a restart about a step that was begun and not journalled as done: its effect may have happened. A done
        step is not asked again; what later steps need of it they find in the journal, the target, or `Playbook.open`.
        """
        ...

    async def apply(self, ctx: RunContext) -> Evidence:
        """Do it, or what is left of it."""
        ...

    async def undo(self, ctx: RunContext) -> Evidence:
        """Undo it, or what is left of it; a step that changed nothing returns {}."""
        ...
