"""What the Now panel says when nothing is being done: at a gate, paused, ended, failed, engine lost. Pure: no widgets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from screens.run_words import (
    Status,
    current,
    engine_error,
    lost_alert,
    manual_left,
    open_gate,
    phase_title,
    title_of,
)
from stepflow_tui.bridge import Snapshot
from stepflow_tui.engine.texts.language import N_, _, known, ngettext
from stepflow_tui.render import in_place, words
from stepflow_tui.render.clean import clean_line
from stepflow_tui.render.events import summary
from stepflow_tui.render.live import back_line, freeze_line, in_the_way, is_in_place, is_live, is_offline, lag_line

SHOWN_TABLES = 4


_REPORT_OR_ROLLBACK = N_("Press R to roll back, e for the report.")
_REPORT_OR_RUNS = N_("Press e for the report, F5 for the list of runs.")
_RESUME = N_("Put the cause right, then press c to go on; F4 shows the journal.")
_RESUME_OR_ROLLBACK = N_("Put the cause right, then press c to go on; R rolls back, F4 shows the journal.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A heading with its sign, and what there is to say and to do.

    Args:
        sign: name of a glyph.
        colour: of the heading.
        head: one line.
        lines: the rest.
        act: which keys to press now, one sentence.
        short: lines are cut, not wrapped: there are many.
    """

    sign: str
    colour: str
    head: str
    lines: tuple[str, ...] = ()
    act: str = ""
    short: bool = False


def said(snapshot: Snapshot, events: Iterable[Mapping[str, Any]]) -> Said | None:
    """What to say instead of progress; None while the run works."""
    status = snapshot.status
    if snapshot.error is not None:
        return _unreadable(snapshot)
    if lost_alert(status) is not None:
        return _lost(status)
    tell = _BY_STATE.get(str(status.get("state")))
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


def _lost(status: Status) -> Said:
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
        lines = (*_idle(snapshot.status), *standing(snapshot.status))
        return Said(sign="confirm", colour="yellow", head=head, lines=lines, act=act)
    head = ngettext(
        "Waiting before {phase}: {count} question.", "Waiting before {phase}: {count} questions.", len(questions)
    ).format(phase=phase, count=len(questions))
    return Said(
        sign="confirm",
        colour="yellow",
        head=head,
        lines=(
            words.listed(_asked(questions)),
            *_idle(snapshot.status),
            *standing(snapshot.status),
            *(clean_line(line) for line in summary(questions)),
        ),
        act=_("Press U to cut over, c to see every question.") if cutting else _("Press c to answer and go on."),
        short=True,
    )


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
        lines=tuple(_at(snapshot.status)),
        act=_("Press p to go on."),
    )


def standing(status: Status) -> Iterator[str]:
    """How a live or offline run stands while it waits: how far behind, how long a freeze, what going back means, what is in the way."""
    if not is_live(status) and not is_offline(status):
        return
    live = status.get("live") or {}
    lag = lag_line(status["lag"]) if status.get("lag") else ""
    yield from filter(None, (*in_the_way(status), back_line(status), lag, freeze_line(live)))


def _observing(snapshot: Snapshot, events: Sequence[Mapping[str, Any]]) -> Said:
    if is_in_place(snapshot.status):
        return Said(
            sign="now",
            colour="cyan",
            head=in_place.observing_line(),
            act=_("Press B to go back, c to end the watching."),
        )
    return Said(
        sign="now",
        colour="cyan",
        head=_("Observing: PostgreSQL owns the writes; SQLite is kept current, so that you can go back."),
        lines=tuple(standing(snapshot.status)),
        act=_("Press R to go back, c to clean up when all is well."),
    )


def _rolled_back(snapshot: Snapshot, events: Sequence[Mapping[str, Any]]) -> Said:
    return Said(
        sign="skipped",
        colour="",
        head=in_place.rolled_back_line()
        if is_in_place(snapshot.status)
        else _("Rolled back: what the run did to the target is undone."),
        lines=tuple(_report(snapshot)),
        act=_(_REPORT_OR_RUNS),
    )


def _aborted(snapshot: Snapshot, events: Sequence[Mapping[str, Any]]) -> Said:
    made, act = _("What the run made stays in the target until it is rolled back."), _REPORT_OR_ROLLBACK
    if is_in_place(snapshot.status):
        made = _("The database keeps the mode it is in until the run is rolled back.")
        if not in_place.changed(snapshot.status):
            made = _("Nothing was changed yet.")
    elif not _undoable(snapshot.status):
        made, act = _("Nothing was changed yet, neither in the source nor in the target."), _REPORT_OR_RUNS
    act = _(act)
    return Said(
        sign="failed",
        colour="yellow",
        head=_("Aborted by the operator."),
        lines=(made, *_report(snapshot)),
        act=act,
    )


