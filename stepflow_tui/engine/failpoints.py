"""Named places where a test ends the process. In production every call is two dictionary look-ups.

`STEPFLOW_FAILPOINT=name:N:kill` kills the process at the Nth pass of that name;
`STEPFLOW_FAILPOINT_LOG=file` appends `name:N` for every pass, so that a test learns which places a run passes.
Names are literal strings at the call, so that a test can find them all in the sources.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

_passed: Counter[str] = Counter()


def failpoint(name: str) -> None:
    """Count this pass, write it down, or kill the process here, as the environment asks."""
    log = os.environ.get("STEPFLOW_FAILPOINT_LOG")
    armed = os.environ.get("STEPFLOW_FAILPOINT")
    if not log and not armed:
        return
    _passed[name] += 1
    mark = f"{name}:{_passed[name]}"
    if log:
        _append(log, mark)
    if armed == f"{mark}:kill":
        os.kill(os.getpid(), signal.SIGKILL)


def _append(path: str, mark: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(handle, mark.encode() + b"\n")
    finally:
        os.close(handle)
