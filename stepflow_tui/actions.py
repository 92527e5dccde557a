"""The one table of what an operator can do: it drives key bindings, footer, help, command palette and `stepflow keys`.

Ids are stable: `keymap:` in a config gives an action other keys by its id. Imports no Textual, so the command line reads it too.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from stepflow_tui.engine.texts.language import N_


class Scope(StrEnum):
    """Where an action works: everywhere, or on one screen."""

    APP = "app"
    PICKER = "picker"
    SETUP = "setup"
    CONFIG = "config"
    PLAN = "plan"
    RUN = "run"
    JOURNAL = "journal"
    REPORT = "report"


OF_A_RUN = (Scope.RUN, Scope.PLAN, Scope.JOURNAL, Scope.REPORT)
"""Screens that show one run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing to do.

    Args:
        id: stable name; `action_<id>` is the method that does it (`-` as `_`).
        keys: Textual key names, the first one is shown.
        label: a word or two for the footer.
        help: one sentence for help, palette and `stepflow keys`.
        scopes: where it works.
        cli: the command that does the same; "" where there is none, then `only` says why.
        only: why there is no command.
        footer: whether the footer shows it.
        acts: whether it changes anything; a read-only session refuses it.
    """

    id: str
    keys: tuple[str, ...]
    label: str
    help: str
    scopes: tuple[Scope, ...]
    cli: str = ""
    only: str = ""
    footer: bool = False
    acts: bool = False

    @property
    def method(self) -> str:
        """Textual's name of the action."""
        return self.id.replace("-", "_")


ON_SCREEN = N_("It only changes what this screen shows.")

