"""The checklist: automatic items decided from what the run knows, the config's own checks run."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from typing import Any

from stepflow_tui.engine.alerts.watch import capture_broken
from stepflow_tui.engine.application.archiving import STEP as ARCHIVE
from stepflow_tui.engine.checks.application_env import in_force
from stepflow_tui.engine.checks.checklist import ITEMS, ChecklistFacts, decide_all
from stepflow_tui.engine.checks.checklist_in_place import IN_PLACE_ITEMS
from stepflow_tui.engine.journal.audit import ChainState
from stepflow_tui.engine.journal.reader import RunReader
from stepflow_tui.engine.model.config import Level
from stepflow_tui.engine.model.config_application import ChecklistItem
from stepflow_tui.engine.model.discrepancy import Verified
from stepflow_tui.engine.model.finding import Finding, Severity
from stepflow_tui.engine.model.state import ItemState, StepState
from stepflow_tui.engine.postgres import control
from stepflow_tui.engine.steps.application.last_look import Looked, health_note, last_look, probes_note, watched_note
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.facts import connection

CHECK_SECONDS = 60.0
OUTPUT_BYTES = 400


class Settle(PlainStep):
    """The last look at the checklist, when everything else is done."""

    name = "settle-checklist"

    async def apply(self, ctx: RunContext) -> Evidence:
        """Ask the application once more, then decide what can be decided now."""
        await last_look(ctx)
        return {"decided": await settle_checklist(ctx, finished=True)}


async def settle_checklist(
    ctx: RunContext, *, finished: bool = False, times: tuple[str, ...] = ("before", "during", "after")
) -> int:
    """Decide automatic items from the journal, and run the checks of the config's items. Returns how many were decided."""
    decided = decide_all(await _facts(ctx, finished=finished), IN_PLACE_ITEMS if ctx.config.in_place else ITEMS)
    passed = await _accepted_before(ctx)
    for name, decision in decided.items():
        if name in passed and decision.state is ItemState.FAILED:
            continue  # it was accepted as it is, at its gate
        await ctx.journal.check_item(name, ok=decision.state is ItemState.TICKED, note=decision.note)
    count = len(decided)
    for when in times:
        for item in getattr(ctx.config.checklist, when):
            if item.check is not None:
                ok, note = await _run_check(item)
                await ctx.journal.check_item(item.id, ok=ok, note=note)
                count += 1
    return count


async def _accepted_before(ctx: RunContext) -> frozenset[str]:
    """In place: items due before anything was changed that somebody accepted. They would be asked for again at each gate."""
    if not ctx.config.in_place:
        return frozenset()
    rows = await ctx.journal.items()
    return frozenset(
        r["id"]
        for r in rows
        if r["state"] == ItemState.ACCEPTED.value and json.loads(r["params"]).get("when") == "before"
    )


