"""Reads declared types as people write them. Owns what a declaration asks for, and what an empty column gets.

SQLite accepts any text as a type, so nothing here refuses: what isn't understood asks for nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from stepflow_tui.engine.model.schema import Affinity
from stepflow_tui.engine.model.types import ColumnType, DateForm, Kind


class Ask(StrEnum):
    """What a declared type asks for."""

    NOTHING = "nothing"
    INTEGER = "integer"
    REAL = "real"
    TEXT = "text"
    BLOB = "blob"
    BOOLEAN = "boolean"
    DECIMAL = "decimal"
    TIMESTAMP = "timestamp"
    TIMESTAMPTZ = "timestamptz"
    DATE = "date"
    TIME = "time"
    UUID = "uuid"
    JSON = "json"
    JSONB = "jsonb"


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A declared type in parts: `base` is upper case without arguments, single blanks; `args` its numbers."""

    base: str
    args: tuple[int, ...]
    ask: Ask

    @property
    def decimal(self) -> tuple[int, int] | None:
        """Precision and scale, if PostgreSQL can have them: `NUMERIC(10)` is `(10, 0)`."""
        if not self.args:
            return None
        precision, scale = self.args[0], self.args[1] if len(self.args) > 1 else 0
        return (precision, scale) if 1 <= precision <= 1000 and 0 <= scale <= precision else None


_WORDS = {
    "BOOLEAN": Ask.BOOLEAN, "BOOL": Ask.BOOLEAN,
    "DECIMAL": Ask.DECIMAL, "NUMERIC": Ask.DECIMAL, "DEC": Ask.DECIMAL, "NUMBER": Ask.DECIMAL,
    "TIMESTAMPTZ": Ask.TIMESTAMPTZ, "DATETIMEOFFSET": Ask.TIMESTAMPTZ, "DATETIMETZ": Ask.TIMESTAMPTZ,
    "TIMESTAMP": Ask.TIMESTAMP, "DATETIME": Ask.TIMESTAMP, "DATETIME2": Ask.TIMESTAMP, "SMALLDATETIME": Ask.TIMESTAMP,
    "DATE": Ask.DATE, "TIME": Ask.TIME, "TIMETZ": Ask.TIME,
    "UUID": Ask.UUID, "GUID": Ask.UUID, "UNIQUEIDENTIFIER": Ask.UUID,
    "JSON": Ask.JSON, "JSONB": Ask.JSONB,
}  # fmt: skip

_BY_AFFINITY = {
    Affinity.INTEGER: Ask.INTEGER,
    Affinity.REAL: Ask.REAL,
    Affinity.TEXT: Ask.TEXT,
    Affinity.BLOB: Ask.BLOB,
    Affinity.NUMERIC: Ask.NOTHING,
}


def affinity(declared: str) -> Affinity:
    """The affinity of a declared type, by the five rules of SQLite's datatype documentation."""
    upper = declared.upper()
    if "INT" in upper:
        return Affinity.INTEGER
    if any(word in upper for word in ("CHAR", "CLOB", "TEXT")):
        return Affinity.TEXT
    if "BLOB" in upper or not upper.strip():
        return Affinity.BLOB
    if any(word in upper for word in ("REAL", "FLOA", "DOUB")):
        return Affinity.REAL
    return Affinity.NUMERIC


@lru_cache(maxsize=4096)
def parse(declared: str) -> Declared:
    """Base, numeric arguments and wish of a declared type: `double precision`, `NUMERIC(10,2)`, or any text at all."""
    head, _, rest = declared.partition("(")
    inner, _, tail = rest.rpartition(")") if ")" in rest else (rest, "", "")
    base = " ".join(f"{head} {tail}".upper().split())
    args = tuple(int(n) for n in re.findall(r"[+-]?\d{1,9}", inner)[:2])
    return Declared(base=base, args=args, ask=_ask(base, declared))


def _ask(base: str, declared: str) -> Ask:
    words = base.replace("_", " ").split()
    if "WITH TIME ZONE" in base or "WITH LOCAL TIME ZONE" in base:
        return Ask.TIME if words[0] == "TIME" else Ask.TIMESTAMPTZ
    for word in words:
        if word in _WORDS:
            return _WORDS[word]
    if not base or base == "ANY":
        return Ask.NOTHING
    return _BY_AFFINITY[affinity(declared)]


def normalised(declared: str) -> str:
    """A declared type for comparison: upper case, no blanks that don't matter."""
    return re.sub(r"\s*([(),])\s*", r"\1", " ".join(declared.upper().split()))


def empty_type(declared: str) -> ColumnType:
    """The type of a column without any value: the declared type's own in PostgreSQL where it asks for one, else text."""
    parsed = parse(declared)
    simple = _EMPTY.get(parsed.ask)
    if simple is not None:
        return simple
    if parsed.ask is Ask.DECIMAL:
        if parsed.decimal is None or parsed.decimal[1] > MAX_SCALE:
            return ColumnType(kind=Kind.DECIMAL, sql="numeric", scale=0)
        precision, scale = parsed.decimal
        return ColumnType(kind=Kind.DECIMAL, sql=f"numeric({precision},{scale})", scale=scale, precision=precision)
    return TEXT


MAX_SCALE = 15
"""The exact decimal path carries 15 digits in all."""

BIGINT = ColumnType(kind=Kind.INTEGER, sql="bigint")
DOUBLE = ColumnType(kind=Kind.REAL, sql="double precision")
TEXT = ColumnType(kind=Kind.TEXT, sql="text")
BYTEA = ColumnType(kind=Kind.BLOB, sql="bytea")
BOOLEAN = ColumnType(kind=Kind.BOOLEAN, sql="boolean")
DATE = ColumnType(kind=Kind.DATE, sql="date")
MIXED_TEXT = ColumnType(kind=Kind.MIXED_TEXT, sql="text")
MIXED_BYTEA = ColumnType(kind=Kind.MIXED_BYTEA, sql="bytea")

_EMPTY = {
    Ask.INTEGER: BIGINT,
    Ask.REAL: DOUBLE,
    Ask.TEXT: TEXT,
    Ask.BLOB: BYTEA,
    Ask.BOOLEAN: BOOLEAN,
    Ask.TIMESTAMP: ColumnType(kind=Kind.TIMESTAMP, sql="timestamp", form=DateForm.SPACE),
    Ask.DATE: DATE,
}
