"""What the run screen says about a status, in words. Pure: no widgets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.cells import cell_len

from screens.widgets.cells import cut
from stepflow_tui.engine.texts.language import N_, _, known
from stepflow_tui.engine.texts.running import step_title
from stepflow_tui.render import live, words
from stepflow_tui.render.clean import clean_line

Status = Mapping[str, Any]

LOST = "engine_lost"
SHORTEST = 8
"""Cells a step's title keeps where there is little room."""
SETTLED = frozenset({"ticked", "accepted"})
OVER = frozenset({"done", "skipped", "undone"})
ENDED = frozenset({"completed", "incomplete", "aborted", "rolled_back"})
"""States after which a run does nothing by itself."""
RESUMABLE = frozenset({"failed", "pending"})
SIDES: Mapping[str, tuple[str, str]] = {
    "sqlite-to-postgres": ("SQLite", "PostgreSQL"),
    "sqlite-wal": ("SQLite", "WAL"),
    "files-to-database": (N_("files"), N_("database")),
    "table-to-table": (N_("table"), N_("table")),
}
"""From what to what each kind goes."""
ETA_STATES: Mapping[str, str] = {
    "measuring": N_("measuring the time left"),
    "due": N_("should be done any moment"),
}


def phase_title(name: str, status: Status) -> str:
    """A phase of this run in the language in use."""
    return clean_line(live.phase_title(status, name))


def title_of(step: Mapping[str, Any]) -> str:
    """A step in the language in use."""
    return clean_line(known(str(step.get("title") or step_title(str(step["name"])))))


def item_words(item: Mapping[str, Any]) -> str:
    """A checklist item's title; the config's own items keep the operator's words."""
    return clean_line(_(str(item.get("title") or words.spaced(str(item["id"])))))


def route(status: Status, arrow: str) -> str:
    """`SQLite → PostgreSQL`."""
    sides = SIDES.get(str(status.get("kind")))
    return f"{_(sides[0])} {arrow} {_(sides[1])}" if sides else clean_line(str(status.get("kind") or ""))


def steps_of(status: Status) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Every step with its phase, in order."""
    for phase in status.get("phases") or ():
        for step in phase.get("steps") or ():
            yield phase, step


def over(phase: Mapping[str, Any], step: Mapping[str, Any]) -> bool:
    """Whether a step is done with. One that was undone is done again where its phase is still to come."""
    return step["state"] in OVER and not (step["state"] == "undone" and phase["state"] == "pending")


def current(status: Status) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    """The phase and step the run is at."""
    return next(((p, s) for p, s in steps_of(status) if s["name"] == status.get("step")), None)


def lost_alert(status: Status) -> Mapping[str, Any] | None:
    """The alert about an engine that is gone or hangs."""
    return next((a for a in status.get("alerts") or () if a.get("code") == LOST), None)


def percent(progress: Mapping[str, Any] | None) -> int | None:
    """How much is done; 100 only when all is."""
    if not progress or not progress.get("total"):
        return None
    done, total = progress["done"], progress["total"]
    return 100 if done >= total else min(99, int(100 * done / total))


def manual_left(status: Status, before: Iterable[str] | None = None) -> int:
    """How many items a person still has to settle; `before`: only those that hold up these phases."""
    phases = None if before is None else set(before)
    return sum(
        item["state"] not in SETTLED and item["kind"] == "manual" and (phases is None or item.get("before") in phases)
        for item in shown_items(status)
    )


def shown_items(status: Status) -> list[Mapping[str, Any]]:
    """The checklist without what only a rollback asks, unless there is one."""
    back = status.get("state") in ("rolling_back", "rolled_back")
    items = status.get("checklist") or ()
    return [i for i in items if back or not str(i.get("phase", "")).startswith("rollback")]


def quiet(status: Status) -> bool:
    """Whether there is nothing to see of log and switch: a copy, or a live run before its first figures."""
    return status.get("wal") is None and status.get("switch") is None and status.get("live") is None


def open_gate(status: Status) -> bool:
    """Whether a gate waits for an answer."""
    return status.get("state") == "waiting" and status.get("gate") is not None


def engine_error(events: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The newest error among the events."""
    return next((e for e in reversed(list(events)) if e.get("event") == "error"), None)


def next_line(status: Status, width: int, more: str) -> str:
    """`Next: Build keys (automatic). Stops before Verify and asks.` Where it stops is never cut."""
    at = current(status)
    if at is None:
        return ""
    todo = [(p, s) for p, s in steps_of(status) if not over(p, s) and s["state"] != "failed" and s is not at[1]]
    if not todo:
        return _("This is the last step.")
    phase, step = todo[0]
    stop = next_stop(status, at[0])
    if stop is not None and phase["name"] == stop and phase is not at[0]:
        return _("Next: stops before {phase} and asks.").format(phase=phase_title(stop, status))
    text = _("Next: {step} (automatic).")
    then = _("Then on to the end.")
    if stop is not None:
        then = _("Stops before {phase} and asks.").format(phase=phase_title(stop, status))
    room = width - cell_len(text.format(step="")) - cell_len(then) - 1
    return words.sentences(text.format(step=cut(title_of(step), max(SHORTEST, room), more)), then)


def next_stop(status: Status, now: Mapping[str, Any]) -> str | None:
    """The next phase that will not begin without an answer, as far as it is known now.

    The first phase has no gate. The second one asks for the plan. Later ones ask where a person's item is due or where a
    step wants the run's name.
    """
    phases: Sequence[Mapping[str, Any]] = status.get("phases") or ()
    names = [p["name"] for p in phases]
    for n in range(names.index(now["name"]) + 1, len(names)):
        due = manual_left(status, names[: n + 1])
        typed = any(s.get("danger") == "typed" for s in phases[n].get("steps") or ())
        if n == 1 or due or typed:
            return str(names[n])
    return None


def throttle_words(progress: Mapping[str, Any]) -> str:
    """Why it is slowed down, or ""."""
    reason = str(progress.get("throttle") or "")
    if not reason:
        return ""
    return _("slowed down: {reason}").format(reason=clean_line(words.throttle(reason)))


def time_left(progress: Mapping[str, Any]) -> str:
    """`3 min 5 s left`, or why it isn't known."""
    state = str(progress.get("eta_state") or "")
    if state in ETA_STATES:
        return _(ETA_STATES[state])
    if progress.get("eta_seconds") is None:
        return ""
    return _("{time} left").format(time=words.seconds(progress["eta_seconds"]))


def amounts(progress: Mapping[str, Any]) -> str:
    """`63,100 / 100,000 rows`, and the speed."""
    unit = str(progress.get("unit") or "rows")
    done, total, rate = progress["done"], progress.get("total"), progress.get("rate_per_second")
    text = words.amount(done, unit)
    if total is not None:
        text = f"{words.size(done) if unit == 'bytes' else words.count(done)} / {words.amount(total, unit)}"
    return f"{text}   {words.amount(rate, unit)}/s" if rate else text
