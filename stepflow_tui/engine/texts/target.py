"""Texts of findings: target."""

from __future__ import annotations

from stepflow_tui.engine.texts import Words

_BY_HAND = "Run as administrator, or let `stepflow check --create-target` do it:\n{sql}"

FINDINGS: dict[str, Words] = {
    "target_identity": Words(
        "The target is {object}, schema {schema}: PostgreSQL {version}, server {system_identifier}.",
        "The rows go there and nowhere else.",
        "Compare it with the server you mean; correct `target` if it is another one.",
    ),
    "target_unreachable": Words("{message} {detail}", "Without the target nothing can be checked or copied.", "{hint}"),
    "password_refused": Words(
        "The target refuses the login of {object}. {detail}",
        "User or password are wrong, or the role does not exist; the server does not say which.",
        "Correct user and password. If the role is missing:\n{sql}\n`stepflow check --create-target` runs this with an administrator's DSN.",
    ),
    "database_missing": Words(
        "The database of {object} does not exist.",
        "StepFlow makes tables, never a database on its own.",
        _BY_HAND,
    ),
    "target_version": Words(
        "The target is PostgreSQL {version}; {oldest} is the oldest supported.",
        "Older servers get no fixes and lack what the copy relies on.",
        "Upgrade the server, or give another `target.dsn`.",
    ),
    "target_encoding": Words(
        "The database {object} is encoded {encoding}, not UTF8.",
        "Text of the source would lose characters or be refused.",
        "Make a database in UTF8 and name it in `target.dsn`:\n{sql}",
    ),
    "target_standby": Words(
        "The target {object} is a standby.", "A standby takes no writes.", "Give the primary's address in `target.dsn`."
    ),
    "target_read_only": Words(
        "Sessions of {user} at {object} are read-only.",
        "Nothing can be written there.",
        "Clear default_transaction_read_only for the role, the database or the server.",
    ),
    "target_pooler_transaction": Words(
        "Between here and {object} stands a pooler in transaction mode.",
        "It hands every transaction to another server process: settings, locks and the copy would break.",
        "Give the address of PostgreSQL itself in `target.dsn` (often port 5432 instead of 6432 or 6543).",
    ),
    "target_pooler_session": Words(
        "Between here and {object} stands a pooler in session mode.",
        "It works, but adds a step to every byte of the copy.",
        "The address of PostgreSQL itself is faster.",
    ),
    "target_unencrypted": Words(
        "The connection to {object} is not encrypted (sslmode={sslmode}).",
        "Everybody on the way can read the rows.",
        "Set sslmode=verify-full in `target.dsn`, or accept it on a network you trust.",
    ),
    "target_unproved": Words(
        "The connection to {object} is encrypted, but the server need not prove who it is (sslmode={sslmode}).",
        "Somebody on the way could stand in for it.",
        "Set sslmode=verify-full with sslrootcert in `target.dsn`.",
    ),
    "target_rights": Words(
        "The role {user} lacks {count} right(s) at {object}.",
        "Without them the run would stop half-way.",
        _BY_HAND,
    ),
    "target_superuser": Words(
        "The run would work as superuser {user} at {object}.",
        "More than it needs: rights on the schema suffice.",
        "Use a role that owns the target database or has CREATE on it and on the schema.",
    ),
    "target_owned": Words(
        "The target {object} belongs to run {run} (schema {schema}).",
        "Two runs in one target would mix their rows and their bookkeeping.",
        "Finish that run or undo it with `stepflow rollback {run}`, or give another database.",
    ),
    "target_other_server": Words(
        "The target {object} is a copy: run {run} marked it on server {marked}, this is server {found}.",
        "Going on would write into a restored or cloned database.",
        "Give the address of the first server, or an empty database for a new run.",
    ),
    "target_not_empty": Words(
        "The schema {object} of database {database} is not empty: {names}.",
        "StepFlow writes into an empty schema only, so that nothing of yours is mixed with it or overwritten.",
        "Give an empty schema or database (`target.schema`, `target.dsn`), or `target.tables: existing` for empty tables made beforehand.",
    ),
    "target_table_missing": Words(
        "The table {object} is not there.",
        "With `target.tables: existing` every mapped table has to be made beforehand.",
        "Run your framework's migrations, correct `tables.rename`, or leave the table out with `tables.exclude`.",
    ),
    "target_no_tables": Words(
        "The schema {object} of database {database} holds no tables to copy into.",
        "`target.tables: existing` expects tables made beforehand.",
        "Run your framework's migrations first, or set `target.tables: create`.",
    ),
    "target_table_not_empty": Words(
        "The table {object} has rows already.",
        "Mapped tables must be empty, or their rows could not be told from the copied ones.",
        "Empty it, or leave it out with `tables.exclude`.",
    ),
    "target_table_triggers": Words(
        "The table {object} has triggers: {names}.",
        "They fire for every copied row and may change it, or write elsewhere.",
        "Disable them for the copy (ALTER TABLE … DISABLE TRIGGER …), and enable them afterwards.",
    ),
    "target_bookkeeping": Words(
        "Tables of migration tools in schema {object} are left alone: {names}.",
        "They describe the target, not the source.",
        "Nothing to do.",
    ),
    "target_row_security": Words(
        "A row security policy of {object} applies to {user}.",
        "It would hide rows, and hidden rows look like missing ones.",
        "Work as the table's owner or a role with BYPASSRLS, or switch it off for the copy:\n{sql}",
    ),
    "config_type_not_there": Words(
        "{key} asks for the type {type}, which no column of the target can have: {reason}.",
        "The tables couldn't be made.",
        "Correct the type. One of an extension needs CREATE EXTENSION first, one of another schema its schema's name before it.",
    ),
    "target_role_missing": Words(
        "The role {object}, named in `target.owner` or `target.grant`, does not exist.",
        "Rights can't be given to nobody.",
        "Correct the name, or make the role:\n{sql}",
    ),
    "target_owner_role": Words(
        "{user} can't hand tables over to {object} (`target.owner`).",
        "PostgreSQL asks that we are a member of the new owner, and that it may create in the schema.",
        "Run as administrator:\n{sql}",
    ),
    "target_connections": Words(
        "Only {free} more connection(s) fit at {object}; the run needs {needed}. In use: {used} of {server_limit}.",
        "The run, or your applications, would be turned away.",
        "Close idle connections, raise max_connections or the CONNECTION LIMIT of role or database, or lower `copy.streams`.",
    ),
    "pool_too_large": Words(
        "The application's pools don't fit {object}: ({size} + {overflow}) × {instances} = {needed} connections, {own} of StepFlow, {used} in use: {total} of {allowed} ({limit}).",
        "On a busy day instances would be turned away with “too many connections”.",
        "At most {free} connections for each instance (size + overflow); or raise the limit, use fewer instances, or put a pooler in between.",
    ),
    "pool_behind_pooler": Words(
        "Between here and {object} stands a pooler: the application's pools open up to {needed} connections to it.",
        "The pooler's own limits count then (max_client_conn, default_pool_size), which can't be read from here.",
        "Compare {needed} with max_client_conn of the pooler.",
    ),
    "target_disk": Words(
        "The disk of {object} has {free_bytes} bytes left; the copy usually takes {needed_bytes} (source: {source_bytes}).",
        "A full disk stops the server for everybody.",
        "Make room, or move the data folder to a larger disk.",
    ),
}