ACTIONS: tuple[Action, ...] = (
    # steering a run
    Action(
        id="continue",
        keys=("c",),
        label=N_("Continue"),
        help=N_("Pass the open gate: shows its questions, then goes on to the next phase; ends an observation."),
        scopes=(Scope.RUN, Scope.PLAN),
        cli="continue",
        footer=True,
        acts=True,
    ),
    Action(
        id="pause",
        keys=("p",),
        label=N_("Pause"),
        help=N_("Pause the engine at the next chunk, or let a paused engine go on."),
        scopes=(Scope.RUN,),
        cli="pause",
        footer=True,
        acts=True,
    ),
    Action(
        id="freeze",
        keys=("v",),
        label=N_("Freeze"),
        help=N_("Freeze or unfreeze the view; the engine goes on."),
        scopes=(Scope.RUN,),
        only=ON_SCREEN,
    ),
    Action(
        id="recheck",
        keys=("r",),
        label=N_("Recheck"),
        help=N_("Run the preflight checks again; changes nothing."),
        scopes=(Scope.RUN, Scope.PLAN),
        cli="check",
    ),
    Action(
        id="tick",
        keys=("space",),
        label=N_("Tick"),
        help=N_("Tick the selected checklist item; asks for a note that goes into the journal."),
        scopes=(Scope.RUN, Scope.PLAN),
        cli="tick",
        acts=True,
    ),
    Action(
        id="switch",
        keys=("s",),
        label=N_("Switch"),
        help=N_("Move reads to the new side, by percentage."),
        scopes=(Scope.RUN,),
        cli="switch",
        footer=True,
        acts=True,
    ),
    Action(
        id="back",
        keys=("B",),
        label=N_("Reads back"),
        help=N_("Move all reads back to the old side at once; the same key again confirms."),
        scopes=(Scope.RUN,),
        cli="switch",
        footer=True,
        acts=True,
    ),
    Action(
        id="cutover",
        keys=("U",),
        label=N_("Cut over"),
        help=N_("Move writes to the new side, or rehearse it; asks for the run's name."),
        scopes=(Scope.RUN,),
        cli="cutover",
        footer=True,
        acts=True,
    ),
    Action(
        id="rollback",
        keys=("R",),
        label=N_("Roll back"),
        help=N_("Undo what the run did; shows what would be lost and asks for the run's name."),
        scopes=(Scope.RUN,),
        cli="rollback",
        acts=True,
    ),
    Action(
        id="abort",
        keys=("X",),
        label=N_("Abort"),
        help=N_("End the run; asks for its name. What it made stays until it is rolled back."),
        scopes=(Scope.RUN,),
        cli="abort",
        acts=True,
    ),
    Action(
        id="application",
        keys=("i",),
        label=N_("Application"),
        help=N_("Show what the switch changes: lines of settings, commands in their order, and how each is undone."),
        scopes=(Scope.RUN,),
        cli="application",
    ),
    Action(
        id="alerts",
        keys=("a",),
        label=N_("Alerts"),
        help=N_("List the alerts; acknowledge them with a note."),
        scopes=OF_A_RUN,
        cli="alerts",
        footer=True,
    ),
    Action(
        id="note",
        keys=("m",),
        label=N_("Note"),
        help=N_("Write a note into the run's audit and report."),
        scopes=OF_A_RUN,
        cli="note",
        acts=True,
    ),
    Action(
        id="control",
        keys=("C",),
        label=N_("Control"),
        help=N_("Show who steers this run; ask for control, take it, or hand it over."),
        scopes=OF_A_RUN,
        cli="control",
        acts=True,
    ),
    # looking
    Action(
        id="details",
        keys=("enter",),
        label=N_("Details"),
        help=N_("Open the details of what is selected; never starts or confirms a change."),
        scopes=(Scope.PICKER, Scope.PLAN, Scope.RUN, Scope.JOURNAL),
        only=ON_SCREEN,
    ),
    Action(
        id="find",
        keys=("slash",),
        label=N_("Filter"),
        help=N_("Filter or search what the focused panel lists."),
        scopes=(Scope.PICKER, Scope.PLAN, Scope.RUN, Scope.JOURNAL, Scope.REPORT),
        only=ON_SCREEN,
        footer=True,
    ),
    Action(
        id="next",
        keys=("n",),
        label=N_("Next"),
        help=N_("Go to the next match."),
        scopes=(Scope.RUN, Scope.JOURNAL, Scope.PLAN, Scope.REPORT),
        only=ON_SCREEN,
    ),
    Action(
        id="previous",
        keys=("N",),
        label=N_("Previous"),
        help=N_("Go to the previous match."),
        scopes=(Scope.RUN, Scope.JOURNAL, Scope.PLAN, Scope.REPORT),
        only=ON_SCREEN,
    ),
    Action(
        id="differences",
        keys=("f",),
        label=N_("Differing"),
        help=N_("Show only tables whose rows differ, or all again."),
        scopes=(Scope.RUN,),
        only=ON_SCREEN,
    ),
    Action(
        id="follow",
        keys=("o",),
        label=N_("Follow"),
        help=N_("Follow the newest lines of the log, or stay where it is."),
        scopes=(Scope.RUN, Scope.JOURNAL),
        only=ON_SCREEN,
    ),
    Action(
        id="wrap",
        keys=("w",),
        label=N_("Wrap"),
        help=N_("Wrap long lines, or cut them."),
        scopes=(Scope.RUN, Scope.JOURNAL, Scope.REPORT, Scope.PLAN),
        only=ON_SCREEN,
    ),
    Action(
        id="zoom",
        keys=("z",),
        label=N_("Zoom"),
        help=N_("Show the focused panel on the whole screen, or all panels again."),
        scopes=(Scope.RUN, Scope.PLAN),
        only=ON_SCREEN,
        footer=True,
    ),
    Action(
        id="slower",
        keys=("minus",),
        label=N_("Slower"),
        help=N_("Refresh the screen less often: 0.5, 1, 2 or 5 seconds."),
        scopes=(Scope.RUN,),
        only=ON_SCREEN,
    ),
    Action(
        id="faster",
        keys=("plus",),
        label=N_("Faster"),
        help=N_("Refresh the screen more often: 5, 2, 1 or 0.5 seconds."),
        scopes=(Scope.RUN,),
        only=ON_SCREEN,
    ),
    *(
        Action(
            id=f"panel-{number}",
            keys=(str(number),),
            label=str(number),
            help=text,
            scopes=(Scope.RUN,),
            only=ON_SCREEN,
        )
        for number, text in enumerate(
            (
                N_("Go to the steps."),
                N_("Go to what happens now."),
                N_("Go to the WAL panel."),
                N_("Go to the read switch."),
                N_("Go to the row differences."),
                N_("Go to the log."),
                N_("Go to the application."),
            )
        )
    ),
    Action(
        id="copy",
        keys=("y",),
        label=N_("Copy"),
        help=N_("Copy what the focused panel shows, and write it to a file."),
        scopes=OF_A_RUN,
        only=ON_SCREEN,
    ),
    Action(
        id="report",
        keys=("e",),
        label=N_("Report"),
        help=N_("Open the report."),
        scopes=(Scope.RUN, Scope.PLAN, Scope.JOURNAL),
        cli="report",
        footer=True,
    ),
    Action(
        id="export",
        keys=("x",),
        label=N_("Export"),
        help=N_("Write what is shown to a file, and say where."),
        scopes=(Scope.JOURNAL, Scope.REPORT, Scope.PLAN),
        cli="report",
        footer=True,
    ),
    # making and reading a config
    Action(
        id="start",
        keys=("c", "enter"),
        label=N_("Start"),
        help=N_("Start the run of this config or go on with it: checks, backup and plan first, then it asks."),
        scopes=(Scope.CONFIG,),
        cli="run",
        footer=True,
        acts=True,
    ),
    Action(
        id="reread",
        keys=("r",),
        label=N_("Read again"),
        help=N_("Read the files again, after they were changed in an editor."),
        scopes=(Scope.CONFIG, Scope.PICKER),
        cli="check",
        footer=True,
    ),
    Action(
        id="page-next",
        keys=("f8",),
        label=N_("Next page"),
        help=N_("Go to the next page of the set-up; what this page says is checked first."),
        scopes=(Scope.SETUP,),
        cli="init",
        footer=True,
    ),
    Action(
        id="page-back",
        keys=("escape", "f7"),
        label=N_("Back"),
        help=N_("Go back one page; from the first one to the list of runs."),
        scopes=(Scope.SETUP,),
        only=ON_SCREEN,
        footer=True,
    ),
    # pages of plan and report
    Action(
        id="section-next",
        keys=("right", "right_square_bracket", "tab"),
        label=N_("Next part"),
        help=N_("Go to the next part of what is shown."),
        scopes=(Scope.PLAN, Scope.REPORT, Scope.JOURNAL),
        only=ON_SCREEN,
        footer=True,
    ),
    Action(
        id="section-previous",
        keys=("left", "left_square_bracket", "shift+tab"),
        label=N_("Part before"),
        help=N_("Go to the part before."),
        scopes=(Scope.PLAN, Scope.REPORT, Scope.JOURNAL),
        only=ON_SCREEN,
    ),
    Action(
        id="change",
        keys=("b",),
        label=N_("Change"),
        help=N_("Go back and change the config: asks for the run's name, ends the run, and opens the config."),
        scopes=(Scope.PLAN,),
        cli="abort",
        acts=True,
    ),
    # going from screen to screen
    Action(
        id="new",
        keys=("n",),
        label=N_("New"),
        help=N_("Set up a new migration."),
        scopes=(Scope.PICKER,),
        cli="init",
        footer=True,
    ),
    Action(
        id="advise",
        keys=("w",),
        label=N_("Which?"),
        help=N_("Find out which migration you need."),
        scopes=(Scope.PICKER,),
        cli="init",
        footer=True,
    ),
    Action(
        id="demo",
        keys=("d",),
        label=N_("Demo"),
        help=N_("Migrate a sample shop: into a PostgreSQL of StepFlow's own, or to WAL mode."),
        scopes=(Scope.PICKER,),
        cli="demo",
        footer=True,
        acts=True,
    ),
    Action(
        id="plan",
        keys=("f2",),
        label=N_("Plan"),
        help=N_("Show the plan: steps, types, SQL, what is not carried, findings, risks."),
        scopes=(Scope.RUN, Scope.JOURNAL, Scope.REPORT),
        cli="plan",
        footer=True,
    ),
    Action(
        id="run",
        keys=("f3",),
        label=N_("Run"),
        help=N_("Show the run."),
        scopes=(Scope.PLAN, Scope.JOURNAL, Scope.REPORT),
        cli="attach",
        footer=True,
    ),
    Action(
        id="journal",
        keys=("f4",),
        label=N_("Journal"),
        help=N_("Show everything that happened."),
        scopes=(Scope.RUN, Scope.PLAN, Scope.REPORT),
        cli="audit",
        footer=True,
    ),
    Action(
        id="home",
        keys=("f5",),
        label=N_("Runs"),
        help=N_("Go to the list of runs; the run goes on."),
        scopes=OF_A_RUN,
        cli="runs",
    ),
    Action(
        id="detach",
        keys=("d",),
        label=N_("Detach"),
        help=N_("Leave the screen at once; the run goes on."),
        scopes=OF_A_RUN,
        only=ON_SCREEN,
        footer=True,
    ),
    # everywhere
    Action(
        id="help",
        keys=("question_mark", "f1"),
        label=N_("Help"),
        help=N_("Help for the focused panel, and all keys."),
        scopes=(Scope.APP,),
        cli="keys",
        footer=True,
    ),
    Action(
        id="command-palette",
        keys=("colon", "ctrl+p"),
        label=N_("Commands"),
        help=N_("Search all actions by name."),
        scopes=(Scope.APP,),
        only=ON_SCREEN,
        footer=True,
    ),
    Action(
        id="close",
        keys=("escape",),
        label=N_("Close"),
        help=N_("Close what lies on top; never quits."),
        scopes=(Scope.APP,),
        only=ON_SCREEN,
    ),
    Action(
        id="quit-menu",
        keys=("q", "ctrl+c", "ctrl+q"),
        label=N_("Quit"),
        help=N_("Leave: detach, pause and detach, or abort."),
        scopes=(Scope.APP,),
        only=ON_SCREEN,
        footer=True,
    ),
)
"""All actions, in the order of importance: a narrow footer shows the first ones."""

BY_ID = {action.id: action for action in ACTIONS}


def actions_of(scope: Scope) -> list[Action]:
    """The actions of a screen, those that work everywhere last."""
    return [a for a in ACTIONS if scope in a.scopes] + [
        a for a in ACTIONS if Scope.APP in a.scopes and scope is not Scope.APP
    ]
