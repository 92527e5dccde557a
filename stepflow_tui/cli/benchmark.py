"""`benchmark`: measures both sides on copies."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from stepflow_tui.cli.options import DEFAULT_CONFIG, ConfigArgument, commands, session_of

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
    """Measure both sides on copies of the database: figures, ratios, limits.

    Rollback journal and WAL for `kind: sqlite-wal`, SQLite and PostgreSQL for `kind: sqlite-to-postgres`.
    """
    import asyncio

    from stepflow_tui.cli import diagnostics, guard, output
    from stepflow_tui.facade import facade
    from stepflow_tui.keymap import check_keymap
    from stepflow_tui.render.benchmark import benchmark_lines

    session = session_of(ctx)
    guard.acting(session)  # it loads the machine, and makes a schema in the target
    engine = facade()
    loaded = engine.load_config(config, os.environ, (check_keymap,))
    watched = diagnostics.sees_talk(session)
    if out is not None:
        _refuse_unwritable(out)
    try:
        result = asyncio.run(
            engine.benchmark(
                loaded, state=session.state_path, rounds=rounds, seconds=seconds, tell=_tell if watched else None
            )
        )
    finally:
        if watched:
            diagnostics.redraw("")
    if out is not None:
        _write(out, result)
    if session.globals.json:
        output.emit_object(result)
    else:
        for line in benchmark_lines(result):
            output.emit_text(line)
    return 0


def _tell(progress: Mapping[str, Any]) -> None:
    from stepflow_tui.cli import diagnostics
    from stepflow_tui.render.benchmark import progress_line

    diagnostics.redraw(progress_line(progress))


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
