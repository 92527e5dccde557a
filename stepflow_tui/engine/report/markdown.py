"""The report as Markdown, for people: made from the same data as report.json, nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from stepflow_tui.engine.model.state import PhaseName
from stepflow_tui.engine.report.in_place import (
    BENCHMARK_HEAD,
    CONVERSION_HEAD,
    LIMITS_HEAD,
    apart_words,
    benchmark_rows,
    conversion_rows,
    limit_rows,
    table_cell,
)
from stepflow_tui.engine.report.window import WINDOW_HEAD, window_rows

Report = dict[str, Any]

_MARKS = re.compile(r"[\\|`<>*_\[\]&~$]")
"""Characters that begin markup: emphasis, links, HTML, entities, strikethrough, formulas."""

SHOWN_ROWS = 200
"""Rows of a list shown before the text refers to report.json."""


def render(report: Report) -> str:
    """The whole report as one Markdown text, ending in a newline."""
    sections = (
        _summary, _conversion, _benchmark, _phases, _backup, _tables, _not_carried, _carried_otherwise, _findings, _discrepancies, _rejects, _application,
        _window, _availability, _health, _checklist, _notes, _rollbacks, _alerts, _audit,
    )  # fmt: skip
    return "\n\n".join(text for section in sections if (text := section(report))) + "\n"


def cell(value: object) -> str:
    """A value as one table cell: no line breaks, no control characters, no markup of its own."""
    text = "" if value is None else str(value)
    text = "".join(c if c.isprintable() else " " for c in text)
    return _MARKS.sub(r"\\\g<0>", text)


def paragraph(value: object) -> str:
    """A value as a paragraph of its own, which can't become a heading, a list or a rule."""
    return re.sub(r"^(\s*\d*)([#+=.)-])", r"\1\\\2", cell(value))


def code(value: object) -> str:
    """A value as code within a sentence, between more backticks than it holds side by side."""
    text = "".join(c if c.isprintable() else " " for c in str(value))
    marks = "`"
    while marks in text:
        marks += "`"
    edge = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{marks}{edge}{text}{edge}{marks}"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; long ones are cut with a line that says where the rest is."""
    body = [list(map(cell, row)) for row in rows]
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |"]
    lines += ["| " + " | ".join(row) + " |" for row in body[:SHOWN_ROWS]]
    if len(body) > SHOWN_ROWS:
        lines.append(f"\n… and {len(body) - SHOWN_ROWS} more in report.json")
    return "\n".join(lines)


def is_in_place(report: Report) -> bool:
    """Whether the database stayed where it was: there is no target."""
    return bool(report["kind"] == "sqlite-wal")


def headline(report: Report) -> str:
    """One sentence that never says more than what was proven."""
    tables = report["tables"]
    equal = sum(t["verified"] == "equal" and not t.get("apart_from") for t in tables)
    rows = sum(t["target_rows"] or 0 for t in tables)
    stays = is_in_place(report)
    where = f"{rows:,} rows, in place" if stays else f"{rows:,} rows in the target"
    words = {
        "completed": f"Completed: {equal} of {len(tables)} tables verified equal{apart_words(tables)}, {where}.",
        "incomplete": f"INCOMPLETE: {equal} of {len(tables)} tables verified equal{apart_words(tables)}; what is missing or different is listed below.",
        "refused": "Refused: a check or guard said no; the reason is below. `stepflow run` goes on once it is gone.",
        "failed": "Failed: a step could not be done. The run can be resumed with `stepflow run`.",
        "aborted": "Aborted by the operator. "
        + ("The database keeps the mode it is in." if stays else "Nothing was dropped."),
        "rolled_back": _rolled_back(report),
        "stopped": "Stopped at a checkpoint. `stepflow run` goes on from there.",
        "waiting": "Waiting for an answer at a gate.",
    }
    return words.get(report["result"] or "", "Not finished.")


def _rolled_back(report: Report) -> str:
    tables = report["tables"]
    if is_in_place(report):
        return "Rolled back: what was done to the database was taken back; how is said below."
    aside = sum("set aside as" in t["reason"] for t in tables)
    kept = f"; {aside} changed tables were set aside under the name given below" if aside else ""
    return f"Rolled back: what the run made in the target is gone{kept}."


