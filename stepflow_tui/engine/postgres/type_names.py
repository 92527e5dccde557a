"""Asks the server whether it has the types that a config names. Nothing of a name is run: it is a parameter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from stepflow_tui.engine.plan.targets import parse_pg

if TYPE_CHECKING:
    import asyncpg

_ASK = "select typtype::text from pg_type where oid = to_regtype($1)"
_PSEUDO = "p"


async def refused_types(conn: asyncpg.Connection, wanted: Mapping[str, str]) -> dict[str, str]:
    """Which of the types can't be a column's, and why, in the server's words where it has some.

    Args:
        conn: with the search path that the tables will be made under.
        wanted: the type by the place in the config that names it.
    """
    found = {place: await _problem(conn, name) for place, name in wanted.items()}
    return {place: problem for place, problem in found.items() if problem}


async def _problem(conn: asyncpg.Connection, name: str) -> str:
    import asyncpg

    written = parse_pg(name)
    if written is None:
        return "this is no type's name"
    try:
        kind = await conn.fetchval(_ASK, written.sql)
    except (asyncpg.SyntaxOrAccessError, asyncpg.DataError, asyncpg.FeatureNotSupportedError) as exc:
        return str(exc).partition("\n")[0]
    if kind is None:
        return "there is no such type on its search path"
    return "a pseudo-type is no column's type" if kind == _PSEUDO else ""
