"""`switch show|set|back|rearm|analytics`: how much of the application's reading goes to the new side."""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stepflow_tui.cli.options import ConfirmOption, RunArgument, TakeControl, YesOption, commands, session_of
from stepflow_tui.cli.session import Session
from stepflow_tui.engine.texts.language import N_, _
from stepflow_tui.engine.texts.switching import STRATEGIES

if TYPE_CHECKING:
    from stepflow_tui.facade import Facade, RunInfo

HELP = "\n\n".join(
    (
        N_("The read switch: show it, move reads, move them back."),
        N_(
            "Of a live run: how much of the application's reading goes to the new side. "
            "`switch: {strategy: …}` of the config says how it rises:"
        ),
        *STRATEGIES.values(),
        N_(
            "Reads go back by themselves, once, when the new side is clearly worse; `switch rearm` allows them to rise again."
        ),
    )
)
"""What `stepflow switch --help` says."""

MOVES = ("switch", "switch_rolled_back", "switch_rearmed", "switch_suspended", "switch_resumed")
"""Events that `analytics` lists."""
OUTCOMES = {
    "switch": ("switch", "switch_refused"),
    "switch_back": ("switch",),
    "switch_rearm": ("switch_rearmed", "switch_refused"),
}
"""Events that tell what became of an intent."""
LOOK_SECONDS = 0.1
PATIENCE_SECONDS = 10.0
"""So long an intent's outcome is waited for; a cool-down may take longer."""

app = commands(HELP)


@app.command("show")
def show(ctx: typer.Context, run: RunArgument = None) -> int:
    """Show how much of the reading goes to the new side, and what was measured."""
    from stepflow_tui.cli import output
    from stepflow_tui.render.guards import guard_lines, switch_guards
    from stepflow_tui.render.live import as_of_line, back_line, lag_line, owner_line, switch_lines

    session, _engine, info, status = _looked_at(ctx, run)
    switch = status.get("switch")
    if session.globals.json:
        output.emit_object({"run": info.id, "switch": switch, "lag": status.get("lag"), "guards": _guards(status)})
        return 0
    if switch is None:
        output.emit_text(_no_switch(status))
        return 0
    for line in filter(None, (as_of_line(switch), *switch_lines(switch))):
        output.emit_text(line)
    for line in filter(
        None, (lag_line(status["lag"]) if status.get("lag") else "", owner_line(status), back_line(status))
    ):
        output.emit_text(line)
    for line in guard_lines(switch_guards(status), signs=not session.globals.plain):
        output.emit_text(line)
    return 0


def _looked_at(ctx: typer.Context, run: str | None) -> tuple[Session, Facade, RunInfo, Mapping[str, Any]]:
    from stepflow_tui.cli.steer import status_now
    from stepflow_tui.facade import facade

    session = session_of(ctx)
    engine = facade()
    info = engine.resolve_run(session.state_path, run)
    session.run = info.id
    return session, engine, info, status_now(engine, info)


def _no_switch(status: Mapping[str, Any]) -> str:
    from stepflow_tui.render.live import is_live

    if is_live(status):
        return _("the read switch is not there yet: it comes when both sides were compared")
    return _("this run has no read switch: only runs in mode live have one")


def _guards(status: Mapping[str, Any]) -> list[dict[str, Any]]:
    from stepflow_tui.render.guards import switch_guards

    return [{"code": g.code, "ok": g.ok} for g in switch_guards(status)] if status.get("switch") else []


@app.command("set")
def set_(
    ctx: typer.Context,
    percent: Annotated[float, typer.Argument(metavar="PCT", help="Reads to the new side, 0 to 100.", min=0, max=100)],
    run: RunArgument = None,
    yes: YesOption = False,
    confirm: ConfirmOption = None,
    take_control: TakeControl = False,
) -> int:
    """Move reads to this percentage; 100 asks for the run's name.

    The strategy goes on from there. 0 keeps reads on the old side until they are set again.
    """
    from stepflow_tui.cli.steer import found, status_now
    from stepflow_tui.render.guards import share_of

    _a_number(percent)
    session, engine, info = found(ctx, run)
    status = status_now(engine, info)
    typed = _confirmed(session, info, status, percent, yes=yes, confirm=confirm)
    args = {"share": share_of(percent), "yes": yes, "confirm": typed}
    return _send(session, engine, info, "switch", args, take_control=take_control)


def _a_number(percent: float) -> None:
    """Typer lets `nan` pass any limit."""
    from stepflow_tui.cli.diagnostics import UsageError

    if isnan(percent):
        raise UsageError("That is no percentage.", hint="Give a number from 0 to 100.", code="bad_percentage")


def _confirmed(
    session: Session, info: RunInfo, status: Mapping[str, Any], percent: float, *, yes: bool, confirm: str | None
) -> str | None:
    """The run's name for all reads and for steps left out, a plain yes for other rises; fewer reads ask nothing."""
    from stepflow_tui.cli.diagnostics import say
    from stepflow_tui.cli.guard import plain_confirmation, typed_confirmation
    from stepflow_tui.render.guards import WHOLE, cautions, needs_name, now_percent

    if percent >= WHOLE or needs_name(status, percent):
        for caution in cautions(status, percent):
            say(caution)
        return typed_confirmation(
            session,
            what=f"This moves {percent:g} % of the reads of {info.id} to the new side.",
            name=str(status["name"]),
            production=status["environment"] == "production",
            yes=yes,
            confirm=confirm,
        )
    if percent > now_percent(status):
        plain_confirmation(session, what=f"Move {percent:g} % of the reads of {info.id} to the new side?", yes=yes)
    return confirm


