"""`embedded start|stop|dsn`: the PostgreSQL of this state directory."""

from __future__ import annotations

import typer

from stepflow_tui.cli.options import ConfirmOption, YesOption, commands, session_of
from stepflow_tui.engine.texts.language import _

app = commands("The embedded PostgreSQL of this state directory.")


@app.command("start")
def start(ctx: typer.Context, yes: YesOption = False, confirm: ConfirmOption = None) -> int:
    """Start it, and keep it until `embedded stop`."""
    return _do(ctx, "start")


@app.command("stop")
def stop(ctx: typer.Context, yes: YesOption = False, confirm: ConfirmOption = None) -> int:
    """Stop it; its data stay."""
    return _do(ctx, "stop")


@app.command("dsn")
def dsn(ctx: typer.Context) -> int:
    """Print its address, password included, starting it if need be."""
    return _do(ctx, "dsn")


def _do(ctx: typer.Context, action: str) -> int:
    import asyncio

    from stepflow_tui.cli import guard, output
    from stepflow_tui.facade import facade

    session = session_of(ctx)
    guard.acting(session)
    result = asyncio.run(facade().embedded(session.state_path, action))
    if session.globals.json:
        output.emit_object(result)
    elif action == "dsn":
        output.emit_text(str(result["dsn"]))
    else:
        text = _("running: {folder}") if result["running"] else _("stopped: {folder}")
        output.emit_text(text.format(folder=result["folder"]))
    return 0
