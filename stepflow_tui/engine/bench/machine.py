"""What the figures were measured on: processors, memory, disk, versions."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from stepflow_tui.engine.model.benchmark import TablesUsed
from stepflow_tui.engine.sqlite.mounts import filesystem_of

_IN_MEMORY = frozenset({"tmpfs", "ramfs"})
"""Nothing is synced there: WAL gains less than on a disk."""


def machine_of(folder: Path, sqlite: str) -> dict[str, Any]:
    """The machine and the disk that holds a folder; load is the one before the benchmark.

    Args:
        folder: where the copies are.
        sqlite: the library's version, as its process tells.
    """
    disk = shutil.disk_usage(folder)
    memory = psutil.virtual_memory()
    return {
        "cpu": _processor(), "cpus": len(os.sched_getaffinity(0)), "load": [round(x, 2) for x in os.getloadavg()],
        "memory_bytes": memory.total, "memory_free_bytes": memory.available,
        "disk_bytes": disk.total, "disk_free_bytes": disk.free, "filesystem": filesystem_of(folder).kind,
        "system": f"{platform.system()} {platform.release()}", "python": platform.python_version(),
        "sqlite": sqlite,
    }  # fmt: skip


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if line.startswith(("model name", "Model")):
                return line.partition(":")[2].strip()
    return platform.machine()


def notes_of(tables: TablesUsed, machine: Mapping[str, Any]) -> tuple[str, ...]:
    """Codes of what has to be known beside the figures."""
    found = {
        "own_writes": tables.own_writes,
        "own_joined": tables.own_joined,
        "memory_disk": machine["filesystem"] in _IN_MEMORY,
        "busy_machine": machine["load"][0] > machine["cpus"],
    }
    return tuple(code for code, holds in found.items() if holds)
