"""The write-ahead log as text: its size, how it is used, who keeps it from being emptied, and what can be done about it.

Takes the gauge `wal` of a status. Commands of processes are data. A gauge may lack any key: what is not known is left out,
never shown as zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any, NamedTuple

from stepflow_tui.engine.model.times import iso_utc
from stepflow_tui.engine.texts.language import N_, _
from stepflow_tui.render import words
from stepflow_tui.render.clean import clean_line

Gauge = Mapping[str, Any]

SHOWN_READERS = 4
SHOWN_USERS = 3
LONG_SECONDS = 60.0
"""From here on a reader is too long, where the gauge has no limit of its own."""
MANY_FRAMES = 5_000
"""SQLite begins a checkpoint at 1,000 frames; with so many outstanding none has been made."""
BUSY = 0.8
"""Share of looks with the write lock held from which on writers stand in line."""

ENDED = frozenset({"completed", "incomplete", "aborted", "rolled_back"})
"""States after which nobody watches."""

MODES: Mapping[str, str] = {
    "missing": N_("unknown: the file is not there"),
    "unreadable": N_("unknown: the file can't be read"),
    "unknown": N_("unknown: nobody has looked just now"),
}
"""Modes that are none."""

USES: Mapping[str, str] = {
    "open": N_("has it open"),
    "reading": N_("reading"),
    "writing": N_("writing"),
    "waiting to write": N_("waiting to write"),
    "exclusive": N_("holds it alone"),
}
"""What a process does with a file in rollback mode."""


def wal_lines(wal: Gauge) -> Iterator[str]:
    """The log of a source: its mode and size, and who keeps it from being emptied."""
    mode = clean_line(str(wal.get("mode") or "?"))
    yield _("journal mode {mode}").format(mode=mode)
    if wal.get("bytes") is not None or wal.get("frames") is not None:
        yield _("size {size}, {count} frames, {done} of them in the database file").format(
            size=words.size(wal.get("bytes")),
            count=words.count(wal.get("frames")),
            done=words.count(wal.get("checkpointed")),
        )
    if mode == "wal" and "as_of" not in wal:
        yield from reader_lines(wal.get("pinned_by"))


def reader_lines(pinned: Any) -> Iterator[str]:
    """Who keeps the log from being emptied, the longest first."""
    if pinned is None:
        yield _("who keeps it from being emptied can't be seen on this system")
        return
    if not pinned:
        yield _("nobody keeps it from being emptied")
    for reader in list(pinned)[:SHOWN_READERS]:
        yield _("kept by {who} for {time}").format(who=who(reader), time=words.seconds(reader.get("age_seconds")))
    if len(pinned) > SHOWN_READERS:
        yield _("and {count} more").format(count=len(pinned) - SHOWN_READERS)


def who(process: Gauge) -> str:
    """`process 12 (python app.py)`; by its pid alone where the system doesn't show what it runs."""
    pid = process.get("pid")
    if pid == 0:
        return _("a process outside this container")
    if pid == -1:
        return _("a process that the system doesn't name")
    program, *arguments = str(process.get("command") or "").split() or [""]
    text = _("process {pid}") if program in ("", "?") else _("process {pid} ({command})")
    command = " ".join([PurePath(program).name or program, *arguments])  # the folders of an interpreter tell nothing
    return text.format(pid=clean_line(str(pid)), command=clean_line(command))


class Row(NamedTuple):
    """A line about the log; `urgent`: something should be done about it."""

    text: str
    urgent: bool = False


def in_place_rows(wal: Gauge, now_ms: float | None = None) -> Iterator[Row]:
    """The log of a database that is used where it stands, the most urgent first; the advice follows whom it is about.

    Args:
        now_ms: the time, to tell how long ago something was; None: only when.
    """
    mode, bad = str(wal.get("mode") or "?"), urgent(wal)
    if mode == "rollback":
        yield from (Row(text, bad and not n) for n, text in enumerate(_rollback(wal)))
    elif mode != "wal":
        yield Row(_("journal mode {mode}").format(mode=clean_line(_(MODES.get(mode, mode)))), bad)
    else:
        yield Row(size_line(wal), _too_large(wal))
        yield Row(frames_line(wal))
        yield from (Row(text, _long(wal)) for text in reader_lines(wal.get("pinned_by")))
    if told := advice(wal):
        yield Row(words.about(_("what to do"), told), bad)
    later = (checkpoint_line(wal, now_ms), written_line(wal), lock_line(wal)) if mode in ("wal", "rollback") else ()
    yield from (Row(text) for text in later if text)


def in_place_lines(status: Mapping[str, Any]) -> Iterator[str]:
    """The same for `status`; nothing of a run that nobody works on: nothing keeps its figures true."""
    if status.get("wal") and watched_now(status):
        yield from (words.about(_("WAL"), row.text) for row in in_place_rows(status["wal"]))


def watched_now(status: Mapping[str, Any]) -> bool:
    """Whether an engine works on the run, so that the gauge is of the present."""
    return bool((status.get("engine") or {}).get("alive")) and status.get("state") not in ENDED


def urgent(wal: Gauge) -> bool:
    """Whether something should be done."""
    lost = bool(wal.get("expected")) and wal.get("mode") in ("rollback", "missing")
    return lost or _long(wal) or _too_large(wal)


def _too_large(wal: Gauge) -> bool:
    most = (wal.get("limits") or {}).get("bytes")
    return most is not None and (wal.get("bytes") or 0) > most


def _long(wal: Gauge) -> bool:
    """Whether a reader holds frames back for longer than the limit."""
    oldest = _oldest(wal)
    return oldest is not None and oldest >= ((wal.get("limits") or {}).get("starvation") or LONG_SECONDS)


