"""The quoting functions: one for identifiers and one for literals, per database. All generated SQL goes through them."""

from __future__ import annotations

from stepflow_tui.engine.errors import Refused


def _refuse_nul(text: str) -> None:
    if "\x00" in text:
        raise Refused(
            "A name or literal contains a NUL character, which no SQL text can hold.",
            detail=repr(text),
            hint="Rename the object in the source, or leave it out with `tables.exclude`.",
            code="nul_in_name",
        )


def pg_ident(name: str) -> str:
    """A PostgreSQL identifier, always quoted, so that case and every character survive."""
    _refuse_nul(name)
    return '"' + name.replace('"', '""') + '"'


def pg_name(schema: str, name: str) -> str:
    """`"schema"."name"`."""
    return f"{pg_ident(schema)}.{pg_ident(name)}"


def pg_literal(text: str) -> str:
    """A PostgreSQL string literal, independent of `standard_conforming_strings`."""
    _refuse_nul(text)
    if "\\" in text:
        return " E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
    return "'" + text.replace("'", "''") + "'"


def lite_ident(name: str) -> str:
    """A SQLite identifier, always quoted."""
    _refuse_nul(name)
    return '"' + name.replace('"', '""') + '"'


def lite_literal(value: int | float | str | bytes | None) -> str:
    """A SQLite literal of that storage class."""
    if value is None:
        return "null"
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    if isinstance(value, str):
        _refuse_nul(value)
        return "'" + value.replace("'", "''") + "'"
    return repr(value)
