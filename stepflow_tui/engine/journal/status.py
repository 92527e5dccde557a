"""A run's state in the one shape every front end shows: `status --json`."""

from __future__ import annotations

from typing import Any

from stepflow_tui.engine.journal.figures import figures_of, until_ms
from stepflow_tui.engine.journal.observers import observers
from stepflow_tui.engine.journal.queries import EngineSign, RunQueries
from stepflow_tui.engine.model.liveness import engine_lost, unattended
from stepflow_tui.engine.model.state import PhaseName, RunState, StepState
from stepflow_tui.engine.model.times import iso_utc
from stepflow_tui.engine.texts.checklist import item_title
from stepflow_tui.engine.texts.running import step_title

_UNDOABLE = frozenset(RunState) - {RunState.ROLLED_BACK, RunState.PENDING}


def status_of(reader: RunQueries) -> dict[str, Any]:
    """The whole status; every key is there from the first moment of a run."""
    run = reader.run()
    engine = reader.engine()
    steps, progress = reader.steps(), _still(reader.progress(), alive=engine.alive)
    gauges, until = figures_of(reader, engine), until_ms(engine)
    kind = str(run["kind"]) if run else ""
    phases = [_phase(p, steps, progress, kind, until) for p in reader.phases()]
    alerts = [_alert(a) for a in reader.alerts(open_only=True)]
    step = (
        steps[0]
        if steps and run and run["state"] == RunState.ROLLED_BACK
        else _current(steps, {p["name"]: p["state"] for p in phases})
    )
    return {
        "run": reader.run_dir.name,
        "name": run["name"] if run else reader.run_dir.name.rsplit("-", 2)[0],
        "kind": run["kind"] if run else None,
        "environment": run["environment"] if run else None,
        "state": run["state"] if run else RunState.PENDING.value,
        "result": run["result"] if run else None,
        "exit_code": run["exit_code"] if run else None,
        "phase": step["phase"] if step else None,
        "step": step["name"] if step else None,
        "engine": {
            "pid": engine.pid if engine.alive else None,
            "alive": engine.alive,
            "heartbeat_seconds": engine.heartbeat_seconds,
        },
        "phases": phases,
        "progress": _step_progress(step["name"], progress) if step else None,
        "tables": _tables(reader.tables(), progress),
        "level": (run["config"].get("relevant") or {}).get("verify.level") if run else None,
        "lag": gauges.get("lag"),
        "wal": gauges.get("wal"),
        "switch": gauges.get("switch"),
        "live": gauges.get("live"),
        "window": gauges.get("window"),
        "availability": gauges.get("availability"),
        "application": gauges.get("application"),
        "alerts": alerts + _engineless(run, engine, phases, {a["code"] for a in alerts}),
        "gate": _gate(reader) if run and run["state"] == RunState.WAITING.value else None,
        "control": reader.control(),
        "observers": observers(reader.run_dir),
        "rollback": _rollback(run, steps, reader.backup()),
        "objects_left_out": _left_out(reader),
        "checklist": [_item(i) for i in reader.checklist()],
    }


def _phase(
    phase: dict[str, Any], steps: list[dict[str, Any]], progress: list[dict[str, Any]], kind: str, until: int | None
) -> dict[str, Any]:
    own = [s for s in steps if s["phase"] == phase["name"]]
    return {"name": phase["name"], "state": phase["state"], "steps": [_step(s, progress, kind, until) for s in own]}


def _step(step: dict[str, Any], progress: list[dict[str, Any]], kind: str, until: int | None) -> dict[str, Any]:
    return {
        "name": step["name"],
        "title": step_title(step["name"], kind),
        "state": step["state"],
        "danger": step["danger"],
        "seconds": _seconds(step, until),
        "progress": _step_progress(step["name"], progress),
    }


def _seconds(step: dict[str, Any], until: int | None) -> float | None:
    """How long it took, or has worked so far: `until` the last sign of the engine; None while that is not known."""
    end = step["ended_ms"] if step["ended_ms"] is not None else until
    if step["started_ms"] is None or end is None:
        return None
    return round(max(0, int(end) - int(step["started_ms"])) / 1000, 3)


def _still(progress: list[dict[str, Any]], *, alive: bool) -> list[dict[str, Any]]:
    """Progress as it stands: without an engine nothing moves, so there is no rate, no end in sight, and no throttle."""
    return progress if alive else [p | {"rate": None, "eta_s": None, "throttle": ""} for p in progress]


def _current(steps: list[dict[str, Any]], phases: dict[str, str]) -> dict[str, Any] | None:
    """The step that runs, else the one that failed, else the next one, else the last.

    A step that was undone is the next one where its phase is still to come: the run went back to it.
    """
    for wanted in (StepState.RUNNING, StepState.FAILED, StepState.PENDING):
        for step in steps:
            if step["state"] == wanted.value:
                return step
            again = step["state"] == StepState.UNDONE.value and phases[step["phase"]] == StepState.PENDING.value
            if wanted is StepState.PENDING and again:
                return step
    return steps[-1] if steps else None


