"""`verify`: compares both sides on its own."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from stepflow_tui.cli.options import DEFAULT_CONFIG, ConfigArgument, ConfirmOption, YesOption, commands, session_of
from stepflow_tui.engine.texts.language import _, known

app = commands()


@app.command("verify")
def verify(
    ctx: typer.Context,
    config: ConfigArgument = DEFAULT_CONFIG,
    level: Annotated[
        str | None,
        typer.Option("--level", metavar="L", help="basic, standard, detailed or comprehensive; else the config's."),
    ] = None,
    repair: Annotated[
        str | None, typer.Option("--repair", metavar="plan|apply", help="Show the repair SQL, or apply it.")
    ] = None,
    export: Annotated[
        Path | None, typer.Option("--export", metavar="F", help="Write the differences to a JSON file.")
    ] = None,
    yes: YesOption = False,
    confirm: ConfirmOption = None,
) -> int:
    """Compare source and target; exit 0 or 5."""
    import asyncio

    from stepflow_tui.cli import guard, output
    from stepflow_tui.facade import facade

    session = session_of(ctx)
    _known(level, repair)
    engine = facade()
    loaded = engine.load_config(config, os.environ)
    if repair == "apply":
        guard.acting(session)
        guard.typed_confirmation(
            session,
            what=f"This changes rows in the target of {loaded.config.name}.",
            name=loaded.config.name,
            production=loaded.config.production,
            yes=yes,
            confirm=confirm,
        )
    result = asyncio.run(
        engine.verify(loaded, state=session.state_path, level=level, repair=repair, yes=yes, confirm=confirm)
    )
    if export is not None:
        _export(export, result)
    if session.globals.json:
        output.emit_object(result)
    else:
        for line in _lines(result, repair):
            output.emit_text(line)
    return int(result["exit_code"])


def _known(level: str | None, repair: str | None) -> None:
    from stepflow_tui.cli.diagnostics import UsageError

    levels, repairs = ("basic", "standard", "detailed", "comprehensive"), ("plan", "apply")
    if level is not None and level not in levels:
        raise UsageError(f"There is no level {level!r}.", hint=f"One of {', '.join(levels)}.", code="unknown_level")
    if repair is not None and repair not in repairs:
        raise UsageError(f"--repair {repair!r} is unknown.", hint="plan or apply.", code="unknown_repair")


def _export(path: Path, result: Mapping[str, Any]) -> None:
    from stepflow_tui.cli.diagnostics import UsageError
    from stepflow_tui.engine.model.codec import to_plain

    try:
        # the differences hold row data: nobody else may read them
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise UsageError(
            f"{path} can't be written: {exc.strerror}.",
            hint="Name another file with --export.",
            code="export_unwritable",
        ) from exc
    with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
        json.dump(to_plain(result.get("discrepancies") or []), file, ensure_ascii=False, indent=1)


def _lines(result: Mapping[str, Any], repair: str | None) -> Iterator[str]:
    from stepflow_tui.render import words
    from stepflow_tui.render.events import different_line
    from stepflow_tui.render.width import pad

    for table in result.get("tables") or ():
        reason = f" ({known(table['reason'])})" if table.get("reason") else ""
        yield f"{pad(words.term(table['verified']), 12)}  {table['source']} → {table['target']}{reason}"
    for found in result.get("discrepancies") or ():
        yield different_line(found)
        if repair and found.get("repair_sql"):
            yield f"  {found['repair_sql']}"
    if result.get("source_changed"):
        yield _("The source changed meanwhile.")
    yield _("equal") if int(result["exit_code"]) == 0 else _("not equal, or not verified")
