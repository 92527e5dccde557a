"""Showing a value that is hidden elsewhere: the run's name is typed first, the audit keeps it, the value is not kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textual.screen import Screen

from screens.host import app_of, host
from screens.modals.confirm import ConfirmTyped
from screens.modals.missing import ask_missing
from screens.modals.text import TextDialog
from screens.widgets.guarded import in_background
from stepflow_tui.bridge import terminal_name
from stepflow_tui.engine.errors import ConfigError
from stepflow_tui.engine.texts.language import _, known
from stepflow_tui.facade import RunInfo
from stepflow_tui.render.clean import clean_line
from stepflow_tui.render.differences import DiffRow


def ask_to_reveal(screen: Screen[Any], run: RunInfo, row: DiffRow, column: str) -> None:
    """Ask for the run's name; then read the value on both sides and show it."""
    seen = host(screen)
    if seen.options.read_only:
        screen.notify(_("This session is read-only: it watches and changes nothing."), severity="warning", markup=False)
        return
    place = clean_line(f"{row.table}.{column} ({row.key})")
    lines = [
        _("This shows the value of {place} on both sides.").format(place=place),
        _("The audit keeps that you asked. The value is written nowhere."),
    ]
    name = str(seen.snapshot.status["name"]) if seen.snapshot is not None else run.id

    def confirmed(typed: str | None) -> None:
        if typed is not None:
            work = _reveal(screen, run, row, column, typed)
            in_background(app_of(screen), work, group="reveal", exclusive=True)

    app_of(screen).push_screen(ConfirmTyped(_("Show value"), lines, name), confirmed)


async def _reveal(screen: Screen[Any], run: RunInfo, row: DiffRow, column: str, typed: str) -> None:
    seen = host(screen)
    try:
        found = await seen.api.reveal(
            run,
            row.table,
            row.raw_key,
            column,
            state=seen.options.state,
            confirm=typed,
            front=terminal_name(),
            env=seen.options.env,
        )
    except ConfigError as error:

        def again() -> None:
            work = _reveal(screen, run, row, column, typed)
            in_background(app_of(screen), work, group="reveal", exclusive=True)

        if not ask_missing(app_of(screen), error, seen.options.env, again):
            raise
        return
    heading = clean_line(f"{row.table}.{column} ({row.key})")
    app_of(screen).push_screen(TextDialog(heading, shown_values(found)))


def shown_values(found: Mapping[str, Any]) -> list[str]:
    """What was found, each side from a line of its own on; values may have several lines."""
    absent = _("(no row)")
    lines: list[str] = []
    for name, value in ((_("source"), found.get("source")), (_("target"), found.get("target"))):
        lines += [f"{name}:", *str(absent if value is None else value).split("\n"), ""]
    return [*lines, known(str(found["problem"]))] if found.get("problem") else lines
