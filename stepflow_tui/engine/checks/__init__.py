"""Owns the preflight: all checks in their declared order, all of them run, none stops another.

A check is a module with `async def run(ctx) -> list[Finding]`; here it gets its name, its stages and what it needs.
"""

from __future__ import annotations

from stepflow_tui.engine.checks import (
    application_env,
    application_health,
    application_recipes,
    application_switches,
    config_invariants,
    config_tables,
    config_types,
    config_unused,
    source_busy_timeout,
    source_encoding,
    source_file,
    source_filesystem,
    source_holders,
    source_journal,
    source_migrated,
    source_names,
    source_stall,
    source_tables,
    source_wal,
    system_backup_dir,
    system_disk,
    system_libraries,
    system_logout,
    system_memory,
    system_state_dir,
    system_wal_reset,
    target_pool,
)
from stepflow_tui.engine.checks.context import COPYING, Check, CheckContext, CheckStage, Needs, check_context
from stepflow_tui.engine.checks.live import LIVE_CHECKS
from stepflow_tui.engine.checks.target import TARGET_CHECKS
from stepflow_tui.engine.checks.wal import APP_CHECKS, REQUIREMENT_CHECKS, WAL_CHECKS
from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.model.finding import Finding, blocking

CHECKS: tuple[Check, ...] = (
    Check(name="source_file", run=source_file.run),
    Check(name="source_migrated", run=source_migrated.run),
    Check(name="source_journal", run=source_journal.run),
    Check(name="source_wal", run=source_wal.run),
    Check(name="source_names", run=source_names.run, needs=Needs.SOURCE),
    Check(name="source_filesystem", run=source_filesystem.run, needs=Needs.SOURCE),
    Check(name="source_holders", run=source_holders.run, needs=Needs.SOURCE, kinds=COPYING),
    Check(name="source_stall", run=source_stall.run, needs=Needs.SOURCE),
    Check(name="source_busy_timeout", run=source_busy_timeout.run, kinds=COPYING),
    Check(name="source_tables", run=source_tables.run, needs=Needs.SCHEMA),
    Check(name="source_encoding", run=source_encoding.run, needs=Needs.SCHEMA, kinds=COPYING),
    Check(name="config_tables", run=config_tables.run, needs=Needs.SCHEMA, kinds=COPYING),
    Check(name="config_types", run=config_types.run, needs=Needs.SCHEMA, kinds=COPYING),
    Check(name="config_invariants", run=config_invariants.run, needs=Needs.SCHEMA, kinds=COPYING),
    Check(name="config_unused", run=config_unused.run),
    Check(name="system_libraries", run=system_libraries.run, kinds=COPYING),
    *WAL_CHECKS,
    Check(name="system_wal_reset", run=system_wal_reset.run),
    Check(name="system_state_dir", run=system_state_dir.run),
    Check(name="system_backup_dir", run=system_backup_dir.run),
    Check(name="system_disk", run=system_disk.run),
    Check(name="system_memory", run=system_memory.run),
    Check(name="system_logout", run=system_logout.run),
    *REQUIREMENT_CHECKS,
    *TARGET_CHECKS,
    Check(name="target_pool", run=target_pool.run, needs=Needs.TARGET, kinds=COPYING),
    *LIVE_CHECKS,
    *APP_CHECKS,
    Check(name="application_health", run=application_health.run),
    Check(name="application_switches", run=application_switches.run),
    Check(name="application_recipes", run=application_recipes.run),
    Check(name="application_env", run=application_env.run),
)
"""In the order in which their findings are shown: the source, what the config says of it, what only a conversion in place
needs, this machine, the target, what only live runs need, and the application."""


async def run_checks(ctx: CheckContext) -> list[Finding]:
    """All findings of all checks that apply, in order.

    Args:
        ctx: the shared facts; `ctx.stage` chooses the checks.
    """
    found: list[Finding] = []
    for check in CHECKS:
        if check.asked(ctx):
            found += await _run(check, ctx)
    return found


async def _run(check: Check, ctx: CheckContext) -> list[Finding]:
    """A check that can't be done is itself a blocking finding: what was not looked at must not pass."""
    try:
        return await check.run(ctx)
    except StepFlowError as error:
        return [
            blocking(
                "check_failed",
                check.name,
                check=check.name,
                message=error.message,
                detail=error.detail,
                hint=error.hint,
            )
        ]
    except OSError as error:
        return [blocking("check_failed", check.name, check=check.name, message=str(error), detail="", hint="")]


__all__ = ["CHECKS", "Check", "CheckContext", "CheckStage", "Needs", "check_context", "run_checks"]