def _summary(report: Report) -> str:
    versions = ", ".join(f"{k} {cell(v)}" for k, v in report["versions"].items() if v)
    lines = [
        f"# StepFlow report: {cell(report['name'])}",
        f"**{headline(report)}**",
        f"Run `{report['run']}` · {report['kind']} · exit code {report['exit_code']}",
        f"Started {report['started_at'] or '–'}, finished {report['finished_at'] or '–'}",
        f"Plan `{report['plan_hash'] or '–'}` · config `{report['config_hash'] or '–'}` · {versions}",
    ]
    if report["source_changed"]:
        lines.append(
            "**The source changed while the run was working. Tables marked different may lack the newest changes.**"
        )
    for error in report.get("errors", []):
        lines.append(
            f"**{cell(error['code'])}**: {cell(error['message'])} {cell(error['detail'])}\n\nWhat to do: {cell(error['hint'])}"
        )
    return "\n\n".join(lines)


def _conversion(report: Report) -> str:
    rows = conversion_rows(report)
    return "## Conversion\n\n" + table(CONVERSION_HEAD, rows) if rows else ""


def _benchmark(report: Report) -> str:
    rows = benchmark_rows(report)
    if not rows:
        return ""
    note = "Measured on copies of the database, both sides in turns; the interval is the 95 % confidence interval of the ratio."
    return f"## Benchmark\n\n{note}\n\n{table(BENCHMARK_HEAD, rows)}\n\n{table(LIMITS_HEAD, limit_rows(report))}"


def _phases(report: Report) -> str:
    rows = [
        (t["phase"], t["step"], t["state"], f"{t['seconds']:.2f}" if t["seconds"] is not None else "")
        for t in report["timings"]
    ]
    total = ", ".join(f"{phase} {seconds:.1f} s" for phase, seconds in report["seconds"].items())
    return f"## Time\n\n{total or '–'}\n\n" + table(("phase", "step", "state", "seconds"), rows) if rows else ""


def _backup(report: Report) -> str:
    backup = report["backup"]
    if not backup:
        return ""
    proof = "restored and checked" if backup["verified"] else "NOT verified"
    return f"## Backup\n\n{code(backup['path'])} · {backup['bytes']:,} bytes · {proof}\n\nSHA-256 `{backup['sha256']}`"


IN_PLACE_HEAD = ("table", "verified", "rows before", "rows after", "reason", "digest")
IN_PLACE_KEYS = ("source", "verified", "source_rows", "target_rows", "reason", "digest_target")
"""Columns of the tables where each is one table, before and after."""


def _tables(report: Report) -> str:
    if is_in_place(report):
        own = [
            [str(t[k] or "")[:16] if k == "digest_target" else table_cell(t, k) for k in IN_PLACE_KEYS]
            for t in report["tables"]
        ]
        return "## Tables\n\n" + table(IN_PLACE_HEAD, own) if own else ""
    rows = [
        (
            t["source"],
            t["target"],
            t["source_rows"],
            t["target_rows"],
            t["rejected_rows"],
            t["verified"],
            t["reason"],
            (t["digest_target"] or "")[:16],
        )
        for t in report["tables"]
    ]
    if not rows:
        return ""
    return "## Tables\n\n" + table(
        ("source", "target", "source rows", "target rows", "rejected", "verified", "reason", "digest"), rows
    )


def _not_carried(report: Report) -> str:
    lost = [o for o in report["objects"] if not o["carried"]]
    if is_in_place(report):
        return ""
    if not lost:
        return "## Objects that were not carried\n\nNone."
    blocks = [f"### {o['type']} {cell(o['name'])}\n\n{paragraph(o['reason'])}\n\n{fence(o['sql'])}" for o in lost]
    return f"## Objects that were not carried ({len(lost)})\n\n" + "\n\n".join(blocks)


def fence(sql: str | None) -> str:
    """SQL of the source as a code block whose fence it can't close."""
    if not sql:
        return ""
    shown = "".join(c if c.isprintable() or c in "\n\t" else " " for c in sql)
    marks = "```"
    while marks in shown:
        marks += "`"
    return f"{marks}sql\n{shown}\n{marks}"


def _carried_otherwise(report: Report) -> str:
    rows = [(o["type"], o["name"], o["reason"]) for o in report["objects"] if o["carried"] and o["reason"]]
    return "## Objects carried in another form\n\n" + table(("type", "name", "how"), rows) if rows else ""


def _findings(report: Report) -> str:
    rows = [(f["severity"], f["code"], f["object"], f["what"], f["fix"]) for f in report["findings"]]
    return "## Findings\n\n" + table(("severity", "code", "object", "what", "what to do"), rows) if rows else ""


