"""Does this system end a user's processes at logout?"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.finding import Finding, warning

CGROUP = Path("/proc/self/cgroup")
ASK_SECONDS = 5.0
_PROPERTY = (
    "busctl", "get-property", "org.freedesktop.login1", "/org/freedesktop/login1",
    "org.freedesktop.login1.Manager", "KillUserProcesses",
)  # fmt: skip


async def run(ctx: CheckContext) -> list[Finding]:
    """A warning when the engine would die with the login session it was started in."""
    if not in_login_session(await asyncio.to_thread(_cgroup)):
        return []
    return [warning("logout_kills", None)] if kills(await _ask()) else []


def in_login_session(cgroup: str) -> bool:
    """Whether /proc/self/cgroup names a login session's scope."""
    return re.search(r"/session-[^/]+\.scope\b", cgroup) is not None


def kills(answer: str) -> bool:
    """Whether logind's answer says that processes end with their session."""
    return answer.split() == ["b", "true"]


def _cgroup() -> str:
    try:
        return CGROUP.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


async def _ask() -> str:
    """logind's setting; "" where there is no logind to ask."""
    try:
        process = await asyncio.create_subprocess_exec(
            *_PROPERTY,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return ""
    try:
        out, _ = await asyncio.wait_for(process.communicate(), ASK_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
        return ""
    return out.decode(errors="replace")
