"""Texts of what the checks of a conversion in place find: the file, its holders, its machine, and what runs the application."""

from __future__ import annotations

from stepflow_tui.engine.texts import Words

_FILE: dict[str, Words] = {
    "wal_already": Words(
        "Nothing to convert: {path} is in WAL mode already.",
        "The mode stands in the file, so it stays. Tuning the application's connections and watching `-wal` still pay.",
        "`stepflow pragmas` gives the settings for each connection, `stepflow monitor` watches the file.",
    ),
    "wal_on_network": Words(
        "{object} is on a network file system ({filesystem} at {mount_point}).",
        "WAL needs memory that all processes share, which no network file system gives: rows would be lost or damaged.",
        "Move the database to a local disk of the machine that runs the application; for several machines use PostgreSQL "
        "(`kind: sqlite-to-postgres`).",
    ),
    "wal_overlay": Words(
        "{object} is in a container's own layer ({filesystem} at {mount_point}).",
        "What is written there, the newest rows in `-wal` too, ends with the container.",
        "Keep the database in a folder that is mounted into the container.",
    ),
    "wal_file_mount": Words(
        "{object} is mounted as a single file at: {places}.",
        "Side files are named after the name that is used: whoever opens it there has another -wal, and rows are lost.",
        "Mount the folder instead of the file, restart what uses it, then run again.",
    ),
    "source_read_only": Words(
        "We may not write to {paths}.",
        "The mode is written into the file, and SQLite makes its side files in the folder.",
        "Run StepFlow as the user of the application, or give this user the right to write to the file and its folder.",
    ),
    "wal_hot_journal": Words(
        "A crash left a journal beside {path} ({journal_bytes} bytes).",
        "Opening the file to convert it would roll back the unfinished transaction, before a backup of what stands there "
        "could be tested.",
        "Open it once with the application (or `sqlite3`), so that it recovers the file, then run again. Never delete the journal.",
    ),
    "wal_backup_stalls": Words(
        "The backup before the conversion would keep writers waiting for about {seconds} s; allowed are {allowed_seconds} s. "
        "It is open in {holders}.",
        "In rollback-journal mode nobody can write while somebody reads.",
        "Stop the application while the backup is made, or raise `source.allow_stall`.",
    ),
    "wal_schema_entry": Words(
        "The schema holds an entry that SQLite can't understand: {message}.",
        "SQLite writes nothing to such a file, and what can't be read can't be compared after the conversion.",
        "Mend or drop the entry with the application's own SQLite, then run again.",
    ),
    "wal_layout": Words(
        "Before the conversion the file is rebuilt (VACUUM): {wanted}.",
        "In WAL mode SQLite ignores a new page size, so this comes first. It needs a moment in which nobody uses the file, "
        "which lasts as long as writing it anew.",
        "Nothing has to be done. Leave `wal.page_size` and `wal.auto_vacuum` out to keep what is there.",
    ),
    "wal_layout_late": Words(
        "{object} is in WAL mode already, so this can't be changed: {wanted}.",
        "SQLite ignores a new page size in WAL mode.",
        "Take `wal.page_size` and `wal.auto_vacuum` out; or stop the application, set `PRAGMA journal_mode=DELETE`, and run again.",
    ),
    "wal_vacuum_rowids": Words(
        "{count} tables have no INTEGER PRIMARY KEY: {names}.",
        "VACUUM may give their rows new rowids. An application that keeps rowids would find other rows.",
        "Make sure that nobody keeps rowids of these tables, or leave `wal.page_size` and `wal.auto_vacuum` out.",
    ),
    "wal_vacuum_room": Words(
        "{object} has {free_bytes} bytes free; rebuilding the file needs {needed_bytes}.",
        "VACUUM writes a second database and a journal before it takes effect.",
        "Make room, or leave `wal.page_size` and `wal.auto_vacuum` out.",
    ),
    "wal_captured": Words(
        "{object} carries the change capture of a live migration to PostgreSQL, run {run} ({count} objects: {names}).",
        "Capture is tables and triggers in the file: it works in both modes, and the conversion leaves it as it is, so that run "
        "goes on. But as long as its engine has the file open, SQLite refuses the way back to the old mode; and a backup that "
        "is put back holds an older change log, with which that run stops and has to be started anew. In the same state "
        "directory this run is refused while that engine works.",
        "Best convert before or after it. `stepflow status {run}` shows it; `stepflow rollback {run}`, or `stepflow cleanup {run}` "
        "once it is over, takes the capture out.",
    ),
    "wal_captured_layout": Words(
        "{object} carries the change capture of the live run {run}, and is to be rebuilt (VACUUM): {wanted}.",
        "VACUUM changes the schema version that the live run watches: it would stop, and copy tables again.",
        "Leave `wal.page_size` and `wal.auto_vacuum` out, or end that run first (`stepflow rollback {run}`, `stepflow cleanup {run}`).",
    ),
    "wal_captured_moved": Words(
        "PostgreSQL owns the writes of {object}: the live run {run} has moved them.",
        "The application does not work on this file any more, and its tables refuse writes. Another journal mode would help "
        "nobody, and a way back to a backup would bring rows back that are older than PostgreSQL's.",
        "Leave the file as it is. `stepflow cleanup {run}` ends the migration, `stepflow rollback {run}` takes the writes back first.",
    ),
    "wal_not_used": Words(
        "The config's section {key} means nothing for sqlite-wal: nothing of it will happen.",
        "The database stays where it is: no target, no copied rows, no moved reads. Hooks run only at its phases (prepare, "
        "validate, cutover, observe, complete), and this version has no alert channels.",
        "Do by hand what it was meant to do, or take the section out.",
    ),
    "wal_libraries": Words(
        "StepFlow works with Python {python} and SQLite {sqlite}.",
        "Recorded for the report.",
        "Nothing has to be done.",
    ),
}

