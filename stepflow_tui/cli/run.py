"""`run`: starts a run, resumes it, or attaches to it, and follows it to its end."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stepflow_tui.cli.options import DEFAULT_CONFIG, ConfigArgument, ConfirmOption, YesOption, commands, session_of
from stepflow_tui.cli.session import Session
from stepflow_tui.engine.texts.language import _

if TYPE_CHECKING:
    from stepflow_tui.engine.config import LoadedConfig
    from stepflow_tui.facade import Facade, Started


app = commands()


@app.command("run")
def run(
    ctx: typer.Context,
    config: ConfigArgument = DEFAULT_CONFIG,
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="PHASE", help="Stop at the gate before this phase, such as cutover."),
    ] = None,
    plan: Annotated[Path | None, typer.Option("--plan", metavar="F", help="Run exactly this plan, or refuse.")] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return once the engine runs and preflight has passed.")
    ] = False,
    new: Annotated[bool, typer.Option("--new", help="A new run, whatever earlier ones did.")] = False,
    yes: YesOption = False,
    confirm: ConfirmOption = None,
) -> int:
    """Start the run, resume it, or attach to it.

    A live run goes on by itself afterwards: stopped before its cutover, its engine keeps both sides equal; after the cutover
    it keeps the way back open until `stepflow cleanup` or `stepflow rollback`.
    """
    import asyncio

    from stepflow_tui.cli.guard import acting
    from stepflow_tui.facade import facade
    from stepflow_tui.keymap import check_keymap

    session = session_of(ctx)
    acting(session)
    engine = facade()
    loaded = engine.load_config(config, os.environ, (check_keymap,))
    check_phase(until)
    return asyncio.run(
        run_and_follow(
            session, engine, loaded, until=until, plan_file=plan, detach=detach, new=new, yes=yes, confirm=confirm
        )
    )


def check_phase(until: str | None) -> None:
    """Refuse a phase that no playbook has."""
    from stepflow_tui.cli.diagnostics import UsageError
    from stepflow_tui.engine.model.state import PhaseName

    if until is not None and until not in set(PhaseName):
        raise UsageError(f"There is no phase {until!r}.", hint=f"One of {', '.join(PhaseName)}.", code="unknown_phase")


async def run_and_follow(
    session: Session,
    engine: Facade,
    loaded: LoadedConfig,
    *,
    until: str | None = None,
    plan_file: Path | None = None,
    detach: bool = False,
    new: bool = False,
    yes: bool = False,
    confirm: str | None = None,
) -> int:
    """Start or find the run, then follow it.

    Returns:
        The run's exit code.
    """
    from stepflow_tui.cli import diagnostics
    from stepflow_tui.cli.attach import follow_run

    asks = not yes and diagnostics.interactive(session)
    started = await engine.start(
        loaded,
        state=session.state_path,
        until=until,
        plan_file=plan_file,
        new=new,
        yes=yes,
        confirm=confirm,
        interactive=asks,
    )
    session.run = started.run.id
    if detach and started.how != "finished":
        code = await follow_run(session, engine, started.run, after=started.after, until=past_preflight)
        return code if session.ended else _detached(session, started)
    if started.ends is not None:
        await follow_run(session, engine, started.run, after=started.after, until=reached(started.ends))
        return started.exit_code or 0
    return await follow_run(
        session, engine, started.run, after=started.after, answers=asks, must_answer=True, rests=True
    )


def reached(seq: int) -> Callable[[Mapping[str, Any]], bool]:
    """Whether an event is the last one that is to be shown."""
    return lambda event: int(event["seq"]) >= seq


def past_preflight(event: Mapping[str, Any]) -> bool:
    """Whether an event shows that preflight let the run pass: something comes after it."""
    return event["event"] == "gate" or bool(event["event"] == "step" and event["step"] != "preflight")


def _detached(session: Session, started: Started) -> int:
    from stepflow_tui.cli import diagnostics, output
    from stepflow_tui.render import words

    if session.globals.json:
        output.emit_event(
            diagnostics.stamped(
                session.run, "run_finished", {"result": "stopped", "exit_code": 0, "report": None, "detached": True}
            )
        )
    else:
        output.emit_text(f"{words.term(started.how)} {started.run.id}")
        output.emit_text(_("look at it with `stepflow attach {run}`").format(run=started.run.id))
    return 0
