"""A process that forks one child per line of its input, to be killed while it raises or lifts the fence.

`python -m tests.faults.fence_engine FILE TABLE…`; a line is `raise NAME:N`, `lift NAME:N` (a failpoint) or `apart NAME:N`:
raised with every statement committed by itself.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stepflow_tui.engine import failpoints
from stepflow_tui.engine.sqlite import fence


@contextmanager
def _apart(_: sqlite3.Connection, __: Path, ___: float) -> Iterator[None]:
    yield


def _child(path: Path, tables: list[str], what: str, point: str) -> None:
    os.environ["STEPFLOW_FAILPOINT"] = f"{point}:kill"
    failpoints._passed.clear()
    if what == "apart":
        fence.immediate = _apart  # type: ignore[assignment]
    try:
        if what == "lift":
            asyncio.run(fence.lift_fence(path, wait=5))
        else:
            asyncio.run(fence.raise_fence(path, tables, wait=5))
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


def main() -> None:
    """Serve lines until the input ends."""
    path, tables = Path(sys.argv[1]), sys.argv[2:]
    for line in sys.stdin:
        what, point = line.split()
        child = os.fork()
        if child == 0:
            _child(path, tables, what, point)
        _, status = os.waitpid(child, 0)
        print("killed" if os.WIFSIGNALED(status) else f"exit {os.waitstatus_to_exitcode(status)}", flush=True)


if __name__ == "__main__":
    main()