_USERS: dict[str, Words] = {
    "wal_holders": Words(
        "{count} process(es) have {object} open: {holders}.",
        "That is expected: the application goes on. The conversion waits for a moment between their transactions.",
        "Look whether you know each of them.",
    ),
    "wal_holders_unknown": Words(
        "Who has {object} open can't be seen on this system.",
        "If the conversion has to wait, nobody can be named.",
        "Make sure that you know which processes use the file.",
    ),
    "wal_holders_incomplete": Words(
        "Processes of other users can't be looked at.",
        "One of them may have {object} open; it could not be named if it is in the way.",
        "`sudo stepflow check` sees them all.",
    ),
    "wal_exclusive": Words(
        "{object} is locked exclusively by {holders}.",
        "An application in `locking_mode=EXCLUSIVE` lets nobody in until it ends, so the conversion would wait in vain.",
        "Take `PRAGMA locking_mode=EXCLUSIVE` out of the application and restart it, or use `mode: offline`, which stops it.",
    ),
    "wal_attach": Words(
        "{holder} has further databases open for writing: {others}.",
        "If it attaches them to one connection: in WAL mode a transaction over several files is atomic in each file only. "
        "After a crash one may have it and another not.",
        "Ask whether the application uses ATTACH for writing. If it needs such transactions, stay with the rollback journal.",
    ),
    "wal_folder_not_writable": Words(
        "The user {user} (uid {uid}) may not make files in {folder}: {holder}.",
        "In WAL mode whoever opens the database, even for reading, needs -wal and -shm beside it.",
        "Give uid {uid} the right to write to the folder (`chown`, or a group with `chmod g+w`).",
    ),
    "wal_file_not_writable": Words(
        "The user {user} (uid {uid}) may not write to {files}: {holder}.",
        "Side files get the rights of the database, and reading in WAL mode writes to -shm. It can read only while somebody else "
        "keeps the side files there.",
        "Give it the right to write to them, or let it open the file with `mode=ro` and test that before.",
    ),
    "wal_folder_owner": Words(
        "The owner of {object}, {user} (uid {uid}), may not make files in {folder}.",
        "If the application runs as that user, it can't open the database in WAL mode.",
        "Give uid {uid} the right to write to the folder, or make sure that the application runs as somebody else.",
    ),
    "wal_several_containers": Words(
        "Processes of {count} containers (or chroots) have {object} open: {holders}.",
        "WAL needs memory that all of them share. As soon as one runs on another host, or sees the file under another name, "
        "rows are lost.",
        "Let one container own the database, or use PostgreSQL (`kind: sqlite-to-postgres`), which is made for several.",
    ),
    "wal_replicas": Words(
        "{what} runs {count} times on one database file.",
        "Several containers or pods on one SQLite file lose rows in WAL mode as soon as they don't share one machine's memory.",
        "Run it once, or use PostgreSQL (`kind: sqlite-to-postgres`), which is made for several.",
    ),
    "wal_shared_volume": Words(
        "Several services of {object} mount the database's folder: {services}.",
        "Several containers on one SQLite file lose rows in WAL mode as soon as they don't share one machine's memory.",
        "Let one service own the folder, or use PostgreSQL (`kind: sqlite-to-postgres`), which is made for several.",
    ),
    "wal_compose_unread": Words(
        "The Compose file {object} can't be read: {reason}.",
        "Whether several containers use the database is not known.",
        "Look by hand whether a service is scaled, or several mount the database's folder.",
    ),
    "wal_copied_by": Words(
        "{file}, line {line}, copies {object} with `{tool}`.",
        "In WAL mode the newest rows are in -wal: a copy of the main file alone lacks them, and a copy made while "
        "somebody writes may be damaged.",
        "Use `sqlite3 FILE \"VACUUM INTO 'COPY'\"` or `stepflow backup` there before the conversion.",
    ),
    "wal_switch_target": Words(
        "The switch of {object} uses {names}.",
        "A conversion in place has no target, so there is no value for it.",
        "Write the value itself; of the placeholders only `source_path` has one here.",
    ),
    "wal_offline_no_recipe": Words(
        "Nothing stops and starts the application: {object} is left out.",
        "In `mode: offline` the conversion takes place while it stands still; somebody has to stop and start it.",
        "Add `application.recipe` (config.example.yaml shows each kind), or stop it by hand when the checklist asks for it.",
    ),
}

