"""Words of a conversion in place: findings of its steps."""

from __future__ import annotations

from stepflow_tui.engine.texts import Words

FINDINGS: dict[str, Words] = {
    "wal_connection_settings": Words(
        "What each connection sets is the application's: {count} settings are advised.",
        "Cache, timeouts, memory mapping and durability belong to a connection; no other program can set them for it.",
        "`stepflow pragmas --for python` (or aiosqlite, sqlalchemy, prisma, django, go, node) prints them ready to use.",
    ),
    "wal_probe_failed": Words(
        "The application's settings could not be asked: {reason}",
        "Whether its connections wait for locks, and how durable their commits are, is not known.",
        "Run `wal.probe` by hand until it prints its line; `stepflow pragmas --probe` shows the probe.",
    ),
    "wal_schema_changed": Words(
        "The schema is not what it was when the backup was made.",
        "The conversion changes no table, index, view or trigger: somebody else did.",
        "Look whether the application migrates its schema just now; if nobody did it, go back with `stepflow rollback`.",
    ),
    "wal_not_active": Words(
        "The database is in journal mode {mode}, not in WAL.",
        "Somebody has changed it back since the conversion, or put another file in its place.",
        "Find out who sets journal_mode; `stepflow doctor` names who has the file open. Then run again.",
    ),
    "wal_unproven": Words(
        "{count} tables differ from the backup, and what the conversion itself wrote is not known: {names}.",
        "Known: SQLite converts a file as a whole or not at all, the mode and integrity_check were looked at, and all other tables "
        "are equal, value by value. Not known: whether the application alone wrote these, because it was not noted (a kill or a "
        "power cut right behind the conversion), or this system does not tell.",
        "Put the backup beside it (`stepflow backups restore {backup} --to compare.db`) and compare these tables with what your "
        "application did. If that fits, all is well; otherwise `stepflow rollback {run} --restore`. A new run proves itself.",
    ),
    "wal_damaged": Words(
        "integrity_check finds damage: {first}",
        "Rows may be lost already, and more with every write.",
        "Stop the application, then `stepflow rollback --restore` puts the tested backup back.",
    ),
    "wal_checkpoint_incomplete": Words(
        "A checkpoint moved {checkpointed} of {frames} frames into the database.",
        "Beside writers some frames are always left; many are left where a reader holds an old state open.",
        "Look who it is (`stepflow status`, panel WAL), and see that the application ends its read transactions.",
    ),
    "wal_settings_remain": Words(
        "Settings that were made for WAL mode may still be in the application.",
        "synchronous=NORMAL is safe in WAL mode only: with a rollback journal a power cut can damage the file.",
        "Look what its connections set (`stepflow pragmas --probe`); take above all synchronous=NORMAL out.",
    ),
    "wal_restore_finished": Words(
        "The backup was put back: an earlier `rollback --restore` had been killed half-way, and was finished first.",
        "What was there before it stands aside, under names with `before-restore`; nothing of it is lost.",
        "Rows that were written since the backup are in there: copy them by hand where they are needed.",
    ),
    "wal_benchmark_left_out": Words(
        "The benchmark was left out: {reason}",
        "Whether WAL is faster for this database is not known.",
        "`stepflow benchmark` measures it on its own.",
    ),
    "wal_not_better": Words(
        "WAL is not faster for this database: {figures}",
        "Measured on copies of it, rollback journal and WAL in turns.",
        "Leave it as it is (`stepflow abort`), or go on for the readers' sake: they don't wait for writers in WAL mode.",
    ),
    "wal_limit_missed": Words(
        "A limit of the benchmark is missed: {figures}",
        "Measured on a copy of this database, on this machine as busy as it is now.",
        "Look at the table of the report; `benchmark.limits` holds the limits.",
    ),
}