def _discrepancies(report: Report) -> str:
    rows = [
        (d["table"], d["key"], d["column"], d["class"], d["source"], d["target"], d["cause"])
        for d in report["discrepancies"]
    ]
    return (
        "## Differences\n\n" + table(("table", "key", "column", "class", "source", "target", "probable cause"), rows)
        if rows
        else ""
    )


def _rejects(report: Report) -> str:
    rows = [(r["table"], r["key"], r["column"], r["reason"], r["file"]) for r in report["rejects"]]
    return "## Rejected rows\n\n" + table(("table", "key", "column", "reason", "file"), rows) if rows else ""


def _application(report: Report) -> str:
    items = report.get("application", [])
    return "## What to change in your application\n\n" + "\n".join(f"- {cell(i)}" for i in items) if items else ""


def availability_rows(report: Report) -> list[tuple[str, ...]]:
    """Phase by phase and the sum: seconds without an answer, longest gap, failed requests, seconds measured and not measured."""
    phases: dict[str, Report] = report.get("availability") or {}
    order = {phase.value: n for n, phase in enumerate(PhaseName)}
    rows = sorted(phases.items(), key=lambda row: order.get(row[0], len(order)))
    if len(rows) > 1:
        rows.append(("all", _sum(phases.values())))
    return [
        (
            name,
            *(f"{p.get(key, 0.0):.1f}" for key in ("unavailable_seconds", "longest_gap_seconds")),
            f"{p.get('failed', 0)} of {p.get('requests', 0)}",
            *(f"{p.get(key, 0.0):.1f}" for key in ("measured_seconds", "unmeasured_seconds")),
        )
        for name, p in rows
    ]


AVAILABILITY_HEAD = (
    "phase",
    "seconds unavailable",
    "longest gap",
    "failed requests",
    "seconds measured",
    "not measured",
)


def _sum(phases: Iterable[Report]) -> Report:
    found = list(phases)
    total = {key: sum(p.get(key, 0) for p in found) for p in found for key in p}
    return total | {"longest_gap_seconds": max(p.get("longest_gap_seconds", 0.0) for p in found)}


def _window(report: Report) -> str:
    rows = window_rows(report)
    return "## Maintenance window\n\n" + table(WINDOW_HEAD, rows) if rows else ""


def _availability(report: Report) -> str:
    rows = availability_rows(report)
    if not rows:
        return ""
    note = "Seconds from a request that failed to the next one that was answered. Not measured: no engine was there to ask."
    return f"## Availability\n\n{note}\n\n" + table(AVAILABILITY_HEAD, rows)


def health_rows(report: Report) -> list[tuple[str, ...]]:
    """What each health check said last."""
    checks = (report.get("application_state") or {}).get("health") or []
    return [(h["what"], "healthy" if h["ok"] else "NOT healthy", h["reason"], f"{h['seconds']:.3f}") for h in checks]


HEALTH_HEAD = ("health check", "answer", "reason", "seconds")


def _health(report: Report) -> str:
    rows = health_rows(report)
    return "## Health of the application\n\n" + table(HEALTH_HEAD, rows) if rows else ""


def item_state(item: Report) -> str:
    """A checklist item's state in words: an accepted one must not look like one that somebody did."""
    return "accepted unticked" if item["state"] == "accepted" else str(item["state"])


def _checklist(report: Report) -> str:
    rows = [
        (i["phase"], i["id"], i["title"], i["kind"], item_state(i), i["by"], i["at"], i["note"])
        for i in report["checklist"]
    ]
    return "## Checklist\n\n" + table(("when", "id", "item", "kind", "state", "by", "at", "note"), rows) if rows else ""


def _notes(report: Report) -> str:
    rows = [(n["at"], n["by"], n["text"]) for n in report["notes"]]
    return "## Notes\n\n" + table(("at", "by", "note"), rows) if rows else ""


def _rollbacks(report: Report) -> str:
    rows = [(r["at"], r["by"], r["to"] or "everything", r["reason"]) for r in report.get("rollbacks", [])]
    return "## Rollbacks\n\n" + table(("at", "by", "back to", "reason"), rows) if rows else ""


def _alerts(report: Report) -> str:
    rows = [(a["severity"], a["code"], a["since"], a.get("cleared"), a["acknowledged"]) for a in report["alerts"]]
    return "## Alerts\n\n" + table(("severity", "code", "since", "cleared", "acknowledged"), rows) if rows else ""


def _audit(report: Report) -> str:
    audit = report["audit"]
    proof = "verified" if audit["verified"] else "NOT verified"
    return f"## Audit\n\n{audit['entries']} entries, head `{audit['head'] or '–'}`, {proof}."
