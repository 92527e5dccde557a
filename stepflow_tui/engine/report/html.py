"""The report as one self-contained HTML page: no script, no outside resource, every value escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from stepflow_tui.engine.report.in_place import (
    BENCHMARK_HEAD,
    CONVERSION_HEAD,
    LIMITS_HEAD,
    benchmark_rows,
    conversion_rows,
    limit_rows,
    table_cell,
)
from stepflow_tui.engine.report.markdown import (
    AVAILABILITY_HEAD,
    HEALTH_HEAD,
    IN_PLACE_HEAD,
    IN_PLACE_KEYS,
    availability_rows,
    headline,
    health_rows,
    is_in_place,
    item_state,
)
from stepflow_tui.engine.report.window import WINDOW_HEAD, window_rows

Report = dict[str, Any]

STYLE = """
:root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem}
h1{font-size:1.6rem;margin-bottom:.2rem}h2{margin-top:2.2rem;border-bottom:1px solid #8885;padding-bottom:.2rem}
table{border-collapse:collapse;width:100%;font-size:.9rem}td,th{border:1px solid #8884;padding:.25rem .5rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}
th{background:#8882}pre{background:#8881;padding:.6rem;overflow:auto;white-space:pre-wrap}.banner{padding:.7rem 1rem;border-radius:.4rem;font-weight:600}
.completed,.equal,.ticked{background:#2a93}.incomplete,.failed,.different,.blocking{background:#d333}.refused,.warning,.waiting,.stopped,.aborted,.not_verified,.accepted{background:#fa03}
.meta{color:#888}code{overflow-wrap:anywhere}
"""


def render(report: Report) -> str:
    """The whole page as text."""
    sections = (
        _conversion,
        _benchmark,
        _tables,
        _phases,
        _objects,
        _findings,
        _discrepancies,
        _rejects,
        _application,
        _window,
        _availability,
        _health,
        _checklist,
        _notes,
        _rollbacks,
        _alerts,
        _audit,
    )
    body = "\n".join(section(report) for section in sections)
    name = escape(str(report["name"]))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>StepFlow report: {name}</title>'
        '<meta name="viewport" content="width=device-width"><meta http-equiv="Content-Security-Policy" content="default-src \'none\'; style-src \'unsafe-inline\'">'
        f"<style>{STYLE}</style><h1>StepFlow report: {name}</h1>{_summary(report)}{body}</html>\n"
    )


def text(value: object) -> str:
    """A value, escaped, control characters made visible as spaces."""
    shown = "" if value is None else str(value)
    return escape("".join(c if c.isprintable() or c == "\n" else " " for c in shown))


def _table(head: Sequence[str], rows: Iterable[Sequence[object]], mark: int | None = None) -> str:
    lines = []
    for row in rows:
        cells = (
            # "equal apart from …" has not the colour of "equal"
            f'<td class="{text(v)}">{text(v)}</td>'
            if i == mark and not str(v).startswith("equal ")
            else f"<td>{text(v)}</td>"
            for i, v in enumerate(row)
        )
        lines.append(f"<tr>{''.join(cells)}</tr>")
    titles = "".join(f"<th>{escape(h)}</th>" for h in head)
    return f"<table><tr>{titles}</tr>{''.join(lines)}</table>" if lines else ""


def _section(title: str, content: str) -> str:
    return f"<h2>{escape(title)}</h2>{content}" if content else ""


def _summary(report: Report) -> str:
    versions = ", ".join(f"{k} {v}" for k, v in report["versions"].items() if v)
    errors = "".join(
        f"<p><b>{text(e['code'])}</b>: {text(e['message'])} {text(e['detail'])}<br>What to do: {text(e['hint'])}</p>"
        for e in report.get("errors", [])
    )
    changed = "<p><b>The source changed while the run was working.</b></p>" if report["source_changed"] else ""
    return (
        f'<p class="banner {text(report["result"])}">{text(headline(report))}</p>{changed}{errors}'
        f'<p class="meta">run {text(report["run"])} · {text(report["kind"])} · exit code {text(report["exit_code"])} · '
        f"{text(report['started_at'])} – {text(report['finished_at'])}<br>plan <code>{text(report['plan_hash'])}</code><br>{text(versions)}</p>{_backup(report)}"
    )


def _backup(report: Report) -> str:
    backup = report["backup"]
    if not backup:
        return ""
    proof = "restored and checked" if backup["verified"] else "NOT verified"
    return f"<p>Backup <code>{text(backup['path'])}</code>, {backup['bytes']:,} bytes, {proof}, SHA-256 <code>{text(backup['sha256'])}</code></p>"


def _conversion(report: Report) -> str:
    return _section("Conversion", _table(CONVERSION_HEAD, conversion_rows(report)))


def _benchmark(report: Report) -> str:
    limits = _table(LIMITS_HEAD, limit_rows(report), mark=3)
    return _section("Benchmark", _table(BENCHMARK_HEAD, benchmark_rows(report)) + limits)


def _tables(report: Report) -> str:
    if is_in_place(report):
        own = ([table_cell(t, k) for k in IN_PLACE_KEYS] for t in report["tables"])
        return _section("Tables", _table(IN_PLACE_HEAD, own, mark=1))
    head = (
        "source",
        "target",
        "verified",
        "source rows",
        "target rows",
        "rejected",
        "reason",
        "digest",
        "copy seconds",
    )
    keys = (
        "source",
        "target",
        "verified",
        "source_rows",
        "target_rows",
        "rejected_rows",
        "reason",
        "digest_target",
        "copy_seconds",
    )
    return _section("Tables", _table(head, ([t[k] for k in keys] for t in report["tables"]), mark=2))


def _phases(report: Report) -> str:
    rows = [
        (t["phase"], t["step"], t["state"], "" if t["seconds"] is None else f"{t['seconds']:.2f}")
        for t in report["timings"]
    ]
    return _section("Time", _table(("phase", "step", "state", "seconds"), rows))


def _objects(report: Report) -> str:
    if is_in_place(report):
        return ""
    lost = [o for o in report["objects"] if not o["carried"]]
    other = [(o["type"], o["name"], o["reason"]) for o in report["objects"] if o["carried"] and o["reason"]]
    items = "".join(
        f"<details open><summary>{text(o['type'])} {text(o['name'])}: {text(o['reason'])}</summary><pre>{text(o['sql'])}</pre></details>"
        for o in lost
    )
    return _section(f"Objects that were not carried ({len(lost)})", items or "<p>None.</p>") + _section(
        "Objects carried in another form", _table(("type", "name", "how"), other)
    )


def _findings(report: Report) -> str:
    rows = [(f["severity"], f["code"], f["object"], f["what"], f["why"], f["fix"]) for f in report["findings"]]
    return _section("Findings", _table(("severity", "code", "object", "what", "why", "what to do"), rows, mark=0))


def _discrepancies(report: Report) -> str:
    head = ("table", "key", "column", "class", "source", "target", "probable cause", "repair")
    keys = ("table", "key", "column", "class", "source", "target", "cause", "repair_sql")
    return _section("Differences", _table(head, ([d[k] for k in keys] for d in report["discrepancies"])))


def _rejects(report: Report) -> str:
    keys = ("table", "key", "column", "reason", "file")
    return _section("Rejected rows", _table(keys, ([r[k] for k in keys] for r in report["rejects"])))


def _application(report: Report) -> str:
    items = "".join(f"<li>{text(i)}</li>" for i in report.get("application", []))
    return _section("What to change in your application", f"<ul>{items}</ul>" if items else "")


def _window(report: Report) -> str:
    return _section("Maintenance window", _table(WINDOW_HEAD, window_rows(report)))


def _availability(report: Report) -> str:
    return _section("Availability", _table(AVAILABILITY_HEAD, availability_rows(report)))


def _health(report: Report) -> str:
    return _section("Health of the application", _table(HEALTH_HEAD, health_rows(report)))


def _checklist(report: Report) -> str:
    keys = ("phase", "id", "title", "kind", "state", "by", "at", "note")
    rows = ([item_state(i) if k == "state" else i[k] for k in keys] for i in report["checklist"])
    return _section("Checklist", _table(keys, rows, mark=4))


def _notes(report: Report) -> str:
    keys = ("at", "by", "text")
    return _section("Notes", _table(("at", "by", "note"), ([n[k] for k in keys] for n in report["notes"])))


def _rollbacks(report: Report) -> str:
    rows = ((r["at"], r["by"], r["to"] or "everything", r["reason"]) for r in report.get("rollbacks", []))
    return _section("Rollbacks", _table(("at", "by", "back to", "reason"), rows))


def _alerts(report: Report) -> str:
    rows = [(a["severity"], a["code"], a["since"], a.get("cleared"), a["acknowledged"]) for a in report["alerts"]]
    return _section("Alerts", _table(("severity", "code", "since", "cleared", "acknowledged"), rows, mark=0))


def _audit(report: Report) -> str:
    audit = report["audit"]
    proof = "verified" if audit["verified"] else "NOT verified"
    return _section("Audit", f"<p>{audit['entries']} entries, head <code>{text(audit['head'])}</code>, {proof}.</p>")
