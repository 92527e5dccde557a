"""How a run ended, decided from the journal's facts alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from stepflow_tui.engine.errors import PRECEDENCE, ExitCode
from stepflow_tui.engine.model.discrepancy import Verified
from stepflow_tui.engine.model.state import RunResult, RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFact:
    """What counts about one table."""

    verified: Verified
    rejected_rows: int = 0
    source_rows: int | None = None
    target_rows: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """State, result and exit code of a finished run."""

    state: RunState
    result: RunResult
    exit_code: ExitCode


COMPLETED = Outcome(state=RunState.COMPLETED, result=RunResult.COMPLETED, exit_code=ExitCode.OK)
INCOMPLETE = Outcome(state=RunState.INCOMPLETE, result=RunResult.INCOMPLETE, exit_code=ExitCode.DIFFERENT)


def verdict(tables: Iterable[TableFact], *, source_changed: bool, discrepancies: int, rejects: int) -> Outcome:
    """Completed only if no row is missing, rejected, different or unverified, and the source stood still.

    Args:
        tables: every table of the run, those without rows included.
        discrepancies, rejects: number of journalled rows of each.
    """
    clean = all(_clean(t) for t in tables)
    return COMPLETED if clean and not source_changed and not discrepancies and not rejects else INCOMPLETE


def _clean(table: TableFact) -> bool:
    counted = table.source_rows is not None and table.target_rows is not None
    same = not counted or table.source_rows == table.target_rows
    return table.verified is Verified.EQUAL and table.rejected_rows == 0 and same


def first_code(codes: Iterable[int]) -> int:
    """The exit code that counts when several apply; interruptions stand above all."""
    present = set(codes)
    for code in (ExitCode.TERMINATED, ExitCode.INTERRUPTED, *PRECEDENCE):
        if code in present:
            return int(code)
    return int(ExitCode.OK)