_APPLICATION: dict[str, Words] = {
    "app_interpreter": Words(
        "The application's interpreter {object} did not answer: {detail}.",
        "Its versions of Python, SQLite and packages are not known.",
        "{hint}",
    ),
    "app_python_old": Words(
        "The application runs on Python {version}; at least {minimum} is asked for, {recommended} is recommended.",
        "Older versions get no more corrections, and bring old SQLite libraries.",
        "Install a newer Python for the application, or change `requirements.python`.",
    ),
    "app_python_recommended": Words(
        "The application runs on Python {version}; {recommended} is recommended (at least {minimum}).",
        "Newer versions are faster, and get corrections longer.",
        "Nothing has to be done.",
    ),
    "app_packages_unknown": Words(
        "Whether these packages are installed can't be told: {names}.",
        "Only an interpreter (`application.python`, from Python 3.8 on) knows what is installed in it.",
        "Set `application.python`, or look by hand.",
    ),
    "app_package_missing": Words(
        "The package {name} is not installed for the application; {minimum} or newer is asked for.",
        "It stands under `requirements.packages`.",
        "Install it in the application's environment, or correct the name.",
    ),
    "app_package_old": Words(
        "The application has {name} {version}; {minimum} or newer is asked for.",
        "It stands under `requirements.packages`.",
        "Upgrade it in the application's environment, or change the figure.",
    ),
    "app_sqlite_missing": Words(
        "The interpreter {object} has no SQLite: {reason}.",
        "An application that uses another library may still have a version with a fault.",
        "Write its version under `application.sqlite`.",
    ),
    "app_sqlite_unknown": Words(
        "Which SQLite library the application uses is not known.",
        "Versions 3.7.0 to 3.51.2 can damage a WAL database when two connections write and checkpoint together.",
        "Set `application.python` to its interpreter, or write the version under `application.sqlite` (`select sqlite_version()`).",
    ),
    "app_sqlite_too_old": Words(
        "The application uses SQLite {version} ({seen}); WAL needs {minimum}.",
        "It could not open the database any more after the conversion.",
        "Upgrade its SQLite library first.",
    ),
    "app_wal_reset": Words(
        "The application uses SQLite {version} ({seen}), which has the WAL-reset bug.",
        "Versions 3.7.0 to 3.51.2 (fixed in 3.51.3, 3.50.7 and 3.44.6): two connections that write and checkpoint at the same "
        "moment can damage a WAL database. It is rare.",
        "Upgrade its SQLite library, before the conversion if you can; until then let no second process checkpoint.",
    ),
    "app_sqlite_known": Words(
        "The application uses SQLite {version} ({seen}).",
        "It knows WAL, and has no known fault in it.",
        "Nothing has to be done.",
    ),
}

