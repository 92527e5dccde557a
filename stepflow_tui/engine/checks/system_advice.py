"""Which settings of this machine would suit a busy database better? Explained, never changed."""

from __future__ import annotations

from pathlib import Path

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.finding import Finding, info

SYSCTL = Path("/proc/sys/vm")
SWAPPINESS, DIRTY, DIRTY_BACKGROUND = 10, 10, 5
"""What is advised at most."""


async def run(ctx: CheckContext, sysctl: Path = SYSCTL) -> list[Finding]:
    """One line of advice for each setting that is higher than advised; settings that can't be read say nothing."""
    found = []
    advised = (("swappiness", SWAPPINESS), ("dirty_ratio", DIRTY), ("dirty_background_ratio", DIRTY_BACKGROUND))
    for name, most in advised:
        value = _value(sysctl / name)
        if value is not None and value > most:
            found.append(info(f"advice_{name}", f"vm.{name}", value=value, advised=most))
    return [*found, *_times(ctx)]


def _times(ctx: CheckContext) -> list[Finding]:
    """Every read that writes an access time costs a write; `relatime` writes it once a day at most."""
    where = ctx.examined.filesystem
    if not where.known or "noatime" in where.options or where.network:
        return []
    kept = "relatime" if "relatime" in where.options else "strictatime"
    return [info("advice_noatime", where.mount_point, kept=kept, mount_point=where.mount_point)]


def _value(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None
