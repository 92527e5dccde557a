"""A run whose database stays where it is, as text: what it changes, the two ways back, and what it says instead of others' words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from stepflow_tui.engine.texts.language import _

Status = Mapping[str, Any]

BACKUP_STEP, BACKUP_ITEM = "backup", "backup-database"
CONVERTED = frozenset({"convert", "tune", "layout", "change-application", "stop-application"})
"""Steps that change something: the file, or the application."""


def no_other_side() -> str:
    """Why nothing is switched."""
    return _("Nothing is switched here: the application keeps its file, only the journal mode changes. B goes back.")


def backup_made(status: Status) -> bool:
    """Whether there is a tested backup to go back to."""
    return any(s["name"] == BACKUP_STEP and s["state"] == "done" for s in _steps(status))


def backup_time(status: Status) -> str:
    """When the backup was tested, `21:04` by this machine's clock; "" where the checklist doesn't say."""
    for item in status.get("checklist") or ():
        if item.get("id") == BACKUP_ITEM and item.get("at"):
            with suppress(ValueError):
                return datetime.fromisoformat(str(item["at"])).astimezone().strftime("%H:%M")
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


def observing_line() -> str:
    """What is going on while the new mode is watched."""
    return _("Watching the new mode: the application works on, and you can go back.")


def rolled_back_line() -> str:
    """What a rollback has come to."""
    return _(
        "Rolled back: the database is as it was before the conversion, or as the backup held it; the report says which."
    )


def _steps(status: Status) -> Iterator[Mapping[str, Any]]:
    for phase in status.get("phases") or ():
        yield from phase.get("steps") or ()
