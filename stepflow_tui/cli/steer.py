"""`continue`, `pause`, `resume`, `tick`, `abort`, `rollback`: intents for a run's engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stepflow_tui.cli.options import ConfirmOption, NeededRun, RunArgument, TakeControl, YesOption, commands, session_of
from stepflow_tui.cli.session import Session
from stepflow_tui.engine.texts.language import N_, _

if TYPE_CHECKING:
    from stepflow_tui.facade import Facade, RunInfo


app = commands()


@app.command("continue")
def continue_(
    ctx: typer.Context,
    run: RunArgument = None,
    yes: YesOption = False,
    confirm: ConfirmOption = None,
    take_control: TakeControl = False,
) -> int:
    """Pass the open gate."""
    import asyncio

    from stepflow_tui.cli.gates import answer_gate

    session, engine, info = found(ctx, run)
    status = status_now(engine, info)
    gate = status.get("gate")
    if not yes and gate is not None:
        _needs_terminal(session, info)
        if not asyncio.run(answer_gate(session, engine, info, gate)):
            raise _unanswered(info)
        return _answered(session, info, {"state": "accepted", "answer": {}})
    if yes:
        _production_name(status, confirm)
    return send_intent(session, engine, info, "continue", {"yes": yes, "confirm": confirm}, take_control=take_control)


def _needs_terminal(session: Session, info: RunInfo) -> None:
    from stepflow_tui.cli import diagnostics

    if not diagnostics.interactive(session):
        raise diagnostics.NeedsConfirmation(
            f"The gate of {info.id} asks questions.", hint="Pass --yes (in production also --confirm NAME)."
        )


def _unanswered(info: RunInfo) -> Exception:
    from stepflow_tui.cli.diagnostics import NeedsConfirmation

    return NeedsConfirmation(
        "Not every question was answered; the run waits on.", hint=f"`stepflow continue {info.id}` asks again."
    )


def _production_name(status: Mapping[str, Any], confirm: str | None) -> None:
    """In production, typed questions need the name besides --yes; a wrong name is never passed on."""
    from stepflow_tui.cli.diagnostics import NeedsConfirmation

    name = str(status["name"])
    typed = any(q.get("kind") == "typed" for q in (status.get("gate") or {}).get("questions") or ())
    if confirm not in (None, name) or (typed and status["environment"] == "production" and confirm is None):
        raise NeedsConfirmation("The run's name is needed to confirm.", hint=f"Pass --yes --confirm {name}.")


@app.command("pause")
def pause(
    ctx: typer.Context,
    run: RunArgument = None,
    yes: YesOption = False,
    confirm: ConfirmOption = None,
) -> int:
    """Stop at the next chunk; the engine stays."""
    session, engine, info = found(ctx, run)
    return send_intent(session, engine, info, "pause", {})


@app.command("resume")
def resume(
    ctx: typer.Context,
    run: RunArgument = None,
    yes: YesOption = False,
    confirm: ConfirmOption = None,
    take_control: TakeControl = False,
) -> int:
    """Leave `paused`."""
    session, engine, info = found(ctx, run)
    return send_intent(session, engine, info, "resume", {}, take_control=take_control)


@app.command("tick")
def tick(
    ctx: typer.Context,
    run: NeededRun,
    item: Annotated[str, typer.Argument(metavar="ITEM", help="The item's id.", show_default=False)],
    note: Annotated[
        str | None, typer.Option("--note", help="Why it is done; goes to the audit.", show_default=False)
    ] = None,
    yes: YesOption = False,
    confirm: ConfirmOption = None,
) -> int:
    """Tick a checklist item."""
    from stepflow_tui.cli.diagnostics import need

    session, engine, info = found(ctx, run)
    said = note or need(session, N_("The note"), "--note TEXT")
    return send_intent(session, engine, info, "tick", {"item": item, "note": said})


@app.command("abort")
def abort(
    ctx: typer.Context,
    run: RunArgument = None,
    yes: YesOption = False,
    confirm: ConfirmOption = None,
    take_control: TakeControl = False,
) -> int:
    """End the run; it can still be rolled back."""
    from stepflow_tui.cli.guard import typed_confirmation

    session, engine, info = found(ctx, run)
    status = status_now(engine, info)
    typed = typed_confirmation(
        session,
        what=f"This ends {info.id} for good; what it made in the target stays.",
        name=str(status["name"]),
        production=status["environment"] == "production",
        yes=yes,
        confirm=confirm,
    )
    return send_intent(
        session, engine, info, "abort", {"yes": yes, "confirm": typed}, take_control=take_control, wait_for="aborted"
    )


@app.command("rollback")
def rollback(
    ctx: typer.Context,
    run: NeededRun,
    to: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="PHASE", help="Undo until this phase is next, such as cutover.", show_default=False
        ),
    ] = None,
    reason: Annotated[
        str | None,
        typer.Option(
            "--reason",
            help="Why; goes to the audit and the report. Needed with --yes, but for sqlite-wal.",
            show_default=False,
        ),
    ] = None,
    restore: Annotated[
        bool,
        typer.Option(
            "--restore",
            help="sqlite-wal: put the run's tested backup back; what was written since is lost (kept aside).",
        ),
    ] = False,
    yes: YesOption = False,
    confirm: ConfirmOption = None,
    take_control: TakeControl = False,
) -> int:
    """Undo what the run did.

    Of a sqlite-wal run: back to the old journal mode, with everything written since. Of a live run after its cutover: PostgreSQL's changes are carried to SQLite first, then SQLite takes writes again.
    `--to cutover` stops there and keeps the copy, so that the cutover can be tried again.
    """
    from stepflow_tui.cli import guard
    from stepflow_tui.cli.diagnostics import need, say
    from stepflow_tui.cli.run import check_phase
    from stepflow_tui.render.guards import back_facts

    check_phase(to)
    session, engine, info = found(ctx, run)
    status = status_now(engine, info)
    loses = "; ".join((status.get("rollback") or {}).get("loses") or ()) or "nothing"
    for line in back_facts(status):
        say(line)
    if restore:
        loses = _("everything written since the backup was made")
    guard.plain_confirmation(session, what=f"Roll back {info.id}? Lost now: {loses}.", yes=yes)
    _production_name(status, confirm)
    # the way back of a conversion in place is one command: it loses nothing
    asked = not (yes and status["kind"] == "sqlite-wal")
    why = reason or (need(session, N_("The reason"), "--reason TEXT") if asked else "")
    args = {"to": to, "reason": why, "yes": yes, "confirm": confirm, **({"restore": True} if restore else {})}
    code = send_intent(
        session, engine, info, "rollback", args, take_control=take_control, wait_for="rolled_back", show=True
    )
    _say_alone(status_now(engine, info))
    return code


def _say_alone(status: Mapping[str, Any]) -> None:
    """After a rollback to a phase the engine has ended, and what is captured waits for the next one."""
    from stepflow_tui.cli.diagnostics import say
    from stepflow_tui.engine.texts.language import _
    from stepflow_tui.engine.texts.running import ADVICE, ALERTS

    for alert in status.get("alerts") or ():
        if alert["code"] == "capture_unattended":
            say(_(ALERTS[alert["code"]]))
            say(_(ADVICE[alert["code"]]))


def found(ctx: typer.Context, run: str | None) -> tuple[Session, Facade, RunInfo]:
    """The run an acting command is about.

    Raises:
        UsageError: there is none, several fit, or the session is read-only.
    """
    from stepflow_tui.cli.guard import acting
    from stepflow_tui.facade import facade

    session = session_of(ctx)
    acting(session)
    engine = facade()
    info = engine.resolve_run(session.state_path, run)
    session.run = info.id
    return session, engine, info


def status_now(engine: Facade, info: RunInfo) -> dict[str, Any]:
    """The run's status."""
    with engine.RunReader(info.path) as reader:
        return reader.status()


