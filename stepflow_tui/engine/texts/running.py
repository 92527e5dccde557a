"""Texts of findings made while a run goes on; titles of phases and steps; what asks at a gate."""

from __future__ import annotations

import re

from stepflow_tui.engine.texts import Words
from stepflow_tui.engine.texts.language import N_

FINDINGS: dict[str, Words] = {
    "archive_source": Words(
        "Left out of the archive: {names}.",
        "The source database has its own tested backup; copied as a file it could be torn.",
        "Nothing to do.",
    ),
    "archive_own": Words("Left out of the archive: {names}.", "These are StepFlow's own folders.", "Nothing to do."),
    "archive_special": Words(
        "Left out of the archive: {names} ({count}).",
        "Sockets, pipes and devices hold no data.",
        "Nothing to do; the application makes them again.",
    ),
    "archive_unreadable": Words(
        "Not archived, because they can't be read: {names} ({count}).",
        "A backup without them is not complete, and its checklist items fail.",
        "Give StepFlow's user the right to read them, or take them out of `application.backup`.",
    ),
    "archive_vanished": Words(
        "Gone while the archive was made: {names} ({count}).",
        "Somebody removed or renamed them meanwhile.",
        "Nothing to do for temporary files; otherwise make the backup while nobody writes there.",
    ),
    "archive_changed_meanwhile": Words(
        "Changed while the archive was made: {names} ({count}).",
        "The archive holds what was read the last time; it may be in the middle of a write.",
        "Nothing to do for logs; otherwise make the backup while nobody writes there.",
    ),
    "archive_link_outside": Words(
        "Symbolic links to what is not in the archive: {names} ({count}).",
        "The link is kept, what it points to is not.",
        "Add its target to `application.backup` if it has to be saved.",
    ),
    "archive_sparse": Words(
        "Files with holes: {names} ({count}).",
        "They look larger than the room they take; holes are kept when they are put back.",
        "Nothing to do.",
    ),
    "archive_not_utf8": Words(
        "Names that are not UTF-8: {names} ({count}).",
        "They are archived and put back byte by byte; here they are shown with escapes.",
        "Nothing to do.",
    ),
    "archive_database": Words(
        "Other SQLite databases, archived as plain files: {names} ({count}).",
        "Written to meanwhile, such a copy can be torn.",
        "Stop who writes to them while the archive is made, or save them with a backup of their own.",
    ),
    "hook_interrupted": Words(
        "The hook {object} was interrupted, and it has no undo: it is run again from its beginning.",
        "Nobody can look how far a command came. Processes of it that still ran and were ended: {ended}.",
        "Look at what it may have done before; give it an `undo` if it must not run twice.",
    ),
    "hook_interrupted_undone": Words(
        "The hook {object} was interrupted: its undo was run, and it is run again.",
        "Nobody can look how far a command came. Processes of it that still ran and were ended: {ended}.",
        "Nothing has to be done.",
    ),
    "application_start_failed": Words(
        "The application did not come up on the new side: {reason}",
        "{outcome} The end of the log of {object}:\n{log}\nNames in its environment: {variables}.",
        "Correct what the log tells about, then `stepflow run` again.",
    ),
    "key_left_not_valid": Words(
        "{count} rows have no parent, so the foreign key {object} was put back NOT VALID.",
        "New rows are checked; the old ones are not.",
        "Clean the rows, then run ALTER TABLE … VALIDATE CONSTRAINT.",
    ),
    "offline_locked_out": Words(
        "{program} (pid {pid}) still has the source {object} open although the application was stopped.",
        "It is locked out: every write of it is refused from before the copy until the switch, and afterwards by the fence.",
        "End it, or let the recipe stop it too; after the switch it must write to PostgreSQL.",
    ),
    "offline_no_recipe": Words(
        "Nothing stops and starts the application: {object} is left out.",
        "The window begins at the item `writers-stopped` of the checklist; whoever still writes then is refused. Nobody starts it either.",
        "Add `application.recipe` (config.example.yaml shows each kind), or stop it by hand there and start it on the new side.",
    ),
    "offline_window_predicted": Words(
        "The application will stand still for {low_seconds} to {high_seconds} s; the window is {window_seconds} s.",
        "Measured for the parts that were done already, estimated for the others; starting the application comes on top.",
        "Nothing has to be done.",
    ),
    "offline_window_short": Words(
        "The application will stand still for {low_seconds} to {high_seconds} s, and the window is only {window_seconds} s.",
        "When it is over before the switch, the old side is started again by itself: nothing is lost but the time.",
        "Allow more with `cutover.window`, or accept that it may not suffice.",
    ),
    "rows_repaired": Words(
        "{count} repairs were made in the target, asked for by {by}.",
        "A repair means that rows were changed after the copy, or that the copy was wrong: find out which.",
        "The rows as they were before are in before-images.ndjson in the run's folder.",
    ),
    "values_replaced": Words(
        "{count} values of {object} were changed on the way: `on_bad_value: replace` asks for it.",
        "PostgreSQL's text holds neither NUL nor invalid Unicode; the target no longer has these bytes.",
        "Each value is listed with its key and its original bytes in {file}.",
    ),
    "source_changed": Words(
        "The source changed while the run went on.",
        "Tables that were compared afterwards may differ from it; the copy holds what the backup held.",
        "Stop what writes to the source and start a new run, or accept the copy as of the backup's time.",
    ),
}

