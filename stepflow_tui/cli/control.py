"""`control`: who steers a run; ask for control, take it, hand it over, release it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stepflow_tui.cli.options import ConfirmOption, RunArgument, YesOption, commands, session_of
from stepflow_tui.cli.session import Session

if TYPE_CHECKING:
    from stepflow_tui.facade import Facade, RunInfo

app = commands()


@app.command("control")
def control(
    ctx: typer.Context,
    run: RunArgument = None,
    ask: Annotated[bool, typer.Option("--ask", help="Ask the holder for control.")] = False,
    take: Annotated[bool, typer.Option("--take", help="Take control; the holder is told.")] = False,
    give: Annotated[
        str | None, typer.Option("--give", metavar="WHO", help="Hand control over to WHO.", show_default=False)
    ] = None,
    release: Annotated[bool, typer.Option("--release", help="Let go of control.")] = False,
    yes: YesOption = False,
    confirm: ConfirmOption = None,
) -> int:
    """Show who steers a run; ask for control, take it, hand it over."""
    from stepflow_tui.cli.steer import found, send_intent
    from stepflow_tui.facade import facade

    verb = _verb(ask=ask, take=take, give=give is not None, release=release)
    if verb is None:
        session = session_of(ctx)
        engine = facade()
        return _show(session, engine, engine.resolve_run(session.state_path, run))
    session, engine, info = found(ctx, run)
    args = {"to": give} if verb == "give" else {}
    return send_intent(session, engine, info, verb, args, take_control=take)


def _verb(**wanted: bool) -> str | None:
    """The intent that was asked for.

    Raises:
        UsageError: more than one.
    """
    from stepflow_tui.cli.diagnostics import UsageError

    names = [name for name, on in wanted.items() if on]
    if len(names) > 1:
        raise UsageError(
            "Only one of --ask, --take, --give and --release can be done at a time.", hint="Choose one of them."
        )
    return {"take": "hold"}.get(names[0], names[0]) if names else None


def _show(session: Session, engine: Facade, info: RunInfo) -> int:
    from stepflow_tui.cli import output
    from stepflow_tui.render.control import control_lines

    with engine.RunReader(info.path) as reader:
        held: Mapping[str, Any] = reader.status()["control"]
    if session.globals.json:
        output.emit_object({"run": info.id, **held})
    else:
        output.emit_block("\n".join(control_lines(held, me=engine.sender())))
    return 0
