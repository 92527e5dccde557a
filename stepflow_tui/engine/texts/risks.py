"""The risk register and the acceptance criteria in words: what may go wrong, what is done about it, what shows success."""

from __future__ import annotations

from stepflow_tui.engine.texts.language import N_

RISKS: dict[str, str] = {
    "data-loss": N_("Data is lost"),
    "incomplete-migration": N_("The migration is incomplete"),
    "outage": N_("The service is down for too long"),
    "wrong-configuration": N_("The configuration is wrong"),
    "too-slow": N_("The new side is too slow"),
    "incompatibility": N_("Programs do not work with the new side"),
    "users-struggle": N_("Users can't cope with the new side"),
    "crash": N_("The new side crashes"),
    "wal-incompatible": N_("Programs do not work with a database in WAL mode"),
    "wal-copied": N_("A backup script copies the file without its -wal"),
    "wal-grows": N_("The -wal file grows without end"),
    "wal-no-gain": N_("WAL brings this application nothing"),
}

MITIGATIONS: dict[str, str] = {
    "data-loss": N_("tested backup, transactions, exact verification, a way back"),
    "incomplete-migration": N_("verification of every table, rejected rows that add up"),
    "outage": N_("estimate, rehearsal, rollback under a minute, health checks"),
    "wrong-configuration": N_("template, validation, clear errors"),
    "too-slow": N_("benchmark, indexes, batches, pool, upkeep"),
    "incompatibility": N_("file mode kept as an option"),
    "users-struggle": N_("training, documents, unchanged interface"),
    "crash": N_("a way back, regular backups"),
    "wal-incompatible": N_(
        "versions of SQLite asked, file system and holders looked at, a way back that loses nothing"
    ),
    "wal-copied": N_("asked before the conversion; VACUUM INTO or the backup of SQLite instead of cp"),
    "wal-grows": N_("size and pinning readers watched, alerts, advice instead of forced checkpoints"),
    "wal-no-gain": N_("measured on a copy of your own database; if it is not better, it says so"),
}

ACCEPTANCE: dict[str, str] = {
    "deployed": N_("The new release is deployed"),
    "storage-works": N_("The new storage works"),
    "data-moved": N_("All data is moved and equal"),
    "performance-met": N_(
        "Performance limits are met: concurrent writes more than 3 ×, complex queries more than 2 ×, errors below 1 %"
    ),
    "users-can-work": N_("Users can work"),
    "monitoring-works": N_("Monitoring works"),
    "documented": N_("A person can do it from the documents alone"),
    "wal-active": N_("The database is in WAL mode"),
    "wal-data": N_("All data is as it was before the conversion"),
    "wal-performance": N_("The limits of the benchmark are met"),
}
