"""Owns a child process that is asked several times: one JSON line there, one back, until its input ends.

Unlike `run_child` it is never stopped in the middle of an answer: a process that is stopped keeps its locks.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, ClassVar, NoReturn, Self

from stepflow_tui.engine import errors
from stepflow_tui.engine.errors import StepFailed, StepFlowError
from stepflow_tui.engine.sqlite.child import environment

_END_SECONDS = 10.0
_LINE_LIMIT = 16 * 1024 * 1024

Answerer = Callable[[dict[str, Any]], Any]


class Conversation:
    """The parent's side: `async with Conversation(module) as child: await child.ask({…})`."""

    interpreter: ClassVar[tuple[str, ...]] = (sys.executable,)
    """What runs the module; fault tests put a tracer before it."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """The child's process."""
        assert self._process is not None
        return self._process.pid

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *self.interpreter, "-P", "-m", self._module,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=None,
            env=environment(), cwd="/", limit=_LINE_LIMIT,
        )  # fmt: skip
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End its input and wait until it has left what it was doing; kill it when that takes too long."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(_END_SECONDS):
                await self._process.wait()
        except TimeoutError:
            await self._kill()
        except asyncio.CancelledError:
            await self._kill()
            raise

    async def ask(self, request: dict[str, Any]) -> Any:
        """Its answer.

        Raises:
            StepFlowError: what it raised, as it was; `child_failed`: it ended without one.
        """
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(ConnectionError):  # a process that is gone answers nothing, which says it
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            await self._process.stdin.drain()
        line = await self._process.stdout.readline()
        answer = json.loads(line) if line.endswith(b"\n") else {}
        if "error" in answer:
            kind, message, detail, hint, code = answer["error"]
            raise getattr(errors, kind)(message, detail=detail, hint=hint, code=code)
        if "result" not in answer:
            raise StepFailed(
                "A child process that worked on the database ended without an answer.",
                detail=self._module.rpartition(".")[2],
                hint="Look for a killed process (out of memory?) in the system log, then run again.",
                code="child_failed",
            )
        return answer["result"]

    async def _kill(self) -> None:
        assert self._process is not None
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


def answer_all(answerer: Answerer, *, interrupt: Callable[[], None]) -> NoReturn:
    """The child's side: answer until the input ends, then end.

    Args:
        interrupt: called by another thread when the input ends, perhaps in the middle of an answer.
    """
    os.umask(0o077)
    asked: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_listen, args=(asked, interrupt), daemon=True).start()
    while line := asked.get():
        sys.stdout.write(json.dumps(_answer(answerer, json.loads(line))) + "\n")
        with suppress(BrokenPipeError):
            sys.stdout.flush()
    os._exit(0)


def _answer(answerer: Answerer, request: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"result": answerer(request)}
    except StepFlowError as error:
        return {"error": [type(error).__name__, error.message, error.detail, error.hint, error.code]}


def _listen(asked: queue.Queue[bytes], interrupt: Callable[[], None]) -> None:
    for line in sys.stdin.buffer:
        asked.put(line)
    interrupt()
    asked.put(b"")
