"""Texts of findings about the source, the config's names in it, and this machine."""

from __future__ import annotations

from stepflow_tui.engine.texts import Words

_SOURCE: dict[str, Words] = {
    "source_missing": Words(
        "The source {path} does not exist ({detail}).",
        "There is nothing to read.",
        "Correct `source.path`; it is relative to the config file.",
    ),
    "source_migrated": Words(
        "{object} was migrated by the run {run}: {mark} says that its application writes to PostgreSQL.",
        "What the file holds may be out of date since. A run on it would also send the application's processes back to it.",
        "Name the database that the application writes to now. If that is this file again: stop the application, delete "
        "{mark}, and run again.",
    ),
    "source_mark_unreadable": Words(
        "{mark} stands beside {object} and can't be read: {detail}.",
        "StepFlow leaves such a file when it has moved an application to another database; it tells who owns writes.",
        "Run StepFlow as a user who can read it. If the application writes to this database: stop it, delete {mark}, and "
        "run again.",
    ),
    "source_directory": Words(
        "The source {path} is a directory.",
        "A SQLite database is one file.",
        "Name the database file inside it in `source.path`.",
    ),
    "source_not_regular": Words(
        "The source {path} is no regular file but a {detail}.",
        "It has no fixed content that could be read twice.",
        "Name the database file itself in `source.path`.",
    ),
    "source_unreadable": Words(
        "The source {path} can't be read: {detail}.",
        "Without reading it nothing can be checked or copied.",
        "Give this user the right to read the file and to enter its folder, or run StepFlow as the application's user.",
    ),
    "source_empty": Words(
        "Nothing to migrate: the source {path} has zero bytes.",
        "SQLite takes such a file for a database without tables.",
        "If it should hold data, correct `source.path` or restore it from a backup.",
    ),
    "source_not_sqlite": Words(
        "The source {path} is not a SQLite database; it looks like {detail}.",
        "It does not begin as every SQLite 3 file does.",
        "Name the database file in `source.path`; unpack an archive or load a dump first.",
    ),
    "source_encrypted": Words(
        "The source {path} looks encrypted (SQLCipher, SEE or similar).",
        "Its first page is random bytes, and StepFlow has no key.",
        "Write a decrypted copy with the application's own library (for SQLCipher: sqlcipher_export), and migrate that. "
        "WAL mode alone can be set by that library itself.",
    ),
    "source_truncated": Words(
        "The source {path} is cut off: {detail}.",
        "Pages are missing, so rows are missing.",
        "Copy the file again with the application stopped, or restore it from a backup.",
    ),
    "source_corrupt": Words(
        "The source {path} is damaged: {detail}.",
        "A damaged database can lose or invent rows without an error.",
        "Restore the newest sound backup, or rebuild it with `sqlite3 SOURCE .recover | sqlite3 NEW` and look at what was lost.",
    ),
    "source_too_new": Words(
        "The source {path} uses a file format that this SQLite library does not know ({detail}).",
        "It can't be read correctly.",
        "Use a Python with a newer SQLite library.",
    ),
    "source_wal_locked_in": Words(
        "The source {path} has changes in -wal ({wal_bytes} bytes), and its folder can't be written.",
        "Reading them needs the shared-memory file beside it; without them the newest rows would be missing.",
        "Make the folder writable for this user, or copy the file together with its -wal into a folder that is.",
    ),
    "source_locked": Words(
        "The source {path} is locked: {detail}. It is open in {holders}.",
        "A process that locks it exclusively lets nobody read.",
        "Stop that process, or end its `locking_mode=EXCLUSIVE`, then run again.",
    ),
    "source_not_readable_now": Words("{message}", "The source can't be read as it is now. {detail}", "{hint}"),
    "source_hot_journal": Words(
        "A crash left a journal beside {path} ({journal_bytes} bytes).",
        "Its last transaction was not finished. StepFlow copies database and journal together and lets SQLite roll the copy back; "
        "the source itself is not touched.",
        "Nothing has to be done. Opening the source once with the application recovers it in place.",
    ),
    "source_live_wal": Words(
        "{wal_bytes} bytes of {path} are in its -wal file.",
        "They are read with the file and left where they are. Copying the main file alone would lose them.",
        "Nothing has to be done.",
    ),
    "source_read_without_locks": Words(
        "{path} is a WAL database in a folder that can't be written, so it is read without locks.",
        "If somebody else writes it meanwhile, StepFlow may not notice.",
        "Make sure that nobody writes it, or make the folder writable for this user.",
    ),
    "source_no_tables": Words(
        "Nothing to migrate: {path} has no tables.",
        "It is a sound database, but empty.",
        "If it should hold data, correct `source.path`.",
    ),
    "source_schema_entry": Words(
        "The schema holds an entry that SQLite can't understand: {message}.",
        "SQLite steps over it and reads the rest. A newer SQLite may have written it.",
        "Look at it with a newer sqlite3; what can't be carried is listed in the plan.",
    ),
    "source_table_unreadable": Words(
        "No row of table {table} can be read: {reason}.",
        "Its rows will be missing in the target, and the run ends with exit code 5.",
        "Leave it out with `tables.exclude`, or export it with the application that has what is missing.",
    ),
    "source_utf16": Words(
        "The source stores text as {encoding}.",
        "PostgreSQL stores UTF-8. Every character survives; lone surrogates, which are no characters, are refused by name.",
        "Nothing has to be done.",
    ),
    "source_filesystem_unknown": Words(
        "The file system of {object} is unknown on this system.",
        "SQLite's locks do not hold on some network file systems.",
        "Make sure that the file is on a local disk.",
    ),
    "source_wal_on_network": Words(
        "{object} is in WAL mode on a network file system ({filesystem} at {mount_point}).",
        "WAL needs memory shared by all processes, which no network file system gives: reading may miss rows.",
        "Run StepFlow on the machine that has the disk, or copy the file together with its -wal to a local disk, application stopped.",
    ),
    "source_on_network": Words(
        "{object} is on a network file system ({filesystem} at {mount_point}).",
        "Its locks may not hold, so a writer on another machine might not be noticed.",
        "Stop all writers, or copy the file to a local disk first.",
    ),
    "source_hard_links": Words(
        "{object} has {links} names ({others}).",
        "Side files are named after the name that was used: changes may be in a -wal or -journal beside another name.",
        "Close the application, then remove the other names or copy the file (`cp`, application stopped) and migrate the copy.",
    ),
    "source_file_mount": Words(
        "{object} is a mount of a single file.",
        "Its -wal and -journal are elsewhere for whoever uses the original name.",
        "Mount the folder instead of the file, or run StepFlow where the folder is.",
    ),
    "source_symlink": Words(
        "{object} is a symbolic link to {real}.",
        "Locks, backup and report use the real name.",
        "Nothing has to be done.",
    ),
    "source_held": Words(
        "{count} process(es) have the source open: {holders}.",
        "In `mode: copy` nobody may write while StepFlow works: what is written after the backup is not in the target.",
        "Stop them for the time of the run. A source that changed is noticed and ends the run with exit code 5.",
    ),
    "source_in_use": Words(
        "{count} process(es) have the source open: {holders}.",
        "Expected: in `mode: live` the application keeps writing; in `mode: offline` it is stopped first, and whoever stays is locked out and named.",
        "Look whether you know each of them: all that write have to go to PostgreSQL at the switch.",
    ),
    "source_holders_unknown": Words(
        "Who has the source open can't be seen on this system.",
        "In `mode: copy` nobody may write while StepFlow works.",
        "Make sure that the application is stopped.",
    ),
    "source_holders_incomplete": Words(
        "Processes of other users can't be looked at.",
        "One of them may have the source open.",
        "Make sure that the application is stopped, or run `sudo stepflow check`.",
    ),
    "backup_would_stall": Words(
        "The backup would keep the source's writers waiting for about {seconds} s; allowed are {allowed_seconds} s. It is open in {holders}.",
        "In rollback-journal mode nobody can write while somebody reads.",
        "Stop the application, or convert the file to WAL first (`kind: sqlite-wal`), or raise `source.allow_stall`.",
    ),
    "source_constraint_violated": Words(
        "{count} rows break rules of the source itself, such as {first}.",
        "SQLite did not enforce the rule when they were written (integrity_check lists them). PostgreSQL would; in place they stay.",
        "Correct the rows, or accept them: a move to PostgreSQL leaves the rule out of the target, by name.",
    ),
    "source_table_unchecked": Words(
        "The indexes of table {table} can't be checked: {reason}.",
        "A collation or function of the application is not here. The rows themselves are read.",
        "Run `PRAGMA integrity_check` once inside the application.",
    ),
    "source_orphans": Words(
        "{count} rows of {table} point to rows that {parent} does not have ({columns}).",
        "SQLite does not enforce foreign keys unless told so. A move to PostgreSQL carries the rows and leaves the key NOT VALID; "
        "in place they stay as they are.",
        "Delete or correct the orphans (first rowids: {first_keys}), or accept them.",
    ),
    "source_key_mismatch": Words(
        "The foreign key {table}({columns}) → {parent} does not point to a key: {message}.",
        "SQLite itself can't enforce it, and PostgreSQL would refuse it.",
        "Add the missing unique key to {parent}, or accept it: a move to PostgreSQL does not carry this foreign key.",
    ),
}

