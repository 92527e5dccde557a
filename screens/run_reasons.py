"""Why an action can't be done just now, in words. Pure: no widgets."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from screens.panels.switch import no_switch
from screens.run_words import RESUMABLE, Status, lost_alert, open_gate
from stepflow_tui.engine.texts.language import _
from stepflow_tui.render import words
from stepflow_tui.render.guards import now_percent
from stepflow_tui.render.in_place import watches
from stepflow_tui.render.live import is_in_place, is_live, is_offline

PAUSABLE = frozenset({"running", "waiting", "pausing", "paused"})
ABORTABLE = frozenset({"pending", "running", "waiting", "pausing", "paused", "rolling_back", "failed"})


def why_not(action: str, status: Status) -> str:
    """The reason, or "" where the action can be done."""
    ask = _REASONS.get(action)
    if ask is None:
        return ""
    return ask(status) if status else _("The state of this run is not known.")


def resumable(status: Status) -> bool:
    """Whether starting an engine is what makes the run go on."""
    if (status.get("engine") or {}).get("alive"):
        return False
    return status.get("state") in RESUMABLE or lost_alert(status) is not None


def observed(status: Status) -> bool:
    """Whether all that is left is an observation, which can be ended."""
    return status.get("state") == "observing" or (is_in_place(status) and watches(status))


def _state(status: Status) -> str:
    return words.term(status.get("state") or "pending")


def _continue(status: Status) -> str:
    if open_gate(status) or resumable(status) or observed(status):
        return ""
    return _("No gate is open: the run is {state}.").format(state=_state(status))


def _pause(status: Status) -> str:
    if status.get("state") in PAUSABLE:
        return ""
    return _("There is nothing to pause: the run is {state}.").format(state=_state(status))


def _rollback(status: Status) -> str:
    if (status.get("rollback") or {}).get("possible"):
        return ""
    return _("There is nothing to roll back: the run is {state}.").format(state=_state(status))


def _abort(status: Status) -> str:
    if status.get("state") in ABORTABLE:
        return ""
    return _("There is nothing to abort: the run is {state}.").format(state=_state(status))


def _switch(status: Status) -> str:
    if status.get("switch") is None:
        return no_switch(status)
    if _writes_moved(status):
        return _("PostgreSQL owns the writes: all reads go there too. R goes back.")
    return ""


def _back(status: Status) -> str:
    if is_in_place(status):
        return _rollback(status)
    return _switch(status) or ("" if now_percent(status) else _("No reads go to the new side."))


def _cutover(status: Status) -> str:
    if not is_live(status) and not is_offline(status):
        return no_switch(status)
    if open_gate(status) and (status.get("gate") or {}).get("phase") == "cutover":
        return ""
    if _writes_moved(status):
        return _("The cutover is done: PostgreSQL owns the writes. R goes back.")
    if is_offline(status):
        return _("The cutover comes after the comparison: the run is {state}.").format(state=_state(status))
    return _("The cutover comes after the read switch: the run is {state}.").format(state=_state(status))


def _writes_moved(status: Status) -> bool:
    return (status.get("live") or {}).get("owner") == "postgresql"


_REASONS: Mapping[str, Callable[[Status], str]] = {
    "continue": _continue,
    "pause": _pause,
    "rollback": _rollback,
    "abort": _abort,
    "switch": _switch,
    "back": _back,
    "cutover": _cutover,
}
DEPENDING = tuple(_REASONS)
"""Actions that can't always be done."""