ALERTS: dict[str, str] = {
    "engine_lost": "The engine process is gone or does not respond.",
    "capture_unattended": "Changes are still captured, and no engine carries them over or watches how large their log grows.",
    "throttled": "The copy is slowed down: {reason}.",
    "disk_low": "Only {free_bytes} bytes are left on the disk of {folder}.",
    "source_changed": "The source changed while the run went on.",
    "journal_busy": "Another process keeps the journal locked.",
    "lag_high": "The target is behind and does not catch up; changes not applied: {changes}, for {seconds} s.",
    "log_nearly_full": "The change log in the source holds {bytes} bytes of the {budget} it may have.",
    "log_over_budget": "The change log in the source is full ({bytes} of {budget} bytes), and capture is still in it.",
    "log_full": "The change log in the source is full ({bytes} of {budget} bytes): capture was taken out.",
    "wal_large": "The source's write-ahead log has grown to {bytes} bytes; frames that are not in the database file yet: {frames}.",
    "wal_pinned": "Process {pid} ({program}) has held an old state of the source open for {seconds} s; frames of its "
    "write-ahead log that can't be put away: {frames}.",
    "wal_starved": "Process {pid} ({program}) has kept frames of the write-ahead log from being put away for {seconds} s; "
    "frames that wait: {frames}.",
    "wal_lost": "The database is not in WAL mode any more; what was found: {mode}.",
    "rows_differ": "The continuous comparison has found rows that differ: {count}.",
    "rows_quarantined": "The target can't hold rows, which were set aside: {count}. {first}",
    "switch_rolled_back": "Reads were moved back to the old side by themselves.",
    "capture_broken": "Changes of the source went past the log.",
    "way_back_blocked": "SQLite can't hold rows that were written to PostgreSQL, so nobody can go back now: {count}.",
    "way_back_broken": "Changes of PostgreSQL are not brought to SQLite, so nobody can go back now: {reason}",
    "return_log_large": "The log of changes that are not in SQLite yet has grown to {bytes} bytes in PostgreSQL.",
    "writer_locked_out": "Process {pid} ({program}) still has the source open; every write of it is refused.",
    "verifier_stale": "Nothing was compared for {minutes} min.",
    "application_unavailable": "The application does not answer, for {seconds} s when this was noticed.",
}

ADVICE: dict[str, str] = {
    "engine_lost": "Start the run again with `stepflow run`: it goes on from its last checkpoint, nothing is lost.",
    "capture_unattended": "`stepflow run` starts an engine that goes on; `stepflow rollback` takes capture out.",
    "throttled": "Nothing needs to be done: the copy gives way to others on purpose and speeds up by itself.",
    "disk_low": "Make room on that disk, or pause the run first; a full disk ends it, and it can be resumed afterwards.",
    "source_changed": "Stop what writes to the source and start a new run, or accept the copy as of the backup's time.",
    "journal_busy": "Find out which program keeps the file open (`fuser` on journal.db in the run's folder) and end it.",
    "lag_high": "Look what slows the target down, or at `copy.max_rows_per_second`; no gate opens before it has caught up.",
    "log_nearly_full": "Look why changes are not applied (lag, a target that is down), or allow more with `capture.budget`.",
    "log_over_budget": "Capture is taken out as soon as nobody holds the file: end who does (`stepflow check` names them), then roll back.",
    "log_full": "Roll back, allow more with `capture.budget`, and start a new run: later changes were not recorded.",
    "wal_large": "See in the panel WAL who reads for long, and let that transaction end. What is put away is used again from the "
    "file's beginning; the file itself gets smaller by `journal_size_limit`, or when the last connection is closed.",
    "wal_pinned": "End that process's read transaction (or the process); the panel WAL shows who holds what.",
    "wal_starved": "End that process's read transaction (commit, close the cursor), or restart it; the next checkpoint then puts all "
    "away by itself. StepFlow ends no process and forces no checkpoint beside live writers.",
    "wal_lost": "Find out what sets `journal_mode` (the application's start, an older copy of the file put back), then run it again.",
    "rows_differ": "`stepflow verify` names the rows; repair is shown as SQL, done on request, and counted as a defect.",
    "rows_quarantined": "The report names each row and its reason; correct it in the source, then it is tried again.",
    "switch_rolled_back": "Look at the figures with `stepflow switch analytics`; after the cool-down it can be armed again.",
    "capture_broken": "Nothing has to be done while the tables concerned are copied again; if the run stops, its error says why.",
    "way_back_blocked": "Change the rows that the report names so that SQLite can hold them, or decide to stay.",
    "way_back_broken": "Undo what the journal names; the way back opens by itself then. Or close it with `stepflow cleanup`.",
    "return_log_large": "See why changes are not brought over (the way back is blocked, no engine works), or close it with `stepflow cleanup`.",
    "writer_locked_out": "End that process, or let the recipe stop it too; nothing of it is lost, it is refused and told so.",
    "verifier_stale": "Look at `stepflow status`: a step that waits, or a side that does not answer.",
    "application_unavailable": "Look at the application's own log; this ends by itself once it answers. The report counts the seconds.",
}
"""What to do about an alert."""