_CONFIG: dict[str, Words] = {
    "config_unknown_table": Words(
        "{key} names the table {name}, which the source does not have.",
        "A misspelt name would change what is migrated.",
        "Correct it: {nearest}",
    ),
    "tables_left_out": Words(
        "{count} tables are left out: {names}.",
        "`tables.include` and `tables.exclude` ask for it; their rows stay in the source only.",
        "Nothing has to be done, if that is what you mean.",
    ),
    "config_unknown_column": Words(
        "{key} names the column {column}, which table {table} does not have.",
        "A misspelt name would leave the column as it is.",
        "Correct it: {nearest}",
    ),
    "config_unknown_type": Words(
        "types.by_type names the declared type {name}, which no column has.",
        "A misspelt name would change nothing.",
        "Correct it: {nearest}",
    ),
    "config_rule_of_key": Words(
        "verify.rules leaves out or bends {column}, a key column of {table}.",
        "Rows are found by their key, so its columns are always compared.",
        "Take {column} out of the rules of {table}.",
    ),
    "config_invariant": Words(
        "The source can't answer the invariant {name}: {reason}.",
        "The proof before the cutover would fail at it.",
        "Correct its `sqlite` under verify.invariants.",
    ),
    "config_pattern_without_table": Words(
        "No table matches the pattern {name} in {key}.",
        "It has no effect.",
        "Correct or remove it if that is not what you meant.",
    ),
}