_MACHINE: dict[str, Words] = {
    "app_memory_short": Words(
        "The application may use {has_bytes} bytes of memory; at least {minimum_bytes} are asked for, {recommended_bytes} are recommended.",
        "Measured is the machine's memory, or what its control group (a container) allows.",
        "Give it more memory, or change `requirements.memory`.",
    ),
    "app_memory_recommended": Words(
        "The application may use {has_bytes} bytes of memory; {recommended_bytes} are recommended (at least {minimum_bytes}).",
        "SQLite reads from memory what fits in there.",
        "More memory would help, but nothing has to be done.",
    ),
    "app_disk_short": Words(
        "{object} has {has_bytes} bytes free; at least {minimum_bytes} are asked for, {recommended_bytes} are recommended.",
        "-wal grows while a reader holds up checkpoints; on a full disk the application's writes fail.",
        "Make room, or change `requirements.disk`.",
    ),
    "app_disk_recommended": Words(
        "{object} has {has_bytes} bytes free; {recommended_bytes} are recommended (at least {minimum_bytes}).",
        "-wal grows while a reader holds up checkpoints; on a full disk the application's writes fail.",
        "Make room when you can, or change `requirements.disk`.",
    ),
    "app_network": Words(
        "{address} can't be reached: {reason}.",
        "It stands under `requirements.network`.",
        "Start what should answer there, or correct the address (host:port).",
    ),
    "advice_swappiness": Words(
        "vm.swappiness is {value}; {advised} or less suits a database better.",
        "The lower it is, the less the system swaps out SQLite's cache to keep more files in memory.",
        "`sysctl -w vm.swappiness={advised}`, and the same line in /etc/sysctl.d/ to keep it. StepFlow changes nothing here.",
    ),
    "advice_dirty_ratio": Words(
        "vm.dirty_ratio is {value} %; {advised} % or less suits a database better.",
        "With less unwritten data in memory a checkpoint's sync is not stalled by everybody else's writes.",
        "`sysctl -w vm.dirty_ratio={advised}`, and the same line in /etc/sysctl.d/ to keep it. StepFlow changes nothing here.",
    ),
    "advice_dirty_background_ratio": Words(
        "vm.dirty_background_ratio is {value} %; {advised} % or less suits a database better.",
        "The system begins to write earlier, so that less is left when a checkpoint syncs.",
        "`sysctl -w vm.dirty_background_ratio={advised}`, and the same line in /etc/sysctl.d/ to keep it. StepFlow changes nothing here.",
    ),
    "advice_noatime": Words(
        "{object} is mounted with {kept}, not with noatime.",
        "Access times cost writes that nobody needs; with relatime it is one a day for each file.",
        "`mount -o remount,noatime {mount_point}`, and noatime in /etc/fstab to keep it. StepFlow changes nothing here.",
    ),
}

FINDINGS: dict[str, Words] = {**_FILE, **_USERS, **_APPLICATION, **_MACHINE}
