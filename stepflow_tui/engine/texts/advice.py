"""The words for which migration fits: what each kind is for and not for, and why one is recommended."""

from __future__ import annotations

from stepflow_tui.engine.texts.language import N_

KINDS: dict[str, str] = {
    "sqlite-wal": N_("Let readers of a SQLite database read on while one process writes: WAL mode, where the file is."),
    "sqlite-to-postgres": N_("Move a SQLite file into PostgreSQL, every row proved equal."),
    "files-to-database": N_("Load JSON, CSV or TSV exports into a database."),
    "table-to-table": N_("Move a PostgreSQL table into a new form while it is used."),
}
"""The kinds of migration and what each is for."""

BUILT = ("sqlite-to-postgres", "sqlite-wal")
"""Kinds that this version can carry out, the one that is meant where none is named first; the others come later."""

NOT_FOR: dict[str, str] = {
    "sqlite-wal": N_(
        "Not for many writers: still one at a time. Not for several machines, containers or a network drive: WAL needs memory that all processes share."
    ),
    "sqlite-to-postgres": N_("Not for an application that can't speak PostgreSQL: it has to be changed as well."),
    "files-to-database": N_("Not for files that an application goes on writing: exports are read once."),
    "table-to-table": N_("Not for moving to another server: both tables are in one database."),
}

REASONS: dict[str, str] = {
    "source_is_postgres": N_("The source is in PostgreSQL already; a table can get a new form there while it is used."),
    "source_is_files": N_("The source is exported files ({format}), {size} in all, and no database yet."),
    "nothing_to_migrate": N_("The file is an empty database: there is nothing to migrate yet."),
    "network_filesystem": N_(
        "The file is on a network file system ({filesystem}), where SQLite's locks can't be trusted."
    ),
    "many_writers": N_(
        "{writers} write at the same time. SQLite lets one in at a time, in WAL mode too; PostgreSQL lets all."
    ),
    "locked_in_wal": N_(
        "“database is locked” occurs although the file is in WAL mode already: the writers are in each other's way."
    ),
    "many_requests": N_("{requests} requests a second are much for a file that one process at a time can write."),
    "many_users": N_("{users} users are more than a file on one machine serves well."),
    "large": N_("The file has {size}: backups, checks and new indexes of one file that large stop everybody for long."),
    "locked_rollback": N_(
        "“database is locked” occurs, and in mode {journal_mode} a writer shuts out all readers. In WAL mode they read on."
    ),
    "few_writers": N_(
        "{writers} write at the same time: in WAL mode SQLite serves that, they wait only for each other."
    ),
    "some_requests": N_("{requests} requests a second: in mode {journal_mode} every write makes all of them wait."),
    "some_users": N_("{users} users: in mode {journal_mode} every write makes all readers wait."),
    "one_machine": N_("All of it is on one machine, in {tables} tables and {size}: the file can stay where it is."),
    "already_wal": N_("The file is in WAL mode already: readers and one writer don't wait for each other."),
    "quiet": N_("Nothing that was measured or answered asks for a change."),
    "not_measured": N_("No source was named, so nothing was measured: the answers alone decide."),
}
"""Why a kind is recommended, or none."""

ALSO: dict[str, str] = {
    "comes_later": N_("{kind} comes with a later version. This one can do {built}."),
    "outgrow": N_(
        "With {writers} writers or more, a second machine or a network drive, choose sqlite-to-postgres instead."
    ),
    "wal_meanwhile": N_(
        "Where PostgreSQL is out of reach for now, sqlite-wal helps readers: they read on while one writes. It lets no second writer in."
    ),
    "wal_library": N_(
        "The file was last written by SQLite {written_by}, which has a rare fault in WAL mode: update it first (3.51.3)."
    ),
    "move_anyway": N_(
        "If you move for another reason (reports, other programs, one server for all), choose sqlite-to-postgres."
    ),
    "how_to_move": N_(
        "How long may the application be down? A maintenance window (mode offline) stops it, copies and starts it anew; mode "
        "live moves it while it works, and needs an application that can talk to both databases."
    ),
    "ask_again": N_("Ask again when “database is locked” occurs, or more than one process writes."),
}
"""What else to know about a recommendation."""

STAY = N_("Stay as you are.")
"""Shown where no kind is recommended."""

QUESTIONS: dict[str, str] = {
    "writers": N_("How many processes or people write at the same time?"),
    "locked": N_("Do errors like “database is locked” occur?"),
    "users": N_("How many people use the application?"),
    "requests": N_("How many requests a second does it serve?"),
}
"""What is asked; load is asked twice, since some know the one figure and some the other."""
