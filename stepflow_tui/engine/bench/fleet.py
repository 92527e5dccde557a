"""The processes of a benchmark: fresh interpreters that prepare, and clients that begin together."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from stepflow_tui.engine import errors
from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.sqlite.child import environment

_LINE_LIMIT = 64 * 1024 * 1024
_HEAD_START_SECONDS = 0.03
"""Between the word to all clients and the moment at which they begin."""
_STUCK_SECONDS = 120.0
"""What a measurement may take beyond its time: a client waits 30 s for a lock at most."""


class Child:
    """One process that takes turns."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, module: str) -> Child:
        """A fresh interpreter that runs this module."""
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable, "-m", module, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL, env=environment(), limit=_LINE_LIMIT,
            )
        )  # fmt: skip

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    async def send(self, message: dict[str, Any]) -> None:
        """Tell it something."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError, ConnectionResetError):  # its silence is noticed by whoever listens
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            await self._process.stdin.drain()

    async def listen(self) -> dict[str, Any]:
        """What it says next.

        Raises:
            StepFlowError: what the child raised, as it was, or `child_failed`.
        """
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise StepFailed(
                "A client of the benchmark ended without an answer.",
                detail=f"exit status {await self._process.wait()}",
                hint="Look for a killed process (out of memory?) in the system log, then try with fewer clients.",
                code="child_failed",
            )
        found: dict[str, Any] = json.loads(line)
        if "error" in found:
            kind, message, detail, hint, code = found["error"]
            raise getattr(errors, kind)(message, detail=detail, hint=hint, code=code)
        return found

    async def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Say something and wait for the answer."""
        await self.send(message)
        return await self.listen()

    async def end(self) -> None:
        """End it, whatever it is doing."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
        await self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()


class Fleet:
    """The clients of one side, kept from one measurement to the next. Used as a context: they end with it."""

    def __init__(self, module: str, hello: Sequence[dict[str, Any]]) -> None:
        self._module, self._hello = module, hello
        self._children: list[Child] = []

    async def __aenter__(self) -> Fleet:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(child.end() for child in self._children))
        self._children.clear()

    async def measure(self, jobs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """One client per job, all beginning at one moment; their results."""
        clients = await self._clients(len(jobs))
        try:
            async with asyncio.timeout(max(job["seconds"] for job in jobs) + _STUCK_SECONDS):
                await asyncio.gather(*(c.ask(job) for c, job in zip(clients, jobs, strict=True)))
                at = time.monotonic() + _HEAD_START_SECONDS
                return list(await asyncio.gather(*(c.ask({"at": at}) for c in clients)))
        except TimeoutError:
            raise StepFailed(
                "A client of the benchmark did not come to an end.",
                hint="Look at the load and the disk of this machine, then run the benchmark again.",
                code="benchmark_stuck",
            ) from None

    async def _clients(self, count: int) -> list[Child]:
        while len(self._children) < count:
            child = await Child.start(self._module)
            self._children.append(child)
            for message in self._hello:
                await child.ask(message)
        return self._children[:count]


class Keeper:
    """A process that only waits, and tidies up where we are killed. Used as a context: it ends with it, having done nothing."""

    def __init__(self, module: str, keep: dict[str, Any]) -> None:
        self._module, self._keep = module, keep
        self._child: Child | None = None

    async def __aenter__(self) -> Keeper:
        self._child = await Child.start(self._module)
        await self._child.ask(self._keep)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._child is not None:
            await self._child.end()
