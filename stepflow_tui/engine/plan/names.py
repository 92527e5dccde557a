"""Target names: case kept, 63 bytes, no collisions, nothing PostgreSQL reserves for itself."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from fnmatch import fnmatchcase

from stepflow_tui.engine.model.config import Tables

LIMIT_BYTES = 63
"""PostgreSQL cuts longer identifiers silently, in bytes."""

SYSTEM_COLUMNS = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"})
"""Names no column of a PostgreSQL table may have."""


def fits(name: str) -> bool:
    """Whether PostgreSQL keeps the name as it is."""
    return 0 < len(name.encode("utf-8", "replace")) <= LIMIT_BYTES and "\x00" not in name


def short_name(name: str, *, empty: str = "unnamed") -> str:
    """The name, or a shortened one with a hash of the whole: different long names stay different.

    Args:
        empty: what an empty name becomes (SQLite allows it, PostgreSQL doesn't).
    """
    clean = name.encode("utf-8", "replace").decode().replace("\x00", "?") or empty
    if clean == name and fits(name):
        return name
    if fits(clean):
        return clean
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    head = clean.encode()[: LIMIT_BYTES - 9].decode("utf-8", "ignore")
    return f"{head}_{digest}"


class Namespace:
    """Names that must differ from each other: the relations of a schema, the columns or constraints of a table."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)

    def take(self, wanted: str, *, empty: str = "unnamed") -> str:
        """The wanted name if it fits and is free, else the nearest one that is."""
        name = short_name(wanted, empty=empty)
        count = 1
        while name in self._taken:
            count += 1
            suffix = f"_{count}"
            head = short_name(wanted, empty=empty).encode()[: LIMIT_BYTES - len(suffix)].decode("utf-8", "ignore")
            name = head + suffix
        self._taken.add(name)
        return name

    def __contains__(self, name: str) -> bool:
        return name in self._taken


def column_names(sources: Iterable[str]) -> dict[str, str]:
    """Target column by source column; system columns get an underscore."""
    names = Namespace(SYSTEM_COLUMNS)
    kept = list(sources)
    made = {n: names.take(n) for n in kept if fits(n) and n not in SYSTEM_COLUMNS}
    for name in kept:
        if name not in made:
            made[name] = names.take(f"{name}_" if name in SYSTEM_COLUMNS else name, empty="unnamed")
    return {n: made[n] for n in kept}


def chosen(name: str, tables: Tables) -> bool:
    """Whether the config's shell patterns select that table."""
    return any(matches(name, p) for p in tables.include) and not any(matches(name, p) for p in tables.exclude)


def matches(name: str, pattern: str) -> bool:
    """As SQLite compares names: upper and lower case are one; a pattern also matches itself, whatever characters it has."""
    return name.lower() == pattern.lower() or fnmatchcase(name.lower(), pattern.lower())


def renamed(name: str, rename: dict[str, str]) -> str | None:
    """The name the config asks for; table names compare as in SQLite."""
    for source, target in rename.items():
        if source.lower() == name.lower():
            return target
    return None
