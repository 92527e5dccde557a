"""Owns reading a source that a crash left behind: database and journal are copied together, and the copy recovers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Connection
from tempfile import mkdtemp

from stepflow_tui.engine.errors import Refused
from stepflow_tui.engine.model.control import Control
from stepflow_tui.engine.sqlite.child import path_text, run_child
from stepflow_tui.engine.sqlite.connect import BUSY_TIMEOUT_MS, open_frozen, open_living, shown
from stepflow_tui.engine.sqlite.examine import Examined, SourceState
from stepflow_tui.engine.sqlite.mapping import sqlite_errors

_CHILD = "stepflow_tui.engine.sqlite.backup_child"


@dataclass(frozen=True, slots=True, kw_only=True)
class Readable:
    """A path whose rows can be read now. `frozen`: a copy of ours; else the living source."""

    path: Path
    frozen: bool
    immutable: bool = False

    def open(self, *, exact_rows: bool = False, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> Connection:
        """A connection in the way that fits; in a thread or child process."""
        if self.frozen:
            return open_frozen(self.path, exact_rows=exact_rows)
        return open_living(self.path, exact_rows=exact_rows, immutable=self.immutable, busy_timeout_ms=busy_timeout_ms)


def refuse_unreadable(examined: Examined) -> None:
    """Stop unless the source's rows can be read.

    Raises:
        Refused: code `source_<state>`.
    """
    if not examined.readable:
        raise Refused(
            f"The source {shown(examined.path)} can't be read: {examined.state.value.replace('_', ' ')}.",
            detail=examined.detail,
            hint="`stepflow check` explains what was found and how to go on.",
            code=f"source_{examined.state.value}",
        )


async def recover_copy(examined: Examined, copy: Path, *, control: Control | None = None) -> Path:
    """Copy a database with its hot journal and let SQLite roll the copy back. The source stays as it is.

    Args:
        examined: a source in state HOT_JOURNAL.
        copy: where the recovered database goes; replaced if it exists. Mode 0600, no side files.

    Raises:
        Refused: `source_changed`, the source was written or recovered by someone else meanwhile.
        DiskFull: no room; nothing is left behind.
    """
    request = {"op": "recover", "path": path_text(examined.real), "copy": path_text(copy)}
    await run_child(_CHILD, request, control=control)
    return copy


@asynccontextmanager
async def readable(examined: Examined, scratch: Path) -> AsyncIterator[Readable]:
    """The source in a form that can be read; a copy made for it is removed afterwards.

    Args:
        examined: the verdict on the source.
        scratch: a folder of ours with room for a copy (used only for a hot journal).

    Raises:
        Refused: the source can't be read at all.
    """
    refuse_unreadable(examined)
    if examined.state is not SourceState.HOT_JOURNAL:
        yield Readable(path=examined.real, frozen=False, immutable=examined.immutable)
        return
    with sqlite_errors(f"The scratch folder {shown(scratch)}"):
        scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = Path(mkdtemp(prefix="recovered-", dir=scratch))
    try:
        yield Readable(path=await recover_copy(examined, folder / "recovered.db"), frozen=True)
    finally:
        for leftover in folder.iterdir():
            leftover.unlink()
        folder.rmdir()
