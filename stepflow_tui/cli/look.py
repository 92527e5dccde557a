"""`attach`, `status`, `runs`: looking at runs. Nothing here changes anything."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from stepflow_tui.cli.options import RunArgument, commands, session_of
from stepflow_tui.cli.session import Session
from stepflow_tui.engine.texts.language import _

if TYPE_CHECKING:
    from stepflow_tui.facade import Facade, RunInfo

WATCH_SECONDS = 1.0


app = commands()


@app.command("attach")
def attach(
    ctx: typer.Context,
    run: RunArgument = None,
    no_follow: Annotated[bool, typer.Option("--no-follow", help="Show what is known now, and leave.")] = False,
) -> int:
    """Watch a run: the wizard on a terminal, lines elsewhere."""
    import asyncio

    from stepflow_tui.cli import wizard
    from stepflow_tui.cli.attach import catch_up, follow_run
    from stepflow_tui.facade import facade

    session = session_of(ctx)
    engine = facade()
    info = engine.resolve_run(session.state_path, run)
    if no_follow:
        return _show_status(session, engine, info)
    if wizard.possible(session):
        return wizard.open_wizard(session, run=info)
    with engine.RunReader(info.path) as reader:
        newest = reader.max_seq()
    session.streams = True
    after = 0 if session.globals.json else catch_up(newest)
    return asyncio.run(follow_run(session, engine, info, after=after))


@app.command("status")
def status(
    ctx: typer.Context,
    run: RunArgument = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again every second until the run ends.")] = False,
    max_age: Annotated[
        str | None,
        typer.Option("--max-age", metavar="D", help="Exit 1 if a running engine's heartbeat is older, such as 30s."),
    ] = None,
) -> int:
    """Show a run's state."""
    from stepflow_tui.facade import facade

    session = session_of(ctx)
    engine = facade()
    info = engine.resolve_run(session.state_path, run)
    limit = _seconds(max_age)
    code = _show_status(session, engine, info, max_age=limit)
    while watch and _going_on(engine, info):
        time.sleep(WATCH_SECONDS)
        code = _show_status(session, engine, info, max_age=limit)
    return code


def _show_status(session: Session, engine: Facade, info: RunInfo, max_age: float | None = None) -> int:
    from stepflow_tui.cli import output
    from stepflow_tui.render.status import status_lines

    with engine.RunReader(info.path) as reader:
        found = reader.status()
    if session.globals.json:
        output.emit_object(found)
    else:
        for line in status_lines(found, signs=not session.globals.plain):
            output.emit_text(line)
    age = found["engine"]["heartbeat_seconds"]
    if max_age is None:
        return 0
    lost = any(alert["code"] == "engine_lost" for alert in found["alerts"])
    return 1 if lost or (found["engine"]["alive"] and (age is None or age > max_age)) else 0


def _going_on(engine: Facade, info: RunInfo) -> bool:
    with engine.RunReader(info.path) as reader:
        return reader.engine().alive


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    from pydantic_core import PydanticCustomError

    from stepflow_tui.cli.diagnostics import UsageError
    from stepflow_tui.engine.model.config_units import parse_duration

    try:
        return float(parse_duration(text))
    except PydanticCustomError:
        raise UsageError(f"{text!r} is not a duration.", hint="Such as --max-age 30s.", code="bad_duration") from None


@app.command("runs")
def runs(ctx: typer.Context) -> int:
    """List the runs of this state directory, newest first."""
    from stepflow_tui.cli import output
    from stepflow_tui.facade import facade
    from stepflow_tui.render.status import RUNS_HEAD, run_row

    session = session_of(ctx)
    found = facade().list_runs(session.state_path)
    if session.globals.json:
        output.emit_object({"runs": list(found)})
    elif found:
        output.emit_table([_(h) for h in RUNS_HEAD], [run_row(r) for r in found])
    else:
        output.emit_text(_("no runs in {folder}").format(folder=session.state_path))
    return 0
