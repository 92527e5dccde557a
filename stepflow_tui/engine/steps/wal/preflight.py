"""The preflight of a database that stays where it is: every check that applies, and no target."""

from __future__ import annotations

import platform
import sqlite3
from dataclasses import dataclass

from stepflow_tui import __version__
from stepflow_tui.engine.checks import CheckContext, CheckStage, check_context, run_checks
from stepflow_tui.engine.model.codec import to_plain
from stepflow_tui.engine.sqlite.examine import Examined
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.preflight import raise_for_findings


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenInPlace:
    """What the preflight saw, for the steps behind it."""

    examined: Examined


class PreflightInPlace(PlainStep):
    """Looks at source, machine and application. Changes nothing."""

    name = "preflight"

    async def apply(self, ctx: RunContext) -> Evidence:
        """Run all checks that apply.

        Raises:
            Refused: something blocks.
        """
        async with check_context(
            ctx.config,
            state_dir=ctx.state_dir,
            run_dir=ctx.run_dir,
            run_id=ctx.run_id,
            stage=CheckStage.RUN,
            folder=ctx.loaded.path.parent,
        ) as checks:
            findings = await run_checks(checks)
        await ctx.journal.set_findings("preflight", findings)
        await _record(ctx, checks)
        ctx.memory.put(SeenInPlace(examined=checks.examined))
        raise_for_findings(findings)
        holders = checks.holders.known and checks.holders.complete
        return {"findings": len(findings), "holders": holders, "processes": len(checks.holders.processes)}


async def _record(ctx: RunContext, checks: CheckContext) -> None:
    await ctx.journal.set_versions(
        stepflow=__version__, python=platform.python_version(), sqlite=sqlite3.sqlite_version, postgresql=""
    )
    await ctx.journal.set_source(path=str(checks.examined.real), size=checks.examined.size)
    if checks.examined.fingerprint is not None:
        await ctx.journal.set_source(**to_plain(checks.examined.fingerprint))
