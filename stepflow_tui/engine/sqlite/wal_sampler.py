"""The source's write-ahead log, sampled while the application works: how large it is, how it is used, and who keeps it
from shrinking.

The reading is done by a child process (`wal_child`) that holds no connection to the database; it ends with its parent and is
started again when it dies. What is too old is shown as unknown, never as the present.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.sqlite.child import path_text, run_child
from stepflow_tui.engine.sqlite.holders import SAMPLER
from stepflow_tui.engine.sqlite.wal_course import Course, Glimpse

EVERY_SECONDS = 1.0
STALE_SECONDS = 5.0
"""A sample older than that says nothing any more."""
RESTART_SECONDS = 1.0

_UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A process that holds an old state of the database open, and for how long it has been seen doing so.

    `pid` 0 is a process outside this container, -1 one that the system doesn't name; `command` is None for both.
    """

    pid: int
    age_seconds: float
    command: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WalSample:
    """One look at a database's write-ahead log.

    `mode`: wal, rollback, missing, unreadable, or unknown (no fresh look). `bytes` is the size of `-wal`, `frames` the frames
    in use, `checkpointed` how many of them are in the database already; None: not known. `pinned_by` None: this system does
    not tell who holds locks. `users`: of a file in rollback mode, who has it open (`pid`, `command`, `what`). `course`: what
    many looks tell together, as `Course.plain`.
    """

    mode: str = _UNKNOWN
    bytes: int | None = None
    frames: int | None = None
    checkpointed: int | None = None
    pinned_by: tuple[Pin, ...] | None = None
    page_size: int | None = None
    users: tuple[Mapping[str, Any], ...] | None = None
    course: Mapping[str, Any] = field(default_factory=lambda: Course().plain)

    @property
    def gauge(self) -> dict[str, Any]:
        """As the gauge `wal` shows it."""
        pins = None if self.pinned_by is None else [
            {"pid": p.pid, "age_seconds": p.age_seconds, "command": p.command} for p in self.pinned_by
        ]  # fmt: skip
        return {
            "mode": self.mode,
            "bytes": self.bytes,
            "frames": self.frames,
            "checkpointed": self.checkpointed,
            "pinned_by": pins,
            "page_size": self.page_size,
            "users": None if self.users is None else [dict(user) for user in self.users],
            **self.course,
            **({} if self.mode == "wal" else {"rate": None}),
        }


@dataclass(slots=True)
class Ages:
    """Since when each reader has held its mark, in monotonic seconds; one that let go is forgotten."""

    _since: dict[tuple[int, int, int], float] = field(default_factory=dict)

    def pins(self, readers: list[dict[str, Any]], now: float) -> tuple[Pin, ...]:
        """The readers with their ages, oldest first; a process that holds several marks is named once."""
        keys = {(int(r["pid"]), int(r["slot"]), int(r["mark"])): r["command"] for r in readers}
        self._since = {key: self._since.get(key, now) for key in keys}
        oldest: dict[int, Pin] = {}
        for key in sorted(keys, key=lambda k: self._since[k]):
            pin = Pin(pid=key[0], age_seconds=round(now - self._since[key], 1), command=keys[key])
            oldest.setdefault(pin.pid, pin)
        return tuple(oldest.values())


class WalSampler:
    """Samples one database's write-ahead log until it is closed.

    Args:
        monotonic: seconds that only go forward.
        every: seconds between two looks.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, *, every: float = EVERY_SECONDS) -> None:
        self._monotonic = monotonic
        self._every = every
        self._task: asyncio.Task[None] | None = None
        self._looked = asyncio.Event()
        self._at: float | None = None
        self._ages = Ages()
        self._course = Course()
        self._sample = WalSample()
        self.starts = 0

    async def start(self, path: Path) -> None:
        """Begin, in the background.

        Args:
            path: the database's real path: the side files are named after it.
        """
        await self.close()
        self._task = asyncio.create_task(self._keep_looking(path))

    async def sample(self) -> WalSample:
        """The newest look, waiting for the first one; unknown when there is none that is fresh."""
        if self._at is None:
            with suppress(TimeoutError):  # and not wait_for, which in Python 3.11 may swallow a cancellation
                async with asyncio.timeout(STALE_SECONDS):
                    await self._looked.wait()
        fresh = self._at is not None and self._monotonic() - self._at <= STALE_SECONDS
        return self._sample if fresh else WalSample()

    async def newer(self) -> WalSample:
        """The next look; unknown when none comes for long."""
        self._looked.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(STALE_SECONDS):
                await self._looked.wait()
        return await self.sample()

    async def close(self) -> None:
        """End the child process; nothing is left running."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._at = None
        self._looked.clear()

    async def _keep_looking(self, path: Path) -> None:
        request = {"path": path_text(path), "every": self._every}
        while True:
            self.starts += 1
            # a sampler that is gone makes the panel say "unknown", it must not end a migration
            with suppress(StepFlowError, OSError):
                await run_child(SAMPLER, request, on_event=self._note)
            await asyncio.sleep(RESTART_SECONDS)

    def _note(self, event: dict[str, Any]) -> None:
        now = self._monotonic()
        readers, users = event["readers"], event["users"]
        self._course.add(map(Glimpse.of, event["glimpses"]))
        self._sample = WalSample(
            mode=event["mode"],
            bytes=event["bytes"],
            frames=event["frames"],
            checkpointed=event["checkpointed"],
            pinned_by=None if readers is None else self._ages.pins(readers, now),
            page_size=event["page_size"],
            users=None if users is None else tuple(users),
            course=self._course.plain,
        )
        self._at = now
        self._looked.set()