_SYSTEM: dict[str, Words] = {
    "sqlite_wal_reset": Words(
        "SQLite {version} has the WAL-reset bug (3.7.0 to 3.51.2, fixed in 3.51.3, 3.50.7 and 3.44.6).",
        "Two connections that write and checkpoint together can damage a WAL database. Reading alone can't.",
        "Ask which SQLite library the application uses, and upgrade both before writing in WAL mode.",
    ),
    "sqlite_too_old": Words(
        "SQLite {version} is too old; {minimum} is needed.",
        "Settings that keep hostile files harmless are missing.",
        "Use a Python with a newer SQLite library.",
    ),
    "driver_missing": Words(
        "The driver {driver} is not installed.",
        "Without it no row can be copied.",
        "Install StepFlow again: `pip install --force-reinstall stepflow-tui`.",
    ),
    "library_versions": Words(
        "Python {python} with SQLite {sqlite}; ADBC {adbc} with SQLite {adbc_sqlite}; asyncpg {asyncpg}.",
        "Recorded for the report.",
        "Nothing has to be done.",
    ),
    "disk_space": Words(
        "{object} has {free_bytes} bytes free; {needed_bytes} are needed, and {reserve_bytes} should stay free.",
        "A full disk in the middle stops the run.",
        "Make room, or put the backup elsewhere with `backup.dir`.",
    ),
    "config_not_used": Words(
        "The config's section {key} is not used in mode {mode}: nothing of it will happen.",
        "A copy leaves the application as it is, this version has no alert channels, and hooks run only at phases that the mode has.",
        "Do by hand what it was meant to do, or take the section out.",
    ),
    "logout_kills": Words(
        "This system ends your processes at logout.",
        "The engine would stop when your session ends; nothing is lost, but the run stands still.",
        "`loginctl enable-linger`, or start it with `systemd-run --user --scope stepflow run …`; else `stepflow run` resumes it.",
    ),
    "memory_low": Words(
        "{available_bytes} bytes of memory are available; {needed_bytes} are recommended.",
        "The system may kill the engine or slow down.",
        "Stop what is not needed; a killed run can be resumed.",
    ),
    "state_dir_network": Words(
        "The state directory {object} is on a network file system ({filesystem} at {mount_point}).",
        "Locks and the journal do not hold there.",
        "Choose a local folder with `--state-dir`.",
    ),
    "state_dir_not_writable": Words(
        "The state directory {object} can't be written.",
        "Without a journal nothing can be started or resumed.",
        "Give this user the right to write there, or choose another folder with `--state-dir`.",
    ),
    "state_dir_open": Words(
        "The state directory {object} is open to other users (mode {mode}).",
        "Run folders in it are closed (0700), but their names can be seen, and moved by whoever may write here.",
        "`chmod 700` it.",
    ),
    "busy_timeout_known": Words(
        "The application waits {milliseconds} ms for a lock of {object} (SQLITE_BUSY_TIMEOUT).",
        "So long its writes wait while StepFlow holds a lock.",
        "Nothing to do.",
    ),
    "busy_timeout_short": Words(
        "The application waits {milliseconds} ms for a lock of {object}; the cutover may hold writes up for {freeze} ms.",
        "Writes during the freeze would end in “database is locked”.",
        "Set SQLITE_BUSY_TIMEOUT={advised} (PRAGMA busy_timeout = {advised};) in the application before the run, or lower `cutover.max_freeze`.",
    ),
    "backup_dir_not_writable": Words(
        "The backup folder {object} can't be written: {reason}.",
        "Nothing is done before a tested backup exists.",
        "Give this user the right to write there, or choose another folder with `backup.dir`.",
    ),
    "backup_dir_network": Words(
        "The backup folder {object} is on a network file system ({filesystem}).",
        "The copy reads the backup, so it will be slower; a lost connection stops the run.",
        "Choose a local folder with `backup.dir` and name the network folder under `backup.also`.",
    ),
    "check_failed": Words(
        "The check {check} could not be done: {message}", "What was not looked at must not pass. {detail}", "{hint}"
    ),
}

FINDINGS: dict[str, Words] = {**_SOURCE, **_CONFIG, **_SYSTEM}
