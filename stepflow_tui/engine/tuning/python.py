"""Snippets in Python: sqlite3, aiosqlite, SQLAlchemy and Django."""

from __future__ import annotations

from collections.abc import Sequence

from stepflow_tui.engine.model.pragmas import Pragma


def _statements(pragmas: Sequence[Pragma], name: str = "PRAGMAS") -> str:
    lines = "".join(f'    "{p.statement}",\n' for p in pragmas)
    return f"{name} = (\n{lines})\n"


def plain(pragmas: Sequence[Pragma]) -> str:
    """`connect(path)` for sqlite3."""
    return f"""\
import sqlite3

# These belong to a connection, not to the file: every place that opens one goes through connect().
{_statements(pragmas)}

def connect(path, **options):
    connection = sqlite3.connect(path, **options)
    for pragma in PRAGMAS:
        connection.execute(pragma).fetchall()
    return connection
"""


def aiosqlite(pragmas: Sequence[Pragma]) -> str:
    """`connect(path)` for aiosqlite."""
    return f"""\
import contextlib

import aiosqlite

# These belong to a connection, not to the file: every place that opens one goes through connect().
{_statements(pragmas)}

@contextlib.asynccontextmanager
async def connect(path, **options):
    async with aiosqlite.connect(path, **options) as connection:
        for pragma in PRAGMAS:
            await connection.execute_fetchall(pragma)
        yield connection
"""


def sqlalchemy(pragmas: Sequence[Pragma]) -> str:
    """`tune(engine)` for SQLAlchemy: each connection of its pool, also of an asynchronous engine."""
    return f'''\
from sqlalchemy import event

# These belong to a connection, not to the file: the pool sets them on each one it opens.
{_statements(pragmas)}

def tune(engine):
    """Call it once, right after create_engine() or create_async_engine()."""
    event.listen(getattr(engine, "sync_engine", engine), "connect", _set)


def _set(connection, _record):
    cursor = connection.cursor()
    for pragma in PRAGMAS:
        cursor.execute(pragma)
        cursor.fetchall()
    cursor.close()
'''


def django(pragmas: Sequence[Pragma]) -> str:
    """Settings for Django 5.1 and newer, and a signal for older ones."""
    timeout = next((int(p.value) / 1000 for p in pragmas if p.name == "busy_timeout"), 5.0)
    commands = "".join(f'    "{p.statement};"\n' for p in pragmas)
    return f"""\
# Django 5.1 and newer, in settings.py, below DATABASES. ("transaction_mode": "IMMEDIATE" beside them makes a transaction
# that begins by reading wait for its turn instead of failing with "database is locked".)
SQLITE_OPTIONS = {{
    "timeout": {timeout:g},
    "init_command": (
{_indented(commands)}    ),
}}
# DATABASES["default"]["OPTIONS"] = SQLITE_OPTIONS

# Older than 5.1: this in a module of its own, and `from . import that_module` in ready() of an AppConfig.
from django.db.backends.signals import connection_created

{_statements(pragmas)}

def tune(sender, connection, **kwargs):
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            for pragma in PRAGMAS:
                cursor.execute(pragma)
                cursor.fetchall()


connection_created.connect(tune, dispatch_uid="sqlite_pragmas")
"""


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


def _names(names: Sequence[str]) -> str:
    return f"NAMES = {' '.join(names)!r}.split()"


def probe_plain(names: Sequence[str]) -> str:
    """`probe(connection)` for sqlite3."""
    return f'''\
import json

{_names(names)}


def probe(connection):
    """Give it a connection the application works with, as it opens them all; it reads settings and changes nothing."""
    told = {{}}
    for name in NAMES:
        row = connection.execute("PRAGMA " + name).fetchone()
        told[name] = row[0] if row else None
    told["sqlite_version"] = connection.execute("select sqlite_version()").fetchone()[0]
    print(json.dumps(told))
'''


def probe_aiosqlite(names: Sequence[str]) -> str:
    """`await probe(connection)` for aiosqlite."""
    return f'''\
import json

{_names(names)}


async def probe(connection):
    """Give it a connection the application works with, as it opens them all; it reads settings and changes nothing."""
    told = {{}}
    for name in NAMES:
        rows = list(await connection.execute_fetchall("PRAGMA " + name))
        told[name] = rows[0][0] if rows else None
    told["sqlite_version"] = list(await connection.execute_fetchall("select sqlite_version()"))[0][0]
    print(json.dumps(told))
'''


def probe_sqlalchemy(names: Sequence[str]) -> str:
    """`probe(engine)` for SQLAlchemy."""
    return f'''\
import json

{_names(names)}


def probe(engine):
    """Give it the application's engine; of an asynchronous one its sync_engine inside run_sync()."""
    with engine.connect() as connection:
        told = {{name: connection.exec_driver_sql("PRAGMA " + name).scalar() for name in NAMES}}
        told["sqlite_version"] = connection.exec_driver_sql("select sqlite_version()").scalar()
    print(json.dumps(told))
'''


def probe_django(names: Sequence[str]) -> str:
    """For `python manage.py shell`."""
    return f"""\
# Save it as probe.py, then: python manage.py shell < probe.py
import json
from django.db import connection
{_names(names)}
cursor = connection.cursor()
rows = [cursor.execute("PRAGMA " + name).fetchone() for name in NAMES]
told = {{name: row[0] if row else None for name, row in zip(NAMES, rows)}}
told["sqlite_version"] = cursor.execute("select sqlite_version()").fetchone()[0]
print(json.dumps(told))
"""
