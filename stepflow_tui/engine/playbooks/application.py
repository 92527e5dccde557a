"""Has the application watched by every engine of a playbook, whatever its kind and mode."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from stepflow_tui.engine.steps.application.watching import watch_application
from stepflow_tui.engine.steps.context import RunContext

Open = Callable[[RunContext], Coroutine[Any, Any, None]]


def watched(inner: Open | None) -> Open:
    """`Playbook.open` that first starts to watch: a step that takes long in opening is measured too."""

    async def opened(ctx: RunContext) -> None:
        await watch_application(ctx)
        if inner is not None:
            await inner(ctx)

    return opened
