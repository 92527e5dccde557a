"""What a report says of a conversion in place: how it went, what proves it, and what both modes achieve."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stepflow_tui.engine.journal.reader import RunReader

Report = dict[str, Any]

CONVERSION_HEAD = ("what", "found")
BENCHMARK_HEAD = (
    "load",
    "side",
    "per second",
    "p50 ms",
    "p95 ms",
    "p99 ms",
    "locked",
    "errors",
    "against the first side",
)
LIMITS_HEAD = ("limit", "wanted", "found", "verdict")
_STEPS = ("rehearse", "layout", "convert", "tune", "prove", "watch")


def collect_in_place(reader: RunReader, run_dir: Path) -> dict[str, Any]:
    """`{in_place: {step: evidence}, benchmark: result}`: what is known so far; empty for other kinds."""
    run = reader.run() or {}
    if run.get("kind") != "sqlite-wal":
        return {}
    steps = {s["name"]: s["evidence"] for s in reader.steps() if s["name"] in _STEPS and s["evidence"]}
    return {"in_place": steps, "benchmark": _benchmark(run_dir / "benchmark.json")}


def _benchmark(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None


APART = {
    "application_writes": "equal apart from the application's writes",
    "unread": "not read here, untouched by the conversion",
}
"""The words for tables that are not proven equal value by value, and not different."""


def table_cell(table: Report, key: str) -> object:
    """One cell of a table's row, the verdict in words that say no more than what was proven."""
    return APART.get(table.get("apart_from") or "", table[key]) if key == "verified" else table[key]


def apart_words(tables: Sequence[Report]) -> str:
    """`, 2 more equal apart from the application's writes`; "" where there are none."""
    counts = ((sum(t.get("apart_from") == code for t in tables), words) for code, words in APART.items())
    return "".join(f", {count} more {words}" for count, words in counts if count)


def conversion_rows(report: Report) -> list[tuple[str, object]]:
    """The conversion and its proof, line by line."""
    steps: Report = report.get("in_place") or {}
    rows: list[tuple[str, object]] = []
    convert, prove, rehearsed = (steps.get(name) or {} for name in ("convert", "prove", "rehearse"))
    before, after = convert.get("before") or {}, convert.get("after") or {}
    if rehearsed.get("content"):
        rows.append(
            (
                "rehearsal on a copy",
                f"there {rehearsed['to_wal_seconds']} s, back {rehearsed['back_seconds']} s, content equal",
            )
        )
    if before:
        rows.append(("mode before", f"{before.get('mode')}, header {before.get('header')}"))
    if after:
        rows.append(("mode after", f"{after.get('mode')}, header {after.get('header')}"))
    if "attempts" in convert:
        rows.append(("tries", f"{convert['attempts']} in {convert['seconds']} s"))
        rows.append(("bytes the conversion wrote", convert.get("bytes_written")))
        rows.append(("seen in the way", ", ".join(convert.get("waited_for") or ()) or "nobody"))
    if prove:
        rows += _proof(prove)
    return rows + _back(convert)


def _back(convert: Report) -> list[tuple[str, object]]:
    """What a rollback found and did; its evidence has taken the conversion's place."""
    if convert.get("restored"):
        aside = ", ".join(convert.get("aside") or ())
        return [
            ("backup restored", f"sha256 {convert.get('sha256', 'as in the manifest')}"),
            ("before it, kept aside", aside),
        ]
    if "changed" in convert:
        done = (
            f"{convert['attempts']} tries, {convert['seconds']} s" if convert["changed"] else "nothing had to be done"
        )
        return [("went back to", f"{convert.get('mode')}: {done}"), ("integrity_check", convert.get("integrity_check"))]
    return []


def _proof(prove: Report) -> list[tuple[str, object]]:
    checkpoint = prove.get("checkpoint")
    wrote = "no table differs" if prove.get("equal") == prove.get("tables") else "tables were written to meanwhile"
    written = "nobody wrote between backup and proof" if prove.get("quiet") else wrote
    apart = "".join(
        f", {prove[k]} {w}" for k, w in zip(("written_to", "unread"), APART.values(), strict=True) if prove.get(k)
    )
    rows: list[tuple[str, object]] = [
        ("integrity_check", prove.get("integrity_check")),
        ("tables equal", f"{prove.get('equal')} of {prove.get('tables')}{apart}; {written}"),
    ]
    if checkpoint is None:
        return rows
    told = (
        f"{checkpoint.get('kind')}: busy {checkpoint.get('busy')}, frames {checkpoint.get('frames')}, "
        f"checkpointed {checkpoint.get('checkpointed')}, -wal {checkpoint.get('wal_bytes_after')} bytes after it"
    )
    return [*rows, ("checkpoint", told)]


def benchmark_rows(report: Report) -> list[tuple[object, ...]]:
    """A row for every load and side."""
    result: Report = report.get("benchmark") or {}
    rows: list[tuple[object, ...]] = []
    for load in result.get("loads") or ():
        for side in result.get("sides") or ():
            figures = (load.get("figures") or {}).get(side)
            if figures is not None:
                rows.append(_load_row(load, side, figures))
    return rows


def _load_row(load: Report, side: str, figures: Report) -> tuple[object, ...]:
    ratio = (load.get("ratios") or {}).get(side)
    told = f"{ratio['value']:.2f} × ({ratio['low']:.2f} to {ratio['high']:.2f})" if ratio else ""
    times = (_milliseconds(figures.get(p)) for p in ("p50", "p95", "p99"))
    return (load["name"], side, f"{figures['per_second']:,.0f}", *times, figures["locked"], figures["errors"], told)


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.2f}"


_UNITS = {"seconds": (1000, ".3g", " ms"), "share": (100, ".2f", " %"), "ratio": (1, ".2f", " ×")}


def _in_unit(value: float | None, unit: str) -> str:
    """A figure as people read it: `5 ms`, `0.00 %`, `44,695`."""
    factor, form, sign = _UNITS.get(unit, (1, ",.0f", ""))
    return "" if value is None else f"{value * factor:{form}}{sign}"


def limit_rows(report: Report) -> list[tuple[object, ...]]:
    """A row for every limit."""
    verdicts = (report.get("benchmark") or {}).get("verdicts") or ()
    return [
        (v["name"], _in_unit(v["limit"], v["unit"]), _in_unit(v["figure"], v["unit"]), v["state"]) for v in verdicts
    ]
