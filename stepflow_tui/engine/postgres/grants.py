"""The SQL that makes what a run made usable: `target.grant` and `target.owner`. Pure: opens no connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from stepflow_tui.engine.plan.quote import pg_ident, pg_name


class Access(StrEnum):
    """What a role may do with the tables."""

    RW = "rw"
    RO = "ro"


_TABLE_RIGHTS = {Access.RW: "select, insert, update, delete", Access.RO: "select"}
_SEQUENCE_RIGHTS = {Access.RW: "usage, select, update", Access.RO: "select"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What the run made in the schema, unquoted names.

    `sequences` are those to grant on; `free_sequences` belong to no column (the others follow their table's owner).
    `functions` take no arguments (trigger functions).
    """

    schema: str
    schema_made: bool = False
    tables: Sequence[str] = ()
    views: Sequence[str] = ()
    sequences: Sequence[str] = ()
    free_sequences: Sequence[str] = ()
    functions: Sequence[str] = ()


def pg_role(name: str) -> str:
    """A role in a GRANT; `public` means everybody, as PostgreSQL reserves the word."""
    return "PUBLIC" if name.lower() == "public" else pg_ident(name)


def grant_sql(made: Made, *, owner: str | None, grant: Mapping[str, str]) -> list[str]:
    """The statements in order: grants first, since after the change of owner we may no longer give rights.

    Args:
        made: the objects.
        owner: role that becomes the owner, None leaves it.
        grant: role → `rw` or `ro`.

    Raises:
        ValueError: another word than `rw` or `ro`.
    """
    statements = []
    for role, access in grant.items():
        statements += _grants(made, pg_role(role), Access(access), owner)
    return statements + (_ownership(made, owner) if owner else [])


def _grants(made: Made, role: str, access: Access, owner: str | None) -> list[str]:
    schema = pg_ident(made.schema)
    relations = [*made.tables]
    statements = [f"grant usage on schema {schema} to {role}"]
    statements += [f"grant {_TABLE_RIGHTS[access]} on table {pg_name(made.schema, t)} to {role}" for t in relations]
    statements += [f"grant select on table {pg_name(made.schema, v)} to {role}" for v in made.views]
    statements += [
        f"grant {_SEQUENCE_RIGHTS[access]} on sequence {pg_name(made.schema, s)} to {role}" for s in made.sequences
    ]
    # tables that the application's own migrations make later belong to the owner
    future = f"alter default privileges{f' for role {pg_ident(owner)}' if owner else ''} in schema {schema} grant"
    return [
        *statements,
        f"{future} {_TABLE_RIGHTS[access]} on tables to {role}",
        f"{future} {_SEQUENCE_RIGHTS[access]} on sequences to {role}",
    ]


def _ownership(made: Made, owner: str) -> list[str]:
    role = pg_ident(owner)
    name = made.schema
    statements = [f"alter schema {pg_ident(name)} owner to {role}"] if made.schema_made else []
    statements += [f"alter table {pg_name(name, t)} owner to {role}" for t in made.tables]
    statements += [f"alter sequence {pg_name(name, s)} owner to {role}" for s in made.free_sequences]
    statements += [f"alter view {pg_name(name, v)} owner to {role}" for v in made.views]
    return statements + [f"alter function {pg_name(name, f)}() owner to {role}" for f in made.functions]
