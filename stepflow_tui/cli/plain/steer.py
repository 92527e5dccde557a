"""The entries of a run's menu that act. Each sends intents; the engine decides."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stepflow_tui.cli.diagnostics import say
from stepflow_tui.cli.plain import ask
from stepflow_tui.cli.plain.desk import Next, Place
from stepflow_tui.engine.model.state import FINISHED
from stepflow_tui.engine.texts.language import _, known
from stepflow_tui.render import words
from stepflow_tui.render.alerts import alert_advice
from stepflow_tui.render.control import control_lines
from stepflow_tui.render.events import alert_text, lost
from stepflow_tui.render.guards import back_facts
from stepflow_tui.render.in_place import back_lines, backup_made, restore_label, restore_lines
from stepflow_tui.render.live import in_the_way, is_in_place, phase_title


def go_on(place: Place) -> Next:
    """Watch again; an open gate asks first."""
    return Next.WATCH


def pause_or_resume(place: Place) -> Next:
    """Pause at the next chunk, or leave the pause."""
    state = place.status["state"]
    if state in FINISHED:
        say(_("There is nothing to pause: the run is {state}.").format(state=words.term(state)))
        return Next.MENU
    paused = state in ("paused", "pausing")
    if place.send("resume" if paused else "pause", {}) is None:
        return Next.MENU
    say(_("The run goes on.") if paused else _("The run pauses at the next chunk; the engine stays."))
    return Next.WATCH if paused else Next.MENU


def start_again(place: Place) -> Next:
    """Start the engine of a run that has none: it goes on from its last checkpoint."""
    desk = place.desk
    if not desk.may_act():
        return Next.MENU
    if place.status["engine"]["alive"]:
        say(_("The engine is there already."))
        return Next.MENU
    started = desk.start(Path((place.reader.run() or {})["config_path"]))
    return Next.MENU if started is None else Next.WATCH


def alerts(place: Place) -> Next:
    """List the open alerts, and acknowledge one."""
    found = place.status.get("alerts") or []
    if not found:
        say(_("no alerts"))
        return Next.MENU
    labels = [_alert(alert) for alert in found]
    number = ask.choose(_("Which alert is to be acknowledged?"), [*labels, _("none: go back")], default=len(found) + 1)
    if number > len(found):
        return Next.MENU
    alert = found[number - 1]
    if advice := alert_advice(alert):
        say(advice)
    note = ask.needed(_("Why it is known (goes to the audit)"))
    if note and place.send("ack", {"code": alert["code"], "note": note}) is not None:
        say(_("Acknowledged."))
    return Next.MENU


def _alert(alert: Mapping[str, Any]) -> str:
    text = alert_text(str(alert["code"]), alert.get("params") or {})
    line = words.about(words.term(alert["severity"]), f"{text} ({alert['code']})")
    return f"{line} {_('(acknowledged)')}" if alert.get("acknowledged") else line


def checklist(place: Place) -> Next:
    """List the checklist, and tick an item."""
    items = place.status.get("checklist") or []
    if not items:
        say(_("The checklist is made with the plan; there is none yet."))
        return Next.MENU
    labels = [_item(item) for item in items]
    number = ask.choose(_("Which item is to be ticked?"), [*labels, _("none: go back")], default=len(items) + 1)
    if number > len(items):
        return Next.MENU
    item = items[number - 1]
    if item["kind"] == "auto":
        say(_("A check decides this item, no person ticks it."))
        return Next.MENU
    note = ask.needed(_("Done how, or by whom?"))
    if note and place.send("tick", {"item": item["id"], "note": note}) is not None:
        say(_("Ticked."))
    return Next.MENU


def _item(item: Mapping[str, Any]) -> str:
    name = words.about(words.when(str(item["phase"])), f"{_(str(item['title']))} ({item['id']})")
    head = words.about(name, words.term(item["state"]))
    told = [words.settled_by(str(item["by"]))] if item.get("by") else []
    told += [known(str(item["note"]))] if item.get("note") else []
    return f"{head} ({words.listed(told)})" if told else head


def note(place: Place) -> Next:
    """Write a note into audit and report."""
    text = ask.needed(_("The note"))
    if text and place.send("note", {"text": text}) is not None:
        say(_("Written."))
    return Next.MENU


def control(place: Place) -> Next:
    """Show who steers, and take, ask for, hand over or release control."""
    who = dict(place.status.get("control") or {})
    me = place.me
    for line in control_lines(who, me=me):
        say(line)
    choices = _control_choices(who, me)
    number = ask.choose(_("Control"), [_("go back"), *(label for _verb, label in choices)])
    if number == 1:
        return Next.MENU
    verb = choices[number - 2][0]
    args = {"to": who["asked_by"]} if verb == "give" else {}
    sent = place.send("hold" if verb == "take" else verb, args, take=verb == "take")
    if sent is not None:
        for line in control_lines(dict(place.status.get("control") or {}), me=me):
            say(line)
    return Next.MENU


def _control_choices(who: Mapping[str, Any], me: str) -> list[tuple[str, str]]:
    if who.get("holder") is None:
        return [("hold", _("take control"))]
    if who["holder"] != me:
        return [
            ("ask", _("ask for control")),
            ("take", _("take control; it is recorded, and the other person is told")),
        ]
    release = ("release", _("release it"))
    asked = who.get("asked_by")
    return [("give", _("hand it over to {who}").format(who=asked)), release] if asked else [release]


def roll_back(place: Place) -> Next:
    """Undo what the run did, all of it or until a phase is next."""
    status = place.status
    back = status.get("rollback") or {}
    if not back.get("possible"):
        say(_("There is nothing to roll back."))
        return Next.MENU
    if is_in_place(status):
        return _go_back(place)
    loses = words.clauses(lost(one) for one in back.get("loses") or ()) or _("nothing")
    say(_("Rolling back would lose: {loses}").format(loses=loses))
    for line in (*back_facts(status), *in_the_way(status)):
        say(line)
    phases = [str(p["name"]) for p in status["phases"] if p["state"] in ("done", "running")][1:]
    labels = [
        _("everything"),
        *(_("until {phase} is next").format(phase=phase_title(status, p)) for p in phases),
        _("go back"),
    ]
    number = ask.choose(_("How far?"), labels, default=len(labels))
    if number == len(labels):
        return Next.MENU
    reason = ask.needed(_("Why (goes to the audit and the report)"))
    name = str(status["name"])
    if not reason or not ask.typed_name(name):
        return Next.MENU
    args = {"to": None if number == 1 else phases[number - 2], "reason": reason, "yes": True, "confirm": name}
    return Next.MENU if place.send("rollback", args) is None else Next.WATCH


def _go_back(place: Place) -> Next:
    """To the old journal mode, or to the tested backup."""
    status = place.status
    for line in back_lines(status):
        say(line)
    restore = [restore_label(status)] if backup_made(status) else []
    labels = [_("Back to the old journal mode"), *restore, _("go back")]
    number = ask.choose(_("Which way?"), labels, default=len(labels))
    if number == len(labels):
        return Next.MENU
    restoring = number == 2
    for line in restore_lines(status) if restoring else ():
        say(line)
    reason = ask.needed(_("Why (goes to the audit and the report)"))
    name = str(status["name"])
    if not reason or (restoring and not ask.typed_name(name)):
        return Next.MENU
    args = {"to": None, "reason": reason, "yes": True, "confirm": name, **({"restore": True} if restoring else {})}
    return Next.MENU if place.send("rollback", args) is None else Next.WATCH


def abort(place: Place) -> Next:
    """End the run; what it made stays until it is rolled back."""
    state = place.status["state"]
    if state in FINISHED:
        say(_("There is nothing to abort: the run is {state}.").format(state=words.term(state)))
        return Next.MENU
    what = f"This ends {place.info.id} for good; what it made in the target stays."
    say(known(what))
    name = str(place.status["name"])
    if not ask.typed_name(name):
        return Next.MENU
    sent = place.send("abort", {"yes": True, "confirm": name})
    return Next.MENU if sent is None else Next.WATCH


def recheck(place: Place) -> Next:
    """Run the preflight checks again; changes nothing."""
    from stepflow_tui.cli.plain.plan import check

    check(place.desk, Path((place.reader.run() or {})["config_path"]))
    return Next.MENU


def leave(place: Place) -> Next:
    """Leave the run; it goes on."""
    if place.ended is None:
        say(_("Left {run}; it goes on. `stepflow attach {run}` returns to it.").format(run=place.info.id))
    return Next.LEAVE


def home(place: Place) -> Next:
    """Go to the list of runs; this one goes on."""
    return Next.HOME