def send_intent(
    session: Session,
    engine: Facade,
    info: RunInfo,
    verb: str,
    args: Mapping[str, Any],
    *,
    take_control: bool = False,
    wait_for: str | None = None,
    show: bool = False,
) -> int:
    """Send an intent; with `wait_for`, stay until the run ends with that result, or rests in that state (`observing`)."""
    import asyncio

    return asyncio.run(
        _sent(session, engine, info, verb, args, take_control=take_control, wait_for=wait_for, show=show)
    )


async def _sent(
    session: Session,
    engine: Facade,
    info: RunInfo,
    verb: str,
    args: Mapping[str, Any],
    *,
    take_control: bool,
    wait_for: str | None,
    show: bool,
) -> int:
    from stepflow_tui.cli import diagnostics
    from stepflow_tui.cli.attach import follow_run
    from stepflow_tui.cli.views import LastView, PlainView
    from stepflow_tui.engine.model.state import RunState

    answer = await engine.send(info, verb, args, state=session.state_path, take_control=take_control)
    if wait_for is None:
        return _answered(session, info, answer)
    kind = str(status_now(engine, info)["kind"] or "")
    view = LastView(None if session.globals.json or not show else PlainView(kind=kind))
    rests = wait_for == RunState.OBSERVING
    code = await follow_run(session, engine, info, after=int(answer["after"]), view=view, rests=rests)
    result = RunState.OBSERVING if rests and session.ended and view.result is None else view.result
    if result is not None and result != wait_for and view.error is not None and (session.globals.json or not show):
        raise diagnostics.from_event(view.error)
    if result is not None:
        _answered(session, info, {"state": result, "answer": answer.get("answer")})
    return 0 if result == wait_for else code


def _answered(session: Session, info: RunInfo, answer: Mapping[str, Any]) -> int:
    from stepflow_tui.cli import output
    from stepflow_tui.render import words

    if session.globals.json:
        output.emit_object({"run": info.id, "state": answer["state"], "answer": answer.get("answer")})
    else:
        output.emit_text(words.about(info.id, words.term(answer["state"])))
    return 0
