"""What the way back needs to know, and what one step of it did. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from stepflow_tui.engine.model.plan import TablePlan
from stepflow_tui.engine.model.sensitive import NO_MASK, Mask
from stepflow_tui.engine.postgres.connect import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class ReverseJob:
    """One way back, PostgreSQL to SQLite.

    Args:
        run: run id, as the source's control row names it.
        source: real path of the application's file, which is fenced.
        target: the database that owns writes.
        tables: the captured tables, each with a `live_key`.
        encoding: SQLite's name of the file's text encoding (UTF-8, UTF-16le, UTF-16be).
        replace: `on_bad_value: replace`.
        mask: hides values of sensitive columns where blockers are shown.
        wait_seconds: for SQLite's write lock, and for a lock of the target that someone's DDL holds.
        interval_seconds: between two looks at the target while nothing changes.
        retry_seconds: pauses between attempts while a side can't be reached.
    """

    run: str
    source: Path
    target: Target
    tables: tuple[TablePlan, ...]
    encoding: str = "UTF-8"
    replace: bool = False
    mask: Mask = NO_MASK
    wait_seconds: float = 5.0
    interval_seconds: float = 0.2
    retry_seconds: tuple[float, ...] = (0.1, 0.3, 1, 2, 4, 8, 15, 30)
    codec: str = field(init=False)
    """Python's name of the encoding."""

    def __post_init__(self) -> None:
        names = {"UTF-8": "utf-8", "UTF-16LE": "utf-16-le", "UTF-16BE": "utf-16-be"}
        object.__setattr__(self, "codec", names[self.encoding.upper()])


@dataclass(frozen=True, slots=True, kw_only=True)
class ReverseTick:
    """One step: SQLite holds PostgreSQL's snapshot `snapshot`, but for the rows listed as blockers.

    `changes` are keys in the log, `rows` the rows written; `blocked` counts the blockers after the step.
    """

    snapshot: str
    changes: int
    rows: int
    blocked: int

    @property
    def whole(self) -> bool:
        """Whether SQLite equals the snapshot."""
        return self.blocked == 0