def _failed(snapshot: Snapshot, events: Sequence[Mapping[str, Any]]) -> Said:
    at = current(snapshot.status)
    head = _("Failed at {step}.").format(step=title_of(at[1])) if at else _("Failed.")
    error = engine_error(events)
    lines = []
    if error is not None:
        texts = [error.get("message"), error.get("detail")]
        lines = [clean_line(known(str(t))) for t in texts if t]
        if error.get("hint"):
            lines.append(_("hint: {text}").format(text=clean_line(known(str(error["hint"])))))
    return Said(
        sign="failed",
        colour="red",
        head=head,
        lines=(*lines, _("What is done is kept: the run goes on from where it stopped.")),
        act=_(_RESUME_OR_ROLLBACK if _undoable(snapshot.status) else _RESUME),
    )


def _completed(snapshot: Snapshot, events: Sequence[Mapping[str, Any]]) -> Said:
    if missing_tables(snapshot.status):  # the word "completed" alone is not believed
        return _incomplete(snapshot, events)
    tables = snapshot.status.get("tables") or ()
    rows = sum(t.get("target_rows") or 0 for t in tables)
    counted = ngettext(
        "{count} table, {rows} rows: nothing is missing.",
        "{count} tables, {rows} rows: nothing is missing.",
        len(tables),
    )
    unseen = sum(t.get("verified") == "not_verified" for t in tables)
    unseen_line = ngettext("{count} table was not compared.", "{count} tables were not compared.", unseen)
    gone = int(snapshot.status.get("objects_left_out") or 0)
    objects = ngettext(
        "{count} object was left out; the report says why.", "{count} objects were left out; the report says why.", gone
    ).format(count=gone)
    left = manual_left(snapshot.status)
    text = ngettext("{count} manual check is open.", "{count} manual checks are open.", left).format(count=left)
    open_items = words.sentences(text, _("0 lists them, Space ticks one."))
    return Said(
        sign="done",
        colour="green",
        head=_("Completed.") if unseen else _("Completed and verified."),
        lines=(
            counted.format(count=len(tables), rows=words.count(rows)),
            *((unseen_line.format(count=unseen),) if unseen else ()),
            *((objects,) if gone else ()),
            *((open_items,) if left else ()),
            *_report(snapshot),
        ),
        act=_("Press e for the report, R to roll back."),
    )


def _incomplete(snapshot: Snapshot, events: Sequence[Mapping[str, Any]]) -> Said:
    missing = missing_tables(snapshot.status)
    lines = [_table_line(t) for t in missing[:SHOWN_TABLES]]
    if len(missing) > SHOWN_TABLES:
        lines.append(_("and {count} more tables").format(count=len(missing) - SHOWN_TABLES))
    if not missing:
        lines.append(_("The row counts agree, but rows were rejected or differ; the report names each."))
    return Said(
        sign="confirm",
        colour="yellow",
        head=_("Ended, but the tables are not what they were before.")
        if is_in_place(snapshot.status)
        else _("Ended, but not everything is on the new side."),
        lines=(*lines, *_report(snapshot)),
        act=_("Press e for the report, 4 for the differences, R to roll back."),
    )


def missing_tables(status: Status) -> list[Mapping[str, Any]]:
    """Tables whose rows are not all there, or too many. Where the database stays in its place the application goes on
    writing, so there the comparison alone decides."""
    if is_in_place(status):
        return [t for t in status.get("tables") or () if t.get("verified") == "different"]
    return [
        t
        for t in status.get("tables") or ()
        if t.get("diff") or t.get("state") == "left_out" or t.get("verified") == "different"
    ]


def _table_line(table: Mapping[str, Any]) -> str:
    name, diff = clean_line(str(table["source"])), table.get("diff")
    if table.get("state") == "left_out":
        return _("{table}: left out").format(table=name)
    if not diff:
        return _("{table}: differs").format(table=name)
    if diff < 0:
        text = ngettext("{table}: {count} row missing", "{table}: {count} rows missing", -diff)
    else:
        text = ngettext("{table}: {count} row too many", "{table}: {count} rows too many", diff)
    return text.format(table=name, count=words.count(abs(diff)))


def _undoable(status: Status) -> bool:
    return bool((status.get("rollback") or {}).get("possible"))


def _report(snapshot: Snapshot) -> Iterator[str]:
    yield _("Report: {path}").format(path=clean_line(str(snapshot.path / "report.html")))


_BY_STATE = {
    "pending": _pending,
    "waiting": _waiting,
    "pausing": _pausing,
    "paused": _paused,
    "observing": _observing,
    "rolled_back": _rolled_back,
    "aborted": _aborted,
    "failed": _failed,
    "completed": _completed,
    "incomplete": _incomplete,
}
