"""What the Now panel says when nothing is being done: at a gate, paused, ended, failed, engine lost. Pure: no widgets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from screens.run_outcomes import aborted, completed, failed, incomplete, rolled_back
from screens.run_reasons import observed
from screens.run_said import Said, window_of
from screens.run_words import (
    Status,
    current,
    lost_alert,
    open_gate,
    phase_title,
    title_of,
)
from stepflow_tui.bridge import Snapshot
from stepflow_tui.engine.texts.language import _, known, ngettext
from stepflow_tui.render import in_place, words
from stepflow_tui.render.clean import clean_line
from stepflow_tui.render.events import summary
from stepflow_tui.render.live import (
    back_line,
    closed,
    freeze_line,
    in_the_way,
    is_in_place,
    is_live,
    is_offline,
    known_lag,
    lag_line,
    owner_line,
)


def said(snapshot: Snapshot, events: Iterable[Mapping[str, Any]]) -> Said | None:
    """What to say instead of progress; None while the run works."""
    status = snapshot.status
    if snapshot.error is not None:
        return _unreadable(snapshot)
    if lost_alert(status) is not None:
        return _lost(snapshot)
    state = "observing" if observed(status) else str(status.get("state"))
    tell = _BY_STATE.get(state)
    return tell(snapshot, list(events)) if tell is not None else None


def _unreadable(snapshot: Snapshot) -> Said:
    assert snapshot.error is not None
    return Said(
        sign="failed",
        colour="red",
        head=_("The run's journal can't be read just now. What you see is the last known state."),
        lines=tuple(
            clean_line(known(t)) for t in (snapshot.error.message, snapshot.error.detail, snapshot.error.hint) if t
        ),
    )


def _lost(snapshot: Snapshot) -> Said:
    status = snapshot.status
    alert = lost_alert(status) or {}
    seconds = (alert.get("params") or {}).get("seconds")
    head = (
        _("The engine has not responded for {time}.").format(time=words.seconds(float(seconds)))
        if seconds is not None
        else _("The engine is gone.")
    )
    return Said(
        sign="failed",
        colour="red",
        head=head,
        lines=(
            _("Nothing is lost: the journal knows what is done, and the run goes on from there."),
            *_at(status),
            *window_of(snapshot),
        ),
        act=_("Press c to start an engine that goes on.") if seconds is None else _("Press F4 for the journal."),
    )


def _at(status: Status) -> Iterator[str]:
    at = current(status)
    if at is not None:
        yield _("It was at: {phase}, {step}.").format(phase=phase_title(at[0]["name"], status), step=title_of(at[1]))


def _pending(snapshot: Snapshot, events: Sequence[Mapping[str, Any]]) -> Said:
    if (snapshot.status.get("engine") or {}).get("alive"):
        return Said(sign="now", colour="cyan", head=_("The engine is starting."))
    return Said(
        sign="todo",
        colour="",
        head=_("The run is not under way: no engine works on it."),
        act=_("Press c to start it."),
    )


def _waiting(snapshot: Snapshot, events: Sequence[Mapping[str, Any]]) -> Said:
    gate = snapshot.status.get("gate") or {}
    questions = gate.get("questions") or ()
    phase = phase_title(str(gate.get("phase") or ""), snapshot.status)
    if not open_gate(snapshot.status):
        return Said(sign="confirm", colour="yellow", head=_("Waiting for an answer."), act=_("Press c to go on."))
    cutting = gate.get("phase") == "cutover" and not is_in_place(snapshot.status)
    if not questions:
        head = _("Stopped before {phase}, as asked for when it was started.").format(phase=phase)
        act = _("Press U to cut over.") if cutting else _("Press c to go on.")
        lines = (*window_of(snapshot), *_idle(snapshot.status), *standing(snapshot.status))
        return Said(sign="confirm", colour="yellow", head=head, lines=lines, act=act)
    head = ngettext(
        "Waiting before {phase}: {count} question.", "Waiting before {phase}: {count} questions.", len(questions)
    ).format(phase=phase, count=len(questions))
    return Said(
        sign="confirm",
        colour="yellow",
        head=head,
        lines=(
            *window_of(snapshot),
            *_moved(snapshot.status),
            words.listed(_asked(questions)),
            *_idle(snapshot.status),
            *standing(snapshot.status),
            *(clean_line(line) for line in summary(questions)),
        ),
        act=_("Press U to cut over, c to see every question.") if cutting else _("Press c to answer and go on."),
        short=True,
    )


def _moved(status: Status) -> Iterator[str]:
    """That writes have moved, where the run waits after it."""
    if (status.get("live") or {}).get("owner") == "postgresql" and not closed(status):
        yield _("PostgreSQL owns the writes. R goes back.")


def _idle(status: Status) -> Iterator[str]:
    if not (status.get("engine") or {}).get("alive"):
        yield _("No engine works on it now; the answer starts one.")


def _asked(questions: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """How many of each sort: `3 warnings, 9 objects left out, 14 checklist items`."""
    kinds = Counter(str(q.get("kind")) for q in questions)
    for kind, text in (
        ("warning", ngettext("{count} warning", "{count} warnings", kinds["warning"])),
        ("object", ngettext("{count} object left out", "{count} objects left out", kinds["object"])),
        ("plan", _("the plan")),
        ("typed", ngettext("{count} step to confirm", "{count} steps to confirm", kinds["typed"])),
        ("item", ngettext("{count} checklist item", "{count} checklist items", kinds["item"])),
    ):
        if kinds[kind]:
            yield text.format(count=kinds[kind])


def _pausing(snapshot: Snapshot, events: Sequence[Mapping[str, Any]]) -> Said:
    return Said(
        sign="paused",
        colour="yellow",
        head=_("Pausing: what is being done is finished first.")
        if is_in_place(snapshot.status)
        else _("Pausing: the chunks that are being written are finished first."),
        lines=tuple(_at(snapshot.status)),
    )


def _paused(snapshot: Snapshot, events: Sequence[Mapping[str, Any]]) -> Said:
    return Said(
        sign="paused",
        colour="yellow",
        head=_("Paused.") if is_in_place(snapshot.status) else _("Paused. Everything copied so far is kept."),
        lines=(*_at(snapshot.status), *window_of(snapshot)),
        act=_("Press p to go on."),
    )


def standing(status: Status) -> Iterator[str]:
    """How a live or offline run stands while it waits: how far behind, how long a freeze, what going back means, what is in the way."""
    if not is_live(status) and not is_offline(status):
        return
    live = status.get("live") or {}
    lag = known_lag(status)
    behind = lag_line(lag) if lag else ""
    yield from filter(None, (*in_the_way(status), back_line(status), behind, freeze_line(live)))


def _observing(snapshot: Snapshot, events: Sequence[Mapping[str, Any]]) -> Said:
    if is_in_place(snapshot.status):
        return Said(
            sign="now",
            colour="cyan",
            head=in_place.observing_line(),
            lines=tuple(_lasts(events)),
            act=_("Press B to go back, c to end the watching."),
        )
    return Said(
        sign="now",
        colour="cyan",
        head=_("Observing: PostgreSQL owns the writes; SQLite is kept current, so that you can go back."),
        lines=tuple(standing(snapshot.status)),
        act=_("Press R to go back, c to clean up when all is well."),
    )


def _lasts(events: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """How long it is watched, where the engine has said so."""
    told = next((e for e in reversed(events) if e.get("event") == "wal_watching"), None)
    if told is not None and told.get("window_seconds"):
        yield _("It is watched for {time}, then the run completes.").format(time=words.seconds(told["window_seconds"]))


def _rolling_back(snapshot: Snapshot, events: Sequence[Mapping[str, Any]]) -> Said:
    return Said(
        sign="now",
        colour="cyan",
        head=_("Rolling back: what the run did is undone, the last step first."),
        lines=tuple(filter(None, (owner_line(snapshot.status),))),
    )


_BY_STATE = {
    "pending": _pending,
    "waiting": _waiting,
    "pausing": _pausing,
    "paused": _paused,
    "observing": _observing,
    "rolling_back": _rolling_back,
    "rolled_back": rolled_back,
    "aborted": aborted,
    "failed": failed,
    "completed": completed,
    "incomplete": incomplete,
}
