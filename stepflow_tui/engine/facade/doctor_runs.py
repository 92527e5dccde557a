"""What is wrong with runs, their state directory, and the PostgreSQL side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.facade.doctor_problem import Problem
from stepflow_tui.engine.facade.look import list_runs
from stepflow_tui.engine.facade.target_look import look_at_target
from stepflow_tui.engine.journal.reader import RunReader
from stepflow_tui.engine.model.discrepancy import Verified
from stepflow_tui.engine.model.finding import Severity

if TYPE_CHECKING:
    from stepflow_tui.engine.config import LoadedConfig

NEWEST = 5
TABLES = 10
_TARGET = {
    "target_down": "postgres_refused",
    "connection_lost": "postgres_refused",
    "target_starting": "postgres_refused",
    "not_postgresql": "postgres_refused",
    "host_unknown": "postgres_host_unknown",
    "target_timeout": "postgres_timeout",
    "password_refused": "postgres_login",
    "tls_refused": "postgres_tls",
    "embedded_not_running": "embedded_not_running",
}
"""Codes of connection errors as problems; all others are about the database."""


def run_problems(state: Path, name: str | None) -> tuple[list[Problem], Sequence[Mapping[str, Any]]]:
    """Problems of runs, and the newest runs.

    Args:
        state: the state directory.
        name: of the config; None: all runs.
    """
    try:
        runs = [run for run in list_runs(state) if name is None or run["name"] == name]
    except StepFlowError as error:
        reason = f"{error.message} {error.detail}".strip()
        params = {"reason": reason, "fix": error.hint}
        return [Problem(code="state_directory", severity=Severity.BLOCKING, params=params)], []
    problems = [*_lost(runs), *_different(state, runs[0]["id"] if runs else None)]
    return problems, [
        {k: run[k] for k in ("id", "name", "kind", "state", "phase", "result", "created_at")} for run in runs[:NEWEST]
    ]


def _lost(runs: Sequence[Mapping[str, Any]]) -> Iterator[Problem]:
    for run in runs:
        if run["engine_lost"]:
            params = {"run": run["id"], "phase": run["phase"] or "?"}
            yield Problem(code="engine_lost", severity=Severity.BLOCKING, params=params)


def _different(state: Path, run: str | None) -> Iterator[Problem]:
    """Tables of the newest run whose verification found differences."""
    if run is None:
        return
    try:
        with RunReader(state / "runs" / run) as reader:
            tables = [t for t in reader.tables() if t["verified"] == Verified.DIFFERENT.value]
    except StepFlowError:
        return  # its own finding: an unreadable journal shows as a run without state
    if tables:
        named = ", ".join(str(t["source"]) for t in tables[:TABLES])
        evidence = tuple(
            f"{t['source']}: {t['source_rows']} rows, {t['target_rows']} on the other side" for t in tables[:TABLES]
        )
        params = {"run": run, "tables": named}
        yield Problem(code="data_different", severity=Severity.BLOCKING, params=params, evidence=evidence)


async def target_problems(loaded: LoadedConfig, state: Path) -> list[Problem]:
    """Why the PostgreSQL side can't be reached; nothing where there is none."""
    if loaded.config.in_place:
        return []
    found = await look_at_target(loaded, state)
    if found["ok"]:
        return []
    params = {"reason": found["reason"], "fix": found["hint"]}
    code = _TARGET.get(found["code"], "postgres_database")
    return [Problem(code=code, severity=Severity.BLOCKING, params=params, evidence=(f"target: {found['address']}",))]
