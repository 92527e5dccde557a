"""Owns which journal mode a database is in: as a fresh connection answers, and as its header says. Changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from stepflow_tui.engine.model.codec import from_plain
from stepflow_tui.engine.sqlite.child import path_text, run_child
from stepflow_tui.engine.sqlite.connect import BUSY_TIMEOUT_MS, real_path

_CHILD = "stepflow_tui.engine.sqlite.mode_child"


class JournalMode(StrEnum):
    """The two modes a file is converted between; only WAL is written down in the file."""

    WAL = "wal"
    DELETE = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeFacts:
    """What a database file says about its journal.

    `mode`: as a fresh read-only connection answers, "" when it was kept out or a hot journal stands there (`problem` is
    SQLite's name for it). `header`: bytes 18 and 19, write and read version. Sizes in bytes, None: no such file.
    """

    mode: str
    header: tuple[int, int]
    wal_bytes: int | None
    shm_bytes: int | None
    journal_bytes: int | None
    page_size: int
    auto_vacuum: str
    change_counter: int
    dev: int
    inode: int
    problem: str = ""

    @property
    def wal(self) -> bool:
        """True only when connection and header agree that it is in WAL mode."""
        return self.mode == JournalMode.WAL and self.header == (2, 2)

    def proves(self, mode: JournalMode) -> bool:
        """Whether all of it agrees with a mode; a rollback-journal file has no `-wal` with content beside it."""
        if mode is JournalMode.WAL:
            return self.wal
        return self.mode == mode and self.header == (1, 1) and not self.wal_bytes

    @property
    def text(self) -> str:
        """For details of errors: `delete, header 1,1`."""
        return f"{self.mode or self.problem or 'unknown'}, header {self.header[0]},{self.header[1]}"


async def read_mode(path: Path, *, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> ModeFacts:
    """Look at a database in a child process. After a kill this decides, never what was remembered.

    Args:
        path: symlinks are followed.
        busy_timeout_ms: how long a writer is waited for.

    Raises:
        Refused: `source_corrupt`. StepFailed: `sqlite_io`, `sqlite_failed`, `file_failed` (missing, unreadable).
    """
    request = {"op": "mode", "path": path_text(real_path(path)), "busy_timeout_ms": busy_timeout_ms}
    facts: ModeFacts = from_plain(ModeFacts, await run_child(_CHILD, request))
    return facts


async def soundness(path: Path) -> str:
    """What `integrity_check` says, asked by a fresh process: `ok`, what is wrong, or why it could not be asked."""
    answer = await run_child(_CHILD, {"op": "integrity", "path": path_text(real_path(path))})
    return str(answer["answer"])
