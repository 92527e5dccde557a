"""A benchmark's result as text of 80 columns: operations with their ratio, latencies, verdicts, and what it means in a sentence.

Takes the plain object of `BenchmarkResult`. Names come from databases: they are cleaned here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stepflow_tui.engine.texts.language import N_, _
from stepflow_tui.render import words
from stepflow_tui.render.clean import clean_line
from stepflow_tui.render.width import cells, pad, wrap

Result = Mapping[str, Any]

WIDTH = 80
_RATIO_CELLS = 16
_STATE_CELLS = 14

LOADS: dict[str, str] = {
    "writes": N_("single writes"),
    "batched": N_("batches"),
    "reads": N_("reads"),
    "joins": N_("joins"),
    "mixed": N_("mixed"),
    "mixed_writes": N_("- its writes"),
    "mixed_reads": N_("- its reads"),
    "impatient": N_("no waiting"),
    "clients": N_("many clients"),
    "concurrent_writes": N_("concurrent writes"),
    "full_text": N_("full text"),
    "stress": N_("stress"),
    "stress_writes": N_("- its writes"),
    "stress_reads": N_("- its reads"),
}
SIDES: dict[str, str] = {
    "rollback": N_("rollback"),
    "wal": "WAL",
    "wal_settings": N_("settings"),
    "sqlite": "SQLite",
    "postgres": "PostgreSQL",
}
"""Heads of columns; `settings` is WAL with the settings that the application should make."""
LIMITS: dict[str, str] = {
    "operations_per_second": N_("operations per second, mixed"),
    "clients": N_("clients at once without an error"),
    "p95": N_("95 % of the mixed operations within"),
    "errors": N_("share of failed operations"),
    "concurrent_writes": N_("concurrent writes, ratio"),
    "joins": N_("joins, ratio"),
}
REASONS: dict[str, str] = {
    "not_run": N_("it was not run"),
    "interval": N_("the rounds differ too much; more rounds may tell"),
    "not_durable": N_("the server answers before its data is on the disk, SQLite after it"),
    "too_many_clients": N_("more processes than a benchmark starts"),
    "no_text": N_("no longer texts, or SQLite without FTS5"),
}
NOTES: dict[str, str] = {
    "own_writes": N_("No table took a copy of its own rows: writes went to a table of the benchmark's own."),
    "own_joined": N_("No foreign key could be joined along: joins used two tables of the benchmark's own."),
    "memory_disk": N_("The copies were in memory, where nothing waits for a disk: on a disk WAL gains more."),
    "other_disk": N_("The copies were on another file system than the database: its disk may be faster or slower."),
    "busy_machine": N_("The machine was busy with other work, so the figures are lower than they could be."),
    "server_elsewhere": N_("PostgreSQL runs on another machine: its figures hold the network, and another processor."),
    "server_not_durable": N_("The server answers before its data is on the disk (fsync or synchronous_commit is off)."),
}


def benchmark_lines(result: Result) -> Iterator[str]:
    """Everything, line by line."""
    yield from wrap(_what(result), WIDTH)
    yield ""
    yield from operations_table(result)
    yield ""
    yield from latency_table(result)
    yield ""
    for verdict in result["verdicts"]:
        yield from verdict_lines(verdict)
    for note in result["notes"]:
        yield from ("! " + line if not at else "  " + line for at, line in enumerate(wrap(_(NOTES[note]), WIDTH - 2)))
    yield ""
    yield from wrap(conclusion(result), WIDTH)
    yield from wrap(machine_line(result), WIDTH)


def progress_line(progress: Mapping[str, Any]) -> str:
    """`mixed: 12 of 105`."""
    name = progress.get("item") or progress["step"]
    done, total = words.count(progress["done"]), words.count(progress.get("total"))
    return words.about(_(LOADS.get(name, name)), _("{done} of {total}").format(done=done, total=total))


def _what(result: Result) -> str:
    tables = result["tables"]
    child, parent = (clean_line(name) for name in tables["joined"])
    return words.sentences(
        _("Measured on copies of {file} ({size}): {rounds} rounds, {seconds} s for one measurement, {took} in all.").format(
            file=clean_line(result["source"]), size=words.size(result["bytes"]), rounds=result["rounds"],
            seconds=f"{result['seconds']:g}", took=words.seconds(result["took"]),
        ),
        _("Writes and reads: {table} ({rows} rows). Joins: {child} with {parent}.").format(
            table=clean_line(tables["writes"]), rows=words.count(tables["rows"]), child=child, parent=parent
        ),
    )  # fmt: skip


def operations_table(result: Result) -> Iterator[str]:
    """Operations per second of every side, and each later side's ratio to the first."""
    sides = result["sides"]
    first = _name_cells(result)
    wide = {side: max(8, cells(_(SIDES[side]))) for side in sides}
    head = pad(_("operations/s"), first)
    for at, side in enumerate(sides):
        head += " " + pad(_(SIDES[side]), wide[side], right=True)
        head += " " + pad(_("ratio (95 %)"), _RATIO_CELLS, right=True) if at else ""
    yield head
    for load in result["loads"]:
        line = pad(_(LOADS[load["name"]]), first)
        if not load["figures"]:
            yield line + "  " + _("not measured: {reason}").format(reason=_(REASONS[load["reason"]]))
            continue
        for at, side in enumerate(sides):
            line += " " + pad(words.count(load["figures"][side]["per_second"]), wide[side], right=True)
            line += " " + pad(ratio_text(load["ratios"].get(side)), _RATIO_CELLS, right=True) if at else ""
        yield line


