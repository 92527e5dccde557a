"""The engine's journal: one class put together from its parts, one connection, one process.

runs          the run's row: state, epoch, result
steps         phases and steps with intents and evidence
facts         plan, tables, objects, findings, differences, rejects, backup, timings
progress      how far things are
gauges        what a live run shows: lag, WAL, read switch, verifier
control_rows  intents and leases
people        checklist, answers at gates, alerts, notes
audit         the keyed chain
"""

from __future__ import annotations

from stepflow_tui.engine.journal.audit import AuditRows
from stepflow_tui.engine.journal.control_rows import ControlRows
from stepflow_tui.engine.journal.facts import Facts
from stepflow_tui.engine.journal.gauges import GaugeRows
from stepflow_tui.engine.journal.people import People
from stepflow_tui.engine.journal.progress import ProgressRows
from stepflow_tui.engine.journal.runs import Runs
from stepflow_tui.engine.journal.steps import Steps


class Journal(Runs, Steps, Facts, ProgressRows, GaugeRows, ControlRows, People, AuditRows):
    """Everything the engine writes about a run: `async with await Journal.open(run_dir, clock) as journal`."""

    async def flush_progress(self) -> None:
        """Write progress and gauges that changed."""
        await super().flush_progress()
        await self.flush_gauges()
