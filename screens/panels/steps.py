"""Panel 0: the phases and steps of the run, and what a person has to check."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.cells import cell_len
from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType

from screens.glyphs import Glyphs
from screens.host import app_of, host
from screens.panels.base import Panel, Value
from screens.panels.details import details, heading_of, step_row
from screens.run_words import (
    OVER,
    Status,
    item_words,
    manual_left,
    over,
    percent,
    phase_title,
    shown_items,
    title_of,
)
from screens.widgets.afterwards import afterwards
from screens.widgets.cells import cut, fit
from screens.widgets.flow import Line
from screens.widgets.guarded import in_background
from screens.widgets.line_list import LineList
from screens.widgets.moving import MOVES, Moving
from stepflow_tui.bridge import Snapshot
from stepflow_tui.engine.texts.language import N_, _

ROLES = {"done": "good", "running": "strong", "failed": "bad", "skipped": "dim", "undone": "dim"}
"""How a state looks, besides its sign."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row. `id` says what it is about (`step:backfill.copy`); "" for headings and blanks."""

    id: str
    line: Line


class StepsPanel(Moving, Panel):
    """All steps in order with their state, then the checklist."""

    NUMBER: ClassVar[int] = 0
    NAME: ClassVar[str] = N_("Steps")
    HELP: ClassVar[str] = N_(
        "What the run does, in order: phases with their steps, what is done, what runs now, what is still to come. "
        "A ! marks a step that will ask you to type the run's name. Below are the checks that people make: Space ticks "
        "the selected one and asks for a note. Enter shows the details of the selected row."
    )
    BINDINGS: ClassVar[list[BindingType]] = [*MOVES]
    DEFAULT_CSS = """
    StepsPanel {
        padding: 0;
    }
    StepsPanel #legend {
        height: 3;
        color: $text-muted;
        text-wrap: nowrap;
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._status: Status = {}
        self._rows: list[Row] = []
        self._at: object = None

    @property
    def listed(self) -> LineList:
        """The rows."""
        return self.query_one(LineList)

    def compose(self) -> ComposeResult:
        """The list and what its signs mean."""
        yield LineList(cursor=True, more=host(self).glyphs.more)
        yield Value(id="legend")

    def on_mount(self) -> None:
        """Say what the signs mean."""
        super().on_mount()
        self.query_one("#legend", Value).show(legend(host(self).glyphs))

    def apply(self, snapshot: Snapshot) -> None:
        """Show where the run is; the running step stays in view while nobody looks around."""
        self._status = snapshot.status
        self._draw()
        at = (snapshot.status.get("phase"), snapshot.status.get("step"))
        if at != self._at and not self.has_focus:
            self._at = at
            wanted = f"step:{at[0]}.{at[1]}"
            self.listed.select(next((n for n, row in enumerate(self._rows) if row.id == wanted), 0))

    def _draw(self) -> None:
        self._rows = list(step_rows(self._status, self.listed.size.width, host(self).glyphs))
        self.listed.show([row.line for row in self._rows])

    def on_resize(self, event: events.Resize) -> None:
        """Fit into the new size."""
        afterwards(self, self._draw)

    def on_focus(self) -> None:
        """Show the cursor."""
        self.listed.light(True)

    def on_blur(self) -> None:
        """Hide the cursor."""
        self.listed.light(False)

    async def on_line_list_chosen(self) -> None:
        """A click on the selected row."""
        await self.screen.run_action("details")

    def action_details(self) -> None:
        """Open what is known about the selected row."""
        chosen = self.selected()
        if chosen is not None:
            in_background(self, self._open(*chosen), group="details", exclusive=True)

    async def _open(self, sort: str, about: Mapping[str, Any]) -> None:
        from screens.modals.text import TextDialog

        row: Mapping[str, Any] = {}
        bridge = host(self).bridge
        if sort == "step" and bridge is not None:
            row = await asyncio.to_thread(step_row, host(self).api, bridge.run.path, str(about["name"]))
        app_of(self).push_screen(
            TextDialog(
                heading_of(sort, about, self._status), list(details(sort, about, row, self._status)), name="details"
            )
        )

    def selected(self) -> tuple[str, Mapping[str, Any]] | None:
        """What the cursor is on: its sort (phase, step, item) and what the status says about it."""
        at = self.listed.window.cursor or 0
        sort, _colon, name = (self._rows[at].id if at < len(self._rows) else "").partition(":")
        if sort == "item":
            items = self._status.get("checklist") or ()
            return next(((sort, i) for i in items if i["id"] == name), None)
        for phase in self._status.get("phases") or ():
            if sort == "phase" and phase["name"] == name:
                return sort, phase
            for step in phase.get("steps") or ():
                if sort == "step" and f"{phase['name']}.{step['name']}" == name:
                    return sort, {**step, "phase": phase["name"]}
        return None

    def copy_text(self) -> str:
        """All rows."""
        return "\n".join(row.line.text.rstrip() for row in self._rows)


def legend(glyphs: Glyphs) -> str:
    """What the signs mean."""
    return "\n".join(
        (
            f" {glyphs.done} {_('done')}  {glyphs.now} {_('now')}  {glyphs.todo} {_('to do')}",
            f" {glyphs.confirm} {_('asks for the name')}",
            f" {glyphs.failed} {_('failed')}  {glyphs.skipped} {_('skipped')}",
        )
    )


def typed(step: Mapping[str, Any]) -> bool:
    """Whether a step that is still to come will ask for the run's name."""
    return step.get("danger") == "typed" and step["state"] not in OVER


