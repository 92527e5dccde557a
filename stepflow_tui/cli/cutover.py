"""`cutover`: passes the gate before the cutover with the run's name typed; `--rehearse` only tries it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stepflow_tui.cli.options import ConfirmOption, NeededRun, TakeControl, YesOption, commands
from stepflow_tui.cli.session import Session
from stepflow_tui.engine.texts.language import _

if TYPE_CHECKING:
    from stepflow_tui.facade import Facade, RunInfo

LOOK_SECONDS = 0.25
PATIENCE_SECONDS = 120.0
"""A rehearsal compares rows: it may take a while."""

app = commands()


@app.command("cutover")
def cutover(
    ctx: typer.Context,
    run: NeededRun,
    rehearse: Annotated[
        bool, typer.Option("--rehearse", help="Only try it: how long writes would stand still, and every guard.")
    ] = False,
    yes: YesOption = False,
    confirm: ConfirmOption = None,
    take_control: TakeControl = False,
) -> int:
    """Move writes to the new side, or rehearse it.

    Of a live run whose reads have moved, and that waits before its cutover (`stepflow run --until cutover`). Until the point
    of no return any failure leaves the application writing to SQLite. Afterwards `stepflow rollback` goes back.
    """
    from stepflow_tui.cli.steer import found, send_intent, status_now

    session, engine, info = found(ctx, run)
    status = status_now(engine, info)
    _has_one(info, status)
    if rehearse:
        return _rehearse(session, engine, info, take_control=take_control)
    typed = _confirmed(session, info, status, yes=yes, confirm=confirm)
    args = {"phase": "cutover", "yes": yes, "confirm": typed}
    return send_intent(
        session, engine, info, "continue", args, take_control=take_control, wait_for="observing", show=True
    )


def _has_one(info: RunInfo, status: Mapping[str, Any]) -> None:
    """Raise UsageError for a run in which no writes move: nothing is said about any then."""
    from stepflow_tui.cli.diagnostics import UsageError

    names = {p["name"] for p in status.get("phases") or ()}
    if names and "cutover" not in names:
        raise UsageError(
            f"{info.id} has no cutover: it is a {status['kind']} run that moves no writes.",
            hint="Runs in mode live and offline have one; `stepflow status` shows the phases of this one.",
            code="no_such_intent",
        )


def _confirmed(
    session: Session, info: RunInfo, status: Mapping[str, Any], *, yes: bool, confirm: str | None
) -> str | None:
    from stepflow_tui.cli.diagnostics import say
    from stepflow_tui.cli.guard import typed_confirmation
    from stepflow_tui.render.guards import cutover_facts
    from stepflow_tui.render.live import is_in_place, is_live

    for line in cutover_facts(status) if is_live(status) else ():
        say(line)
    return typed_confirmation(
        session,
        what=f"This converts the database of {info.id}."
        if is_in_place(status)
        else f"This moves the writes of {info.id} to PostgreSQL.",
        name=str(status["name"]),
        production=status["environment"] == "production",
        yes=yes,
        confirm=confirm,
    )


def _rehearse(session: Session, engine: Facade, info: RunInfo, *, take_control: bool) -> int:
    """Have the engine try it. Exit 0 when every guard holds, else 4."""
    import asyncio

    from stepflow_tui.cli import output
    from stepflow_tui.cli.diagnostics import ExitCode
    from stepflow_tui.render.guards import cutover_guards, guard_lines, rehearsal
    from stepflow_tui.render.live import freeze_line

    status = asyncio.run(_rehearsed(session, engine, info, take_control=take_control))
    found, guards = rehearsal(status), cutover_guards(status)
    ready = all(guard.ok for guard in guards)
    if session.globals.json:
        listed = [{"code": g.code, "ok": g.ok} for g in guards]
        output.emit_object({"run": info.id, "ready": ready, **found, "guards": found.get("guards") or listed})
    else:
        for line in (*filter(None, (freeze_line(found),)), *guard_lines(guards, signs=not session.globals.plain)):
            output.emit_text(line)
    return ExitCode.OK if ready else ExitCode.REFUSED


async def _rehearsed(session: Session, engine: Facade, info: RunInfo, *, take_control: bool) -> Mapping[str, Any]:
    """The status with a new rehearsal in it.

    Raises:
        Refused: it failed; then nothing was changed.
        EngineLost: the engine ended under it.
        StepFailed: the engine did not come to it in time.
    """
    import asyncio

    from stepflow_tui.cli.diagnostics import say
    from stepflow_tui.cli.steer import status_now
    from stepflow_tui.engine.errors import EngineLost, StepFailed
    from stepflow_tui.render.guards import rehearsal

    before = rehearsal(status_now(engine, info))
    sent = await engine.send(info, "rehearse", {}, state=session.state_path, take_control=take_control)
    say(_("Rehearsing the cutover of {run}; it compares rows, and changes nothing.").format(run=info.id))
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while (found := rehearsal(status := await asyncio.to_thread(status_now, engine, info))) == before or not found:
        await asyncio.to_thread(_refuse_failed, engine, info, int(sent["after"]))
        if not status["engine"]["alive"]:
            raise EngineLost(
                f"The engine of {info.id} ended before the rehearsal did; nothing was changed.",
                hint="`stepflow status` shows how the run stands.",
                code="no_rehearsal",
            )
        if asyncio.get_running_loop().time() >= deadline:
            raise StepFailed(
                f"The rehearsal of {info.id} has not ended yet.",
                hint="`stepflow status` shows its figures when it has; then try again.",
                code="no_rehearsal",
            )
        await asyncio.sleep(LOOK_SECONDS)
    return status


def _refuse_failed(engine: Facade, info: RunInfo, after: int) -> None:
    """Raise Refused when the engine says that the rehearsal failed."""
    from stepflow_tui.engine.errors import Refused

    with engine.RunReader(info.path) as reader:
        failed = [row["data"] for row in reader.events(after) if row["code"] == "cutover_not_rehearsed"]
    if failed:
        raise Refused(
            str(failed[-1]["message"]),
            hint="Put the cause right, then rehearse it again; nothing was changed.",
            code=str(failed[-1]["code"]),
        )
