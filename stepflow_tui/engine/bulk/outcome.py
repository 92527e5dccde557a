"""What comes back from copying: of one segment, of one table, of all."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from stepflow_tui.engine.bulk.spec import CopySpec
from stepflow_tui.engine.errors import StepFailed, StepFlowError
from stepflow_tui.engine.model.discrepancy import Reject
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.postgres.ledger import Segment

REPLACED = "replaced: "
"""Reasons of values that were sent with U+FFFD in them (`on_bad_value: replace`) begin so; their rows are in the target."""


def application_name(run: str) -> str:
    """How the workers' sessions are called in pg_stat_activity (at most 63 bytes)."""
    return f"stepflow copy {run[-45:]}"


def is_replaced(reject: Reject) -> bool:
    """Whether an entry of the rejects lists a replaced value, not a refused row."""
    return reject.reason.startswith(REPLACED)


class TableStopped(StepFailed):
    """A table whose copy ended early; the other tables go on."""

    default_code = "table_stopped"
    default_hint = "Correct the type with a line in `types`, then start a new run: `stepflow run --new`."


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkOrder:
    """One segment for a worker. `refusal_limit`: so many rows the server may refuse before the plan's type is called wrong."""

    run: str
    epoch: int
    frozen: Path
    target: Target
    spec: CopySpec
    segment: Segment
    refusal_limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentResult:
    """What became of a segment. `halted`: it was not begun. `refused` rows are those of `rejected` that the server refused
    although no condition of their types spoke against them; `fallback` says why a fast segment went the slow way."""

    rows: int = 0
    rejected: int = 0
    refused: int = 0
    halted: bool = False
    fallback: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableResult:
    """One table: rows in the target, rows refused, values replaced, wall seconds of this engine's share.

    `error` tells why it is not whole; `fallbacks` are the reasons why fast segments went the slow way.
    """

    table: str
    rows: int
    rejected: int
    replaced: int = 0
    seconds: float = 0.0
    error: StepFlowError | None = None
    fallbacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyResult:
    """All tables of the job, by source name."""

    tables: dict[str, TableResult] = field(default_factory=dict)

    @property
    def errors(self) -> tuple[StepFlowError, ...]:
        """Of the tables that are not whole."""
        return tuple(t.error for t in self.tables.values() if t.error is not None)
