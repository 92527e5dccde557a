"""Runs a command as a process tree: wall seconds, CPU seconds, peak proportional memory of the tree."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

SAMPLE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Measured:
    """One run. `peak_mb` is the largest sum of PSS over the tree (RSS where PSS can't be read)."""

    name: str
    seconds: float
    peak_mb: float
    exit_code: int
    note: str = ""


def measure(
    name: str,
    command: list[str],
    *,
    env: dict[str, str] | None = None,
    stdin: Path | None = None,
    cwd: Path | None = None,
    extra_match: str = "",
    count_root: bool = True,
) -> Measured:
    """Run `command` to its end. Processes whose command line contains `extra_match` are counted too (a detached engine); `count_root` False leaves the command itself out (a front end)."""
    peak, stop = [0.0], threading.Event()
    log = Path(os.environ.get("TMPDIR", "/tmp")) / f"stepflow-bench-{os.getpid()}.log"
    with log.open("wb") as out, stdin.open("rb") if stdin else open(os.devnull, "rb") as source:
        begin = time.monotonic()
        process = subprocess.Popen(
            command, stdin=source, stdout=out, stderr=out, env={**os.environ, **(env or {})}, cwd=cwd
        )
        sampler = threading.Thread(target=_sample, args=(process.pid if count_root else None, extra_match, peak, stop))
        sampler.start()
        code = process.wait()
        seconds = time.monotonic() - begin
        stop.set()
        sampler.join()
    note = "" if code == 0 else log.read_text(errors="replace")[-400:]
    return Measured(name, seconds, peak[0], code, note)


def _sample(pid: int | None, extra_match: str, peak: list[float], stop: threading.Event) -> None:
    while not stop.wait(SAMPLE_SECONDS):
        peak[0] = max(peak[0], sum(_memory_mb(p) for p in _tree(pid, extra_match)))


def _tree(pid: int | None, extra_match: str) -> list[psutil.Process]:
    found: dict[int, psutil.Process] = {}
    if pid is not None:
        with contextlib.suppress(psutil.Error):
            root = psutil.Process(pid)
            found = {p.pid: p for p in (root, *root.children(recursive=True))}
    if extra_match:
        for p in psutil.process_iter(["cmdline"]):
            if extra_match in " ".join(p.info["cmdline"] or ()):
                found.update({q.pid: q for q in (p, *_children(p))})
    return [p for p in found.values() if not _is_server(p)]


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _is_server(process: psutil.Process) -> bool:
    try:
        return process.name().startswith("postgres")
    except psutil.Error:
        return True


def _memory_mb(process: psutil.Process) -> float:
    try:
        full = process.memory_full_info()
        return float(getattr(full, "pss", 0) or full.rss) / 1e6
    except psutil.Error:
        return 0.0
