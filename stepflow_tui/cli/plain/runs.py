"""Watching a run in lines, with a numbered menu at hand: Enter or Ctrl-C opens it."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stepflow_tui.cli import diagnostics
from stepflow_tui.cli.attach import catch_up
from stepflow_tui.cli.demo import DEMO_ROWS, has_ended
from stepflow_tui.cli.demo_live import close_shop
from stepflow_tui.cli.diagnostics import say
from stepflow_tui.cli.follow import ENTERED, Follower
from stepflow_tui.cli.plain import ask
from stepflow_tui.cli.plain.desk import Desk, Next, Place
from stepflow_tui.cli.plain.gate import answer
from stepflow_tui.cli.plain.run_menu import open_run_menu
from stepflow_tui.cli.views import PlainView
from stepflow_tui.engine.errors import EngineLost, ExitCode, StepFlowError
from stepflow_tui.engine.texts.advice import BUILT
from stepflow_tui.engine.texts.language import _
from stepflow_tui.facade import RunInfo
from stepflow_tui.render import words


class _GateOpen(Exception):
    def __init__(self, event: Mapping[str, Any]) -> None:
        super().__init__()
        self.event = event


def begin(desk: Desk, config: Path, *, new: bool = False) -> Next:
    """Start, resume or attach to the run of a config, then watch it."""
    if not desk.may_act():
        return Next.MENU
    started = desk.start(config, new=new)
    return Next.MENU if started is None else watch(desk, started.run, after=started.after)


def demo(desk: Desk) -> Next:
    """Migrate a sample shop; its database is dropped afterwards, the report stays."""
    if not desk.may_act():
        return Next.HOME
    say(_("making a sample shop of {rows} rows").format(rows=f"{DEMO_ROWS:,}"))
    config = desk.tried(desk.engine.make_demo(desk.state, BUILT[0], DEMO_ROWS))
    if config is None:
        return Next.HOME
    try:
        step = begin(desk, config)
    finally:
        desk.code = close_shop(config, desk.code)
        if has_ended(desk.session, desk.engine, config):
            desk.tried(desk.engine.end_demo(desk.state, config))
    return Next.HOME if step is Next.MENU else step


def attach(desk: Desk, run: str) -> Next:
    """Watch a run of the list."""
    try:
        info = desk.engine.resolve_run(desk.state, run)
        with desk.engine.RunReader(info.path) as reader:
            after = catch_up(reader.max_seq())
        return watch(desk, info, after=after)
    except StepFlowError as error:
        desk.tell(error)
        return Next.HOME


def watch(desk: Desk, info: RunInfo, *, after: int) -> Next:
    """Show a run until the operator leaves it.

    Returns:
        `HOME` or `LEAVE`.
    """
    desk.session.run = info.id
    with desk.engine.RunReader(info.path) as reader, desk.engine.watching(info.path):
        place = Place(desk=desk, info=info, reader=reader)
        follower = Follower(
            run=info.id, reader=reader, view=PlainView(), after=after, gate=_open, enter=sys.stdin.fileno()
        )
        try:
            return _until_left(place, follower)
        except (ask.EndOfInput, KeyboardInterrupt):
            _tell_left(place)
            raise


def _until_left(place: Place, follower: Follower) -> Next:
    while True:
        step = _watched(place, follower)
        if step is Next.MENU:
            step = open_run_menu(place)
        if step is not Next.WATCH:
            return step
        place.ended, place.desk.code = None, 0


def _tell_left(place: Place) -> None:
    """The input ended, or Ctrl-C was pressed at a question: the run goes on without us."""
    say("")
    if place.ended is not None:
        return
    if place.status.get("gate"):
        place.desk.code = int(ExitCode.CONFIRMATION)
        say(_("A gate waits for an answer: `stepflow continue {run}`.").format(run=place.info.id))
    say(_("Left {run}; it goes on. `stepflow attach {run}` returns to it.").format(run=place.info.id))
    say(_("To end it: stepflow abort {run}").format(run=place.info.id))


async def _open(event: Mapping[str, Any]) -> bool:
    # asked outside of the event loop, where Ctrl-C and the end of input are heard
    raise _GateOpen(event)


def _watched(place: Place, follower: Follower) -> Next:
    """Follow until something calls the operator."""
    # an event loop that is being made takes no interrupt well: until the follower listens itself, it is only noted
    before = signal.signal(signal.SIGINT, lambda _number, _frame: follower.leave(ExitCode.INTERRUPTED))
    say(_("Watching {run}. Enter opens the menu.").format(run=place.info.id))
    asked, code = None, 0
    try:
        code = asyncio.run(follower.follow())
    except _GateOpen as gate:
        asked = gate.event
    except EngineLost as error:
        place.desk.tell(error)
        say(_("Nothing is lost: the menu can start the engine again; it goes on from the last checkpoint."))
        return Next.MENU
    finally:
        signal.signal(signal.SIGINT, before)
    if asked is not None:
        follower.answered()
        return answer(place, asked, told=True)
    if code == ENTERED:
        if not sys.stdin.readline():
            raise ask.EndOfInput
        return Next.MENU
    if code == ExitCode.TERMINATED and not _is_the_runs(follower, code):
        raise diagnostics.Terminated
    if code != ExitCode.INTERRUPTED:
        _note_end(place, follower, code)
    return Next.MENU


def _is_the_runs(follower: Follower, code: int) -> bool:
    """Whether a code is how the run ended: an engine that was told to stop ends with 143, too."""
    last = follower.last or {}
    return last.get("event") == "run_finished" and last["exit_code"] == code


def _note_end(place: Place, follower: Follower, code: int) -> None:
    place.ended = place.desk.code = code
    result = str((follower.last or {}).get("result"))
    say(_("The run has ended: {result}, exit code {code}.").format(result=words.term(result), code=code))
