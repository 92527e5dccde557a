"""What `doctor` says of a problem, by code: what it is, why it matters, how to mend it, how to see that it is mended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from stepflow_tui.engine.texts.language import N_


class Advice(NamedTuple):
    """Four templates; `{name}` takes a parameter of the problem."""

    what: str
    why: str
    fix: str
    check: str


_AGAIN = N_("`stepflow doctor CONFIG` no longer names it.")
_HOLDERS = N_("`stepflow monitor CONFIG --once` shows who has the file open.")

LOOKED: Mapping[str, str] = {
    "no_config": N_("no config was named: `stepflow doctor CONFIG` looks at it"),
    "unreadable": N_("{file} can't be read"),
    "database": N_(
        "{file}: {state}, {size}, journal mode {mode}; its folder, leftovers of other databases there, room on the disk"
    ),
    "not_so": N_("the file is not in a state for that: {state}"),
    "locks": N_("who holds a lock, {looks} times"),
    "no_locks": N_("this system does not list locks"),
    "wal": N_("{size} in -wal, and who holds it back"),
    "no_wal": N_("the database is not in WAL mode"),
    "inside": N_("integrity_check on a copy"),
    "unchecked": N_("its inside: {reason}"),
    "processes": N_("{count} processes have it open: their rights and memory"),
    "nobody": N_("nobody has it open: the rights of its owner"),
    "processes_ours": N_(
        "{count} processes of this user have it open: their rights and memory; processes of others can't be seen without root"
    ),
    "no_processes": N_("this system does not tell who has a file open"),
    "not_configured": N_("`{key}` is not in the config"),
    "recipes": N_("whether the application runs, by {count} recipes"),
    "health": N_("{count} health checks, several times each"),
    "logs": N_("the end of {count} logs"),
    "target": N_("whether the target can be reached"),
    "no_target": N_("the database stays where it is: there is no target"),
    "runs": N_("all runs of this config (without one: all runs): lost engines, and differences of the newest one"),
}
"""What was looked at, and why something was not."""

PROBLEMS: Mapping[str, Advice] = {
    "database_missing": Advice(
        N_("The database {file} is not there."),
        N_(
            "The application makes an empty one, or does not start. The config may name another place than the application uses."
        ),
        N_(
            "Compare `source.path` with the application's own setting. If the file is lost, `stepflow backups list` shows what can be put back."
        ),
        N_("`ls -l` shows the file, and `stepflow check CONFIG` reads it."),
    ),
    "database_unreadable": Advice(
        N_("The database {file} can't be read: {reason}"),
        N_("Whoever can't read it can't use it either."),
        N_("Give the user that runs this the right to read the file and to enter its folders."),
        _AGAIN,
    ),
    "database_no_database": Advice(
        N_("{file} is no SQLite database this program can read: {what}."),
        N_("The application sees the same file, unless it opens it with a key or a newer library."),
        N_("Check `source.path`. An encrypted file needs its own tool; a file of zero bytes was never written."),
        N_("`stepflow check CONFIG` reads the file."),
    ),
    "database_damaged": Advice(
        N_("The database {file} is damaged: {reason}"),
        N_("Reads may fail or give wrong rows, and writing makes damage worse."),
        N_(
            "Stop the application, keep a copy of the file with its -wal and -journal, then put back a tested backup: `stepflow backups list`."
        ),
        N_("`sqlite3 COPY 'PRAGMA integrity_check'` answers ok."),
    ),
    "hot_journal": Advice(
        N_("A crash left a journal beside {file}: half a transaction is in the database."),
        N_(
            "The next program that opens the file with the right to write takes it back; a program that only reads can't."
        ),
        N_(
            "Start the application, or open the file once with sqlite3. Never delete the -journal: that makes the damage final."
        ),
        N_("The -journal is gone, and `PRAGMA integrity_check` answers ok."),
    ),
    "wal_not_active": Advice(
        N_("WAL mode is not active in {file}: a fresh connection says {mode}, the header says {header}."),
        N_("With a rollback journal each writer keeps all readers out, and each reader all writers."),
        N_(
            "`stepflow run CONFIG` converts it. If it was converted before, look for whoever sets journal_mode, or restores older files."
        ),
        N_("`sqlite3 FILE 'PRAGMA journal_mode'` answers wal."),
    ),
    "database_locked": Advice(
        N_("The database is locked: {holders}."),
        N_("Seen in every look for {seconds} s. Others get “database is locked” once their busy_timeout is over."),
        N_(
            "Let that process end its transaction (commit at once, no network calls inside), and set `PRAGMA busy_timeout=30000` in every connection. If it hangs, restart it."
        ),
        _HOLDERS,
    ),
    "wal_large": Advice(
        N_("The write-ahead log has {size}; the limit is {limit}."),
        N_("Reads become slower and the disk fills. {pinned}"),
        N_(
            "Finish long read transactions. When nobody holds one, `stepflow optimize CONFIG` makes a checkpoint; `PRAGMA journal_size_limit` cuts the file off."
        ),
        N_("`stepflow monitor CONFIG` shows its size."),
    ),
    "wal_pinned": Advice(
        N_("Readers keep the write-ahead log from being emptied: {pinned}"),
        N_("While they read, {frames} frames can't be moved into the database, and the log grows with every write."),
        N_("Nothing, if they are short. Otherwise finish their statements, or end their read transactions."),
        N_("`stepflow monitor CONFIG` names them with their age."),
    ),
    "wal_leftover": Advice(
        N_("A -wal of {size} lies beside {file}, which is not in WAL mode."),
        N_("It belongs to another state of this file: what is in it is not in the database."),
        N_("Move it aside (never delete it at once), and find out whether the database was replaced by an older copy."),
        N_("Only the database and what the application makes lie there."),
    ),
    "side_file_orphan": Advice(
        N_("{side} belongs to {database}, which is not there."),
        N_("A database was moved or renamed without its side files: transactions in them are missing in it."),
        N_(
            "Bring both together again under one name before anybody opens the database; otherwise move the side file aside."
        ),
        _AGAIN,
    ),
    "permission_file": Advice(
        N_("User {user} may not write {path} (owner {owner}, mode {mode})."),
        N_("The application gets “attempt to write a readonly database”."),
        N_("`chown {user} {path}` and `chmod u+rw {path}`; access lists (ACL) were not looked at."),
        _AGAIN,
    ),
    "permission_folder": Advice(
        N_("User {user} may not make files in {path} (owner {owner}, mode {mode})."),
        N_(
            "SQLite makes -wal, -shm and -journal beside the database; without them it can't write, and in WAL mode not even read."
        ),
        N_("`chown {user} {path}` and `chmod u+rwx {path}`; access lists (ACL) were not looked at."),
        _AGAIN,
    ),
    "permission_way": Advice(
        N_("User {user} may not enter {path} (owner {owner}, mode {mode}), on the way to the database."),
        N_("The application gets “unable to open database file”."),
        N_("`chmod o+x {path}`, or keep the database elsewhere; access lists (ACL) were not looked at."),
        _AGAIN,
    ),
    "permission_side_file": Advice(
        N_("User {user} may not write the side file {path} (owner {owner}, mode {mode})."),
        N_(
            "Another user, often root, opened the database last. The application gets “attempt to write a readonly database” or “unable to open database file”."
        ),
        N_(
            "`chown {user} {path}`, and open the database as that user only. Never delete the file: it holds transactions."
        ),
        _AGAIN,
    ),
    "filesystem_read_only": Advice(
        N_("The file system of {path} is mounted read-only."),
        N_("Nothing can be written; after a disk error the kernel mounts it so by itself."),
        N_("Look at `dmesg` for disk errors, then remount it for writing."),
        N_("`touch` works in that folder."),
    ),
    "disk_full": Advice(
        N_("The disk of {folder} is full: {free} are left."),
        N_("Writes fail with “database or disk is full”; what was committed stays."),
        N_("Make room on that disk. Never delete -wal or -journal for it."),
        N_("`df -h` shows room, and the application writes again."),
    ),
    "disk_low": Advice(
        N_("Only {free} are left in {folder}; {limit} should be."),
        N_("A write-ahead log, a backup or a conversion may fill the disk."),
        N_("Make room; the limit is `requirements.disk.minimum`."),
        _AGAIN,
    ),
    "data_damaged": Advice(
        N_("A copy of {file} fails SQLite's own check in {count} places."),
        N_("Reads may fail or give wrong rows, and writing makes damage worse."),
        N_(
            "Stop the application, keep a copy of the file with its side files, then put back a tested backup: `stepflow backups list`."
        ),
        N_("`sqlite3 COPY 'PRAGMA integrity_check'` answers ok."),
    ),
    "data_unchecked": Advice(
        N_("The inside of {file} was not checked: {reason}."),
        N_("A copy is needed for it, and making one must not keep writers waiting."),
        N_("`stepflow backups make CONFIG` makes a backup and checks all of it."),
        N_("`stepflow backups list` shows a tested backup of today."),
    ),
    "slow_response": Advice(
        N_("{what} answers after {value}; the limit is {limit}."),
        N_("The middle of three tries. Users wait as long."),
        N_(
            "Look for long transactions, missing indexes and a large write-ahead log; the limit is `monitor.limits.latency`."
        ),
        N_("`stepflow application health CONFIG` shows the times."),
    ),
    "unhealthy": Advice(
        N_("{what} is not healthy: {reason}"),
        N_("The application does not answer as the config demands."),
        N_("Look at its log; if it isn't running, start it as usual."),
        N_("`stepflow application health CONFIG` is content."),
    ),
    "high_memory": Advice(
        N_("Process {pid} ({command}) takes {value} of memory; the limit is {limit}."),
        N_("When memory runs out the system ends a process, and writes break off."),
        N_(
            "Look at `PRAGMA cache_size` (positive numbers count pages, negative ones KiB), at mmap_size, and at what the process keeps."
        ),
        N_("`stepflow monitor CONFIG` shows the memory."),
    ),
    "application_not_running": Advice(
        N_("Not running ({recipe}): {what}."),
        N_("Nobody serves the application's users."),
        N_(
            "Read its log (the last lines that were found stand above, if any), remove the cause, and start it as usual."
        ),
        N_("`stepflow application health CONFIG` is content."),
    ),
    "application_unknown": Advice(
        N_("{recipe} can't be looked at: {reason}"),
        N_("Whether the application runs is not known."),
        "{fix}",
        N_("`stepflow application plan CONFIG --look` names what runs."),
    ),
    "pid_file_stale": Advice(
        N_("The file {file} names a process that is not the application: {reason}."),
        N_("Scripts believe that it runs, refuse to start it, or stop a stranger."),
        N_("See that the application does not run, then remove that file and start it as usual."),
        _AGAIN,
    ),
    "log_errors": Advice(
        N_("{count} of the last lines of {file} look like errors."),
        N_("They may be old: a log is read from its end, whatever its age."),
        N_("Read them with their times; the patterns are in `monitor.logs`."),
        N_("`stepflow monitor CONFIG` tells of new ones only."),
    ),
    "postgres_refused": Advice(
        N_("PostgreSQL does not answer: {reason}"),
        N_("Nothing listens there, or the network is in between."),
        "{fix}",
        N_("`pg_isready -h HOST -p PORT` says that it accepts connections."),
    ),
    "postgres_host_unknown": Advice(
        N_("The host name of PostgreSQL is not known: {reason}"),
        N_("The name is misspelt, or this machine's name service doesn't know it."),
        N_("Correct the host of `target.dsn`, or the name service."),
        N_("`getent hosts HOST` shows an address."),
    ),
    "postgres_timeout": Advice(
        N_("PostgreSQL does not answer in time: {reason}"),
        N_("A firewall may drop the packets."),
        N_("Check host, port and network from this machine."),
        N_("`pg_isready -h HOST -p PORT` says that it accepts connections."),
    ),
    "postgres_login": Advice(
        N_("PostgreSQL refuses the login: {reason}"),
        N_("User, password or pg_hba.conf do not fit."),
        "{fix}",
        N_("`stepflow check CONFIG` gets in."),
    ),
    "postgres_tls": Advice(
        N_("No trusted TLS connection to PostgreSQL: {reason}"),
        N_("The server's certificate is not trusted, or the server takes no connection like that."),
        "{fix}",
        N_("`stepflow check CONFIG` gets in."),
    ),
    "postgres_database": Advice(
        N_("The database on PostgreSQL can't be used: {reason}"),
        N_("The server answers, but not for this database."),
        "{fix}",
        N_("`stepflow check CONFIG` gets in."),
    ),
    "embedded_not_running": Advice(
        N_("The embedded PostgreSQL of this state directory is not running."),
        N_("An application that uses it can't connect."),
        N_("`stepflow embedded start` starts it and keeps it running."),
        N_("`stepflow embedded dsn` shows its address."),
    ),
    "state_directory": Advice(
        N_("The state directory can't be used: {reason}"),
        N_("Runs, journals and backups are kept there."),
        "{fix}",
        N_("`stepflow runs` lists the runs."),
    ),
    "engine_lost": Advice(
        N_("The engine of the run {run} is gone or hangs; the run stopped in phase {phase}."),
        N_("Nothing is lost: everything that was done is in its journal."),
        N_(
            "`stepflow run CONFIG` goes on from the last checkpoint; engine.log in the run's folder tells why it ended."
        ),
        N_("`stepflow status {run}` shows a living engine, or its end."),
    ),
    "data_different": Advice(
        N_("Both sides of the run {run} differ in {tables}."),
        N_("The newest verification found rows that are missing, too many, or not equal."),
        N_(
            "`stepflow report {run}` lists every difference; `stepflow verify CONFIG --repair plan` shows the SQL that mends them."
        ),
        N_("`stepflow verify CONFIG` ends with 0."),
    ),
}
"""Code → advice."""
