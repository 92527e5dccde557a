"""What the Now panel says of a run that has ended or failed: how, what is missing, what to do. Pure: no widgets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from screens.run_said import Said, window_of
from screens.run_words import Status, current, engine_error, manual_left, title_of
from stepflow_tui.bridge import Snapshot
from stepflow_tui.engine.texts.language import N_, _, known, ngettext
from stepflow_tui.render import in_place, words
from stepflow_tui.render.application import state_word
from stepflow_tui.render.clean import clean_line
from stepflow_tui.render.live import is_in_place, is_offline, owner_line
from stepflow_tui.render.tables import written_line

SHOWN_TABLES = 4
VERIFIED = {False: N_("Completed and verified."), True: N_("Completed; the conversion is verified.")}
"""How it ended, by whether rows were written to meanwhile: those can't be compared with what was there before."""


_REPORT_OR_ROLLBACK = N_("Press R to roll back, e for the report.")
_REPORT_OR_RUNS = N_("Press e for the report, F5 for the list of runs.")
_RESUME = N_("Put the cause right, then press c to go on; F4 shows the journal.")
_RESUME_OR_ROLLBACK = N_("Put the cause right, then press c to go on; R rolls back, F4 shows the journal.")


def rolled_back(snapshot: Snapshot, events: Sequence[Mapping[str, Any]]) -> Said:
    """What a rollback has come to."""
    return Said(
        sign="skipped",
        colour="",
        head=in_place.rolled_back_line()
        if is_in_place(snapshot.status)
        else _("Rolled back: what the run did to the target is undone."),
        lines=(*filter(None, (owner_line(snapshot.status),)), *_works_again(snapshot.status), *_report(snapshot)),
        act=_(_REPORT_OR_RUNS),
    )


def _works_again(status: Status) -> Iterator[str]:
    """The application after a way back, as far as StepFlow looks after it."""
    told = state_word(status.get("application") or {})
    if told and is_offline(status):
        yield words.about(_("application"), told)


def aborted(snapshot: Snapshot, events: Sequence[Mapping[str, Any]]) -> Said:
    """That somebody ended it, and what stays."""
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


def failed(snapshot: Snapshot, events: Sequence[Mapping[str, Any]]) -> Said:
    """Where and why it failed, and what going on means."""
    at = current(snapshot.status)
    head = _("Failed at {step}.").format(step=title_of(at[1])) if at else _("Failed.")
    if at and _back_again(snapshot.status):
        head = _("Failed; the run is back before {step}.").format(step=title_of(at[1]))
    error = engine_error(events)
    lines = list(_returned(snapshot))
    if error is not None:
        texts = [error.get("message"), error.get("detail")]
        lines += [clean_line(known(str(t))) for t in texts if t]
        if error.get("hint"):
            lines.append(_("hint: {text}").format(text=clean_line(known(str(error["hint"])))))
    return Said(
        sign="failed",
        colour="red",
        head=head,
        lines=(*lines, _going_on(snapshot.status)),
        act=_(_RESUME_OR_ROLLBACK if _undoable(snapshot.status) else _RESUME),
    )


def _back_again(status: Status) -> bool:
    """Whether a failure ended the maintenance window: the run begins it anew."""
    return is_offline(status) and (status.get("window") or {}).get("state") == "returned"


def _returned(snapshot: Snapshot) -> Iterator[str]:
    """That the application works again, where a failure ended the maintenance window; how it stands where it did not."""
    window = snapshot.status.get("window") or {}
    if not (_back_again(snapshot.status) and window.get("over")):  # the error itself says that the window was over
        yield from window_of(snapshot)
    yield from _works_again(snapshot.status)


def _going_on(status: Status) -> str:
    """What going on means after a failure."""
    if _back_again(status):
        return _("Going on stops the application again; what was copied is used if the file has not changed since.")
    return _("What is done is kept: the run goes on from where it stopped.")


def completed(snapshot: Snapshot, events: Sequence[Mapping[str, Any]]) -> Said:
    """That it is done, and what was left out or not compared."""
    if missing_tables(snapshot.status):  # the word "completed" alone is not believed
        return incomplete(snapshot, events)
    tables = snapshot.status.get("tables") or ()
    rows = sum(t.get("target_rows") or 0 for t in tables)
    counted = ngettext(
        "{count} table, {rows} rows: nothing is missing.",
        "{count} tables, {rows} rows: nothing is missing.",
        len(tables),
    )
    written = written_line(snapshot.status)
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
        head=_("Completed.") if unseen else _(VERIFIED[bool(written)]),
        lines=(
            counted.format(count=len(tables), rows=words.count(rows)),
            *((written,) if written else ()),
            *((unseen_line.format(count=unseen),) if unseen else ()),
            *((objects,) if gone else ()),
            *((open_items,) if left else ()),
            *_report(snapshot),
        ),
        act=_("Press e for the report, R to roll back."),
    )


def incomplete(snapshot: Snapshot, events: Sequence[Mapping[str, Any]]) -> Said:
    """What is missing or differs."""
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
