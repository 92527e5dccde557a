"""What the tail applies, from where to where, and how hard. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from stepflow_tui.engine.model.live import Installed
from stepflow_tui.engine.model.plan import TablePlan
from stepflow_tui.engine.model.sensitive import NO_MASK, Mask
from stepflow_tui.engine.postgres.connect import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class TailJob:
    """One tail.

    Args:
        run: run id; `epoch`: this engine's, already the watermark's (`progress.start`).
        source: real path of the application's file.
        target: the database.
        tables: the captured tables, each with a `live_key`.
        installed: what capture left in the source; compared in every step.
        encoding: SQLite's name of the file's text encoding (UTF-8, UTF-16le, UTF-16be).
        replace: `on_bad_value: replace`.
        mask: hides values of sensitive columns in the quarantine and in messages.
        max_rows_per_second: None for no limit; a drain has none.
        keep_seconds: how long applied log entries are kept (`capture.keep`).
        step_changes: log entries of one step while it is further behind than that.
        poison_limit: rows that the server may refuse in one step before the plan's types are called wrong.
        lock_seconds: how long to wait for a lock of somebody else's in the target; the source's read transaction is open.
        answer_seconds: how long the target may be silent before its connection counts as lost.
        retry_seconds: pauses between attempts of one step.
    """

    run: str
    epoch: int
    source: Path
    target: Target
    tables: tuple[TablePlan, ...]
    installed: Installed
    encoding: str = "UTF-8"
    replace: bool = False
    mask: Mask = NO_MASK
    max_rows_per_second: int | None = None
    keep_seconds: float = 7 * 86_400
    step_changes: int = 50_000
    poison_limit: int = 1_000
    lock_seconds: float = 10.0
    answer_seconds: float = 60.0
    retry_seconds: tuple[float, ...] = (0.1, 0.3, 1, 2, 4, 8, 15, 30)
    codec: str = field(init=False)
    """Python's name of the encoding."""

    def __post_init__(self) -> None:
        names = {"UTF-8": "utf-8", "UTF-16LE": "utf-16-le", "UTF-16BE": "utf-16-be"}
        object.__setattr__(self, "codec", names[self.encoding.upper()])

    @property
    def capped(self) -> int:
        """Log entries of one capped step: about a second's worth where there is a limit."""
        if self.max_rows_per_second is None:
            return self.step_changes
        return min(self.step_changes, max(100, self.max_rows_per_second))
