"""A run whose database stays where it is, as text: what it changes, the two ways back, and what it says instead of others' words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from stepflow_tui.engine.texts.language import _
from stepflow_tui.render import words
from stepflow_tui.render.clean import clean_line

Status = Mapping[str, Any]

BACKUP_STEP = "backup"
WATCH_STEP = "watch"
CONVERTED = frozenset({"convert", "tune", "layout", "change-application", "stop-application"})
"""Steps that change something: the file, or the application."""


def no_other_side() -> str:
    """Why nothing is switched."""
    return _("Nothing is switched here: the application keeps its file, only the journal mode changes. B goes back.")


def backup_made(status: Status) -> bool:
    """Whether there is a tested backup to go back to."""
    return any(s["name"] == BACKUP_STEP and s["state"] == "done" for s in _steps(status))


def backup_time(status: Status) -> str:
    """When the backup was begun, `21:04` by this machine's clock; "" where the status doesn't say.

    Not when a check found it good again: what was written between the two would be lost as well.
    """
    with suppress(ValueError):
        at = (status.get("rollback") or {}).get("backup_at")
        return datetime.fromisoformat(str(at)).astimezone().strftime("%H:%M") if at else ""
    return ""


def changed(status: Status) -> bool:
    """Whether a step that changes something is done, and not undone again."""
    return any(s["name"] in CONVERTED and s["state"] in ("done", "running", "failed") for s in _steps(status))


def restore_label(status: Status) -> str:
    """The second way back, with its time."""
    at = backup_time(status)
    return _("Restore the backup of {time}").format(time=at) if at else _("Restore the backup")


def back_lines(status: Status) -> Iterator[str]:
    """What both ways mean."""
    yield _("The old journal mode: nothing that was written is lost. The key B once more takes this way.")
    if backup_made(status):
        yield _("The backup: everything written since it was made is lost. It asks for a reason and the run's name.")
    else:
        yield _("There is no backup to restore yet.")


def restore_lines(status: Status) -> Iterator[str]:
    """What restoring the backup means."""
    at = backup_time(status)
    yield (
        _("The database becomes what it was at {time}. Everything written since then is lost.").format(time=at)
        if at
        else _("The database becomes what it was when the backup was made. Everything written since then is lost.")
    )
    yield _(
        "Whoever has the file open is in the way: stop them first where no recipe does. The old file is kept aside."
    )


def watches(status: Status) -> bool:
    """Whether the new mode is being watched: a short watch keeps the run "running", a long one makes it "observing"."""
    return status.get("step") == WATCH_STEP and status.get("state") in ("running", "observing")


def observing_line() -> str:
    """What is going on while the new mode is watched."""
    return _("Watching the new mode: the application works on, and you can go back.")


def rolled_back_line() -> str:
    """What a rollback has come to."""
    return _(
        "Rolled back: the database is as it was before the conversion, or as the backup held it; the report says which."
    )


def conversion_lines(report: Status) -> Iterator[str]:
    """How the conversion went, what proves it, and how it was taken back, as far as it came; of `in_place` of report.json."""
    steps: Mapping[str, Any] = report.get("in_place") or {}
    rehearsed, convert, prove = (steps.get(name) or {} for name in ("rehearse", "convert", "prove"))
    if "to_wal_seconds" in rehearsed:
        yield _("Tried on a copy: there in {there}, back in {back}; the content stayed equal.").format(
            there=words.seconds(rehearsed["to_wal_seconds"]), back=words.seconds(rehearsed["back_seconds"])
        )
    yield from _converted(convert)
    yield from _proved(prove)
    yield from _taken_back(convert)


def _converted(convert: Status) -> Iterator[str]:
    before, after = convert.get("before") or {}, convert.get("after") or {}
    if before and after:
        yield _("Journal mode: {before} before, {after} after.").format(before=before["mode"], after=after["mode"])
        yield _("Tries: {count}, in {time}; seen in the way: {who}.").format(
            count=convert["attempts"],
            time=words.seconds(convert["seconds"]),
            who=clean_line(", ".join(convert.get("waited_for") or ()) or _("nobody")),
        )


def _proved(prove: Status) -> Iterator[str]:
    if not prove:
        return
    yield words.about("integrity_check", clean_line(str(prove.get("integrity_check"))))
    text = _("Tables equal: {equal} of {tables}; nobody wrote between the backup and the proof.")
    if not prove.get("quiet"):
        text = _("Tables equal: {equal} of {tables}; the application wrote meanwhile, the page Tables says to which.")
    yield text.format(equal=prove.get("equal"), tables=prove.get("tables"))
    checkpoint = prove.get("checkpoint")
    if checkpoint:
        yield _("Checkpoint: {done} of {frames} frames put into the database; -wal has {size} after it.").format(
            done=checkpoint.get("checkpointed"),
            frames=checkpoint.get("frames"),
            size=words.size(checkpoint.get("wal_bytes_after")),
        )


def _taken_back(convert: Status) -> Iterator[str]:
    """What a rollback did; its evidence has taken the conversion's place."""
    if convert.get("restored"):
        yield _("The backup was restored. The files of before are kept aside: {files}").format(
            files=clean_line(", ".join(convert.get("aside") or ()))
        )
    elif "changed" in convert:
        text = _("Went back to journal mode {mode} in {time}.")
        if not convert["changed"]:
            text = _("Journal mode {mode}: nothing had to be taken back.")
        yield text.format(mode=convert.get("mode"), time=words.seconds(convert.get("seconds")))


def _steps(status: Status) -> Iterator[Mapping[str, Any]]:
    for phase in status.get("phases") or ():
        yield from phase.get("steps") or ()
