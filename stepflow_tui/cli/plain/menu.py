"""The first menu: runs to attach to, configs found here, what can be begun."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from stepflow_tui.cli.plain import ask, runs, setup
from stepflow_tui.cli.plain.desk import Desk, Next
from stepflow_tui.cli.plain.plan import open_config
from stepflow_tui.cli.session import Session
from stepflow_tui.engine.errors import ExitCode, StepFlowError
from stepflow_tui.engine.model.state import FINISHED
from stepflow_tui.engine.texts.language import N_, _
from stepflow_tui.facade import facade
from stepflow_tui.render import words

SHOWN_RUNS = 9
"""Runs of the first menu; the others stand behind one entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One thing to begin: its words, what it does, and the wizard's action that it stands for."""

    label: str
    do: Callable[[Desk], Next]
    action: str


def _quit(desk: Desk) -> Next:
    return Next.LEAVE


MAIN_MENU: tuple[Start, ...] = (
    Start(label=N_("set up a new migration"), do=setup.new_migration, action="new"),
    Start(label=N_("which migration do I need?"), do=setup.which, action="advise"),
    Start(label=N_("demo: migrate a sample shop into a PostgreSQL of StepFlow's own"), do=runs.demo, action="demo"),
    Start(label=N_("look again"), do=lambda desk: Next.HOME, action="reread"),
    Start(label=N_("quit"), do=_quit, action="quit-menu"),
)
"""What stands below runs and configs."""


def open_plain(session: Session) -> int:
    """The wizard in numbered questions.

    Returns:
        The process's exit code: that of the run watched to its end, else 0; 130 after Ctrl-C; 6 when a gate's questions
        were left unanswered because the input ended.
    """
    desk = Desk(session=session, engine=facade())
    # a name that isn't UTF-8 can be typed, too
    getattr(sys.stdin, "reconfigure", lambda **_kw: None)(errors="surrogateescape")
    try:
        return _menus(desk)
    except ask.EndOfInput:
        return desk.code
    except KeyboardInterrupt:
        return int(ExitCode.INTERRUPTED)


def _menus(desk: Desk) -> int:
    while True:
        if _main_menu(desk) is Next.LEAVE:
            return desk.code


def _main_menu(desk: Desk) -> Next:
    found = _found(desk)
    listed = list(_runs(desk, found))
    choices = [*listed, *_configs(desk)]
    labels = [label for label, _do in choices] + [_(start.label) for start in MAIN_MENU]
    actions = [do for _label, do in choices] + [partial(start.do, desk) for start in MAIN_MENU]
    # Enter goes on with what is not finished, never back to what is
    default = 1 if any(run["state"] not in FINISHED for run in found) else len(listed) + 1
    number = ask.choose(_("StepFlow: what next?"), labels, default=default)
    return actions[number - 1]()


def _found(desk: Desk) -> list[Mapping[str, Any]]:
    """All runs, unfinished ones first."""
    try:
        return sorted(desk.engine.list_runs(desk.state), key=lambda run: run["state"] in FINISHED)
    except StepFlowError as error:
        desk.tell(error)
        return []


def _runs(desk: Desk, found: list[Mapping[str, Any]]) -> Iterator[tuple[str, Callable[[], Next]]]:
    for run in found[:SHOWN_RUNS]:
        yield _("run {run}").format(run=_run(run)), partial(runs.attach, desk, str(run["id"]))
    if len(found) > SHOWN_RUNS:
        more = found[SHOWN_RUNS:]
        yield _("{count} older runs").format(count=len(more)), partial(_older, desk, more)


def _run(run: Mapping[str, Any]) -> str:
    parts = [words.term(run["state"])]
    if run.get("phase"):
        parts.append(words.phase(str(run["phase"]), str(run.get("kind") or "")))
    if run.get("environment"):
        parts.append(str(run["environment"]))
    if run.get("engine_alive"):
        parts.append(_("engine alive"))
    return words.about(str(run["id"]), words.listed(parts))


def _older(desk: Desk, found: list[Mapping[str, Any]]) -> Next:
    labels = [*(_run(run) for run in found), _("go back")]
    number = ask.choose(_("Which run?"), labels, default=len(labels))
    return Next.HOME if number == len(labels) else runs.attach(desk, str(found[number - 1]["id"]))


def _configs(desk: Desk) -> Iterator[tuple[str, Callable[[], Next]]]:
    for path in desk.engine.find_configs(desk.folder):
        yield _("config {file}").format(file=path.name), partial(open_config, desk, path)
