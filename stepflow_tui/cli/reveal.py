"""`reveal`: one value of a sensitive column, for whoever types the run's name."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from stepflow_tui.cli.options import ConfirmOption, NeededRun, YesOption, commands

app = commands()


@app.command("reveal")
def reveal(
    ctx: typer.Context,
    run: NeededRun,
    table: Annotated[str, typer.Argument(metavar="TABLE", help="The source table.", show_default=False)],
    column: Annotated[str, typer.Argument(metavar="COLUMN", help="Its column.", show_default=False)],
    key: Annotated[
        str,
        typer.Option(
            "--key", metavar="JSON", help="The row's key as the report shows it, as JSON object.", show_default=False
        ),
    ],
    yes: YesOption = False,
    confirm: ConfirmOption = None,
) -> int:
    """Show one value that is hidden elsewhere; the audit keeps it.

    Asks for the run's name, everywhere and always.
    """
    import asyncio

    from stepflow_tui.cli import output
    from stepflow_tui.cli.guard import typed_confirmation
    from stepflow_tui.cli.steer import found
    from stepflow_tui.engine.texts.language import _, known

    row = _key(key)
    session, engine, info = found(ctx, run)
    with engine.RunReader(info.path) as reader:
        name = str(reader.status()["name"])
    typed = typed_confirmation(
        session,
        what=f"This shows the value of {table}.{column}, and the audit keeps that you asked.",
        name=name,
        production=True,  # --yes is not enough to look at what is hidden, wherever it is
        yes=yes,
        confirm=confirm,
    )
    result = asyncio.run(engine.reveal(info, table, row, column, state=session.state_path, confirm=typed))
    if session.globals.json:
        output.emit_object(result)
        return 0
    absent = _("(no such row)")
    sides = ((_("source"), result["source"]), (_("target"), result["target"]))
    output.emit_table((_("side"), _("value")), [(n, absent if v is None else v) for n, v in sides])
    if result["problem"]:
        output.emit_text(known(result["problem"]))
    return 0


def _key(text: str) -> dict[str, Any]:
    from stepflow_tui.cli.diagnostics import UsageError

    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not found:
        raise UsageError(
            "--key takes a JSON object.",
            hint="""For example --key '{"id": 7}', as the report shows it.""",
            code="bad_key",
        )
    return found
