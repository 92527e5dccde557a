"""The worker processes: started from the main thread, ended with the engine, replaced when one dies.

They are fresh interpreters that run `worker.main`, never forks: a fork would keep the engine's lock and its connections.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, ParamSpec, Self, TypeVar

from stepflow_tui.engine.errors import StepFailed

P = ParamSpec("P")
R = TypeVar("R")

_BOOT = "import sys; sys.path[:] = {path!r}; from stepflow_tui.engine.bulk.worker import main; main({pipe}, {flag}, {parent})"


_MALLOC = {"MALLOC_MMAP_THRESHOLD_": "262144", "MALLOC_TRIM_THRESHOLD_": "524288", "MALLOC_ARENA_MAX": "2"}
"""glibc raises its thresholds by itself and then keeps the batches' buffers: 20 % more memory per worker."""


class WorkerLost(StepFailed):
    """A worker process ended in the middle of a job; what it did is decided by looking at the target."""

    default_code = "worker_lost"
    default_hint = "Look for a killed process (out of memory?) in the system log, then `stepflow run` again."


def default_streams() -> int:
    """`copy.streams: auto`: two, or one on a single core. More only helps where the target is far away."""
    return min(2, os.cpu_count() or 1)


class WorkerPool:
    """Runs plain functions in worker processes.

    Args:
        streams: number of processes.
    """

    def __init__(self, streams: int) -> None:
        self.streams = max(1, streams)
        self._workers: list[_Worker] = []
        self._idle: asyncio.Queue[_Worker] = asyncio.Queue()
        self._flag_file = _nameless_file()
        os.write(self._flag_file, b"\0")
        self._flag = mmap.mmap(self._flag_file, 1)

    async def __aenter__(self) -> Self:
        for _ in range(self.streams):
            self._idle.put_nowait(self._start())
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(worker.end() for worker in self._workers))
        self._flag.close()
        os.close(self._flag_file)

    def halt(self) -> None:
        """Workers begin no new chunk from now on (`worker.halted`)."""
        self._flag[0] = 1

    def proceed(self) -> None:
        """Takes `halt` back."""
        self._flag[0] = 0

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids, for a report of memory and for tests."""
        return tuple(worker.process.pid for worker in self._workers)

    async def run(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a function of a module in the next free worker.

        A cancelled call kills its worker; the target then rolls its transaction back.

        Raises:
            WorkerLost: the process ended.
            StepFlowError: what the function raised.
        """
        worker = await self._idle.get()
        try:
            return await worker.call((function, args, kwargs))  # type: ignore[no-any-return]
        except BaseException:
            worker.kill_if_busy()
            raise
        finally:
            if worker.usable:
                self._idle.put_nowait(worker)
            else:
                await asyncio.shield(worker.end())
                self._workers.remove(worker)
                self._idle.put_nowait(self._start())

    def _start(self) -> _Worker:
        # PDEATHSIG follows the thread that started the child: a thread of an executor that ends would take it along
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("worker processes are started from the main thread only")
        worker = _Worker(self._flag_file)
        self._workers.append(worker)
        return worker


class _Worker:
    """One process and its pipe."""

    def __init__(self, flag: int) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            code = _BOOT.format(path=sys.path, pipe=theirs.fileno(), flag=flag, parent=os.getpid())
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", code], stdin=subprocess.DEVNULL, pass_fds=(theirs.fileno(), flag),
                env=os.environ | _MALLOC,
            )  # fmt: skip
        self._pipe = Connection(ours.detach())
        self._busy = False
        self.usable = True

    async def call(self, job: tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]) -> Any:
        self._busy = True
        try:
            self._pipe.send(job)
            await self._readable()
            fine, answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            self.usable = False
            raise WorkerLost(
                "A worker process ended in the middle of its work.",
                detail=f"process {self.process.pid}: {error or 'pipe closed'}",
            ) from error
        self._busy = False
        if fine:
            return answer
        raise answer

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._pipe.fileno(), _settle, ready)
        try:
            await ready
        finally:
            loop.remove_reader(self._pipe.fileno())

    def kill_if_busy(self) -> None:
        """After a cancelled call the answer would belong to nobody."""
        if self._busy:
            self.usable = False
            self.process.kill()

    async def end(self) -> None:
        """Close the pipe (the worker leaves by itself), or kill it when it does not."""
        self.usable = False
        with suppress(OSError):
            self._pipe.close()
        try:
            async with asyncio.timeout(5):
                await self._ended()
        except TimeoutError:
            self.process.kill()
            await self._ended()

    async def _ended(self) -> None:
        pause = 0.002
        while self.process.poll() is None:
            await asyncio.sleep(pause)
            pause = min(0.05, pause * 2)


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _nameless_file() -> int:
    """A file that only descriptors lead to; in memory where the system has such files."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("stepflow-halt", os.MFD_CLOEXEC)
    handle, path = tempfile.mkstemp()
    os.unlink(path)  # noqa: PTH108 - a path of the operating system's own
    return handle
