"""`benchmark`: measures both sides on copies."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from stepflow_tui.cli.options import DEFAULT_CONFIG, ConfigArgument, commands, session_of
from stepflow_tui.cli.session import Session

app = commands()


@app.command("benchmark")
def benchmark(
    ctx: typer.Context,
    config: ConfigArgument = DEFAULT_CONFIG,
    rounds: Annotated[
        int | None, typer.Option("--rounds", metavar="N", help="How often both sides take turns; else the config's.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--seconds", metavar="T", help="Seconds of one measurement; else the config's.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Also write the result as JSON to a file.")
    ] = None,
) -> int:
    """Measure both sides on copies: rollback journal and WAL, or SQLite and PostgreSQL."""
    import asyncio

    from stepflow_tui.cli import output
    from stepflow_tui.facade import facade
    from stepflow_tui.keymap import check_keymap
    from stepflow_tui.render.benchmark import benchmark_lines

    session = session_of(ctx)
    engine = facade()
    loaded = engine.load_config(config, os.environ, (check_keymap,))
    tell = _Teller(session)
    if out is not None:
        _refuse_unwritable(out)
    try:
        result = asyncio.run(
            engine.benchmark(loaded, state=session.state_path, rounds=rounds, seconds=seconds, tell=tell)
        )
    finally:
        tell.end()
    if out is not None:
        _write(out, result)
    if session.globals.json:
        output.emit_object(result)
    else:
        for line in benchmark_lines(result):
            output.emit_text(line)
    return 0


class _Teller:
    """One line on stderr that is drawn over; nothing where nobody sees it."""

    def __init__(self, session: Session) -> None:
        self._seen = sys.stderr.isatty() and not session.globals.json
        self._drawn = 0

    def __call__(self, progress: Mapping[str, Any]) -> None:
        from stepflow_tui.render.benchmark import progress_line
        from stepflow_tui.render.width import cells, pad

        if self._seen:
            line = progress_line(progress)
            sys.stderr.write("\r" + pad(line, self._drawn))
            sys.stderr.flush()
            self._drawn = cells(line)

    def end(self) -> None:
        """Leave the line empty."""
        if self._drawn:
            sys.stderr.write("\r" + " " * self._drawn + "\r")
            sys.stderr.flush()


def _refuse_unwritable(out: Path) -> None:
    """Said before minutes are spent, not after them."""
    from stepflow_tui.cli.diagnostics import UsageError

    if out.is_dir() or not os.access(out if out.exists() else out.absolute().parent, os.W_OK):
        raise UsageError(f"{out} can't be written.", hint="Name another file with --out.", code="export_unwritable")


def _write(out: Path, result: Mapping[str, Any]) -> None:
    from stepflow_tui.cli.diagnostics import UsageError
    from stepflow_tui.engine.model.codec import to_plain

    try:
        handle = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise UsageError(
            f"{out} can't be written: {exc.strerror}.", hint="Name another file with --out.", code="export_unwritable"
        ) from exc
    with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
        json.dump(to_plain(result), file, ensure_ascii=False, indent=1)
        file.write("\n")
