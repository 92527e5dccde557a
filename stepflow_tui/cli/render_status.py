"""A run's status, and the list of runs, as text. The status is the object that `status --json` prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stepflow_tui.cli import words
from stepflow_tui.cli.output import clean_line
from stepflow_tui.engine.model.times import iso_utc

_MARKS = {"done": "✓", "running": "▶", "failed": "✗", "skipped": "–", "undone": "↶", "pending": " "}

RUNS_HEAD = ("run", "kind", "environment", "state", "phase", "result", "engine")


def run_row(run: Mapping[str, Any]) -> tuple[object, ...]:
    """One line of `runs`."""
    engine = "alive" if run.get("engine_alive") else ""
    return (
        run["id"],
        run.get("kind"),
        run.get("environment"),
        run.get("state"),
        run.get("phase"),
        run.get("result"),
        engine,
    )


def status_lines(status: Mapping[str, Any]) -> Iterator[str]:
    """Everything worth knowing, the most important first."""
    yield clean_line(
        f"{status['run']}: {status['state']}" + (f" in {words.spaced(status['phase'])}" if status.get("phase") else "")
    )
    yield from _engine(status.get("engine") or {})
    for phase in status.get("phases") or ():
        yield f"{_MARKS.get(phase['state'], ' ')} {words.spaced(phase['name'])}"
        for step in phase.get("steps") or ():
            yield _step(step)
    if status.get("progress"):
        yield f"progress: {words.progress(status['progress'])}"
    yield from _tables(status.get("tables") or ())
    yield from _gate(status.get("gate"))
    for alert in status.get("alerts") or ():
        known = " (acknowledged)" if alert.get("acknowledged") else ""
        yield clean_line(f"alert {alert['severity']}: {alert['code']} since {iso_utc(alert['since'])}{known}")
    back = status.get("rollback") or {}
    if back.get("possible"):
        yield f"rollback is possible; it would lose: {'; '.join(back.get('loses') or ()) or 'nothing'}"


def _engine(engine: Mapping[str, Any]) -> Iterator[str]:
    if not engine.get("alive"):
        yield "engine: not running"
        return
    beat = engine.get("heartbeat_seconds")
    quiet = f", not responding for {words.seconds(beat)}" if beat is not None and beat > 5 else ""
    yield f"engine: pid {engine.get('pid')}{quiet}"


def _step(step: Mapping[str, Any]) -> str:
    line = f"  {_MARKS.get(step['state'], ' ')} {step.get('title') or words.spaced(step['name'])}"
    if step.get("seconds") is not None:
        line += f" ({words.seconds(step['seconds'])})"
    if step.get("progress") and step["state"] == "running":
        line += f": {words.progress(step['progress'])}"
    return clean_line(line)


def _tables(tables: Any) -> Iterator[str]:
    off = [t for t in tables if t.get("diff")]
    rows = sum(t.get("source_rows") or 0 for t in tables)
    if tables:
        yield f"tables: {len(tables)}, {words.count(rows)} rows in the source"
    for table in off[:20]:
        yield clean_line(
            f"  {table['source']} → {table['target']}: {words.count(table['diff'])} rows difference ({table['state']})"
        )
    if len(off) > 20:
        yield f"  and {len(off) - 20} more; `stepflow report` lists all"


def _gate(gate: Mapping[str, Any] | None) -> Iterator[str]:
    if gate and gate.get("state", "open") == "open":
        yield f"waiting before {words.spaced(str(gate.get('phase')))}: `stepflow continue` answers {len(gate.get('questions') or ())} questions"
