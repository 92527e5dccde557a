"""Owns the conversion of a database between rollback journal and WAL, in place, while others use it.

SQLite's busy timeout does not help: beside a writer the conversion is refused at once. So it is tried again and again, each
time for a moment, by a child process; a try that fails leaves the old mode. Success is what the returned value, a fresh
connection of another process and the header's bytes 18 and 19 agree on.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stepflow_tui.engine.errors import Held, StepFailed
from stepflow_tui.engine.model.control import Control
from stepflow_tui.engine.sqlite.child import path_text
from stepflow_tui.engine.sqlite.connect import real_path, shown
from stepflow_tui.engine.sqlite.conversation import Conversation
from stepflow_tui.engine.sqlite.convert_errors import failure, refuse_unfit, refused, state_now
from stepflow_tui.engine.sqlite.exclusive import WATCH_SECONDS, Suspicion, exclusive_refusal
from stepflow_tui.engine.sqlite.file_locks import FileLock, locks_on
from stepflow_tui.engine.sqlite.holders import find_holders
from stepflow_tui.engine.sqlite.layout import set_layout
from stepflow_tui.engine.sqlite.mode import JournalMode, ModeFacts, read_mode

__all__ = ["Attempt", "Converted", "JournalMode", "ModeFacts", "convert", "noted_bytes", "read_mode", "set_layout"]

CHILD = "stepflow_tui.engine.sqlite.convert_child"

_FIRST_LOOK_MS = 100
"""How long the look before the first try waits for a writer: what it does not learn then, the tries will."""

_PATIENCE = ((0.5, 0), (2.0, 25), (float("inf"), 100))
"""Until how many seconds a try may wait how many milliseconds for readers to leave. While it waits new readers are kept
out, so it begins without waiting at all."""


_BURST_SECONDS = 0.05
"""How long one request to the child tries again and again before pause, abort and who is in the way are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A handful of tries that somebody stood in the way of. `number`: tries so far. `seconds` since the first one; `locks` who
    held what right after the last one."""

    number: int
    seconds: float
    locks: tuple[FileLock, ...]

    @property
    def waited_for(self) -> tuple[str, ...]:
        """`pid 12 (python app.py)` of each."""
        return tuple(lock.holder for lock in self.locks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """A conversion that is proved. `attempts` 0: it was in that mode before, nothing was touched.

    `returned`: what the pragma answered. `bytes_written`: by the try that did it, None where the system does not tell; to WAL
    it is the first page and its journal, whatever the size of the file. `waited_for`: everyone seen in the way, as `pid 12 (python app.py)`.
    """

    attempts: int
    seconds: float
    before: ModeFacts
    after: ModeFacts
    returned: str
    waited_for: tuple[str, ...] = ()
    bytes_written: int | None = None


async def convert(
    path: Path,
    to: JournalMode,
    *,
    wait: float,
    control: Control,
    tell: Callable[[Attempt], None] | None = None,
    identity: tuple[int, int] | None = None,
    note: Path | None = None,
) -> Converted:
    """Put a database into a journal mode, beside its users, and prove it.

    Going back to a rollback journal needs a moment in which nobody else has the file open; it moves what the WAL holds into
    the file. Nobody is ever forced out.

    Args:
        path: symlinks are followed.
        wait: seconds to look for the moment; pauses are not counted.
        control: looked at between tries, never within one.
        tell: takes every handful of tries that failed.
        identity: device and inode of the file that was examined, None: what stands there now.
        note: file in which the process that converts writes down what it did, before anybody hears of it (`noted_bytes`).

    Raises:
        Held: `source_busy_conversion`: somebody stayed in the way; pids, commands and locks are in the detail.
        Refused: `source_exclusive` (an application in locking_mode=EXCLUSIVE), `conversion_refused` (the mode did not change),
            `source_replaced`, `source_corrupt`, and as `refuse_unfit`.
        DiskFull, StepFailed: `conversion_io`, `child_failed`: detail tells the file's integrity and mode.
        Stopping: by `control`, between two tries.
    """
    real = real_path(path)
    await control.checkpoint()
    before = await read_mode(real, busy_timeout_ms=_FIRST_LOOK_MS)
    refuse_unfit(real, to, before)
    if before.proves(to):
        return Converted(attempts=0, seconds=0.0, before=before, after=before, returned=before.mode)
    work = _Work(real, to, identity or (before.dev, before.inode), control, tell, note)
    returned = await work.until_done(wait)
    after = await read_mode(real)
    if returned != to or not after.proves(to):
        raise refused(real, f"asked for {to}; the pragma answered {returned}; a fresh connection says {after.text}")
    return Converted(
        attempts=work.attempts, seconds=work.seconds, before=before, after=after, returned=returned,
        waited_for=tuple(work.in_the_way), bytes_written=work.written,
    )  # fmt: skip


def noted_bytes(note: Path) -> int | None:
    """What a conversion has written, as the process that did it noted; None: there is no such note."""
    try:
        found = json.loads(note.read_text("ascii"))
    except (OSError, ValueError):
        return None
    written = found.get("written") if isinstance(found, dict) and found.get("returned") == JournalMode.WAL else None
    return written if isinstance(written, int) else None


class _Work:
    """The tries of one conversion."""

    def __init__(
        self,
        path: Path,
        to: JournalMode,
        identity: tuple[int, int],
        control: Control,
        tell: Callable[[Attempt], None] | None,
        note: Path | None,
    ) -> None:
        self._path, self._to, self._control, self._tell = path, to, control, tell
        self._request = {"path": path_text(path), "dev": identity[0], "inode": identity[1], "to": str(to)}
        if note is not None:
            self._request["note"] = path_text(note)
        self._started = time.monotonic()
        self._suspicion = Suspicion()
        self._last: tuple[FileLock, ...] = ()
        self.attempts = 0
        self.written: int | None = None
        self.in_the_way: dict[str, str] = {}

    @property
    def seconds(self) -> float:
        """Since the first try, pauses left out."""
        return time.monotonic() - self._started

    async def until_done(self, wait: float) -> str:
        """Try until it is done; returns what the pragma answered."""
        async with Conversation(CHILD) as child:
            self._started = time.monotonic()
            while True:
                await self._pause_if_asked()
                answer = await self._try(child)
                if "returned" in answer:
                    self.written = answer["written"]
                    return str(answer["returned"])
                await self._look(child, answer)
                if self.seconds >= wait:
                    raise await self._gave_up(wait)
                await asyncio.sleep(_rest(answer["waited"]))

    async def _pause_if_asked(self) -> None:
        began = time.monotonic()
        await self._control.checkpoint()
        self._started += time.monotonic() - began

    async def _try(self, child: Conversation) -> dict[str, Any]:
        patience = next(ms for until, ms in _PATIENCE if self.seconds < until)
        order = {"op": "try", "busy_ms": patience, "seconds": _BURST_SECONDS}
        try:
            answer: dict[str, Any] = await child.ask({**self._request, **order})
        except StepFailed as error:
            if error.code == "child_failed":
                error.detail = f"{error.detail}; {await state_now(self._path)}"
            raise
        self.attempts += answer["tries"]
        if "failed" in answer and not answer["failed"].startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise await failure(self._path, answer["failed"], answer["text"])
        return answer

    async def _look(self, child: Conversation, answer: dict[str, Any]) -> None:
        """Who was in the way; and whether it is somebody who never leaves by design."""
        known = await asyncio.to_thread(locks_on, self._path)
        self._last = tuple(lock for lock in known or () if lock.pid != child.pid)
        for lock in self._last:
            self.in_the_way[lock.holder] = lock.what
        if self._tell:
            self._tell(Attempt(number=self.attempts, seconds=self.seconds, locks=self._last))
        if self._suspicion.add(kept_out=bool(answer["kept_out"]), seconds=self.seconds):
            found = await child.ask({**self._request, "op": "watch", "seconds": WATCH_SECONDS})
            if found["pid"] is not None:
                raise exclusive_refusal(self._path, found["pid"])

    async def _gave_up(self, wait: float) -> Held:
        users = await find_holders(self._path)
        locked = {lock.holder: lock.what for lock in self._last}
        for user in users.processes:
            locked.setdefault(f"pid {user.pid} ({user.command})", "has it open")
        named = "; ".join(f"{holder}: {what}" for holder, what in locked.items())
        return Held(
            f"{shown(self._path)} could not be converted: somebody used it in each of {self.attempts} tries.",
            detail=f"{wait:g} s; {named or 'nobody that can be seen from here'}; the file is in its old mode",
            hint=_WAY_OUT[self._to],
            code="source_busy_conversion",
        )


_WAY_OUT = {
    JournalMode.WAL: "End the transaction that stays open there (or stop that process), or raise `wal.max_wait`, then run again.",
    JournalMode.DELETE: "Going back needs a moment in which nobody else has the file open: stop these processes, then run again.",
}


def _rest(kept_others_out: float) -> float:
    """Seconds until the next try: short beside a writer, and longer after a wait for readers, which kept new ones out."""
    return random.uniform(0.5, 1.5) * max(0.004, 2 * kept_others_out)  # noqa: S311 - spreads tries, guards no secret
