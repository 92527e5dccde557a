"""What `stepflow optimize` did, as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stepflow_tui.engine.texts.language import N_, _, ngettext
from stepflow_tui.render import words
from stepflow_tui.render.clean import clean_line

REASONS: dict[str, str] = {
    "locked": N_("others held the lock"),
    "slow": N_("it would have kept writers waiting too long"),
}
"""Why a table was left out; other reasons are SQLite's words."""


def optimized_lines(done: Mapping[str, Any]) -> Iterator[str]:
    """Statistics, what was left out, the checkpoint's three figures, and who holds what up."""
    count = len(done["analyzed"])
    told = ngettext("analyzed {count} table", "analyzed {count} tables", count).format(count=words.count(count))
    rows = done["limit"] and _("at most {rows} rows of each index").format(rows=words.count(done["limit"]))
    yield words.about(
        clean_line(done["path"]), words.listed(filter(None, (told, rows, words.seconds(done["seconds"]))))
    )
    for row in done["left_out"]:
        reason = _(REASONS[row["reason"]]) if row["reason"] in REASONS else clean_line(row["reason"])
        yield "  " + words.about(_("left out {table}").format(table=clean_line(row["table"])), reason)
    if done["optimized"]:
        yield _("PRAGMA optimize found nothing more to do, or did it")
    yield from _checkpoint_lines(done["checkpoint"])
    if done["holders"]:
        names = words.listed(f"pid {h['pid']} ({clean_line(h['command'])})" for h in done["holders"])
        yield _("open in {names}").format(names=names)


def _checkpoint_lines(found: Mapping[str, Any] | None) -> Iterator[str]:
    if found is None:
        yield _("no checkpoint: the file is not in WAL mode")
        return
    if not found["done"]:
        yield _("no checkpoint: others held the lock")
        return
    text = _("{kind} checkpoint: busy {busy}, {frames} frames in -wal, {done} of them in the file")
    yield text.format(
        kind=found["kind"].upper(), busy=int(found["busy"]), frames=found["frames"], done=found["checkpointed"]
    )
    sizes = _("-wal: {before} before, {after} now")
    yield "  " + sizes.format(before=words.size(found["wal_bytes_before"]), after=words.size(found["wal_bytes_after"]))
    for pin in found["pinned_by"] or ():
        yield "  " + _(
            "held up by pid {pid} ({command}), which reads an older state: let it end its transaction"
        ).format(pid=pin["pid"], command=clean_line(pin["command"]))