async def _facts(ctx: RunContext, *, finished: bool) -> ChecklistFacts:
    """What the journal proves. What nobody has looked at stays None, and its item open."""
    journal = ctx.journal
    backup, run = await journal.backup(), await journal.run_row()
    findings = tuple(_finding(r) for r in await journal.findings())
    steps = {r["name"]: r for r in await journal.step_rows()}
    preflight = json.loads(steps["preflight"]["evidence"] or "{}")
    archive = json.loads(steps[ARCHIVE]["evidence"] or "{}") if ARCHIVE in steps else {}
    proof = steps.get("verify") or steps["prove"]  # a live run proves both sides equal while writes go on
    verified = await _verified(ctx) if proof["state"] == StepState.RUNNING.value or finished else None
    comprehensive = ctx.config.verify.level is Level.COMPREHENSIVE
    alerts = await journal.fetch("SELECT count(*) AS n FROM alert WHERE cleared_seq IS NULL AND severity='critical'")
    return ChecklistFacts(
        checked=steps["preflight"]["state"] == StepState.DONE.value,
        findings=findings,
        backup_sha256=backup["sha256"] if backup else None,
        backup_tested=bool(backup["verified"]) if backup else None,
        holders_known=preflight.get("holders"),
        state_recorded=bool(run and json.loads(run["source"]).get("size") is not None and backup),
        # the steps that change the target are the claim, and the tables with what belongs to them: each has an undo
        undo_complete=ctx.config.in_place or all(n in steps for n in ("claim-target", "create-tables")) or None,
        verified_clean=verified,
        verified_comprehensive=verified if comprehensive else None,
        decisions_recorded=await asyncio.to_thread(_chain_holds, ctx) if finished else None,
        alerts_open=int(alerts[0]["n"]),
        scratch_removed=await _target_clean(ctx) if finished and not ctx.config.in_place else None,
        health_asked=bool(ctx.config.application.health),
        **_application_facts(ctx),
        **(_in_place_facts(steps) if ctx.config.in_place else {}),
        **(await asyncio.to_thread(_settings_facts, ctx) if finished else {}),
        files_archived=archive.get("complete"),
        archive_note=archive.get("note", ""),
        capture_healthy=await _capture_healthy(ctx) if finished and "install-capture" in steps else None,
    )


def _in_place_facts(steps: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What the conversion's own steps have proved."""

    def proved(step: str) -> dict[str, Any]:
        row = steps.get(step) or {}
        found: dict[str, Any] = json.loads(row.get("evidence") or "{}") if row.get("state") == "done" else {}
        return found

    tried, measured, deployed = proved("rehearse"), proved("benchmark"), proved("change-application")
    return {
        "rehearsed": True if tried else None,
        "rehearsed_note": tried.get("skipped") or "a copy of the backup went to WAL and back, its content equal",
        "measured": True if measured else None,
        "limits_met": measured.get("limits_met"),
        "measured_note": measured.get("note", ""),
        "code_deployed": True if deployed else None,
    }


def _application_facts(ctx: RunContext) -> dict[str, Any]:
    """What the last look at the application has shown; nothing before it."""
    looked = ctx.memory.find(Looked)
    if looked is None:
        return {}
    watched = watched_note(ctx)
    return {
        "service_watched": True if watched else None,
        "watched_note": watched,
        "health_passed": all(a.ok for a in looked.health) if looked.health else None,
        "health_note": health_note(looked.health),
        "functions_passed": all(p.ok for p in looked.probes) if looked.probes else None,
        "functions_note": probes_note(looked.probes),
    }


def _settings_facts(ctx: RunContext) -> dict[str, Any]:
    """Whether the application's environment file, as it stands at the end, keeps its rules."""
    judged = in_force(ctx.config)
    return {"settings_in_force": judged[0], "settings_note": judged[1]} if judged else {}


def _finding(row: dict[str, Any]) -> Finding:
    return Finding(
        code=row["code"], severity=Severity(row["severity"]), params=json.loads(row["params"]), object=row["object"]
    )


async def _verified(ctx: RunContext) -> bool:
    return all(t.verified is Verified.EQUAL and t.rejected_rows == 0 for t in await ctx.journal.table_facts())


def _chain_holds(ctx: RunContext) -> bool:
    with RunReader(ctx.run_dir) as reader:
        return reader.verify_audit(ctx.state_dir).state is ChainState.WHOLE


async def _capture_healthy(ctx: RunContext) -> bool:
    """Whether every change was recorded, or what was missed was copied again."""
    full = await ctx.journal.fetch("SELECT 1 FROM alert WHERE code='log_full'")
    return not full and not await capture_broken(ctx.journal)


async def _target_clean(ctx: RunContext) -> bool:
    async with connection(ctx) as conn:
        return not await control.installed(conn)


async def _run_check(item: ChecklistItem) -> tuple[bool, str]:
    """Run an item's command. A command that hangs is a no, and it is not left running."""
    assert item.check is not None
    process = await asyncio.create_subprocess_shell(
        item.check,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
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
