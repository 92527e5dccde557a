"""Do the config's own settings for connections mean what they seem to?"""

from __future__ import annotations

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.finding import Finding
from stepflow_tui.engine.tuning.judging import findings_of


async def run(ctx: CheckContext) -> list[Finding]:
    """Numbers of pages are told in bytes, by the page size that the file has or is going to have."""
    header = ctx.examined.header
    return findings_of(ctx.config.wal, ctx.config.wal.page_size or (header.page_size if header else None))
