"""What can be done with a run, as numbers. The first twelve keep theirs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from stepflow_tui.cli.plain import application, ask, gate, live, show, steer, tables
from stepflow_tui.cli.plain.desk import Next, Place
from stepflow_tui.engine.texts.language import N_, _
from stepflow_tui.render import words
from stepflow_tui.render.live import is_in_place


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry: its words, what it does, and the ids of the wizard's actions that it stands for."""

    label: str
    do: Callable[[Place], Next]
    actions: tuple[str, ...] = ()
    in_place: str = ""

    def words(self, status: Mapping[str, Any]) -> str:
        """Its words for a run: `in_place` where the database stays in its place and it does something else there."""
        return _(self.in_place) if self.in_place and is_in_place(status) else _(self.label)


RUN_MENU: tuple[Entry, ...] = (
    Entry(label=N_("go on watching"), do=steer.go_on, actions=("run", "follow")),
    Entry(label=N_("pause, or go on after a pause"), do=steer.pause_or_resume, actions=("pause",)),
    Entry(label=N_("alerts: list and acknowledge"), do=steer.alerts, actions=("alerts",)),
    Entry(label=N_("checklist: list and tick"), do=steer.checklist, actions=("tick",)),
    Entry(label=N_("findings"), do=show.findings),
    Entry(
        label=N_("tables, and rows that differ"),
        do=tables.tables,
        actions=("details", "differences", "panel-4", "find"),
    ),
    Entry(label=N_("report: show or write to a file"), do=show.report, actions=("report", "export", "copy")),
    Entry(label=N_("write a note"), do=steer.note, actions=("note",)),
    Entry(label=N_("control: who steers"), do=steer.control, actions=("control",)),
    Entry(label=N_("roll back"), do=steer.roll_back, actions=("rollback",)),
    Entry(label=N_("abort"), do=steer.abort, actions=("abort",)),
    Entry(label=N_("detach: leave, the run goes on"), do=steer.leave, actions=("detach", "quit-menu")),
    Entry(label=N_("answer the questions of the open gate"), do=gate.answer_open_gate, actions=("continue",)),
    Entry(label=N_("steps, progress, log of the source, read switch"), do=show.status,
          in_place=N_("steps, progress, the database's log"),
          actions=("panel-0", "panel-1", "panel-2", "panel-3")),
    Entry(label=N_("the plan"), do=show.plan, actions=("plan",)),
    Entry(label=N_("everything that happened: show, search, write to a file"), do=show.journal,
          actions=("journal", "panel-5", "find", "export", "copy")),
    Entry(label=N_("run the checks again"), do=steer.recheck, actions=("recheck",)),
    Entry(label=N_("start the engine again"), do=steer.start_again),
    Entry(label=N_("move reads to the new side"), do=live.switch, actions=("switch",),
          in_place=N_("(reads stay where they are)")),
    Entry(label=N_("all reads back to the old side"), do=live.reads_back, actions=("back",),
          in_place=N_("go back: to the old journal mode, or to the backup")),
    Entry(label=N_("cut over: move writes, or rehearse it"), do=live.cut_over, actions=("cutover",),
          in_place=N_("(writes stay where they are)")),
    Entry(label=N_("clean up: end a live run"), do=live.clean_up, in_place=N_("end the watching")),
    Entry(label=N_("the application: how it stands, and what its switch changes"), do=application.application,
          actions=("application", "panel-6")),
    Entry(label=N_("other runs; this one goes on"), do=steer.home, actions=("home",)),
    Entry(label=N_("help"), do=show.help_, actions=("help",)),
)  # fmt: skip
"""The menu of a run."""

LEAVE = 12


def open_run_menu(place: Place) -> Next:
    """Ask until an entry leads away from the menu."""
    while True:
        state = place.status
        title = _("{run}: {state}. What next?").format(run=place.info.id, state=words.term(state["state"]))
        default = LEAVE if place.ended is not None else 1
        number = ask.choose(title, [entry.words(state) for entry in RUN_MENU], default=default)
        step = RUN_MENU[number - 1].do(place)
        if step is not Next.MENU:
            return step
