"""The journal's schema: numbered migrations, applied in order, the number kept in `PRAGMA user_version`."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

_NAME = re.compile(r"^(\d{3})_[a-z0-9_]+\.sql$")
_STRICT_SINCE = (3, 37)  # older libraries know neither STRICT nor a way to skip it


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered migration: its statements, ready to run one by one."""

    number: int
    statements: tuple[str, ...]


@lru_cache(maxsize=1)
def migrations() -> tuple[Migration, ...]:
    """All migrations in order. Raises RuntimeError when the numbers have a gap."""
    found = []
    for entry in files(__package__).joinpath("migrations").iterdir():
        match = _NAME.match(entry.name)
        if match:
            found.append(Migration(int(match.group(1)), statements(entry.read_text(encoding="utf-8"))))
    found.sort(key=lambda m: m.number)
    if [m.number for m in found] != list(range(1, len(found) + 1)):
        raise RuntimeError("journal migrations are not numbered 1, 2, 3, …")
    return tuple(found)


def statements(script: str, version: tuple[int, ...] = sqlite3.sqlite_version_info) -> tuple[str, ...]:
    """The statements of a script; `executescript` would silently commit, so they are run one by one."""
    plain = "\n".join(line for line in script.splitlines() if not line.lstrip().startswith("--"))
    if version < _STRICT_SINCE:
        plain = plain.replace(") STRICT;", ");")
    found, rest = [], ""
    for part in plain.split(";"):
        rest += part + ";"
        if sqlite3.complete_statement(rest):
            if rest.strip(" \n;"):
                found.append(rest.strip())
            rest = ""
    return tuple(found)


def latest() -> int:
    """The schema version this program writes."""
    return migrations()[-1].number


def pending(current: int) -> tuple[Migration, ...]:
    """The migrations a journal of version `current` still needs."""
    return tuple(m for m in migrations() if m.number > current)
