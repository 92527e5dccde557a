"""The last look at the application before a run is complete: health checks are asked once more, functions tried once more."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from stepflow_tui.engine.application.health import Answer
from stepflow_tui.engine.application.probes import Probed, run_probes
from stepflow_tui.engine.model.config import Mode
from stepflow_tui.engine.model.config_application import Probe
from stepflow_tui.engine.model.finding import warning
from stepflow_tui.engine.steps.application.findings import redact_of
from stepflow_tui.engine.steps.application.watching import AVAILABILITY, ask_now
from stepflow_tui.engine.steps.context import RunContext

HEALTH_STAGE, PROBES_STAGE = "application-health", "probes"
"""Stages of the findings in the journal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What was seen. Empty where nothing is configured, or may be tried."""

    health: tuple[Answer, ...] = ()
    probes: tuple[Probed, ...] = ()


async def last_look(ctx: RunContext) -> Looked:
    """Ask and try everything that is configured; what is wrong becomes a finding, and no error: the data is proven."""
    health = await asyncio.gather(*(ask_now(ctx, check) for check in ctx.config.application.health))
    bad = [warning("application_unhealthy_after", a.what, reason=a.reason) for a in health if not a.ok]
    await ctx.journal.set_findings(HEALTH_STAGE, bad)
    looked = Looked(health=tuple(health), probes=await try_functions(ctx))
    ctx.memory.put(looked)
    return looked


async def try_functions(ctx: RunContext, probes: Sequence[Probe] | None = None) -> tuple[Probed, ...]:
    """Run the functional probes; failures and records that stayed behind become findings.

    In `mode: copy` the application still works on the source: a probe that writes would change it behind the copy's back, so
    only those that read are run.
    """
    chosen = ctx.config.application.probes if probes is None else probes
    if ctx.config.mode is Mode.COPY:
        chosen = [p for p in chosen if p.create is None]
    tried = await run_probes(chosen, run_dir=ctx.run_dir, redact=redact_of(ctx))
    await ctx.journal.set_findings(PROBES_STAGE, [f for p in tried for f in p.findings])
    return tried


def health_note(answers: Sequence[Answer]) -> str:
    """`2 checks passed`, or which did not."""
    bad = [f"{a.what}: {a.reason}" for a in answers if not a.ok]
    return "; ".join(bad) if bad else f"{len(answers)} health checks passed"


def probes_note(tried: Sequence[Probed]) -> str:
    """`2 probes passed`, or which did not."""
    bad = [f"{p.name}: {p.reason}" for p in tried if not p.ok]
    return "; ".join(bad) if bad else f"{len(tried)} probes passed: {', '.join(p.name for p in tried)}"


def watched_note(ctx: RunContext) -> str:
    """What the sampler has measured so far, "" before it has."""
    total = ctx.journal.gauges().get(AVAILABILITY, {}).get("total") or {}
    if not total.get("requests"):
        return ""
    return (
        f"{total['requests']} requests, {total['failed']} failed; {total['unavailable_seconds']:.1f} s unavailable, "
        f"longest gap {total['longest_gap_seconds']:.1f} s"
    )
