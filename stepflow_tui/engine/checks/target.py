"""The checks of the target in their declared order, as the registry wants them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from stepflow_tui.engine.checks import (
    target_connections,
    target_contents,
    target_disk,
    target_encoding,
    target_owner,
    target_pooler,
    target_reachable,
    target_rights,
    target_roles,
    target_row_security,
    target_tls,
    target_types,
    target_version,
    target_writable,
)
from stepflow_tui.engine.checks.context import COPYING, Check, CheckContext, Needs
from stepflow_tui.engine.model.finding import Finding
from stepflow_tui.engine.postgres.view import TargetView

_MODULES = (
    target_reachable,
    target_version,
    target_writable,
    target_encoding,
    target_pooler,
    target_tls,
    target_owner,
    target_contents,
    target_rights,
    target_row_security,
    target_roles,
    target_types,
    target_connections,
    target_disk,
)


def _of_view(
    run: Callable[[TargetView], Awaitable[list[Finding]]],
) -> Callable[[CheckContext], Awaitable[list[Finding]]]:
    async def checked(ctx: CheckContext) -> list[Finding]:
        return await run(ctx.target) if ctx.target is not None else []

    return checked


TARGET_CHECKS: tuple[Check, ...] = tuple(
    Check(name=module.NAME, run=_of_view(module.run), needs=Needs.TARGET, kinds=COPYING) for module in _MODULES
)


async def check_target(view: TargetView) -> list[Finding]:
    """All findings about the target, in order."""
    return [finding for module in _MODULES for finding in await module.run(view)]
