"""`demo`: a complete migration of a sample application."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stepflow_tui.cli.options import ConfirmOption, YesOption, commands, session_of
from stepflow_tui.cli.session import Session
from stepflow_tui.engine.model.draft import IN_PLACE
from stepflow_tui.engine.model.state import FINISHED
from stepflow_tui.engine.texts.language import _
from stepflow_tui.render import in_place

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
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Go back at the end: to SQLite, or to the old journal mode.")
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="The shop is a web application, switched by `.env` and a restart.")
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep databases and server.")] = False,
    yes: YesOption = False,
    confirm: ConfirmOption = None,
) -> int:
    """Migrate a sample shop while it is open: into an embedded PostgreSQL, or (sqlite-wal) to WAL mode."""
    import asyncio

    from stepflow_tui.cli import diagnostics, wizard
    from stepflow_tui.cli.guard import acting
    from stepflow_tui.engine.texts.advice import BUILT
    from stepflow_tui.facade import facade

    session = session_of(ctx)
    acting(session)
    if kind not in BUILT:
        raise diagnostics.UsageError(
            f"There is no demo of {kind!r} in this version.",
            hint=f"{' and '.join(BUILT)} are.",
            code="not_in_this_version",
        )
    if restart and kind in IN_PLACE:
        raise diagnostics.UsageError(
            f"--restart is for sqlite-to-postgres: in {kind} no database is switched.",
            hint="Leave it out.",
            code="restart",
        )
    sample = _Sample(kind=kind, rows=rows, restart=restart)
    if not yes and wizard.possible(session):
        return _in_wizard(session, facade(), sample, back=rollback, keep=keep)
    yes = yes or not diagnostics.interactive(session)
    return asyncio.run(_demo(session, facade(), sample, back=rollback, keep=keep, yes=yes))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    """What the demo works on."""

    kind: str
    rows: int
    restart: bool

    @property
    def in_place(self) -> bool:
        """Whether its database stays where it is."""
        return self.kind in IN_PLACE


def _in_wizard(session: Session, engine: Facade, sample: _Sample, *, back: bool, keep: bool) -> int:
    """Make the data, open the wizard on its run, close the shop, tidy up once the run has ended."""
    import asyncio

    from stepflow_tui.cli import demo_live, wizard

    config = asyncio.run(_make(session, engine, sample))
    session.run = config.parent.name
    code = wizard.open_wizard(session, config=config)
    if back and _moved(session, engine, config, sample.kind):
        run = engine.resolve_run(session.state_path, config.parent.name)
        code = asyncio.run(demo_live.go_back(session, engine, run, config.parent))
    code = demo_live.close_shop(config, code, in_place=sample.in_place)
    if sample.restart:
        demo_live.tell_availability(session, engine, config)
    if sample.in_place:
        demo_live.tell_benchmark(session, engine, config)
    settle(session, engine, config, keep=keep)
    return code


async def _make(session: Session, engine: Facade, sample: _Sample) -> Path:
    from stepflow_tui.cli import diagnostics

    diagnostics.say(_("making a sample shop of {rows} rows").format(rows=f"{sample.rows:,}"))
    if sample.in_place:
        config = await engine.make_demo(session.state_path, sample.kind, sample.rows)
        diagnostics.say(
            _("the shop is open: 8 processes write and 8 read all the time, in a rollback-journal database")
        )
        return config
    if sample.restart:
        config = await engine.make_demo(session.state_path, sample.kind, sample.rows, restart=True)
        diagnostics.say(_("the shop is open: a web application with its database in .env, and customers who order"))
    else:
        config = await engine.make_demo(session.state_path, sample.kind, sample.rows)
        diagnostics.say(_("the shop is open: it writes and reads all the time, through stepflow_tui.client"))
    diagnostics.say(_("left out: product_search, a full-text index; SQLite has no triggers on virtual tables"))
    return config


def settle(session: Session, engine: Facade, config: Path, *, keep: bool = False) -> None:
    """Tidy up after a demo whose run has ended; leave everything else as it is. Tells which of both it was."""
    import asyncio

    from stepflow_tui.cli import diagnostics

    ended = has_ended(session, engine, config)
    if keep:
        asyncio.run(engine.keep_demo(session.state_path, config))
    elif ended:
        asyncio.run(engine.end_demo(session.state_path, config))
    if not ended:
        diagnostics.say(
            _("Left {run}; it goes on, without the shop. `stepflow attach {run}` returns to it.").format(
                run=config.parent.name
            )
        )
    _tell(session, config, keep=keep or not ended, stays=is_in_place(session, engine, config))


def is_in_place(session: Session, engine: Facade, config: Path) -> bool:
    """Whether the database of a demo stays where it is."""
    return _status(session, engine, config)["kind"] in IN_PLACE


def has_ended(session: Session, engine: Facade, config: Path) -> bool:
    """Whether the run of a demo has come to an end. Its folder has the name of the run."""
    status = _status(session, engine, config)
    return status["state"] in FINISHED and not status["engine"]["alive"]


def _moved(session: Session, engine: Facade, config: Path, kind: str) -> bool:
    """Whether there is something to go back from, and the way back is open."""
    status = _status(session, engine, config)
    if kind in IN_PLACE:
        return in_place.changed(status) and bool(status["rollback"]["possible"])
    return status["state"] not in FINISHED and (status.get("live") or {}).get("owner") == "postgresql"


def _status(session: Session, engine: Facade, config: Path) -> dict[str, Any]:
    run = engine.resolve_run(session.state_path, config.parent.name)
    with engine.RunReader(run.path) as reader:
        return reader.status()


async def _demo(session: Session, engine: Facade, sample: _Sample, *, back: bool, keep: bool, yes: bool) -> int:
    import asyncio

    from stepflow_tui.cli import demo_live, diagnostics

    config = await _make(session, engine, sample)
    code = int(diagnostics.ExitCode.FAILED)
    try:
        drive = demo_live.drive_in_place if sample.in_place else demo_live.drive
        code = await drive(session, engine, config, back=back, yes=yes)
    finally:
        code = await asyncio.to_thread(demo_live.close_shop, config, code, in_place=sample.in_place)
    if sample.restart:
        demo_live.tell_availability(session, engine, config)
    if keep:
        await engine.keep_demo(session.state_path, config)
    elif code not in (diagnostics.ExitCode.INTERRUPTED, diagnostics.ExitCode.TERMINATED):
        await engine.end_demo(session.state_path, config)
    _tell(session, config, keep=keep, stays=sample.in_place)
    return code


def _tell(session: Session, config: Path, *, keep: bool, stays: bool) -> None:
    from stepflow_tui.cli import diagnostics

    folder = session.state_path / "runs" / config.parent.name
    diagnostics.say(_("report: {file}").format(file=folder / "report.html"))
    if keep and stays:
        diagnostics.say(_("kept: {folder}").format(folder=config.parent))
    elif keep:
        diagnostics.say(_("kept: {folder}; its database: stepflow embedded dsn").format(folder=config.parent))