def phase_sign(phase: Mapping[str, Any], glyphs: Glyphs) -> tuple[str, str]:
    """A phase's sign and role. A phase one of whose steps failed has failed."""
    steps = phase.get("steps") or ()
    state = "failed" if any(s["state"] == "failed" for s in steps) else str(phase["state"])
    danger = any(typed(s) for s in steps)
    return glyphs.step(state, danger=danger), ROLES.get(state, "warn" if danger else "")


def step_rows(status: Status, width: int, glyphs: Glyphs) -> Iterator[Row]:
    """One row for each phase, step and checklist item."""
    for number, phase in enumerate(status.get("phases") or (), start=1):
        steps = phase.get("steps") or ()
        done = sum(over(phase, s) for s in steps)
        sign, role = phase_sign(phase, glyphs)
        left = f"{sign} {number} {phase_title(phase['name'], status)}"
        yield _row(f"phase:{phase['name']}", left, f"{done}/{len(steps)}", width, glyphs, role or "strong")
        for step in steps:
            yield _step(phase["name"], step, width, glyphs)
    yield from _items(status, width, glyphs)


def _step(phase: str, step: Mapping[str, Any], width: int, glyphs: Glyphs) -> Row:
    danger = typed(step)
    sign = glyphs.step(step["state"], danger=danger)
    done = percent(step.get("progress")) if step["state"] == "running" else None
    right = "" if done is None else f"{done} %"
    role = ROLES.get(step["state"], "warn" if danger else "")
    return _row(f"step:{phase}.{step['name']}", f"  {sign} {title_of(step)}", right, width, glyphs, role)


def _items(status: Status, width: int, glyphs: Glyphs) -> Iterator[Row]:
    items = shown_items(status)
    for kind, head, left in (
        ("manual", _("Manual checks left"), str(manual_left(status))),
        ("auto", _("Checked by StepFlow"), ""),
    ):
        own = [i for i in items if i["kind"] == kind]
        if own:
            yield Row("", Line(""))
            yield _row("", head, left, width, glyphs, "strong")
        for item in own:
            yield _item(item, width, glyphs)


def _item(item: Mapping[str, Any], width: int, glyphs: Glyphs) -> Row:
    state = str(item["state"])
    box, role = {
        "ticked": (glyphs.ticked, "good"),
        "accepted": (glyphs.unticked_accepted, "warn"),
        "failed": (f" {glyphs.failed} ", "bad"),
    }.get(state, (glyphs.unticked, ""))
    word = _("unticked") if state == "accepted" else ""
    return _row(f"item:{item['id']}", f" {box} {item_words(item)}", word, width, glyphs, role)


def _row(name: str, left: str, right: str, width: int, glyphs: Glyphs, role: str) -> Row:
    room = width - (cell_len(right) + 1 if right else 0)
    text = fit(left, room, glyphs.more) + f" {right}" if right else cut(left, room, glyphs.more)
    return Row(name, Line(text, ((0, len(text), role),) if role else ()))
