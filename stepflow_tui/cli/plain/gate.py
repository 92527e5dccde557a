"""An open gate by numbers: look at the plan, tick items, accept what is listed and go on, or not yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stepflow_tui.cli.diagnostics import say
from stepflow_tui.cli.plain import ask, show
from stepflow_tui.cli.plain.application import before_it_moves
from stepflow_tui.cli.plain.desk import Next, Place
from stepflow_tui.engine.texts.language import _, ngettext
from stepflow_tui.render.application import moves_application
from stepflow_tui.render.events import question_text, summary
from stepflow_tui.render.live import phase_title

Questions = Sequence[Mapping[str, Any]]

NOT_YET, ACCEPT, TICK, PLAN = 1, 2, 3, 4


def answer_open_gate(place: Place) -> Next:
    """Ask the questions of the gate that is open."""
    gate = place.status.get("gate")
    if gate is None:
        say(_("No gate is open."))
        return Next.MENU
    return answer(place, gate)


def answer(place: Place, event: Mapping[str, Any], *, told: bool = False) -> Next:
    """Ask what an open gate wants to know; an answer not given leaves the run waiting.

    Args:
        told: the questions have just been printed.
    """
    questions: Questions = event.get("questions") or ()
    phase = phase_title(place.status, str(event["phase"]))
    if place.desk.session.globals.read_only:
        say(_("The run waits at the gate before {phase}.").format(phase=phase))
        return Next.MENU
    if event["phase"] in moves_application(place.status):
        before_it_moves(place)
    ask.forget_typed()
    while True:
        open_items = _open_items(place, questions)
        left = [q for q in questions if q["kind"] != "item" or q in open_items]
        if not told or len(left) != len(questions):
            for line in summary(left):
                say(f"  {line}")
        told = False
        number = _chosen(phase, open_items)
        if number == NOT_YET:
            say(_("Not every question was answered; the run waits on."))
            return Next.MENU
        if number == PLAN:
            show.plan(place)
        elif number == TICK:
            _tick(place, open_items)
        elif _accept(place, event, open_items):
            return Next.WATCH


def _chosen(phase: str, open_items: Questions) -> int:
    labels = [
        _("not yet: open the menu of the run"),
        _("accept what is listed, and go on to: {phase}").format(phase=phase),
        _("tick the items of the checklist one by one"),
        _("look at the plan"),
    ]
    if not open_items:
        labels[TICK - 1] = _("(all items are ticked)")
    return ask.choose(_("The run waits before {phase}.").format(phase=phase), labels)


def _open_items(place: Place, questions: Questions) -> Questions:
    """The items among the questions that nobody has ticked yet."""
    states = {item["id"]: item["state"] for item in place.status.get("checklist") or ()}
    return [q for q in questions if q["kind"] == "item" and states.get(q["id"], "open") == "open"]


def _tick(place: Place, items: Questions) -> None:
    """Each item with a note; one that is passed over stays open."""
    say(_("A note says how it was done, or by whom. Enter alone leaves an item open."))
    for number, item in enumerate(items, 1):
        note = ask.text(f"[{number}/{len(items)}] {question_text(item)}")
        if note and place.send("tick", {"item": item["id"], "note": note}) is None:
            return


def _accept(place: Place, event: Mapping[str, Any], open_items: Questions) -> bool:
    """Send the answers; True when the run goes on."""
    if open_items and not _unticked(len(open_items)):
        return False
    confirm = None
    typed = [q for q in event.get("questions") or () if q["kind"] == "typed"]
    for question in typed:
        say(question_text(question))
    if typed:
        confirm = str(place.status["name"])
        if not ask.typed_name(confirm):
            return False
    args = {"phase": event["phase"], "yes": bool(open_items), "confirm": confirm}
    return place.send("continue", args) is not None


def _unticked(count: int) -> bool:
    text = ngettext(
        "{count} item is not ticked. Go on all the same? It is recorded as accepted, never as done.",
        "{count} items are not ticked. Go on all the same? They are recorded as accepted, never as done.",
        count,
    )
    return ask.yes(text.format(count=count))
