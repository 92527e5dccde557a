"""Texts of findings: planning."""

from __future__ import annotations

from stepflow_tui.engine.texts import Words

FINDINGS: dict[str, Words] = {
    "mixed_storage": Words(
        "Column {object} holds values of several storage classes: {integers} integers, {reals} reals, {texts} texts, {blobs} blobs "
        "(from {minimum} to {maximum}). It becomes {type}.",
        "PostgreSQL has one type per column. As text, integers and texts stay as they are; as bytea, a letter in front tells the class.",
        "Nothing has to be done. To get another type, clean the column in the source, or name a type under `types.by_column`.",
    ),
    "nul_in_text": Words(
        "Texts in {object} with a NUL character: {rows}.",
        "PostgreSQL's {type} can't hold NUL. What happens to these rows is set by `copy.on_bad_value`: {policy}.",
        "Clean them in the source, or choose `on_bad_value: bytea` (the column becomes bytea) or `replace` (changes them, lists them).",
    ),
    "invalid_utf8": Words(
        "Texts in {object} that are not valid Unicode: {rows}.",
        "PostgreSQL's {type} can't hold them. What happens to these rows is set by `copy.on_bad_value`: {policy}.",
        "Clean them in the source, or choose `on_bad_value: bytea` (the column becomes bytea) or `replace` (changes them, lists them).",
    ),
    "null_in_primary_key": Words(
        "{rows} rows of {table} have NULL in the primary key column {column}.",
        "SQLite allows that, PostgreSQL doesn't: the key can't be made as a primary key. The rows themselves are carried.",
        "Give these rows a key in the source, or accept that the target has no primary key here.",
    ),
    "existing_not_null": Words(
        "{rows} rows have NULL in {object}, but the target's column is NOT NULL.",
        "PostgreSQL refuses them, and they end as rejects.",
        "Fill the column in the source, or drop NOT NULL in the target.",
    ),
    "generated_column_fails": Words(
        "The generated column {object} can't be computed for some row: {reason}.",
        "SQLite stops at the first such row, so its values can't be counted or compared.",
        "Correct the expression or the row in the source.",
    ),
    "family_shares_type": Words(
        "These columns are tied by foreign keys and share the type {type}: {columns}.",
        "A foreign key needs one type on both sides; it is the strongest one that all their values meet.",
        "Nothing has to be done.",
    ),
    "family_types_differ": Words(
        "Columns tied by foreign keys were given different types ({types}): {columns}.",
        "PostgreSQL may refuse the foreign keys between them.",
        "Ask for the same type for all of them under `types`.",
    ),
    "type_unknown": Words(
        "{origin} asks for the type {type} in {object}, which is not the name of a PostgreSQL type.",
        "The column can't be made as asked for.",
        "Write a type as PostgreSQL does, such as bigint, numeric(12,2), text or timestamp.",
    ),
    "type_needs_unit": Words(
        "{origin} asks for {type} in {object}, whose numbers ({minimum} to {maximum}) don't say which unit they count.",
        "Seconds, milliseconds and days since different epochs can't be told apart here.",
        "Name the unit under `types.dates`: epoch_s, epoch_ms, epoch_us, cocoa, webkit or julian.",
    ),
    "type_too_narrow": Words(
        "{origin} asks for {type} in {object}, which holds fewer digits than the values have.",
        "PostgreSQL would round them without an error.",
        "Use double precision.",
    ),
    "type_unit_without_time": Words(
        "{object} is said to store times as {unit}, but {origin} asks for {type}.",
        "Numbers that count from an epoch become timestamps only.",
        "Ask for timestamp or timestamp with time zone, or take the column out of `types.dates`.",
    ),
    "type_rounds_times": Words(
        "{rows} values of {object} have more fraction digits than {type}, which {origin} asks for.",
        "PostgreSQL would round them without an error.",
        "Use a timestamp with more digits; timestamp alone has six.",
    ),
    "type_limit": Words(
        "{rows} values of {object} don't have the length or size of {type}, which {origin} asks for.",
        "Longer values don't fit, and char(n) would pad shorter ones with blanks. Their rows end as rejects.",
        "Use a type without that limit, or a larger one.",
    ),
    "type_rows_do_not_fit": Words(
        "At most {rows} rows of {object} don't fit {type}, which {origin} asks for.",
        "They go the slow way, value by value; what can't be represented exactly ends as a reject.",
        "Clean them in the source, choose another type, or accept the rejects.",
    ),
    "sensitive_columns": Words(
        "Taken for sensitive because of their names ({count}): {columns}.",
        "In differences, rejects, findings, logs and reports their values appear as keyed fingerprints (#fp:…) only; equal values "
        "have equal fingerprints. The copy itself carries the values as they are.",
        "Nothing has to be done. Name further columns under `sensitive`: `sensitive: {{table: [column]}}`. "
        "`stepflow reveal` shows one value to whoever types the run's name, and the audit keeps that.",
    ),
    "sensitive_columns_configured": Words(
        "Sensitive because the config says so ({count}): {columns}.",
        "Their values appear as keyed fingerprints (#fp:…) only.",
        "Nothing has to be done.",
    ),
    "sensitive_columns_tied": Words(
        "Sensitive because they hold values of sensitive columns (foreign keys, expressions; {count}): {columns}.",
        "Their values appear as keyed fingerprints (#fp:…) only.",
        "Nothing has to be done.",
    ),
    "existing_table_missing": Words(
        "The target's schema {schema} has no table {table} for the source table {object}.",
        "With `target.tables: existing` the tables are made beforehand; nothing is created.",
        "Make it with your application's own migrations, rename it under `tables.rename`, or leave it out with `tables.exclude`.",
    ),
    "existing_column_missing": Words(
        "The target's table {table} has no column for {object}.",
        "Its values would have nowhere to go.",
        "Add the column to the target's table, or leave the table out with `tables.exclude`.",
    ),
    "existing_column_unfilled": Words(
        "The target's column {object} is NOT NULL without a default, and the source table {source} has no such column.",
        "Every row would be refused.",
        "Give the column a default, or drop NOT NULL.",
    ),
    "existing_table_unused": Words(
        "The target's table {object} has no counterpart in the source.",
        "It is left alone.",
        "Nothing has to be done.",
    ),
}
