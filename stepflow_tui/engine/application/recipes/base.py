"""What every recipe does: look, prepare, stop, deploy, start, put back. Each kind has its own file beside this one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Before = Mapping[str, Any]
"""What stood before a recipe did anything, fit for JSON, without secrets. Written down before the first action, so that an
engine started later can put it back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the application is now. `since` in seconds since 1970."""

    running: bool
    what: str  # `unit shop.service`, `container shop (id)`, `process 4711`
    version: str | None = None  # revision, image digest, release
    pid: int | None = None
    since: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One thing a recipe would do, as a dry run shows it: a command line or a sentence, without secrets."""

    action: str  # prepare, stop, build, deploy, start, undo
    text: str


class Recipe(Protocol):
    """One configured recipe. Every method raises StepFailed (`recipe_*` codes) with what to do about it.

    All actions are idempotent: an engine that died in the middle does them again.
    """

    @property
    def name(self) -> str:
        """`systemd shop`, unique among the run's recipes."""
        ...

    async def look(self) -> Before:
        """Record what stands now; refuses what could not be put back, and tools that are missing. Changes nothing."""
        ...

    def planned(self) -> Sequence[Planned]:
        """What would be done, in order, and how it would be undone."""
        ...

    async def prepare(self, before: Before) -> None:
        """Do beforehand what touches nothing that runs, such as pulling and building images; nothing where there is none."""
        ...

    async def stop(self, before: Before) -> None:
        """Stop what runs, and see that it has ended. Recipes that only deploy do nothing."""
        ...

    async def deploy(self, before: Before) -> None:
        """Put the new version in place, and build it. Nothing where there is none."""
        ...

    async def start(self, before: Before) -> None:
        """Start what is in place now. Returns when it runs; whether it is healthy is asked by health checks."""
        ...

    async def put_back(self, before: Before) -> None:
        """Put the version of `before` in place, whatever stands now. Does not start it."""
        ...

    async def standing(self) -> Standing | None:
        """What runs now; None for recipes that run nothing."""
        ...

    async def log_tail(self, lines: int = 50) -> str:
        """The newest lines of this unit's, container's, pod's or process's own log, "" where there is none. Not redacted."""
        ...

    async def variables(self) -> Sequence[str]:
        """Names, never values, of its environment, sorted."""
        ...
