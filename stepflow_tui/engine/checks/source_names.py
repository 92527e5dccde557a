"""Does the source have exactly one name? Side files are named after it, so a second name has others."""

from __future__ import annotations

from pathlib import Path

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.finding import Finding, blocking, info, warning
from stepflow_tui.engine.sqlite.connect import shown


async def run(ctx: CheckContext) -> list[Finding]:
    """Hard links and single-file mounts stop a WAL file, and one that shall become one (rows may be in another `-wal`);
    symlinks are followed and told."""
    examined = ctx.examined
    grave = blocking if examined.wal or ctx.config.in_place else warning
    found = []
    if examined.links > 1:
        others = ", ".join(examined.other_names) or "outside its folder"
        found.append(grave("source_hard_links", ctx.source_text, links=examined.links, others=others))
    if examined.file_mount:
        found.append(grave("source_file_mount", ctx.source_text))
    if Path(examined.path).is_symlink():
        found.append(info("source_symlink", ctx.source_text, real=shown(examined.real)))
    return found
