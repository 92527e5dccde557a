"""What is happening to one table of a run."""

from __future__ import annotations

from enum import StrEnum
from typing import TypedDict

from stepflow_tui.engine.model.discrepancy import Verified


class TableState(StrEnum):
    """How far a table is."""

    PENDING = "pending"
    COPYING = "copying"
    COPIED = "copied"  # all rows are in the target
    READY = "ready"  # keys and indexes are built
    VERIFYING = "verifying"
    VERIFIED = "verified"  # compared; `verified` says with which result
    LEFT_OUT = "left_out"  # no row can be carried; `reason` says why
    UNDONE = "undone"  # rolled back


class TableUpdate(TypedDict, total=False):
    """Columns of a table's row that may be changed alone; those not named keep their value."""

    state: TableState
    source_rows: int | None
    target_rows: int | None
    rejected_rows: int
    verified: Verified
    reason: str
    copy_seconds: float
