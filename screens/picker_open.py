"""What the entries of the list of runs open, and what can be begun from there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from textual.screen import Screen

from screens.host import host
from screens.picker_rows import CONFIG, RUN, START
from screens.widgets.guarded import in_background
from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.texts.language import _

DEMO_ROWS = 200_000


def open_entry(screen: Screen[Any], entry: str) -> None:
    """Open a run or a config, or begin something."""
    if entry.startswith(RUN):
        _open_run(screen, entry.removeprefix(RUN))
    elif entry.startswith(CONFIG):
        from screens.config import ConfigScreen

        screen.app.push_screen(ConfigScreen(Path(entry.removeprefix(CONFIG))))
    elif entry.startswith(START):
        screen.call_later(screen.run_action, entry.removeprefix(START))


def _open_run(screen: Screen[Any], run: str) -> None:
    app = host(screen)
    try:
        found = app.api.resolve_run(app.options.state, run)
    except StepFlowError as error:
        app.show_error(error)
        return
    app.open_run(found)


def set_up(screen: Screen[Any], *, advise: bool) -> None:
    """The set-up of a new migration."""
    from screens.setup import SetupScreen

    screen.app.push_screen(SetupScreen(advise=advise))


def demo(screen: Screen[Any]) -> None:
    """Ask which demo, make and open its sample shop, and begin the migration."""
    from screens.modals.demo import DemoDialog

    if host(screen).options.read_only:
        screen.notify(_("This session is read-only: it watches and changes nothing."), severity="warning", markup=False)
        return
    screen.app.push_screen(DemoDialog(), lambda kind: _begin_demo(screen, kind) if kind else None)


def _begin_demo(screen: Screen[Any], kind: str) -> None:
    screen.notify(_("Making a sample shop of {rows} rows…").format(rows=f"{DEMO_ROWS:,}"), markup=False)
    in_background(screen, _demo(screen, kind), group="demo", exclusive=True)


async def _demo(screen: Screen[Any], kind: str) -> None:
    app = host(screen)
    config = await app.api.make_demo(app.options.state, kind, DEMO_ROWS)
    app.demos += (config,)
    app.begin(config)
