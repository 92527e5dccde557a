"""Asks the application itself how its connections are set: runs the operator's probe, bounded in time and output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stepflow_tui.engine.application.commands import Session, run_command, tail
from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.model.redact import Redact
from stepflow_tui.engine.tuning.judging import parse_probe

SECONDS = 30.0
_SHOWN = 300


async def ask_probe(command: str, *, folder: Path, redact: Redact, seconds: float = SECONDS) -> dict[str, Any]:
    """What the probe printed.

    Args:
        command: `wal.probe`, for `/bin/sh`.
        folder: the config's, where it runs.
        redact: blots secrets out of what it printed.
        seconds: how long it may take; after that its processes are ended.

    Raises:
        StepFailed: `probe_failed`: it did not end well.
        UsageError: `probe_unreadable`: it printed no settings.
    """
    ran = await run_command(command, folder=folder, env={}, seconds=seconds, redact=redact, started=_nothing_to_note)
    if not ran.ok:
        last = tail(ran.output, _SHOWN).strip()
        raise StepFailed(
            "The application's probe did not end well.",
            detail=f"{ran.ending}{f': {last}' if last else ''}",
            hint="Run the command of `wal.probe` by hand, in the config's folder, until it prints its line.",
            code="probe_failed",
        )
    return parse_probe(ran.output)


async def _nothing_to_note(_session: Session) -> None:
    """It changes nothing, so an engine that dies takes nothing back."""