def _step_progress(name: str, progress: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The step's own line, else the sum over its items."""
    own = [p for p in progress if p["step"] == name]
    whole = next((p for p in own if p["item"] == ""), None)
    if whole is not None:
        return _progress(whole)
    if not own:
        return None
    totals = [p["total"] for p in own]
    rates = [p["rate"] for p in own if p["rate"] is not None]
    return {
        "done": sum(p["done"] for p in own),
        "total": None if None in totals else sum(totals),
        "unit": own[0]["unit"],
        "rate_per_second": round(sum(rates), 1) if rates else None,
        "eta_seconds": max((p["eta_s"] for p in own if p["eta_s"] is not None), default=None),
        "eta_state": own[0]["eta_state"],
        "throttle": next((p["throttle"] for p in own if p["throttle"]), ""),
    }


def _progress(p: dict[str, Any]) -> dict[str, Any]:
    return {
        "done": p["done"],
        "total": p["total"],
        "unit": p["unit"],
        "rate_per_second": p["rate"],
        "eta_seconds": p["eta_s"],
        "eta_state": p["eta_state"],
        "throttle": p["throttle"],
    }


def _tables(tables: list[dict[str, Any]], progress: list[dict[str, Any]]) -> list[dict[str, Any]]:
    done = {p["item"]: p["done"] for p in progress if p["step"] == "copy"}
    return [_table(t, done.get(t["source"])) for t in tables]


def _table(t: dict[str, Any], done: int | None) -> dict[str, Any]:
    """A table; `done_rows` are the rows dealt with so far while it is being copied, rejected ones included."""
    counted = t["source_rows"] is not None and t["target_rows"] is not None
    return {
        "source": t["source"],
        "target": t["target"],
        "source_rows": t["source_rows"],
        "target_rows": t["target_rows"],
        "done_rows": done if t["state"] == "copying" and t["target_rows"] is None else None,
        "diff": t["target_rows"] - t["source_rows"] if counted else None,
        "state": t["state"],
        "verified": t["verified"],
        "apart_from": t["facts"].get("apart_from"),
        "rejected_rows": t["rejected_rows"],
        "as_of": None if t["as_of_ms"] is None else iso_utc(t["as_of_ms"]),
    }


def _left_out(reader: RunQueries) -> int:
    """How many objects of the source (views, triggers, checks…) have no counterpart; the report names each."""
    row = reader.one("SELECT count(*) AS n FROM object WHERE NOT carried")
    return int(row["n"]) if row else 0


def _item(i: dict[str, Any]) -> dict[str, Any]:
    """An item as the report shows it; `before` is the phase whose gate it holds up, "" for none."""
    return {
        "id": i["id"],
        "title": i["params"].get("title") or item_title(i["id"]),
        "phase": i["params"].get("when") or i["phase"],
        "before": i["phase"],
        "kind": i["kind"],
        "state": i["state"],
        "by": i["by"],
        "at": None if i["at_ms"] is None else iso_utc(i["at_ms"]),
        "note": i["note"],
    }


def _alert(a: dict[str, Any]) -> dict[str, Any]:
    return {
        "code": a["code"],
        "severity": a["severity"],
        "since": iso_utc(a["first_ms"]),
        "acknowledged": a["acked_by"] is not None,
        "params": a["params"],
    }


def _engineless(
    run: dict[str, Any] | None, engine: EngineSign, phases: list[dict[str, Any]], standing: set[str]
) -> list[dict[str, Any]]:
    """A dead engine can't raise its own alerts. One that took capture out has said so."""
    if run is None:
        return []
    state = RunState(run["state"])
    lost = engine_lost(state, run["result"], alive=engine.alive, heartbeat_seconds=engine.heartbeat_seconds)
    states = {p["name"]: p["state"] for p in phases}
    captures = states.get(PhaseName.CAPTURE) == StepState.DONE and states.get(PhaseName.CLEANUP) == StepState.PENDING
    alone = unattended(state, alive=engine.alive, captures=captures and "log_full" not in standing)
    return [
        {"code": a.code, "severity": a.severity.value, "since": None, "acknowledged": False, "params": a.params}
        for a in (lost, alone)
        if a is not None
    ]


def _gate(reader: RunQueries) -> dict[str, Any] | None:
    row = reader.one("SELECT data FROM event WHERE code='gate' ORDER BY seq DESC LIMIT 1", decode=("data",))
    data: dict[str, Any] | None = row["data"] if row else None
    return data if data and data.get("state") != "passed" else None


def _rollback(run: dict[str, Any] | None, steps: list[dict[str, Any]], backup: dict[str, Any] | None) -> dict[str, Any]:
    """Whether one can go back, and what that loses; `backup_at`: when the backup was begun, if a rollback can restore it."""
    done = [s for s in steps if s["state"] == StepState.DONE.value]
    closed = any(s["phase"] == PhaseName.CLEANUP.value and s["state"] != StepState.PENDING.value for s in steps)
    possible = run is not None and RunState(run["state"]) in _UNDOABLE and bool(done) and not closed
    loses = [s["loses"] for s in reversed(done) if s["loses"]] if possible else []
    back: dict[str, Any] = {"possible": possible, "loses": loses}
    began = next((s["started_ms"] for s in done if s["name"] == "backup"), None)
    if possible and began is not None and backup is not None and run is not None and run["kind"] == "sqlite-wal":
        back["backup_at"] = iso_utc(began)
    return back
