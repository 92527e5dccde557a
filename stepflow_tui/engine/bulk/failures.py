"""What a driver's error means for a segment: refused values, a lost connection, or an end."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING

from stepflow_tui.engine.errors import StepFailed, StepFlowError, TargetConnectionError
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.postgres.errors import translate

if TYPE_CHECKING:
    import asyncpg

    from stepflow_tui.engine.bulk.arrow import AdbcError

RETRY_CODES = frozenset({"connection_lost", "target_down", "target_starting", "target_timeout", "too_many_connections"})
"""Codes of TargetConnectionError after which the segment is tried again: a login or certificate never gets better."""


def is_retryable(error: StepFlowError) -> bool:
    """Whether waiting may help."""
    return isinstance(error, TargetConnectionError) and error.code in RETRY_CODES


def refuses_rows(sqlstate: str) -> bool:
    """Whether the server refused a row: data exception, constraint, or a value beyond its limits."""
    return sqlstate[:2] in ("22", "23") or sqlstate == "54000"


def refused_column(error: asyncpg.PostgresError, targets: Collection[str]) -> str | None:
    """The column of the target the server complains about: named by itself, or in the context of COPY."""
    named: str | None = getattr(error, "column_name", None)
    if named in targets:
        return named
    context: str = getattr(error, "context", None) or ""
    found = re.search(r"line \d+, column (.*)", context, re.DOTALL)
    text = found[1] if found else ""
    fitting = [name for name in targets if text == name or text.startswith(f"{name}: ")]
    return max(fitting, key=len, default=None)


def state_of(error: AdbcError) -> str:
    """The SQLSTATE of an ADBC error, "" without one."""
    state = getattr(error, "sqlstate", None) or ""
    return state.strip("\x00 ")


def target_error(error: AdbcError, doing: str, target: Target, hidden: Collection[str] = ()) -> StepFlowError:
    """An ADBC error of the target as ours, by the same table as asyncpg's.

    Args:
        error: the driver's.
        doing: what was attempted, as an infinitive.
        target: its secrets are kept out of the text.
        hidden: the target's names of sensitive columns; no value of theirs is quoted.
    """
    import asyncpg

    state, words = state_of(error), str(error).strip()
    if state:
        cause: BaseException = asyncpg.PostgresError.new({"C": state, "M": words})
    elif "[libpq]" in words:
        cause = ConnectionResetError(words)  # the server's own errors have a state: what is left is the connection
    else:
        return StepFailed("The Arrow driver of the target failed.", detail=words, hint=_DEFECT, code="driver")
    return translate(cause, doing, target, hidden) or StepFailed(
        "The target failed.", detail=words, hint=_DEFECT, code="driver"
    )


_DEFECT = "This is a defect: please report it with the detail above. The run can be resumed."