@app.command("back")
def back(
    ctx: typer.Context,
    run: RunArgument = None,
    yes: YesOption = False,
    confirm: ConfirmOption = None,
) -> int:
    """Move all reads back to the old side at once.

    They stay there until `switch set` or `switch rearm`.
    """
    from stepflow_tui.cli.guard import plain_confirmation
    from stepflow_tui.cli.steer import found

    session, engine, info = found(ctx, run)
    plain_confirmation(session, what=f"Move all reads of {info.id} back to the old side?", yes=yes)
    return _send(session, engine, info, "switch_back", {})


@app.command("rearm")
def rearm(
    ctx: typer.Context,
    run: RunArgument = None,
    yes: YesOption = False,
    confirm: ConfirmOption = None,
    take_control: TakeControl = False,
) -> int:
    """Allow reads to rise again after they were moved back by themselves."""
    from stepflow_tui.cli.guard import plain_confirmation
    from stepflow_tui.cli.steer import found

    session, engine, info = found(ctx, run)
    plain_confirmation(session, what=f"Was the cause found, and may reads of {info.id} rise again?", yes=yes)
    return _send(session, engine, info, "switch_rearm", {}, take_control=take_control)


def _send(
    session: Session,
    engine: Facade,
    info: RunInfo,
    verb: str,
    args: Mapping[str, Any],
    *,
    take_control: bool = False,
) -> int:
    """Send the intent, and tell what became of it: the engine takes it at once, and carries it out in its next round.

    Raises:
        Refused: it was not carried out.
    """
    import asyncio

    from stepflow_tui.cli import output
    from stepflow_tui.cli.diagnostics import say
    from stepflow_tui.engine.errors import Refused
    from stepflow_tui.render.events import event_lines

    answer, move = asyncio.run(_carried_out(session, engine, info, verb, args, take_control=take_control))
    if move is not None and move["event"] == "switch_refused":
        raise Refused(
            str(move.get("message")), hint="`stepflow switch show` tells how it stands.", code=str(move["code"])
        )
    if session.globals.json:
        told = {k: v for k, v in move.items() if k != "seq"} if move is not None else None
        state = "accepted" if move is None else answer["state"]
        output.emit_object({"run": info.id, "state": state, "answer": answer.get("answer"), "move": told})
    elif move is None:
        say(_("Asked for; `stepflow switch show {run}` tells when it is done.").format(run=info.id))
    for line in event_lines(move) if move is not None and not session.globals.json else ():
        output.emit_text(line.strip())
    return 0


async def _carried_out(
    session: Session, engine: Facade, info: RunInfo, verb: str, args: Mapping[str, Any], *, take_control: bool
) -> tuple[Mapping[str, Any], Mapping[str, Any] | None]:
    """The engine's answer, and the event that tells of its carrying out; None when none came in time."""
    import asyncio

    from stepflow_tui.render.events import public_event

    answer = await engine.send(info, verb, args, state=session.state_path, take_control=take_control)
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    with engine.RunReader(info.path) as reader:
        while True:
            for row in await asyncio.to_thread(reader.events, int(answer["after"])):
                if row["code"] in OUTCOMES[verb]:
                    return answer, public_event(row, info.id)
            if asyncio.get_running_loop().time() >= deadline:
                return answer, None
            await asyncio.sleep(LOOK_SECONDS)


@app.command("analytics")
def analytics(ctx: typer.Context, run: RunArgument = None) -> int:
    """Compare the two sides: reads, errors, times, mismatches, and every move so far."""
    from stepflow_tui.cli import output
    from stepflow_tui.render.events import event_lines, public_event
    from stepflow_tui.render.live import as_of_line, compared_line, error_rate, verdict_line

    session, engine, info, status = _looked_at(ctx, run)
    switch = status.get("switch") or {}
    with engine.RunReader(info.path) as reader:
        moves = [public_event(row, info.id) for row in reader.history(limit=1000, codes=MOVES)]
    arms = {name: {**arm, "error_rate": error_rate(arm)} for name in ("old", "new") if (arm := switch.get(name))}
    if session.globals.json:
        keys = ("strategy", "percentage", "mismatches", "shadow_reads", "verdict", "as_of")
        kept = {key: switch.get(key) for key in keys}
        told = [{k: v for k, v in move.items() if k != "seq"} for move in moves]
        output.emit_object({"run": info.id, **kept, "old": arms.get("old"), "new": arms.get("new"), "moves": told})
        return 0
    if not switch:
        output.emit_text(_no_switch(status))
        return 0
    if dated := as_of_line(switch):
        output.emit_text(dated)
    head = (_("side"), _("reads"), _("errors"), _("errors %"), "p50 ms", "p95 ms")
    output.emit_table(
        head, [_arm_row(name, arms.get(key) or {}) for key, name in (("old", _("old")), ("new", _("new")))]
    )
    for line in filter(None, (compared_line(switch), verdict_line(switch))):
        output.emit_text(line)
    for move in moves:
        for line in event_lines(move):
            output.emit_text(f"{move['time']}  {line.strip()}")
    return 0


def _arm_row(name: str, arm: Mapping[str, Any]) -> tuple[object, ...]:
    rate = arm.get("error_rate")
    return (
        name,
        arm.get("requests") or 0,
        arm.get("errors") or 0,
        None if rate is None else round(rate, 3),
        arm.get("p50_ms"),
        arm.get("p95_ms"),
    )
