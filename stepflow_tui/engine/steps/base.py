"""What most steps have in common: no danger, nothing lost, nothing to undo."""

from __future__ import annotations

from stepflow_tui.engine.model.state import Danger
from stepflow_tui.engine.steps.context import Evidence, RunContext


class PlainStep:
    """A step that changes nothing that undoing would have to take back. Subclasses give `name` and `apply`."""

    name = ""
    danger = Danger.NONE
    loses = ""

    async def probe(self, ctx: RunContext) -> Evidence | None:
        """Never known to be done: doing it again is harmless."""
        return None

    async def apply(self, ctx: RunContext) -> Evidence:
        """What the step does."""
        raise TypeError(f"{type(self).__name__} does nothing")

    async def undo(self, ctx: RunContext) -> Evidence:
        """Nothing to take back."""
        return {}
