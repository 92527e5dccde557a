"""A demo that nobody steers: over to PostgreSQL and, if asked to, back, while the shop goes on."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepflow_tui.cli import diagnostics
from stepflow_tui.demo import keeper
from stepflow_tui.demo.figures import counters
from stepflow_tui.engine.texts.language import _
from stepflow_tui.render import words
from stepflow_tui.render.application import figures, phase_table, table_lines, totals
from stepflow_tui.render.clean import clean_line
from stepflow_tui.render.shop import is_right, shop_report

if TYPE_CHECKING:
    from stepflow_tui.cli.session import Session
    from stepflow_tui.facade import Facade, RunInfo

WRITES = 40
"""So many the shop makes on the other side before the demo goes on."""
LOOK_SECONDS, LOOKS = 0.1, 300
REASON = "demo"


async def drive(session: Session, engine: Facade, config: Path, *, back: bool, yes: bool) -> int:
    """Start the run, follow it until writes have moved, let the shop go on there, then go back or tidy the run up.

    Returns:
        The run's exit code.
    """
    from stepflow_tui.cli.attach import follow_run

    asks = not yes and diagnostics.interactive(session)
    loaded = engine.load_config(config, os.environ)
    started = await engine.start(
        loaded, state=session.state_path, until=None, plan_file=None, new=False, yes=yes, confirm=None, interactive=asks
    )
    code = await follow_run(
        session, engine, started.run, after=started.after, answers=asks, must_answer=not yes, until=_observes
    )
    if session.ended or code:
        return code
    diagnostics.say(_("writes have moved; the shop goes on in PostgreSQL"))
    await traded(config.parent, "postgresql")
    if back:
        return await go_back(session, engine, started.run, config.parent)
    return await _sent(session, engine, started.run, "cleanup", {"yes": True, "confirm": None, "rename": False})


async def drive_in_place(session: Session, engine: Facade, config: Path, *, back: bool, yes: bool) -> int:
    """Start the run and follow it to its end while the shop goes on, then go back if asked to.

    Returns:
        The run's exit code.
    """
    from stepflow_tui.cli.attach import follow_run

    asks = not yes and diagnostics.interactive(session)
    loaded = engine.load_config(config, os.environ)
    started = await engine.start(
        loaded, state=session.state_path, until=None, plan_file=None, new=False, yes=yes, confirm=None, interactive=asks
    )
    code = await follow_run(session, engine, started.run, after=started.after, answers=asks, must_answer=not yes)
    if not session.ended or code not in (diagnostics.ExitCode.OK, diagnostics.ExitCode.DIFFERENT):
        return code
    tell_benchmark(session, engine, config)
    await traded(config.parent, "sqlite")
    return await go_back(session, engine, started.run, config.parent) if back else code


def _observes(event: Mapping[str, Any]) -> bool:
    return bool(event["event"] == "observing")


async def traded(folder: Path, side: str, writes: int = WRITES) -> None:
    """Wait until the shop has made so many writes more on that side; not for ever, as its figures tell at the end."""
    before = _written(folder, side)
    for _look in range(LOOKS):
        if not keeper.is_open(folder) or _written(folder, side) >= before + writes:
            return
        await asyncio.sleep(LOOK_SECONDS)


def _written(folder: Path, side: str) -> int:
    return int((counters(folder).get("writes") or {}).get(side, 0))


async def go_back(session: Session, engine: Facade, run: RunInfo, folder: Path) -> int:
    """Roll back while the shop goes on, and tell how long that took until SQLite had acknowledged a write.

    Returns:
        The run's exit code.
    """
    asked = time.time()
    args = {"to": None, "reason": REASON, "yes": True, "confirm": None}
    code = await _sent(session, engine, run, "rollback", args)
    await traded(folder, "sqlite")
    moves = [m for m in counters(folder).get("moves") or () if m["to"] == "sqlite" and m["at"] > asked]
    if moves:
        diagnostics.say(
            _("the way back took {time} from the command to the first write acknowledged in SQLite").format(
                time=words.seconds(moves[0]["at"] - asked)
            )
        )
    return code


async def _sent(session: Session, engine: Facade, run: RunInfo, verb: str, args: Mapping[str, Any]) -> int:
    from stepflow_tui.cli.attach import follow_run

    answer = await engine.send(run, verb, args, state=session.state_path)
    return await follow_run(session, engine, run, after=int(answer["after"]))


def tell_availability(session: Session, engine: Facade, config: Path) -> None:
    """How long the application did not answer, as the report says it; nothing where nobody asked it."""
    run = engine.resolve_run(session.state_path, config.parent.name)
    with engine.RunReader(run.path) as reader:
        status = reader.status()
    measured = status.get("availability") or {}
    if measured.get("phases"):
        diagnostics.say(words.about(_("availability, asked once a second"), figures(totals(measured))))
    for line in table_lines(phase_table(status)):
        diagnostics.say(f"  {line}")


def tell_benchmark(session: Session, engine: Facade, config: Path) -> None:
    """What the benchmark on a copy came to; nothing where none was made."""
    run = engine.resolve_run(session.state_path, config.parent.name)
    with engine.RunReader(run.path) as reader:
        steps = reader.steps()
    found = next((s.get("evidence") for s in steps if s["name"] == "benchmark"), None) or {}
    if note := found.get("note"):
        diagnostics.say(words.about(_("benchmark"), clean_line(str(note))))


def close_shop(config: Path, code: int, *, in_place: bool = False) -> int:
    """End the shop and tell its figures.

    Returns:
        The exit code of the demo: the run's own, but never 0 when something acknowledged is missing.
    """
    figures = keeper.close_shop(config.parent)
    for line in shop_report(figures, in_place=in_place):
        diagnostics.say(line)
    wrong = bool(figures) and not is_right(figures)
    return int(diagnostics.ExitCode.DIFFERENT) if wrong and code == 0 else code
