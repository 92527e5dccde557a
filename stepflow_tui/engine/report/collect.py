"""Collects the report from a run's journal, in exactly the shape the contract gives report.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stepflow_tui.engine.journal.audit import Anchor, ChainState
from stepflow_tui.engine.journal.control_rows import CommandState
from stepflow_tui.engine.journal.reader import RunReader
from stepflow_tui.engine.model.finding import Finding, Severity
from stepflow_tui.engine.model.state import StepState
from stepflow_tui.engine.model.times import iso_utc
from stepflow_tui.engine.report.application import advise
from stepflow_tui.engine.report.in_place import collect_in_place
from stepflow_tui.engine.texts import render
from stepflow_tui.engine.texts.checklist import item_title

Report = dict[str, Any]


def collect(run_dir: Path, state_dir: Path) -> Report:
    """The report of a run as it stands now.

    Raises:
        UsageError, Refused, DiskFull, StepFailed: the journal can't be read.
    """
    with RunReader(run_dir) as reader:
        run = reader.run() or {}
        tables = [_table(t) for t in reader.tables()]
        gauges = reader.gauges()
        return {
            "run": run_dir.name,
            "name": run.get("name"),
            "kind": run.get("kind"),
            "result": run.get("result"),
            "exit_code": run.get("exit_code"),
            "plan_hash": run.get("plan_hash"),
            "config_hash": run.get("config_hash"),
            "started_at": _time(run.get("created_ms")),
            "finished_at": _time(run.get("finished_ms")),
            "seconds": _phase_seconds(reader),
            "versions": _versions(run),
            "backup": _backup(reader.backup()),
            "source_changed": bool(run.get("source_changed")),
            "tables": tables,
            "objects": [_object(o) for o in reader.objects()],
            "findings": _findings(reader),
            "discrepancies": [_discrepancy(d) for d in reader.discrepancies()],
            "rejects": [_reject(r) for r in reader.rejects()],
            "checklist": [_item(i) for i in reader.checklist()],
            "notes": _notes(reader),
            "rollbacks": _rollbacks(reader),
            "alerts": [_alert(a) for a in reader.alerts()],
            "audit": _audit(reader, state_dir),
            "timings": _timings(reader),
            "state": run.get("state"),
            "source": run.get("source") or {},
            "errors": _errors(reader),
            "application": _application(reader, run),
            "window": reader.gauges().get("window"),
            "availability": (gauges.get("availability") or {}).get("phases") or {},
            "application_state": gauges.get("application"),
            **collect_in_place(reader, run_dir),
        }


def _time(ms: int | None) -> str | None:
    return None if ms is None else iso_utc(ms)


def _seconds(row: dict[str, Any]) -> float | None:
    if row["started_ms"] is None or row["ended_ms"] is None:
        return None
    return round((int(row["ended_ms"]) - int(row["started_ms"])) / 1000, 3)


def _phase_seconds(reader: RunReader) -> dict[str, float]:
    """Time spent working, by phase: the sum of its steps, so that waiting at gates does not count."""
    seconds: dict[str, float] = {}
    for step in reader.steps():
        took = _seconds(step)
        if took is not None:
            seconds[step["phase"]] = round(seconds.get(step["phase"], 0.0) + took, 3)
    return seconds


def _timings(reader: RunReader) -> list[dict[str, Any]]:
    steps = [
        {
            "phase": s["phase"],
            "step": s["name"],
            "item": "",
            "state": s["state"],
            "seconds": _seconds(s),
            "attempts": s["attempt"],
        }
        for s in reader.steps()
    ]
    return steps + [
        {
            "phase": "",
            "step": t["step"],
            "item": f"{t['item']} {t['name']}".strip(),
            "state": "",
            "seconds": t["seconds"],
            "attempts": 1,
        }
        for t in reader.timings()
    ]


def _versions(run: dict[str, Any]) -> dict[str, Any]:
    known = run.get("versions") or {}
    return {k: known.get(k) for k in ("stepflow", "python", "sqlite", "postgresql")} | known


def _backup(row: dict[str, Any] | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {"path": row["path"], "bytes": row["bytes"], "sha256": row["sha256"], "verified": bool(row["verified"])}


def _table(t: dict[str, Any]) -> dict[str, Any]:
    keys = (
        "source",
        "target",
        "source_rows",
        "target_rows",
        "rejected_rows",
        "verified",
        "reason",
        "digest_source",
        "digest_target",
        "copy_seconds",
    )
    return {k: t[k] for k in keys} | {"apart_from": t["facts"].get("apart_from"), "as_of": _time(t["as_of_ms"])}


def _object(o: dict[str, Any]) -> dict[str, Any]:
    return {"type": o["type"], "name": o["name"], "carried": bool(o["carried"]), "reason": o["reason"], "sql": o["sql"]}


def _findings(reader: RunReader) -> list[dict[str, Any]]:
    """What several stages found alike (a table that can't be read) is one finding."""
    found: list[dict[str, Any]] = []
    for row in reader.findings():
        shown = _finding(row)
        if shown not in found:
            found.append(shown)
    return found


def _finding(f: dict[str, Any]) -> dict[str, Any]:
    finding = Finding(code=f["code"], severity=Severity(f["severity"]), params=f["params"], object=f["object"])
    words = render(finding)
    return {
        "severity": f["severity"],
        "code": f["code"],
        "what": words.what,
        "why": words.why,
        "fix": words.fix,
        "object": f["object"],
    }


def _discrepancy(d: dict[str, Any]) -> dict[str, Any]:
    return {"table": d["tbl"], "key": d["key"], "column": d["col"]} | {
        k: d[k] for k in ("class", "source", "target", "cause", "repair_sql")
    }


def _reject(r: dict[str, Any]) -> dict[str, Any]:
    return {"table": r["tbl"], "key": r["key"], "column": r["col"], "reason": r["reason"], "file": r["file"]}


def _item(i: dict[str, Any]) -> dict[str, Any]:
    title = i["params"].get("title") or item_title(i["id"])
    return {
        "id": i["id"], "title": title, "phase": i["params"].get("when") or i["phase"], "kind": i["kind"], "state": i["state"],
        "by": i["by"], "at": _time(i["at_ms"]), "note": i["note"],
    }  # fmt: skip


def _alert(a: dict[str, Any]) -> dict[str, Any]:
    return {
        "code": a["code"], "severity": a["severity"], "since": _time(a["first_ms"]), "count": a["count"],
        "cleared": a["cleared_seq"] is not None, "acknowledged": a["acked_by"], "params": a["params"], "note": a["note"],
    }  # fmt: skip


def _audit(reader: RunReader, state_dir: Path) -> dict[str, Any]:
    anchor: Anchor = reader.audit_anchor()
    verdict = reader.verify_audit(state_dir, anchor)
    return {"entries": anchor.entries, "head": anchor.head, "verified": verdict.state is ChainState.WHOLE}


def _notes(reader: RunReader) -> list[dict[str, Any]]:
    return [
        {"at": iso_utc(n["at_ms"]), "by": n["data"].get("who"), "text": n["data"].get("text")} for n in reader.notes()
    ]


def _rollbacks(reader: RunReader) -> list[dict[str, Any]]:
    """Rollbacks that were begun, with the reason each was asked for with; the audit has them without secrets."""
    found = []
    for row in reader.audit():
        data = json.loads(row["data"]) if row["act"] == "rollback" else {}
        if data.get("answer") == CommandState.ACCEPTED.value:
            args = data.get("args") or {}
            reason = args.get("reason") or ""
            found.append({"at": iso_utc(row["at_ms"]), "by": row["who"], "to": args.get("to"), "reason": reason})
    return found


def _errors(reader: RunReader) -> list[dict[str, Any]]:
    """The error that ended the newest attempt, if the run did not go on after it: giving it up changes nothing about why."""
    run = reader.run() or {}
    if run.get("result") not in ("failed", "refused", "waiting", "aborted"):
        return []
    errors = reader.history(limit=1, codes=("error",))
    if not errors or (run["result"] == "aborted" and _went_on(reader, errors[-1]["seq"])):
        return []
    return [{k: errors[-1]["data"].get(k, "") for k in ("code", "message", "detail", "hint")}]


def _went_on(reader: RunReader, seq: int) -> bool:
    """Whether a step was begun after that event."""
    begun = reader.history(after=seq, codes=("step",))
    return any(e["data"].get("state") == StepState.RUNNING.value for e in begun)


def _application(reader: RunReader, run: dict[str, Any]) -> list[str]:
    plan = reader.plan()
    if plan is None or run.get("kind") == "sqlite-wal":
        return []
    relevant = (run.get("config") or {}).get("relevant") or {}
    claimed = next((s["evidence"] for s in reader.steps() if s["name"] == "claim-target" and s["evidence"]), None) or {}
    return advise(
        plan,
        target=claimed.get("target", "the PostgreSQL database"),
        grants=dict(relevant.get("target.grant") or {}),
        owner=relevant.get("target.owner"),
    )
