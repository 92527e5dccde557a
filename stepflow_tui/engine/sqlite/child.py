"""Owns short-lived child processes: whatever needs `open()` on a database, or may run long on a hostile file, runs in one.

Closing a descriptor drops all POSIX locks a process holds on that file, so a process with a SQLite connection must never
`open()` the database itself. The child is a fresh interpreter, never a fork: locks and connections don't survive a fork.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from stepflow_tui.engine import errors
from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.model.control import Control
from stepflow_tui.engine.sqlite.serving import Emit, path_text

__all__ = ["environment", "path_text", "run_child"]

_LOOK_SECONDS = 0.2
"""How often a waiting parent looks at its control."""

_LINE_LIMIT = 64 * 1024 * 1024


async def run_child(
    module: str, request: dict[str, Any], *, control: Control | None = None, on_event: Emit | None = None
) -> Any:
    """Run one request in a child process and return its JSON result.

    Args:
        module: dotted name of a module that calls `serving.serve` when run.
        request: JSON-ready; paths as `path_text`.
        control: pause stops the child's clock (SIGSTOP), stop and abort kill it.
        on_event: takes each line the child emits before its result.

    Raises:
        StepFlowError: what the child raised, as it was, or `child_failed`.
        Stopping: by `control`.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=environment(), limit=_LINE_LIMIT,
    )  # fmt: skip
    errors_task = asyncio.create_task(_read_all(process.stderr))
    try:
        answer = await _converse(process, request, control, on_event)
        stderr = await errors_task
    finally:
        await _end(process)
        errors_task.cancel()
    return _result(module, answer, stderr, process.returncode)


async def _read_all(stream: asyncio.StreamReader | None) -> bytes:
    return await stream.read() if stream else b""


async def _converse(
    process: asyncio.subprocess.Process, request: dict[str, Any], control: Control | None, on_event: Emit | None
) -> dict[str, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(BrokenPipeError, ConnectionResetError):  # a child that died at once tells why on stderr
        process.stdin.write(json.dumps(request).encode() + b"\n")
        await process.stdin.drain()
    answer: dict[str, Any] = {}
    while line := await _next_line(process, control):
        message = json.loads(line)
        if "event" in message:
            if on_event:
                on_event(message["event"])
        else:
            answer = message
            process.stdin.close()
    return answer


async def _next_line(process: asyncio.subprocess.Process, control: Control | None) -> bytes:
    assert process.stdout is not None
    if control is None:
        return await process.stdout.readline()
    reading = asyncio.ensure_future(process.stdout.readline())
    try:
        while not reading.done():
            await asyncio.wait({reading}, timeout=_LOOK_SECONDS)
            if control.halted and not reading.done():
                await _hold(process, control)
        return await reading
    finally:
        reading.cancel()


async def _hold(process: asyncio.subprocess.Process, control: Control) -> None:
    """Stop the child while the run is paused; a Stopping passes through with the child still to be killed."""
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGSTOP)
    await control.checkpoint()
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGCONT)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.stdin is not None and not process.stdin.is_closing():
        process.stdin.close()
    if process.returncode is None:
        try:
            await asyncio.wait_for(process.wait(), 0.05)
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
    await process.wait()


def environment() -> dict[str, str]:
    """What a child of ours starts with: the child must find the very same package, installed or not, whatever its working directory."""
    root = str(Path(__file__).resolve().parents[3])
    rest = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{rest}" if rest else root, "PYTHONDONTWRITEBYTECODE": "1"}


def _result(module: str, answer: dict[str, Any], stderr: bytes, returncode: int | None) -> Any:
    if "result" in answer:
        return answer["result"]
    if "error" in answer:
        kind, message, detail, hint, code = answer["error"]
        raise getattr(errors, kind)(message, detail=detail, hint=hint, code=code)
    tail = stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or [f"ended with status {returncode}"]
    raise StepFailed(
        "A child process that read the database ended without an answer.",
        detail=f"{module.rpartition('.')[2]}: {tail[0]}",
        hint="Look for a killed process (out of memory?) in the system log, then run again.",
        code="child_failed",
    )
