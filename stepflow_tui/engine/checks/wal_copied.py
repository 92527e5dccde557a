"""Does a timetable of this machine copy the database file by itself? In WAL mode the newest rows are in `-wal`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.finding import Finding, warning
from stepflow_tui.engine.sqlite.child import path_text, run_child

PLACES = (
    Path("/etc/crontab"), Path("/etc/anacrontab"), Path("/etc/cron.d"), Path("/etc/cron.hourly"), Path("/etc/cron.daily"),
    Path("/etc/cron.weekly"), Path("/etc/cron.monthly"), Path("/var/spool/cron"), Path("/etc/systemd/system"),
    Path("/etc/systemd/user"),
)  # fmt: skip
"""Where timetables stand; what can't be read is asked in the checklist anyway."""


async def run(ctx: CheckContext, places: Sequence[Path] = PLACES) -> list[Finding]:
    """A warning per line; scripts that such a line calls are looked at too."""
    request = {
        "path": path_text(ctx.examined.path),
        "real": path_text(ctx.examined.real),
        "places": [path_text(p) for p in places],
    }
    found = await run_child("stepflow_tui.engine.sqlite.copies_child", request)
    return [warning("wal_copied_by", ctx.source_text, **line) for line in found]
