"""Owns telling an application in `locking_mode=EXCLUSIVE`, which never lets go, from one that is writing just now."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from stepflow_tui.engine.errors import Refused
from stepflow_tui.engine.sqlite.connect import shown
from stepflow_tui.engine.sqlite.file_locks import EXCLUSIVE, FileLock

LOOKS = 10
IDLE_LOOKS = 3
SECONDS = 0.5


@dataclass(slots=True)
class Suspicion:
    """Looks in a row in which the same process held the file exclusively and nobody else could even read.

    A commit holds it so while its journal is full; who has it with an idle journal, again and again, keeps it.
    """

    monotonic: Callable[[], float] = time.monotonic
    _since: float | None = None
    _looks: int = 0
    _idle: int = 0
    _held: dict[int, FileLock] = field(default_factory=dict)

    def add(self, locks: Iterable[FileLock], *, kept_out: bool, journal_idle: bool) -> tuple[FileLock, ...]:
        """One more look. Returns whom it proves guilty, mostly nobody."""
        now = {lock.pid: lock for lock in locks if lock.what == EXCLUSIVE} if kept_out else {}
        self._held = now if self._since is None else {pid: lock for pid, lock in now.items() if pid in self._held}
        if not self._held:
            self.clear()
            return ()
        self._since = self.monotonic() if self._since is None else self._since
        self._looks, self._idle = self._looks + 1, self._idle + journal_idle
        long_enough = self._looks >= LOOKS and self.monotonic() - self._since >= SECONDS
        return tuple(self._held.values()) if long_enough and self._idle >= IDLE_LOOKS else ()

    def clear(self) -> None:
        """Somebody could read: begin anew."""
        self._since, self._looks, self._idle, self._held = None, 0, 0, {}


def exclusive_refusal(path: Path, holders: Iterable[FileLock]) -> Refused:
    """Waiting would never end, so it is not waited for."""
    return Refused(
        f"{shown(path)} is held exclusively by an application that does not let go (locking_mode=EXCLUSIVE).",
        detail="; ".join(lock.text for lock in holders),
        hint="Take `PRAGMA locking_mode=EXCLUSIVE` out of the application and restart it, or stop it and run with `mode: offline`.",
        code="source_exclusive",
    )
