"""`report` and `note`."""

from __future__ import annotations

from typing import Annotated

import typer

from stepflow_tui.cli.options import ConfirmOption, NeededRun, RunArgument, YesOption, commands, session_of

app = commands()


@app.command("report")
def report(
    ctx: typer.Context,
    run: RunArgument = None,
    html: Annotated[bool, typer.Option("--html", help="As a self-contained HTML page.")] = False,
) -> int:
    """Print a run's report: Markdown, HTML, or --json."""
    from stepflow_tui.cli import output
    from stepflow_tui.facade import facade

    session = session_of(ctx)
    engine = facade()
    info = engine.resolve_run(session.state_path, run)
    if session.globals.json:
        output.emit_object(engine.report(info))
    else:
        output.emit_raw(engine.report_text(info, "html" if html else "md"))
    return 0


@app.command("note")
def note(
    ctx: typer.Context,
    run: NeededRun,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to remember.", show_default=False)],
    yes: YesOption = False,
    confirm: ConfirmOption = None,
) -> int:
    """Write a note into a run's audit and report."""
    from stepflow_tui.cli.steer import found, send_intent

    session, engine, info = found(ctx, run)
    return send_intent(session, engine, info, "note", {"text": text})