PHASES: dict[str, str] = {
    "prepare": "Prepare",
    "capture": "Capture changes",
    "backfill": "Copy",
    "validate": "Verify",
    "switch_reads": "Switch reads",
    "cutover": "Cut over",
    "observe": "Observe",
    "cleanup": "Clean up",
    "complete": "Complete",
}

OWN_PHASES: dict[str, dict[str, str]] = {
    "sqlite-wal": {"validate": "Try on a copy", "cutover": "Convert to WAL", "observe": "Watch"},
    "offline": {"capture": "Stop and lock"},
}
"""Other titles of phases, by the kind or mode in which they mean something else."""

STEPS: dict[str, str] = {
    "preflight": "Preflight checks",
    "backup": "Backup, restored and checked",
    "service-backup": "Archive the application's files",
    "census": "Type census",
    "plan": "Plan",
    "claim-target": "Take the target for this run",
    "create-tables": "Create the tables",
    "lift-keys": "Take foreign keys off for the load",
    "restore-keys": "Put foreign keys back",
    "copy": "Copy the rows",
    "build-keys": "Build keys, indexes, sequences and checks",
    "foreign-keys": "Foreign keys",
    "views-and-triggers": "Views and triggers",
    "grants": "Owner and grants",
    "analyze": "Statistics for the planner",
    "verify": "Compare both sides",
    "release-target": "Leave the target",
    "install-capture": "Install change capture",
    "snapshot": "Snapshot that is copied",
    "predict-window": "Predict the downtime",
    "stop-application": "Stop the application",
    "write-lock": "Lock the source against writing",
    "close-target": "Close the target to everybody else",
    "sequences": "Set the sequences",
    "hand-over": "Fence in place of the lock",
    "drop-snapshot": "Delete the snapshot",
    "views": "Views",
    "storage-classes": "Remember storage classes for the way back",
    "catch-up": "Catch up with what was written",
    "prove": "Prove both sides equal while writes go on",
    "switch-reads": "Move reads, step by step",
    "rehearse": "Rehearse the cutover",
    "cut-over": "Move writes",
    "settle-keys": "Validate foreign keys",
    "observe": "Keep the way back open",
    "clean-up": "Remove what the run made",
    "settle-checklist": "Checklist",
    "rollback": "Rollback",
    "restore-test": "Restore the backup and check it",
    "record-state": "Record modes, counts and digests",
    "benchmark": "Measure both modes",
    "change-application": "Change the application",
    "layout": "Page size and free pages",
    "convert": "Convert to WAL",
    "tune": "Settings that stay in the file",
    "watch": "Watch the new mode",
}

OWN_STEPS: dict[str, dict[str, str]] = {
    "sqlite-wal": {
        "backup": "Backup",
        "rehearse": "Convert a copy, and back",
        "prove": "Prove that nothing changed",
    },
}
"""Other titles of steps, by the kind in which they do something else."""


HOOKS = {"before": N_("Hook {0} before the phase"), "after": N_("Hook {0} after the phase")}
"""Titles of hooks, by the side of the phase; `language.known` finds them again with their number."""
_HOOK = re.compile(r"hook-(before|after)-(\d+)")


def step_title(name: str, kind: str = "") -> str:
    """A step's title in a kind of migration; a name nobody has titled is shown in words."""
    if hook := _HOOK.fullmatch(name):
        return HOOKS[hook[1]].format(hook[2])
    return OWN_STEPS.get(kind, {}).get(name) or STEPS.get(name) or name.replace("_", " ").capitalize()