def _oldest(wal: Gauge) -> float | None:
    return max((float(p.get("age_seconds") or 0) for p in wal.get("pinned_by") or ()), default=None)


def size_line(wal: Gauge) -> str:
    """`journal mode wal, size 39.3 MiB, alert above 100.0 MiB`."""
    text = _("journal mode wal, size {size}").format(size=words.size(wal.get("bytes")))
    most = (wal.get("limits") or {}).get("bytes")
    return words.listed((text, _("alert above {size}").format(size=words.size(most)))) if most else text


def frames_line(wal: Gauge) -> str:
    """`10,008 frames: 9,500 in the database file, 508 outstanding`; "" where nobody has the log open."""
    if wal.get("frames") is None:
        return _("its index can't be read: nobody has the database open, or one process holds it alone")
    if not wal["frames"]:
        return _("no frames: everything is in the database file")
    return _("{count} frames: {done} in the database file, {left} outstanding").format(
        count=words.count(wal["frames"]), done=words.count(wal.get("checkpointed")), left=words.count(outstanding(wal))
    )


def outstanding(wal: Gauge) -> int:
    """Frames that are not in the database file yet."""
    return max(0, int(wal.get("frames") or 0) - int(wal.get("checkpointed") or 0))


def checkpoint_line(wal: Gauge, now_ms: float | None = None) -> str:
    """The last checkpoint that was seen, "" before there is one."""
    found = wal.get("checkpoint")
    if not found:
        return ""
    frames, done = words.count(found.get("frames")), words.count(found.get("checkpointed"))
    text = _("last checkpoint at {time}, partial: {done} of {frames} frames")
    if found.get("complete"):
        text = _("last checkpoint at {time}, complete: {frames} frames")
    line = text.format(time=_at(found), done=done, frames=frames)
    age = _age(found, now_ms)
    return line if age is None else words.listed((line, _("{time} ago").format(time=words.seconds(age))))


def written_line(wal: Gauge) -> str:
    """How fast it is written, "" where that is not known."""
    parts = []
    if wal.get("rate") is not None:
        parts.append(_("{count} frames/s").format(count=_rate(wal["rate"])))
    if wal.get("transactions") is not None:
        parts.append(_("{count} transactions/s").format(count=_rate(wal["transactions"])))
    return words.about(_("written"), words.listed(parts)) if parts else ""


def lock_line(wal: Gauge) -> str:
    """How often the write lock was held, and by whom last."""
    share, writer = wal.get("write_busy"), wal.get("writer")
    if share is None:
        return ""
    text = _("write lock held in {percent} % of the looks").format(percent=f"{100 * share:.0f}")
    if wal.get("busy_in_a_row"):
        text = words.listed((text, _("in {count} in a row just now").format(count=words.count(wal["busy_in_a_row"]))))
    return words.listed((text, _("last by {who}").format(who=who(writer)))) if writer else text


def advice(wal: Gauge) -> str:
    """What the operator can do now, "" where there is nothing to say. Never a forced checkpoint, never a process killed."""
    if wal.get("mode") == "rollback":
        return _rollback_advice(wal)
    if wal.get("mode") != "wal":
        return ""
    oldest = _oldest(wal)
    if _long(wal):
        return _(
            "end this process's read transaction (commit, close its cursor) or restart it; the log is then put away by itself"
        )
    if oldest is not None and oldest > 1:
        return _("nothing yet: a transaction is being read; it matters if it does not end")
    return _unpinned_advice(wal)


def _unpinned_advice(wal: Gauge) -> str:
    if outstanding(wal) >= MANY_FRAMES:
        return _(
            "nobody holds it back, and no checkpoint is made: look for `wal_autocheckpoint` in the application's connections, and for"
            " one very large transaction"
        )
    if _too_large(wal):
        return _(
            "the file keeps its size and is used again; set `journal_size_limit` in the application if it should shrink"
        )
    if (wal.get("write_busy") or 0) >= BUSY:
        return _("writers stand in line: make transactions shorter, and give every connection a `busy_timeout`")
    return _("nothing")


def _rollback(wal: Gauge) -> Iterator[str]:
    yield _("journal mode rollback: who writes keeps everybody else out while it commits")
    users: Sequence[Gauge] = wal.get("users") or ()
    if wal.get("users") is None:
        yield _("who uses it can't be seen on this system")
    elif not users:
        yield _("nobody has it open")
    for user in users[:SHOWN_USERS]:
        use = USES.get(str(user.get("what")), str(user.get("what")))
        yield _("used by {who}: {what}").format(who=who(user), what=clean_line(_(use)))
    if len(users) > SHOWN_USERS:
        yield _("and {count} more").format(count=len(users) - SHOWN_USERS)


def _rollback_advice(wal: Gauge) -> str:
    if wal.get("expected"):
        return _("it was in WAL mode: find out what sets `journal_mode`, or put an older file back, then run it again")
    if any(user.get("what") == "exclusive" for user in wal.get("users") or ()):
        return _("a process holds it alone; the conversion needs a moment in which nobody does")
    return ""


def _rate(value: float) -> str:
    return f"{value:.1f}" if 0 < value < 10 else words.count(value)


def _at(found: Gauge) -> str:
    moment = found.get("at_ms")
    return iso_utc(int(moment))[11:19] if isinstance(moment, int | float) else "?"


def _age(found: Gauge, now_ms: float | None) -> float | None:
    moment = found.get("at_ms")
    if now_ms is None or not isinstance(moment, int | float):
        return None
    return max(0.0, (now_ms - moment) / 1000)
