"""Following a run from the command line: the reader, the view, gates, and leaving without ending the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from stepflow_tui.cli import diagnostics, output
from stepflow_tui.cli.follow import Follower, Gate, View
from stepflow_tui.cli.gates import answer_gate
from stepflow_tui.cli.views import view_for
from stepflow_tui.engine.errors import ExitCode
from stepflow_tui.engine.texts.language import _

if TYPE_CHECKING:
    from stepflow_tui.cli.session import Session
    from stepflow_tui.facade import Facade, RunInfo

CATCH_UP = 200
"""Events shown of a long past."""


async def follow_run(
    session: Session,
    engine: Facade,
    run: RunInfo,
    *,
    after: int = 0,
    answers: bool = False,
    must_answer: bool = False,
    until: Callable[[Mapping[str, Any]], bool] | None = None,
    view: View | None = None,
    rests: bool = False,
) -> int:
    """Show a run until it ends or the operator leaves.

    Args:
        after: the event to follow from.
        answers: questions can be asked here.
        must_answer: an open gate that can't be answered here ends the following.
        until: ends the following early, with 0.
        rests: a run that only keeps its way back is left, with 0; its engine goes on.

    Returns:
        The exit code.
    """
    session.run = run.id
    with engine.RunReader(run.path) as reader, engine.watching(run.path):
        kind = str((reader.run() or {}).get("kind") or "")
        shown = view or view_for(session, kind)
        gate = _gate(session, engine, run, answers=answers) if answers or must_answer else None
        follower = Follower(run=run.id, reader=reader, view=shown, after=after, until=until, gate=gate, rests=rests)
        code = await follower.follow()
    session.ended = follower.last is not None and follower.last["event"] == "run_finished"
    if follower.resting:
        _observing(session, run, held=follower.held, stays=kind == "sqlite-wal")
        return code
    if code in (ExitCode.INTERRUPTED, ExitCode.TERMINATED) and not session.ended:
        _left(session, code)
    return code


def _gate(session: Session, engine: Facade, run: RunInfo, *, answers: bool) -> Gate:
    async def gate(event: Mapping[str, Any]) -> bool:
        return answers and await answer_gate(session, engine, run, event)

    return gate


def _observing(session: Session, run: RunInfo, *, held: bool, stays: bool) -> None:
    """The run is not over, so its result is not "completed": this front end stops watching it.

    Args:
        stays: the database stays in its place, so there are no two sides.
    """
    session.ended = True
    if held and stays and not session.globals.json:
        diagnostics.say(_("{run} waits; its engine goes on looking at the database meanwhile.").format(run=run.id))
        diagnostics.say(_("`stepflow continue {run}`, or `stepflow run` again, goes on.").format(run=run.id))
    elif held and not session.globals.json:
        diagnostics.say(_("{run} waits; its engine keeps both sides equal meanwhile.").format(run=run.id))
        diagnostics.say(_("`stepflow continue {run}`, or `stepflow run` again, goes on.").format(run=run.id))
    elif not session.globals.json:
        text = (
            _("{run} watches the new mode; its engine goes on.")
            if stays
            else _("{run} keeps the way back open; its engine goes on.")
        )
        diagnostics.say(text.format(run=run.id))
        diagnostics.say(
            _(
                "`stepflow status {run}` looks at it, `stepflow rollback {run}` goes back, `stepflow cleanup {run}` ends it."
            ).format(run=run.id)
        )
    elif session.streams:
        state = "waiting" if held else "observing"
        data = {"result": "stopped", "exit_code": 0, "report": str(run.path / "report.json"), "state": state}
        output.emit_event(diagnostics.stamped(run.id, "run_finished", data))


def _left(session: Session, code: int) -> None:
    if session.globals.json and session.streams:
        diagnostics.emit_finished(session.run, code)
        return
    diagnostics.say(_("Left {run}; it goes on. `stepflow attach {run}` returns to it.").format(run=session.run))
    diagnostics.say(_("To end it: stepflow abort {run}").format(run=session.run))


def catch_up(newest: int) -> int:
    """From which event a late watcher starts: everything, or the last events of a long past."""
    if newest <= 500:
        return 0
    output.emit_text(_("+{count} earlier events").format(count=newest - CATCH_UP))
    return newest - CATCH_UP
