"""`doctor`: what this machine offers."""

from __future__ import annotations

import typer

from stepflow_tui.cli.options import commands, session_of
from stepflow_tui.engine.texts.language import _, known

app = commands()


@app.command("doctor")
def doctor(ctx: typer.Context) -> int:
    """Show versions, places and limits of this machine."""
    from stepflow_tui.cli import output
    from stepflow_tui.facade import facade
    from stepflow_tui.render import words
    from stepflow_tui.render.width import pad

    session = session_of(ctx)
    found = facade().doctor(session.state_path)
    if session.globals.json:
        output.emit_object(found)
    else:
        for check in found["checks"]:
            output.emit_text(
                f"{pad(words.term(check['state']), 8)}  {words.about(_(check['name']), known(check['found']))}"
            )
            if check.get("fix"):
                output.emit_text("          " + _("fix: {text}").format(text=known(check["fix"])))
    return 4 if any(check["state"] == "missing" for check in found["checks"]) else 0
