"""The checklist: automatic items decided from what the run knows, the config's own checks run."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal

from stepflow_tui.engine.checks.checklist import ChecklistFacts, decide_all
from stepflow_tui.engine.model.config_application import ChecklistItem
from stepflow_tui.engine.model.discrepancy import Verified
from stepflow_tui.engine.model.finding import Finding, Severity
from stepflow_tui.engine.model.state import ItemState
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext

CHECK_SECONDS = 60.0
OUTPUT_BYTES = 400


class Settle(PlainStep):
    """The last look at the checklist, when everything else is done."""

    name = "settle-checklist"

    async def apply(self, ctx: RunContext) -> Evidence:
        """Decide what can be decided now."""
        return {"decided": await settle_checklist(ctx, finished=True)}


async def settle_checklist(ctx: RunContext, *, finished: bool = False, times: tuple[str, ...] = ("before", "during", "after")) -> int:
    """Decide automatic items from the journal, and run the checks of the config's items. Returns how many were decided."""
    decided = decide_all(await _facts(ctx, finished=finished))
    for name, decision in decided.items():
        await ctx.journal.check_item(name, ok=decision.state is ItemState.TICKED, note=decision.note)
    count = len(decided)
    for when in times:
        for item in getattr(ctx.config.checklist, when):
            if item.check is not None:
                ok, note = await _run_check(item)
                await ctx.journal.check_item(item.id, ok=ok, note=note)
                count += 1
    return count


async def _facts(ctx: RunContext, *, finished: bool) -> ChecklistFacts:
    backup = await ctx.journal.backup()
    rows = await ctx.journal.findings()
    findings = tuple(Finding(code=r["code"], severity=Severity(r["severity"]), params=json.loads(r["params"]), object=r["object"]) for r in rows)
    preflight = await ctx.journal.step_row("prepare.preflight")
    evidence = json.loads(preflight["evidence"] or "{}")
    tables = await ctx.journal.table_facts()
    verify = await ctx.journal.step_row("validate.verify")
    verified = None if verify["state"] != "done" and not finished else all(t.verified is Verified.EQUAL and t.rejected_rows == 0 for t in tables)
    comprehensive = ctx.config.verify.level.value == "comprehensive"
    alerts = await ctx.journal.fetch("SELECT count(*) AS n FROM alert WHERE cleared_seq IS NULL AND severity='critical'")
    return ChecklistFacts(
        checked=True,
        findings=findings,
        backup_sha256=backup["sha256"] if backup else None,
        backup_tested=bool(backup["verified"]) if backup else None,
        holders_known=evidence.get("holders"),
        state_recorded=backup is not None,
        undo_complete=True,
        verified_clean=verified,
        verified_comprehensive=verified if comprehensive else None,
        decisions_recorded=True if finished else None,
        alerts_open=int(alerts[0]["n"]),
        scratch_removed=True if finished else None,
    )


async def _run_check(item: ChecklistItem) -> tuple[bool, str]:
    """Run an item's command. A command that hangs is a no, and it is not left running."""
    assert item.check is not None
    process = await asyncio.create_subprocess_shell(
        item.check, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, start_new_session=True
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(), CHECK_SECONDS)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        return False, f"no answer within {CHECK_SECONDS:.0f} s"
    said = out[-OUTPUT_BYTES:].decode(errors="replace").strip()
    return process.returncode == 0, f"exit status {process.returncode}{': ' if said else ''}{said}"
