"""Settings: those that live in the file are read back, those of each connection are compared with what the application sets."""

from __future__ import annotations

from stepflow_tui.engine.application.pragma_probe import ask_probe
from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.model.finding import Finding, info, warning
from stepflow_tui.engine.model.pragmas import profile
from stepflow_tui.engine.sqlite.convert import read_mode
from stepflow_tui.engine.steps.application.findings import redact_of
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.wal.facts import source_of
from stepflow_tui.engine.tuning.judging import Judged, findings_of, judge


class Tune(PlainStep):
    """Changes nothing: what persists was set before, what does not is the application's to set on every connection."""

    name = "tune"

    async def apply(self, ctx: RunContext) -> Evidence:
        """Read back, and ask the application where the config says how."""
        mode = await read_mode(source_of(ctx))
        judged, told = await _asked(ctx, mode.page_size)
        told += findings_of(ctx.config.wal, mode.page_size)
        await ctx.journal.set_findings("tune", told)
        return {
            "journal_mode": mode.mode,
            "page_size": mode.page_size,
            "auto_vacuum": mode.auto_vacuum,
            "asked": bool(ctx.config.wal.probe),
            "settings": {one.name: one.state.value for one in judged},
        }


async def _asked(ctx: RunContext, page_size: int) -> tuple[tuple[Judged, ...], list[Finding]]:
    """What a connection of the application has set. A probe that can't be run is told, and stops nothing."""
    probe = ctx.config.wal.probe
    if probe is None:
        return (), [info("wal_connection_settings", None, count=len(profile(ctx.config.wal)))]
    try:
        found = await ask_probe(probe, folder=ctx.loaded.path.parent, redact=redact_of(ctx))
    except StepFlowError as error:
        return (), [warning("wal_probe_failed", None, reason=f"{error.message} {error.detail}".strip())]
    judged = judge(found, profile(ctx.config.wal), page_size=page_size)
    return judged, [finding for one in judged if (finding := one.finding) is not None]
