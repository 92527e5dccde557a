"""`application plan|status|health`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stepflow_tui.cli.options import DEFAULT_CONFIG, ConfigArgument, RunArgument, commands, session_of
from stepflow_tui.engine.texts.language import _

if TYPE_CHECKING:
    from stepflow_tui.cli.session import Session
    from stepflow_tui.facade import Facade

app = commands("The application: what a switch changes, how it stands, whether it is healthy.")

ConfigOrRun = Annotated[
    str,
    typer.Argument(
        metavar="CONFIG|RUN", help="The config file; or a run, then the config it was started with.", show_default=True
    ),
]


@app.command("plan")
def plan(
    ctx: typer.Context,
    config: ConfigArgument = DEFAULT_CONFIG,
    look: Annotated[
        bool, typer.Option("--look", help="Look at what stands now, too, and whether it could be put back.")
    ] = False,
) -> int:
    """Show the lines of settings and the commands of a switch, and how each is undone; change nothing.

    Exit 0, or 4 where something stands in the way.
    """
    import asyncio
    import os

    from stepflow_tui.cli import output
    from stepflow_tui.facade import facade
    from stepflow_tui.keymap import check_keymap
    from stepflow_tui.render.application_plan import plan_lines

    session, engine = session_of(ctx), facade()
    loaded = engine.load_config(config, os.environ, (check_keymap,))
    found = asyncio.run(engine.application_plan(loaded, look=look))
    if session.globals.json:
        output.emit_object(found)
    else:
        for line in plan_lines(found):
            output.emit_text(line)
    return int(found["exit_code"])


@app.command("status")
def status(ctx: typer.Context, run: RunArgument = None) -> int:
    """Show a run's application: state, health, what runs, and how long it was away in each phase."""
    from stepflow_tui.cli import output
    from stepflow_tui.facade import facade
    from stepflow_tui.render.application import application_lines
    from stepflow_tui.render.window import window_lines

    session, engine = session_of(ctx), facade()
    info = engine.resolve_run(session.state_path, run)
    with engine.RunReader(info.path) as reader:
        found = reader.status()
    if session.globals.json:
        parts = {key: found.get(key) for key in ("application", "availability", "window")}
        output.emit_object({"run": info.id, **parts})
        return 0
    lines = [*window_lines(found), *application_lines(found, signs=not session.globals.plain)]
    for line in lines or [
        _("Nothing is known of an application: none is configured, or the run has not come to it yet.")
    ]:
        output.emit_text(line)
    return 0


@app.command("health")
def health(ctx: typer.Context, config: ConfigOrRun = str(DEFAULT_CONFIG)) -> int:
    """Ask every health check once, now; exit 0 or 4."""
    import asyncio

    from stepflow_tui.cli import output
    from stepflow_tui.cli.diagnostics import ExitCode
    from stepflow_tui.facade import facade
    from stepflow_tui.render.application import answer_lines

    session, engine = session_of(ctx), facade()
    answers = asyncio.run(engine.application_health(_loaded(session, engine, config)))
    well = all(answer["ok"] for answer in answers)
    if session.globals.json:
        output.emit_object({"healthy": well, "health": list(answers)})
    else:
        for line in answer_lines(answers, signs=not session.globals.plain) if answers else [_("no health checks")]:
            output.emit_text(line)
    return ExitCode.OK if well else ExitCode.REFUSED


def _loaded(session: Session, engine: Facade, given: str) -> Any:
    """The config that is named, or the one that a run was started with.

    Raises:
        UsageError: there is neither a file nor a run of that name.
        ConfigError: the config can't be used.
    """
    import os

    from stepflow_tui.cli.diagnostics import UsageError
    from stepflow_tui.keymap import check_keymap

    path = Path(given)
    if not path.exists() and path.suffix not in (".yaml", ".yml"):
        info = engine.resolve_run(session.state_path, given)
        config = engine.remains(info.path)["config"]
        if config is None:
            raise UsageError(
                f"The run {info.id} doesn't say which config it was started with.",
                hint="Name the config file.",
                code="no_config",
            )
        path = Path(config)
    return engine.load_config(path, os.environ, (check_keymap,))