def latency_table(result: Result) -> Iterator[str]:
    """Latencies in milliseconds, locked answers and errors, side by side."""
    first = _name_cells(result)
    second = max(cells(_(SIDES[side])) for side in result["sides"])
    heads = ("p50 ms", "p95 ms", "p99 ms", _("locked"), _("errors"))
    yield f"{pad(_('latency'), first)} {pad('', second)} " + " ".join(pad(h, 9, right=True) for h in heads)
    for load in result["loads"]:
        name = _(LOADS[load["name"]])
        for side in result["sides"] if load["figures"] else ():
            found = load["figures"][side]
            values = [*(_milliseconds(found[p]) for p in ("p50", "p95", "p99")), *(words.count(found[n]) for n in ("locked", "errors"))]  # fmt: skip
            yield f"{pad(name, first)} {pad(_(SIDES[side]), second)} " + " ".join(pad(v, 9, right=True) for v in values)
            name = ""


def _name_cells(result: Result) -> int:
    return max(12, *(cells(_(LOADS[load["name"]])) for load in result["loads"]))


def _milliseconds(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    value = 1000 * seconds
    return f"{value:.3f}" if value < 1 else f"{value:.1f}" if value < 1000 else words.count(value)


def ratio_text(ratio: Mapping[str, Any] | None) -> str:
    """`2.69 (1.99-3.62)`."""
    if ratio is None:
        return "-"
    return f"{_three(ratio['value'])} ({_three(ratio['low'])}-{_three(ratio['high'])})"


def _three(value: float) -> str:
    """Three digits."""
    if value >= 1000:
        return ">999"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def verdict_lines(verdict: Mapping[str, Any]) -> Iterator[str]:
    """`met           concurrent writes, ratio: 6.91, limit 3.00 (PostgreSQL)`."""
    state = pad(words.term(verdict["state"]), _STATE_CELLS)
    for at, line in enumerate(wrap(_measure(verdict), WIDTH - _STATE_CELLS)):
        yield (" " * _STATE_CELLS if at else state) + line


def _measure(verdict: Mapping[str, Any]) -> str:
    figure, limit = (_in_unit(verdict[name], verdict["unit"]) for name in ("figure", "limit"))
    line = words.about(_(LIMITS[verdict["name"]]), figure)
    line += ", " + _("limit {limit}").format(limit=limit) + f" ({_(SIDES[verdict['side']])})"
    return f"{line}; {_(REASONS[verdict['reason']])}" if verdict["reason"] else line


def _in_unit(value: float | None, unit: str) -> str:
    if value is None:
        return "?"
    if unit == "seconds":
        return f"{_milliseconds(value)} ms"
    if unit == "share":
        return f"{100 * value:.2f} %"
    return _three(value) if unit == "ratio" else words.count(value)


def conclusion(result: Result) -> str:
    """What it means, in words."""
    if result["compared"] == "modes":
        return _of_modes(result)
    if "server_not_durable" in result["notes"]:
        return _(
            "Whether PostgreSQL is better where several write at once was not compared: set fsync and synchronous_commit on."
        )
    ratio = _ratio(result, "concurrent_writes", "postgres")
    if result["better"]:
        return _("PostgreSQL is better where several write at once: {ratio} times as fast.").format(ratio=ratio)
    if result["better"] is False:
        return _("PostgreSQL is not better where several write at once: {ratio} times as fast.").format(ratio=ratio)
    return _("Whether PostgreSQL is better where several write at once can't be told: {ratio}.").format(ratio=ratio)


def _of_modes(result: Result) -> str:
    ratio = _ratio(result, "mixed", "wal")
    parts = ""
    if any(load["name"] == "mixed_writes" for load in result["loads"]):
        parts = _("Its writes: {writes}, its reads: {reads}.").format(
            writes=_ratio(result, "mixed_writes", "wal"), reads=_ratio(result, "mixed_reads", "wal")
        )
    if result["better"]:
        told = _("WAL is better here: {ratio} times as fast under the mixed load.").format(ratio=ratio)
        return words.sentences(told, parts)
    back = _("A database that was converted goes back with `stepflow rollback`; one that was not can stay as it is.")
    if result["better"] is False:
        told = _("WAL is not better here: {ratio} times as fast under the mixed load.").format(ratio=ratio)
    else:
        told = _("WAL is not shown to be better here: {ratio} times as fast under the mixed load.").format(ratio=ratio)
    return words.sentences(told, parts, back)


def _ratio(result: Result, load: str, side: str) -> str:
    found = next((x["ratios"].get(side) for x in result["loads"] if x["name"] == load), None)
    return ratio_text(found)


def machine_line(result: Result) -> str:
    """On what it was measured."""
    machine = result["machine"]
    line = _("Machine: {cpus} × {cpu}, {memory} of memory, {disk} free on {filesystem}, SQLite {sqlite}, Python {python}.").format(
        cpus=machine["cpus"], cpu=clean_line(machine["cpu"]), memory=words.size(machine["memory_bytes"]),
        disk=words.size(machine["disk_free_bytes"]), filesystem=clean_line(machine["filesystem"] or "?"),
        sqlite=machine["sqlite"], python=machine["python"],
    )  # fmt: skip
    server: Mapping[str, str] = result["settings"].get("postgres") or {}
    if not server:
        return line
    told = ", ".join(f"{name} {value}" for name, value in server.items() if name != "server_version")
    return words.sentences(line, _("PostgreSQL {version}: {settings}.").format(
        version=clean_line(server.get("server_version", "?")), settings=clean_line(told)
    ))  # fmt: skip
