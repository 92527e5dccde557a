"""`optimize`: statistics and a checkpoint of the config's SQLite file, now, outside a run."""

from __future__ import annotations

import os

import typer

from stepflow_tui.cli.options import (
    DEFAULT_CONFIG,
    ConfigArgument,
    ConfirmOption,
    YesOption,
    commands,
    session_of,
)

app = commands()


@app.command("optimize")
def optimize(
    ctx: typer.Context, config: ConfigArgument = DEFAULT_CONFIG, yes: YesOption = False, confirm: ConfirmOption = None
) -> int:
    """Give SQLite's planner its statistics and move -wal into the file, beside a living application.

    ANALYZE table by table, PRAGMA optimize, and one checkpoint that waits for nobody. Of a migration to PostgreSQL it is the
    SQLite side alone; a run analyzes the tables of PostgreSQL itself.
    """
    import asyncio

    from stepflow_tui.cli import guard, output
    from stepflow_tui.facade import facade
    from stepflow_tui.keymap import check_keymap
    from stepflow_tui.render.optimize import optimized_lines

    session, api = session_of(ctx), facade()
    guard.acting(session)
    loaded = api.load_config(config, os.environ, (check_keymap,))
    guard.typed_confirmation(
        session,
        what=f"Write statistics into {loaded.config.source.path} and move its -wal into it?",
        name=loaded.config.name,
        production=loaded.config.production,
        yes=yes,
        confirm=confirm,
    )
    done = asyncio.run(api.optimize(loaded, session.state_path))
    if session.globals.json:
        output.emit_object(done)
    else:
        for line in optimized_lines(done):
            output.emit_text(line)
    return int(done["exit_code"])
