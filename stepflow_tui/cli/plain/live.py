"""The entries of a run's menu that only live runs have: move reads, move writes, end the observation."""

from __future__ import annotations

from collections.abc import Iterable

from stepflow_tui.cli.diagnostics import say
from stepflow_tui.cli.plain import ask, steer
from stepflow_tui.cli.plain.application import before_it_moves
from stepflow_tui.cli.plain.desk import Next, Place
from stepflow_tui.engine.errors import UsageError
from stepflow_tui.engine.texts.language import _
from stepflow_tui.render.guards import (
    cautions,
    cutover_facts,
    cutover_guards,
    guard_lines,
    needs_name,
    now_percent,
    percentage,
    refused,
    share_of,
    switch_guards,
)
from stepflow_tui.render.live import is_in_place, is_live, switch_lines


def switch(place: Place) -> Next:
    """Show the switch and its guards, and move reads to a percentage."""
    status = place.status
    if status.get("switch") is None:
        say(_no_switch(place))
        return Next.MENU
    _say(switch_lines(status["switch"]))
    _say(guard_lines(switch_guards(status), signs=False))
    if status["switch"].get("rolled_back"):
        return _rearm(place)
    now = now_percent(status)
    share = ask.checked(_("Reads to the new side, in percent"), _percentage, f"{now:g}")
    if share != now and _confirmed(place, share):
        name = str(status["name"]) if needs_name(status, share) else None
        if place.send("switch", {"share": share_of(share), "confirm": name}) is not None:
            say(_("Asked for."))
    return Next.MENU


def _percentage(text: str) -> float:
    share = percentage(text)
    if share is None:
        raise UsageError("That is no percentage.", hint="Give a number from 0 to 100.", code="bad_percentage")
    return share


def _confirmed(place: Place, share: float) -> bool:
    status = place.status
    if why := refused(status, share):
        say(_("No more reads can move now: {why}.").format(why=why))
        return False
    _say(cautions(status, share))
    if needs_name(status, share):
        return ask.typed_name(str(status["name"]))
    return share < now_percent(status) or ask.yes(_("Move the reads?"))


def _rearm(place: Place) -> Next:
    if ask.yes(_("Was the cause found, and may reads rise again?")) and place.send("switch_rearm", {}) is not None:
        say(_("Asked for."))
    return Next.MENU


def reads_back(place: Place) -> Next:
    """All reads to the old side; where there is no other side, the way back."""
    if is_in_place(place.status):
        return steer.roll_back(place)
    if place.status.get("switch") is None:
        say(_no_switch(place))
    elif ask.yes(_("All reads back to the old side?")) and place.send("switch_back", {}) is not None:
        say(_("Asked for."))
    return Next.MENU


def cut_over(place: Place) -> Next:
    """Show what it means and the guards, then move writes, or only rehearse it."""
    status = place.status
    if not is_live(status):
        say(_no_switch(place))
        return Next.MENU
    before_it_moves(place)
    _say(cutover_facts(status))
    _say(guard_lines(cutover_guards(status), signs=False))
    number = ask.choose(_("Cut over?"), (_("go back"), _("rehearse it: nothing is changed"), _("move the writes")))
    if number == 2 and place.send("rehearse", {}) is not None:
        say(_("Asked for; its figures are shown here when it is done."))
    if number < 3 or not ask.typed_name(str(status["name"])):
        return Next.MENU
    args = {"phase": "cutover", "yes": False, "confirm": str(status["name"])}
    return Next.MENU if place.send("continue", args) is None else Next.WATCH


def clean_up(place: Place) -> Next:
    """End the observation."""
    status = place.status
    if status["state"] != "observing":
        text = _("There is nothing to clean up: no live run is being observed here.")
        say(_("There is nothing to end: the new mode is not being watched.") if is_in_place(status) else text)
        return Next.MENU
    if is_in_place(status):
        say(_("The watching ends, and the run completes. You can still go back afterwards."))
    else:
        say(_("The observation ends: the way back is closed, and what the run made is removed from both databases."))
    if not ask.typed_name(str(status["name"])):
        return Next.MENU
    sent = place.send("cleanup", {"yes": False, "confirm": str(status["name"])})
    return Next.MENU if sent is None else Next.WATCH


def _no_switch(place: Place) -> str:
    if is_live(place.status):
        return _("the read switch is not there yet: it comes when both sides were compared")
    if is_in_place(place.status):
        return _("Nothing is switched here: the application keeps its file, only the journal mode changes.")
    return _("this run has no read switch: only runs in mode live have one")


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        say(line)
