"""The write lock of a maintenance window: held by a process of ours from before the copy until the switch.

`BEGIN IMMEDIATE` keeps every other writer out, whatever it is: it gets SQLITE_BUSY. Readers go on. The lock can be handed
over to the write fence without a moment in which nobody keeps writers out.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stepflow_tui.engine import errors
from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.model.codec import from_plain, to_plain
from stepflow_tui.engine.model.live import CapturePlan, Installed
from stepflow_tui.engine.sqlite.child import environment, path_text
from stepflow_tui.engine.sqlite.connect import shown

_CHILD = "stepflow_tui.engine.sqlite.hold_child"
_LINE_LIMIT = 64 * 1024 * 1024
_END_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOver:
    """What the hand-over left in the file: capture, and a fence that stands."""

    installed: Installed
    log_max: int


class WriteLock:
    """A held lock. It ends with `release`, with `hand_over`, with its process, or with ours."""

    def __init__(self, path: Path, process: asyncio.subprocess.Process) -> None:
        self._path = path
        self._process = process
        self._given_back = False

    @classmethod
    async def take(cls, path: Path, *, wait: float) -> WriteLock:
        """Take the lock.

        Args:
            path: the real path of the application's file.
            wait: seconds until writers must have let it go.

        Raises:
            Held: `source_busy`: they did not.
            StepFlowError: SQLite can't open or lock the file.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", _CHILD,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=None,
            env=environment(), cwd="/", limit=_LINE_LIMIT,
        )  # fmt: skip
        lock = cls(path, process)
        try:
            await lock._ask({"path": path_text(path), "wait": wait})
        except BaseException:
            await lock._end()
            raise
        return lock

    @property
    def pid(self) -> int:
        """The process that holds it."""
        return self._process.pid

    @property
    def held(self) -> bool:
        """Whether writers are kept out by it now."""
        return self._process.returncode is None and not self._given_back

    async def lost(self) -> bool:
        """Wait until it is held no more. True when nobody had given it back."""
        await self._process.wait()
        return not self._given_back

    async def release(self) -> None:
        """Let writers in; nothing in the file has changed. Harmless when it is held no more."""
        self._given_back = True
        await self._end()

    async def hand_over(self, plan: CapturePlan, run_id: str, *, wait: float) -> HandedOver:
        """Install change capture and raise the write fence in the transaction that holds the lock, and commit it.

        Args:
            plan: made from the schema as it is.
            run_id: whose capture it is.
            wait: seconds until readers of a rollback-journal file must be gone.

        Raises:
            Held: readers stayed. Refused, Drift: as `capture.install` and `fence.raise_fence`. The lock is gone then, and
                nothing in the file has changed.
        """
        request = {"op": "hand_over", "plan": to_plain(plan), "run": run_id, "wait": wait}
        self._given_back = True
        try:
            done = await self._ask(request)
        finally:
            await self._end()
        found: Installed = from_plain(Installed, done["installed"])
        return HandedOver(installed=found, log_max=int(done["log_max"]))

    async def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(ConnectionError):  # a process that is gone answers nothing, which says it
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            await self._process.stdin.drain()
        line = await self._process.stdout.readline()
        answer = json.loads(line) if line else {}
        if "error" in answer:
            kind, message, detail, hint, code = answer["error"]
            raise getattr(errors, kind)(message, detail=detail, hint=hint, code=code)
        if "result" not in answer:
            raise StepFailed(
                f"The process that holds the write lock of {shown(self._path)} ended without an answer.",
                hint="Look for a killed process (out of memory?) in the system log, then run again.",
                code="lock_lost",
            )
        result: dict[str, Any] = answer["result"]
        return result

    async def _end(self) -> None:
        """Close its input, which ends it; kill it when it takes too long or we are not to wait."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), _END_SECONDS)
        except TimeoutError:
            await self._kill()
        except asyncio.CancelledError:
            await self._kill()
            raise

    async def _kill(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
