"""`check`: preflight only."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from stepflow_tui.cli.options import DEFAULT_CONFIG, ConfigArgument, ConfirmOption, YesOption, commands, session_of
from stepflow_tui.engine.texts.language import _

app = commands()


@app.command("check")
def check(
    ctx: typer.Context,
    config: ConfigArgument = DEFAULT_CONFIG,
    create_target: Annotated[
        bool,
        typer.Option(
            "--create-target",
            help="Make the missing database, role and rights, with an administrator's DSN that is asked for or read from STEPFLOW_ADMIN_DSN.",
        ),
    ] = False,
    yes: YesOption = False,
    confirm: ConfirmOption = None,
) -> int:
    """Look at source and target, change nothing."""
    import asyncio

    from stepflow_tui.cli import output
    from stepflow_tui.cli.guard import acting
    from stepflow_tui.facade import facade
    from stepflow_tui.keymap import check_keymap
    from stepflow_tui.render.findings import finding_json, findings_lines

    session = session_of(ctx)
    engine = facade()
    loaded = engine.load_config(config, os.environ, (check_keymap,))
    if create_target:
        acting(session)
    admin = _administrator(ctx) if create_target else None
    result = asyncio.run(engine.check(loaded, state=session.state_path, create_target=admin))
    if session.globals.json:
        output.emit_object({"findings": [finding_json(f) for f in result.findings], "exit_code": result.exit_code})
    else:
        for line in findings_lines(result.findings):
            output.emit_text(line)
    return result.exit_code


def _administrator(ctx: typer.Context) -> str:
    """The administrator's DSN: from the environment or typed without echo, never from an argument, never kept."""
    import getpass

    from stepflow_tui.cli.diagnostics import NeedsConfirmation, interactive

    given = os.environ.get("STEPFLOW_ADMIN_DSN", "")
    if given:
        return given
    if not interactive(session_of(ctx)):
        raise NeedsConfirmation(
            "Making the target needs an administrator's DSN.",
            hint="Export STEPFLOW_ADMIN_DSN; it is used once and not kept.",
            code="needs_admin_dsn",
        )
    return getpass.getpass(_("Administrator's DSN (not shown, not kept):") + " ")
