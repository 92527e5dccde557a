"""The application's settings on their way: those beside what is deployed, and those that come with it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from stepflow_tui.engine.application.places import as_released, settings_beside, settings_inside
from stepflow_tui.engine.application.settings import apply_group, check_undo, forget_group, plan_edits, undo_group
from stepflow_tui.engine.sqlite.connect import real_path
from stepflow_tui.engine.steps.application.values import source_values, target_values
from stepflow_tui.engine.steps.facts import target_of

if TYPE_CHECKING:
    from stepflow_tui.engine.application.settings import Edit
    from stepflow_tui.engine.model.config_application import Switch
    from stepflow_tui.engine.steps.application.bookkeeping import Bookkeeping

BESIDE, INSIDE = "settings", "settings-inside"
"""Where the settings of before are kept, in the run's folder of the application."""


class SideSettings:
    """All switches of the config, as two groups."""

    def __init__(self, book: Bookkeeping) -> None:
        self._book, self._config = book, book.config

    async def plan(self) -> tuple[Edit, ...]:
        """What would be changed; in files that a new version brings, there.

        Raises:
            Refused: `setting_*`.
        """
        inside = await asyncio.to_thread(settings_inside, self._config)
        return await self._planned((*settings_beside(self._config, inside), *as_released(self._config, inside)))

    async def put_beside(self) -> None:
        """Change what stands beside the code: builds read it.

        Raises:
            StepFlowError: `setting_*`; all files of the group are as before.
        """
        inside = await asyncio.to_thread(settings_inside, self._config)
        await self._put(settings_beside(self._config, inside), BESIDE)

    async def put_inside(self) -> None:
        """Change what came with the code. Raises as `put_beside`."""
        await self._put(await asyncio.to_thread(settings_inside, self._config), INSIDE)

    async def put_back(self) -> None:
        """Both groups as they were before; nothing where that was done.

        Raises:
            StepFlowError: `setting_*`, somebody else changed one of these settings.
        """
        for name in (INSIDE, BESIDE):
            await asyncio.to_thread(undo_group, self._book.private(name))

    async def check_back(self) -> None:
        """Whether `put_back` will be able to. Raises as it does."""
        for name in (INSIDE, BESIDE):
            await asyncio.to_thread(check_undo, self._book.private(name))

    async def forget(self) -> None:
        """Drop the settings of before."""
        for name in (INSIDE, BESIDE):
            await asyncio.to_thread(forget_group, self._book.private(name))

    async def _put(self, switches: Sequence[Switch], name: str) -> None:
        edits = await self._planned(switches)
        await asyncio.to_thread(apply_group, edits, self._book.private(name))
        if edits:
            await self._book.tell("application_settings", files=[str(edit.file) for edit in edits])

    async def _planned(self, switches: Sequence[Switch]) -> tuple[Edit, ...]:
        ctx = self._book.ctx
        source = real_path(ctx.config.source.path)
        values = source_values(source) if ctx.config.in_place else target_values(await target_of(ctx), source)
        return await asyncio.to_thread(plan_edits, switches, values)
