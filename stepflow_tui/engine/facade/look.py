"""Looking at runs: lists, reports, alerts, the audit chain. Read-only."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.journal.audit import Anchor
from stepflow_tui.engine.journal.reader import RunReader, peek_state
from stepflow_tui.engine.journal.rundir import RunEntry, StateDir, engine_alive
from stepflow_tui.engine.model.times import iso_utc


class HasRun(Protocol):
    """A run's id and folder."""

    @property
    def id(self) -> str:
        """The run's id."""
        ...

    @property
    def path(self) -> Path:
        """The run's folder."""
        ...


def list_runs(state: Path) -> Sequence[Mapping[str, Any]]:
    """All runs, newest first: id name kind environment state phase result exit_code created_at engine_alive engine_lost
    control."""
    return [_listed(entry) for entry in StateDir.open(state, os.environ, create=False).runs(peek_state)]


def _listed(entry: RunEntry) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": entry.id,
        "name": entry.name,
        "kind": None,
        "environment": None,
        "phase": None,
        "result": None,
        "exit_code": None,
        "control": None,
        "engine_lost": False,
    }
    row |= {
        "state": str(entry.state) if entry.state else None,
        "created_at": None,
        "engine_alive": engine_alive(entry.path),
    }
    try:
        with RunReader(entry.path) as reader:
            run, status = reader.run(), reader.status()
    except StepFlowError:
        return row  # being made, or somebody else's: the list shows what can be known
    if run is not None:
        row |= {k: run[k] for k in ("kind", "environment", "result", "exit_code")}
        row |= {"phase": status["phase"], "created_at": iso_utc(run["created_ms"]), "control": status.get("control")}
        row["engine_lost"] = any(a["code"] == "engine_lost" for a in status["alerts"])
    return row


def resolve_run(state: Path, run: str | None) -> RunEntry:
    """Which run is meant: an id, a unique prefix, a name, or the only unfinished one.

    Raises:
        UsageError: none or several fit.
    """
    return StateDir.open(state, os.environ, create=False).resolve(run, peek_state)


def run_keymap(run: HasRun) -> Mapping[str, str]:
    """`keymap:` of the config that the run was started with."""
    import yaml

    with RunReader(run.path) as reader:
        row = reader.run()
    text = (row or {}).get("config", {}).get("text") or ""
    keymap = (yaml.safe_load(text) or {}).get("keymap") or {}
    return {str(name): str(keys) for name, keys in keymap.items()}


def report(run: HasRun) -> Mapping[str, Any]:
    """The report of a run as it stands now, in the shape of report.json."""
    from stepflow_tui.engine.report.collect import collect

    return collect(run.path, run.path.parents[1])


def report_text(run: HasRun, kind: str) -> str:
    """The report as `md` or `html`."""
    from stepflow_tui.engine.report import html, markdown

    return (html.render if kind == "html" else markdown.render)(dict(report(run)))


def alerts(run: HasRun) -> Sequence[Mapping[str, Any]]:
    """All alerts of a run, cleared ones included, oldest first."""
    return list(report(run)["alerts"])


def audit(run: HasRun) -> Sequence[Mapping[str, Any]]:
    """The audit chain's entries, oldest first."""
    with RunReader(run.path) as reader:
        return reader.audit()


def verify_audit(state: Path, run: HasRun) -> Mapping[str, Any]:
    """Check the audit chain against the key and against the head and count that report.json holds: {state, verified, …}."""
    with RunReader(run.path) as reader:
        verdict = reader.verify_audit(state, _reported_anchor(run.path))
        here = reader.audit_anchor()
    return {
        "run": run.id,
        "state": str(verdict.state),
        "verified": str(verdict.state) == "whole",
        "at": verdict.at,
        "entries": here.entries,
        "head": here.head,
    }


def _reported_anchor(run_dir: Path) -> Anchor | None:
    import json

    try:
        kept = json.loads((run_dir / "report.json").read_text(encoding="utf-8"))["audit"]
        return Anchor(entries=kept["entries"], head=kept["head"])
    except (OSError, ValueError, KeyError):
        return None
