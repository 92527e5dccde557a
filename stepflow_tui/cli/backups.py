"""`backups list|verify|restore`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stepflow_tui.cli.options import ConfirmOption, RunArgument, YesOption, commands, session_of
from stepflow_tui.engine.texts.language import _, known

app = commands("Look after the tested backups.")

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The backup's file.", show_default=False)]


@app.command("list")
def list_(ctx: typer.Context, run: RunArgument = None) -> int:
    """List backups, newest first."""
    from stepflow_tui.cli import output
    from stepflow_tui.facade import facade
    from stepflow_tui.render import words

    session = session_of(ctx)
    engine = facade()
    info = engine.resolve_run(session.state_path, run) if run else None
    found = engine.backups(session.state_path, info)
    if session.globals.json:
        output.emit_object({"backups": list(found)})
    elif found:
        rows = [
            (
                b["path"],
                words.size(b["bytes"]),
                _("tested") if b["verified"] else _("NOT TESTED"),
                b["made_at"],
                b["run"],
            )
            for b in found
        ]
        output.emit_table((_("file"), _("size"), _("state"), _("made"), _("run")), rows)
    else:
        output.emit_text(_("no backups"))
    return 0


@app.command("verify")
def verify(ctx: typer.Context, file: FileArgument) -> int:
    """Read a backup again and test it."""
    import asyncio

    from stepflow_tui.cli import output
    from stepflow_tui.facade import facade

    session = session_of(ctx)
    result = asyncio.run(facade().verify_backup(file.absolute()))
    if session.globals.json:
        output.emit_object(result)
    else:
        text = _("sound: {file} ({proof})") if result["verified"] else _("NOT SOUND: {file} ({proof})")
        output.emit_text(text.format(file=file, proof=known(result.get("reason") or result["sha256"])))
    return 0 if result["verified"] else 4


@app.command("restore")
def restore(
    ctx: typer.Context,
    file: FileArgument,
    to: Annotated[
        Path, typer.Option("--to", metavar="FILE", help="The database file to put back.", show_default=False)
    ],
    yes: YesOption = False,
    confirm: ConfirmOption = None,
) -> int:
    """Put a backup in place; what is there is moved aside as one set."""
    import asyncio

    from stepflow_tui.cli import guard, output
    from stepflow_tui.facade import facade

    session = session_of(ctx)
    guard.acting(session)
    guard.plain_confirmation(session, what=f"Replace {to} by {file}? What is there is moved aside.", yes=yes)
    result = asyncio.run(facade().restore_backup(file.absolute(), to.absolute()))
    if session.globals.json:
        output.emit_object(result)
    else:
        output.emit_text(_("restored {file}").format(file=result["target"]))
        for name in result.get("aside") or ():
            output.emit_text("  " + _("before: {file}").format(file=name))
    return 0
