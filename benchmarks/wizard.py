"""`make bench-wizard`: first paint, key to paint, and bytes a second of the wizard at real terminals, kept in benchmarks/results/."""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.acceptance.sources import long
from tests.pty.kit import environ
from tests.pty.terminal import Terminal

STEPFLOW = [sys.executable, "-m", "stepflow_tui"]
OVER_SSH = {"SSH_CONNECTION": "192.0.2.7 52814 192.0.2.1 22"}
SIZES = {"80x24": (80, 24), "120x40": (120, 40)}
LINES = {"normal": {}, "over SSH": OVER_SSH}
KEYS = ("1", "4", "5", "\t")
"""Keys that move the focus: each draws something at once and changes nothing."""


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=60.0, help="how long bytes are counted")
    options.add_argument("--rounds", type=int, default=5)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="stepflow-bench-") as folder:
        bench = Bench(Path(folder))
        lines = [*bench.first_paint(chosen.rounds), *bench.key_to_paint(), *bench.bytes_a_second(chosen.seconds)]
        bench.close()
    text = "\n".join(
        (f"# Wizard, {platform.python_version()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}", "", *lines, "")
    )
    sys.stdout.write(text)
    (Path(__file__).parent / "results" / f"{time.strftime('%Y%m%dT%H%M%S')}-wizard.md").write_text(text)


class Bench:
    """A state directory with an embedded server, and wizards at it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = ["--state-dir", str(folder / "state")]
        self.env = environ(folder)

    def close(self) -> None:
        """End the server."""
        self._stepflow("embedded", "stop")

    def first_paint(self, rounds: int) -> Iterator[str]:
        """From the start of the process to its first picture."""
        yield "| first paint | median ms | worst ms |"
        yield "|--|--|--|"
        for name, size in SIZES.items():
            times = []
            for _ in range(rounds):
                begin = time.monotonic()
                with self._wizard(size) as wizard:
                    wizard.see("StepFlow")
                    times.append(time.monotonic() - begin)
            yield f"| list of runs, {name} | {statistics.median(times) * 1000:.0f} | {max(times) * 1000:.0f} |"
        yield ""

    def key_to_paint(self) -> Iterator[str]:
        """From a key to the next bytes, while rows are copied as fast as they can be."""
        yield "| key to paint, engine flat out | median ms | 95 % ms | worst ms |"
        yield "|--|--|--|--|"
        for name, size in SIZES.items():
            run = self._run(f"flat-out-{name}", 4_000_000, None)
            with self._wizard(size, "attach", run) as wizard:
                wizard.see("RUNNING")
                times = sorted(self._pressed(wizard, key) for key in KEYS * 4)
                assert "RUNNING" in wizard.text, "the run was over before the keys were"
            late = times[int(len(times) * 0.95)]
            yield f"| {name} | {statistics.median(times) * 1000:.0f} | {late * 1000:.0f} | {times[-1] * 1000:.0f} |"
            self._stepflow("abort", run, "--yes", "--confirm", run)
        yield ""

    def bytes_a_second(self, seconds: float) -> Iterator[str]:
        """While rows are copied at an even pace."""
        run = self._run("paced", round((seconds + 30) * 2000), 2000)
        yield f"| bytes/s over {seconds:.0f} s | normal | over SSH |"
        yield "|--|--|--|"
        watched: dict[tuple[str, str], Terminal] = {}
        for name, size in SIZES.items():
            for line, env in LINES.items():
                watched[name, line] = self._open(size, "attach", run, env=env)
        for wizard in watched.values():
            wizard.see("rows/s")
        before, begin = {at: w.written for at, w in watched.items()}, time.monotonic()
        time.sleep(seconds)
        spent = time.monotonic() - begin
        rates = {at: (w.written - before[at]) / spent for at, w in watched.items()}
        for wizard in watched.values():
            wizard.close()
        for name in SIZES:
            yield f"| {name} | " + " | ".join(f"{rates[name, line]:,.0f}" for line in LINES) + " |"
        self._stepflow("abort", run, "--yes", "--confirm", "paced")

    def _pressed(self, wizard: Terminal, key: str) -> float:
        wizard.quiet(0.1)
        before, begin = wizard.written, time.monotonic()
        wizard.send(key)
        wizard.see(lambda _: wizard.written > before)
        return time.monotonic() - begin

    def _run(self, name: str, rows: int, rate: int | None) -> str:
        source = long(self.folder / f"{name}.db", rows)
        config = self.folder / f"{name}.yaml"
        copy = f"copy: {{max_rows_per_second: {rate}, streams: 1}}\n" if rate else ""
        config.write_text(
            f"version: 1\nname: {name}\nkind: sqlite-to-postgres\nsource: {{path: {source}}}\n"
            f"target: {{embedded: true}}\n{copy}"
        )
        self._stepflow("run", str(config), "--yes", "--detach")
        return name

    def _stepflow(self, *args: str) -> None:
        command = [*STEPFLOW, *args, *self.state]
        subprocess.run(command, env=self.env, cwd=self.folder, check=True, stdout=subprocess.DEVNULL)

    def _open(self, size: tuple[int, int], *args: str, env: Mapping[str, str] | None = None) -> Terminal:
        command = [*STEPFLOW, *args, *self.state]
        return Terminal(command, env=self.env | dict(env or {}), cwd=self.folder, size=size)

    @contextmanager
    def _wizard(self, size: tuple[int, int], *args: str) -> Iterator[Terminal]:
        wizard = self._open(size, *args)
        try:
            yield wizard
        finally:
            wizard.close()


if __name__ == "__main__":
    main()
