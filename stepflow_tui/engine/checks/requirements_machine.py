"""Has the application's machine the memory and disk that are asked for, and does it reach what it needs?"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.config_wal import Need
from stepflow_tui.engine.model.finding import Finding, blocking, warning
from stepflow_tui.engine.sqlite.connect import shown
from stepflow_tui.engine.sqlite.holders import PROC

REACH_SECONDS = 3.0
"""How long a host may take to answer."""
CGROUP = Path("/sys/fs/cgroup")


async def run(ctx: CheckContext) -> list[Finding]:
    """Below the minimum refuses where the operator wrote the figure, and warns where it is our default."""
    needs, folder = ctx.config.requirements, ctx.examined.real.parent
    pids = [str(h.pid) for h in ctx.holders.processes] or ["self"]
    memory = await asyncio.to_thread(lambda: min(memory_bytes(pid) for pid in pids))
    found = _judged(ctx, "memory", needs.memory, memory, "memory")
    if folder.is_dir():
        found += _judged(ctx, "disk", needs.disk, shutil.disk_usage(folder).free, shown(folder))
    if ctx.folder is None:
        return found
    answers = await asyncio.gather(*(_reached(address) for address in needs.network))
    return [
        *found,
        *(
            blocking("app_network", a, address=a, reason=why)
            for a, why in zip(needs.network, answers, strict=True)
            if why
        ),
    ]


def _judged(ctx: CheckContext, key: str, need: Need, has: int, named: str) -> list[Finding]:
    params = {"has_bytes": has, "minimum_bytes": need.minimum, "recommended_bytes": need.recommended}
    if has < need.minimum:
        written = key in ctx.config.requirements.model_fields_set
        tell: Callable[..., Finding] = blocking if written else warning
        return [tell(f"app_{key}_short", named, **params)]
    return [warning(f"app_{key}_recommended", named, **params)] if has < need.recommended else []


def memory_bytes(pid: str = "self", *, proc: Path = PROC, cgroup: Path = CGROUP, total: int | None = None) -> int:
    """What a process may use at most: the machine's memory, or less where a control group (a container) says so.

    Args:
        pid: its number, or `self`.
        proc: where the process table is.
        cgroup: where control groups are mounted.
        total: of the machine; asked if left out.
    """
    limits = [psutil.virtual_memory().total if total is None else total]
    paths = {""}
    with suppress(OSError):
        for line in (proc / pid / "cgroup").read_text("utf-8", "replace").splitlines():
            _, controllers, path = line.split(":", 2)
            paths |= {path} if not controllers or "memory" in controllers.split(",") else set()
    for path in paths:
        for place in (cgroup / path.strip("/"), cgroup / "memory" / path.strip("/")):
            limits += _limits(place, cgroup)
    return min(limits)


def _limits(place: Path, cgroup: Path) -> list[int]:
    """Of a group and all above it: the smallest counts."""
    found = []
    for folder in (place, *place.parents):
        if not folder.is_relative_to(cgroup):
            break
        for name in ("memory.max", "memory.limit_in_bytes"):
            with suppress(OSError, ValueError):  # "max": no limit
                found.append(int((folder / name).read_text()))
    return found


async def _reached(address: str) -> str:
    """Why it can't be reached, "" where it answers."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        return "not host:port"
    try:
        async with asyncio.timeout(REACH_SECONDS):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except TimeoutError:
        return f"no answer within {REACH_SECONDS:.0f} s"
    except (OSError, UnicodeError) as error:
        return str(error)
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return ""
