"""Texts of what the checks of live runs find."""

from __future__ import annotations

from stepflow_tui.engine.texts import Words

FINDINGS: dict[str, Words] = {
    "live_leftover": Words(
        "{object} holds the change capture of the run {run}: {names}.",
        "Two captures in one file would refuse each other's writes.",
        "End that run: `stepflow rollback {run}` takes its capture out, and so does `stepflow cleanup {run}` once it is over.",
    ),
    "live_names_taken": Words(
        "{object} has objects whose names begin with _sf_, and no run of StepFlow made them: {names}.",
        "Change capture keeps its log and its triggers under such names.",
        "Rename or drop them, or migrate with `mode: copy` while nobody writes.",
    ),
    "live_source_read_only": Words(
        "We may not write to {paths}.",
        "A live run keeps its change log and its triggers in the source, and SQLite its side files in the folder.",
        "Run StepFlow as the user of the application, or give this user the right to write to the file and its folder.",
    ),
    "live_source_names": Words(
        "{object} has another name: as a hard link (links: {links}), or mounted by itself.",
        "Under two names SQLite uses two journals for one file, and a crash then damages it.",
        "Give it one name that the application and StepFlow both use.",
    ),
    "live_source_network": Words(
        "{object} lies on a network file system ({filesystem}).",
        "Locks don't hold there, so writing beside the application can damage the file.",
        "Move it to a local disk, or migrate with `mode: copy` while nobody writes.",
    ),
    "live_other_owner": Words(
        "{object} belongs to {owner}, and StepFlow runs as {user}.",
        "Side files that SQLite makes for us would belong to {user}, and the application might not be able to write to them.",
        "Run StepFlow as {owner}.",
    ),
    "live_rollback_journal": Words(
        "{object} is in rollback-journal mode ({mode}).",
        "Capture works, but while StepFlow reads what changed, writers wait for a moment, and while they write, it waits.",
        "Convert it to WAL first (`kind: sqlite-wal`) if those moments matter.",
    ),
    "live_app_triggers": Words(
        "Triggers of the application ({count}): {names}.",
        "What they write is captured like any other change. While writes to SQLite are fenced they are taken off, and their "
        "texts are kept in the file; going back makes them again.",
        "Nothing has to be done.",
    ),
    "live_recursive_triggers": Words(
        "Triggers that write to the very table they stand on ({count}): {names}.",
        "Where the application sets `recursive_triggers`, one write logs more keys; none is missed either way.",
        "Nothing has to be done.",
    ),
    "live_disk_space": Words(
        "{object} has {free_bytes} bytes free; a live run may need {needed_bytes}, and {reserve_bytes} should stay free.",
        "It keeps a second snapshot until everything is verified, and a change log in the source up to `capture.budget`. "
        "On a full disk the application's own writes fail.",
        "Make room, or lower `capture.budget`.",
    ),
    "live_target_triggers": Words(
        "The table {object} has triggers: {names}.",
        "Changes are applied by deleting rows and inserting them again, and these triggers would act on that.",
        "Drop or disable them until the cutover (ALTER TABLE … DISABLE TRIGGER …), and make or enable them afterwards.",
    ),
    "live_target_partitioned": Words(
        "The table {object} is partitioned, or shares rows with another one by inheritance.",
        "Writes that name another of its tables would pass the write gate and the log of the way back unseen.",
        "Migrate into a plain table and partition it after the clean-up, or use `mode: copy`.",
    ),
    "live_target_cascades": Words(
        "Foreign keys of {object} that act when a row is deleted ({count}): {names}.",
        "They are taken off until the cutover: applying a change deletes the row and inserts it again.",
        "Nothing has to be done; they are put back in the cutover.",
    ),
    "live_decimals_limited": Words(
        "Decimals of {object} are as narrow as declared, which SQLite does not enforce: {columns}.",
        "While the run lasts the application may write a number that needs more digits. Its row is set aside by key and "
        "reason, and there is no cutover while it is.",
        "Nothing, if the application keeps to it; else `types.by_column` with `numeric` takes any number.",
    ),
    "live_uncapturable": Words(
        "Changes of the table {object} can't be captured: {reason}.",
        "Rows that the application changes during the run would be missing in the target, and its writes could not be stopped "
        "in the cutover.",
        "Leave it out with `tables.exclude`, or migrate with `mode: copy` while nobody writes.",
    ),
    "live_reconciled": Words(
        "The log may miss rows of the table {object} that REPLACE removes: {reason}.",
        "So it is compared as a whole (rows: {rows}) while writes stand still: about {seconds} s of the {allowed_seconds} s "
        "that `cutover.max_freeze` allows.",
        "Nothing has to be done if that is short enough; else raise `cutover.max_freeze`.",
    ),
    "live_partly_captured": Words(
        "The log may miss rows of the table {object} that REPLACE removes: {reason}.",
        "Only a comparison of the whole table (rows: {rows}) while writes stand still finds them: about {seconds} s of the "
        "{allowed_seconds} s that `cutover.max_freeze` allows.",
        "Allow that with `capture: {{uncapturable: reconcile}}`, or leave the table out with `tables.exclude`.",
    ),
}
