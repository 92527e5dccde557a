"""`demo`: a complete migration of a sample application."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stepflow_tui.cli.options import ConfirmOption, YesOption, commands, session_of
from stepflow_tui.cli.session import Session
from stepflow_tui.engine.model.state import FINISHED
from stepflow_tui.engine.texts.language import _

if TYPE_CHECKING:
    from stepflow_tui.facade import Facade


app = commands()

DEMO_ROWS = 200_000


@app.command("demo")
def demo(
    ctx: typer.Context,
    kind: Annotated[str, typer.Argument(metavar="KIND", help="The playbook.")] = "sqlite-to-postgres",
    rows: Annotated[
        int, typer.Option("--rows", metavar="N", min=1, max=100_000_000, help="Rows of the sample.")
    ] = DEMO_ROWS,
    keep: Annotated[bool, typer.Option("--keep", help="Keep databases and server.")] = False,
    yes: YesOption = False,
    confirm: ConfirmOption = None,
) -> int:
    """Migrate a sample shop into an embedded PostgreSQL."""
    import asyncio

    from stepflow_tui.cli import diagnostics, wizard
    from stepflow_tui.cli.guard import acting
    from stepflow_tui.cli.init import THIS_VERSION
    from stepflow_tui.facade import facade

    session = session_of(ctx)
    acting(session)
    if kind != THIS_VERSION:
        raise diagnostics.UsageError(
            f"There is no demo of {kind!r} in this version.", hint=f"{THIS_VERSION} is.", code="not_in_this_version"
        )
    if not yes and wizard.possible(session):
        return _in_wizard(session, facade(), kind, rows, keep=keep)
    return asyncio.run(_demo(session, facade(), kind, rows, keep=keep, yes=yes or not diagnostics.interactive(session)))


def _in_wizard(session: Session, engine: Facade, kind: str, rows: int, *, keep: bool) -> int:
    """Make the data, open the wizard on its run, tidy up once the run has ended."""
    import asyncio

    from stepflow_tui.cli import diagnostics, wizard

    diagnostics.say(_("making a sample shop of {rows} rows").format(rows=f"{rows:,}"))
    config = asyncio.run(engine.make_demo(session.state_path, kind, rows))
    session.run = config.parent.name
    code = wizard.open_wizard(session, config=config)
    ended = has_ended(session, engine, config)
    if ended and not keep:
        asyncio.run(engine.end_demo(session.state_path, config))
    if not ended:
        diagnostics.say(_("Left {run}; it goes on. `stepflow attach {run}` returns to it.").format(run=session.run))
    _tell(session, config, keep=keep or not ended)
    return code


def has_ended(session: Session, engine: Facade, config: Path) -> bool:
    """Whether the run of a demo has come to an end. Its folder has the name of the run."""
    run = engine.resolve_run(session.state_path, config.parent.name)
    with engine.RunReader(run.path) as reader:
        status = reader.status()
    return status["state"] in FINISHED and not status["engine"]["alive"]


async def _demo(session: Session, engine: Facade, kind: str, rows: int, *, keep: bool, yes: bool) -> int:
    from stepflow_tui.cli import diagnostics
    from stepflow_tui.cli.run import run_and_follow

    diagnostics.say(_("making a sample shop of {rows} rows").format(rows=f"{rows:,}"))
    config = await engine.make_demo(session.state_path, kind, rows)
    code = await run_and_follow(session, engine, engine.load_config(config, os.environ), yes=yes)
    if not keep and code not in (diagnostics.ExitCode.INTERRUPTED, diagnostics.ExitCode.TERMINATED):
        await engine.end_demo(session.state_path, config)
    _tell(session, config, keep=keep)
    return code


def _tell(session: Session, config: Path, *, keep: bool) -> None:
    from stepflow_tui.cli import diagnostics

    folder = session.state_path / "runs" / (session.run or "")
    diagnostics.say(_("report: {file}").format(file=folder / "report.html"))
    if keep:
        diagnostics.say(_("kept: {folder}; its database: stepflow embedded dsn").format(folder=config.parent))
