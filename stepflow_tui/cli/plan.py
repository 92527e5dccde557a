"""`plan`: what would be done."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from stepflow_tui.cli.options import DEFAULT_CONFIG, ConfigArgument, commands, session_of
from stepflow_tui.engine.texts.language import _

app = commands()


@app.command("plan")
def plan(
    ctx: typer.Context,
    config: ConfigArgument = DEFAULT_CONFIG,
    sql: Annotated[bool, typer.Option("--sql", help="Show the generated SQL too.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="F", help="Keep the plan in a file, for `run --plan F`.")
    ] = None,
) -> int:
    """Show types, DDL and what will not be carried, or what changes in place; change nothing."""
    import asyncio

    from stepflow_tui.cli import output
    from stepflow_tui.facade import facade
    from stepflow_tui.keymap import check_keymap
    from stepflow_tui.render.application_plan import plan_lines as application_lines
    from stepflow_tui.render.findings import finding_json, findings_lines
    from stepflow_tui.render.plan import plan_json, plan_lines

    session = session_of(ctx)
    engine = facade()
    loaded = engine.load_config(config, os.environ, (check_keymap,))
    result = asyncio.run(engine.plan(loaded, state=session.state_path))
    application = asyncio.run(engine.application_plan(loaded))
    made = result.plan
    if made is not None and out is not None:
        _keep(out, made)
    if session.globals.json:
        found = (
            {"findings": [finding_json(f) for f in result.findings]}
            if made is None
            else plan_json(made, result.findings, result.items)
        )
        output.emit_object({**found, "application": application, "exit_code": result.exit_code})
    else:
        lines = (
            findings_lines(result.findings)
            if made is None
            else plan_lines(made, result.findings, result.items, sql=sql, wal=loaded.config.wal)
        )
        for line in lines:
            output.emit_text(line)
        if application["configured"]:
            for line in (
                "",
                _("Application"),
                *(f"  {line}" if line else "" for line in application_lines(application)),
            ):
                output.emit_text(line)
    return result.exit_code


def _keep(path: Path, made: object) -> None:
    """Write the plan beside its place and move it there, so that no half plan is ever read."""
    from stepflow_tui.cli.diagnostics import UsageError
    from stepflow_tui.engine.model.codec import dumps

    try:
        handle, name = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(dumps(made) + "\n")
        Path(name).replace(path)
    except OSError as exc:
        raise UsageError(
            f"{path} can't be written: {exc.strerror}.", hint="Name another file with --out.", code="plan_unwritable"
        ) from exc
