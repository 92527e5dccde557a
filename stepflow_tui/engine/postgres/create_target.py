"""The exact SQL that makes role, database and rights of a target, and running it with an administrator's DSN."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING

from stepflow_tui.engine.errors import Refused, StepFlowError, UsageError
from stepflow_tui.engine.plan.quote import pg_ident, pg_literal, pg_name
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.postgres.errors import pg_errors
from stepflow_tui.engine.postgres.view import TargetView, look

if TYPE_CHECKING:
    import asyncpg

_PASSWORD = "PASSWORD '…'"  # noqa: S105 - a placeholder: no output ever shows the password


def _database_sql(target: Target) -> list[str]:
    return [f"CREATE DATABASE {pg_ident(target.database)} TEMPLATE template0 ENCODING 'UTF8';"]


def _database_rights(target: Target) -> str:
    return f"GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {pg_ident(target.database)} TO {pg_ident(target.user)};"


def _schema_rights(target: Target) -> str:
    return f"GRANT USAGE, CREATE ON SCHEMA {pg_ident(target.schema)} TO {pg_ident(target.user)};"


def missing_sql(target: Target, found: StepFlowError | TargetView) -> list[str]:
    """The SQL an administrator runs so that the target can be used; empty when nothing of the kind is missing.

    Args:
        target: the target.
        found: the error of the connection, or the view of a target that could be reached.
    """
    if isinstance(found, TargetView):
        return missing_sql(target, found.error) if found.error else _missing_rights(found)
    if found.code not in ("password_refused", "database_missing"):
        return []
    role = [f"CREATE ROLE {pg_ident(target.user)} LOGIN {_PASSWORD};"] if found.code == "password_refused" else []
    inside = [f"-- in the database {target.database}:", _schema_rights(target)]
    return [*role, *_database_sql(target), _database_rights(target), *inside]


def _missing_rights(view: TargetView) -> list[str]:
    target, rights = view.target, view.rights
    statements = []
    if "database_create" not in rights and not (
        view.control_exists and "control_create" in rights and view.schema_exists
    ):
        statements.append(f"GRANT CREATE ON DATABASE {pg_ident(target.database)} TO {pg_ident(view.user)};")
    if view.schema_exists and not view.wanted.existing and not {"schema_usage", "schema_create"} <= rights:
        statements.append(_schema_rights(target).replace(pg_ident(target.user), pg_ident(view.user)))
    if view.wanted.existing:
        statements += _missing_table_rights(view)
    return statements


def _missing_table_rights(view: TargetView) -> list[str]:
    schema = pg_ident(view.target.schema)
    role = pg_ident(view.user)
    statements = [] if "schema_usage" in view.rights else [f"GRANT USAGE ON SCHEMA {schema} TO {role};"]
    for table in view.mapped:
        missing = {"SELECT", "INSERT", "TRUNCATE"} - view.table_rights.get(table.name, frozenset())
        if missing:
            names = ", ".join(sorted(missing))
            statements.append(f"GRANT {names} ON TABLE {pg_name(view.target.schema, table.name)} TO {role};")
    return statements


def scram_verifier(password: str, *, salt: bytes, iterations: int = 4096) -> str:
    """What PostgreSQL stores for a password, so that the password itself is in no server log (RFC 5803)."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client = hmac.digest(salted, b"Client Key", "sha256")
    server = hmac.digest(salted, b"Server Key", "sha256")
    stored, salt64 = hashlib.sha256(client).digest(), base64.b64encode(salt).decode()
    return (
        f"SCRAM-SHA-256${iterations}:{salt64}${base64.b64encode(stored).decode()}:{base64.b64encode(server).decode()}"
    )


async def create_target(admin: Target, target: Target) -> list[str]:
    """Makes the role, the database and the rights that are missing, as administrator. Nothing of `admin` is kept.

    Args:
        admin: an administrator's way into the same server; its database is used for the first steps.
        target: what shall be usable afterwards; the role gets its password.

    Returns:
        The statements that were run, passwords left out.

    Raises:
        StepFlowError: by cause; what was made before stays and is found by the next try.
    """
    done: list[str] = []
    connection = await admin.connect()
    try:
        with pg_errors("make the role of the target", admin):
            await _make_role(connection, target, done)
        with pg_errors("make the target database", admin):
            if not await connection.fetchval("select 1 from pg_database where datname = $1", target.database):
                for statement in _database_sql(target):
                    await _run(connection, statement, done)
            await _run(connection, _database_rights(target), done)
    finally:
        await connection.close()
    inside = await admin.connect(database=target.database)
    try:
        with pg_errors("grant rights in the target database", admin):
            if await inside.fetchval("select 1 from pg_namespace where nspname = $1", target.schema):
                await _run(inside, _schema_rights(target), done)
    finally:
        await inside.close()
    await _must_work(target)
    return done


async def _run(conn: asyncpg.Connection, statement: str, done: list[str]) -> None:
    await conn.execute(statement)
    done.append(statement)


async def _make_role(conn: asyncpg.Connection, target: Target, done: list[str]) -> None:
    if await conn.fetchval("select 1 from pg_roles where rolname = $1", target.user):
        return
    if target.password is None:
        raise UsageError(
            f"The role {target.user} does not exist, and the target names no password for it.",
            hint="Put a password into `target.dsn`, PGPASSWORD or ~/.pgpass; the new role gets it.",
            code="no_password",
        )
    # non-ASCII passwords are normalised before they are hashed; the server knows how
    ascii_only = target.password.isascii()
    stored = scram_verifier(target.password, salt=secrets.token_bytes(16)) if ascii_only else target.password
    await conn.execute(f"CREATE ROLE {pg_ident(target.user)} LOGIN PASSWORD {pg_literal(stored)}")
    done.append(f"CREATE ROLE {pg_ident(target.user)} LOGIN {_PASSWORD};")


async def _must_work(target: Target) -> None:
    view = await look(target)
    if view.error is not None and view.error.code == "password_refused":
        raise Refused(
            f"The role {target.user} exists with another password, which was left as it is.",
            detail=view.error.detail,
            hint=f"Correct the password of the target, or run: ALTER ROLE {pg_ident(target.user)} {_PASSWORD};",
            code="role_password",
        ) from view.error
    if view.error is not None:
        raise view.error
