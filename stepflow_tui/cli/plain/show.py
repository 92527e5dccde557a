"""The entries of a run's menu that only show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from stepflow_tui.actions import ACTIONS
from stepflow_tui.cli import output
from stepflow_tui.cli.diagnostics import say
from stepflow_tui.cli.plain import ask
from stepflow_tui.cli.plain.desk import Next, Place
from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.model.events import is_public
from stepflow_tui.engine.model.finding import Finding
from stepflow_tui.engine.texts.language import _
from stepflow_tui.render import words
from stepflow_tui.render.events import event_lines, public_event
from stepflow_tui.render.findings import finding_of, findings_lines
from stepflow_tui.render.status import status_lines

NEWEST = 40
"""Events shown at once."""


def status(place: Place) -> Next:
    """Phases, steps and progress."""
    _show(status_lines(place.status, signs=False))
    return Next.MENU


def findings(place: Place) -> Next:
    """What the checks and the census found."""
    _show(findings_lines(_found(place)))
    return Next.MENU


def _found(place: Place) -> list[Finding]:
    """What several stages found alike is one finding."""
    found: list[Finding] = []
    for row in place.reader.findings():
        finding = finding_of(row)
        if finding not in found:
            found.append(finding)
    return found


def report(place: Place) -> Next:
    """The report on the screen or in a file."""
    engine, info = place.desk.engine, place.info
    labels = (_("go back"), _("show it"), _("write it to a file, as Markdown"), _("write it to a file, as HTML"))
    number = ask.choose(_("Report; the run keeps its own in {folder}").format(folder=info.path), labels)
    if number == 2:
        output.emit_raw(engine.report_text(info, "md"))
    if number > 2:
        kind = "md" if number == 3 else "html"
        _write(place, f"{info.id}-report.{kind}", engine.report_text(info, kind))
    return Next.MENU


def journal(place: Place) -> Next:
    """The newest events, all of them, those with a word, or a file of them."""
    lines = list(_history(place))
    labels = (
        _("go back"),
        _("the newest {count}").format(count=min(NEWEST, len(lines))),
        _("all {count}").format(count=len(lines)),
        _("those with a word"),
        _("write all to a file"),
    )
    number = ask.choose(_("What happened"), labels, default=2)
    if number == 2:
        _show(lines[-NEWEST:])
    elif number == 3:
        _show(lines)
    elif number == 4:
        word = ask.text(_("Word")).casefold()
        _show([line for line in lines if word in line.casefold()] or [_("nothing found")])
    elif number == 5:
        _write(place, f"{place.info.id}-journal.txt", "\n".join(lines) + "\n")
    return Next.MENU


def _history(place: Place) -> Iterator[str]:
    kind = str(place.status.get("kind") or "")
    for event in _events(place):
        for line in event_lines(event, kind):
            yield f"{event['time']}  {line}"


def _events(place: Place) -> Iterator[dict[str, Any]]:
    after = 0
    while rows := place.reader.events(after):
        after = int(rows[-1]["seq"])
        yield from (public_event(row, place.info.id) for row in rows if is_public(row["code"]))


def plan(place: Place) -> Next:
    """The run's plan in sections."""
    from stepflow_tui.cli.plain.plan import sections

    made = place.reader.plan()
    if made is None:
        say(_("The plan is not made yet."))
    else:
        sections(made, _found(place), place.status.get("checklist") or ())
    return Next.MENU


def help_(place: Place) -> Next:
    """What each action is, and the command that does the same."""
    say(_("Every question takes a number; ? lists the choices again, Ctrl-D leaves. The run goes on whoever watches."))
    for action in ACTIONS:
        if action.cli:
            say(f"  {words.about(_(action.label), _(action.help))} (stepflow {action.cli})")
    return Next.MENU


def _show(lines: Iterable[str]) -> None:
    for line in lines:
        output.emit_text(line)


def _write(place: Place, name: str, text: str) -> None:
    """A new file in the present folder, never over one that is there."""
    engine = place.desk.engine
    path = engine.free_path(Path(place.desk.folder) / name)
    try:
        engine.save_config(path, text)
        say(_("wrote {path}").format(path=path))
    except StepFlowError as error:
        place.desk.tell(error)
