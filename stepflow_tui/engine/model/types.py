"""Kinds of columns: which PostgreSQL type, and in which form each value travels."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """How a column's values travel; `plan.kinds` has one copy expression and one census term per kind."""

    INTEGER = "integer"  # bigint; smallint and integer in tables made beforehand (`width`)
    BOOLEAN = "boolean"
    REAL = "real"  # double precision
    DECIMAL = "decimal"  # numeric(m, scale)
    TEXT = "text"  # text, varchar, json, citext, enum: sent as text
    JSONB = "jsonb"
    BLOB = "blob"  # bytea
    TIMESTAMP = "timestamp"  # ISO text in one uniform `form`
    DATE = "date"  # YYYY-MM-DD
    EPOCH = "epoch"  # integer since 1970 in `unit` → timestamp
    MIXED_TEXT = "mixed_text"  # mixed storage classes → text, all values distinct
    MIXED_BYTEA = "mixed_bytea"  # mixed storage classes → bytea with a class byte in front
    OTHER = "other"  # any type without a row above: always the slow way, PostgreSQL parses the text


class DateForm(StrEnum):
    """Uniform ISO forms of timestamps stored as text."""

    SPACE = "YYYY-MM-DD HH:MM:SS"
    T = "YYYY-MM-DDTHH:MM:SS"
    SPACE_MS = "YYYY-MM-DD HH:MM:SS.SSS"
    T_MS = "YYYY-MM-DDTHH:MM:SS.SSS"
    SPACE_US = "YYYY-MM-DD HH:MM:SS.SSSSSS"
    T_US = "YYYY-MM-DDTHH:MM:SS.SSSSSS"

    @property
    def digits(self) -> int:
        """Fraction digits: 0, 3 or 6."""
        return (
            6 if self in (DateForm.SPACE_US, DateForm.T_US) else 3 if self in (DateForm.SPACE_MS, DateForm.T_MS) else 0
        )

    @property
    def with_t(self) -> bool:
        """Whether date and time are joined by a T."""
        return self in (DateForm.T, DateForm.T_MS, DateForm.T_US)


class EpochUnit(StrEnum):
    """Units and origins of times stored as numbers, the values accepted by `types.dates`."""

    SECONDS = "epoch_s"
    MILLIS = "epoch_ms"
    MICROS = "epoch_us"
    COCOA = "cocoa"  # seconds since 2001-01-01, often REAL
    WEBKIT = "webkit"  # microseconds since 1601-01-01
    JULIAN = "julian"  # Julian day number


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnType:
    """One column's type decision.

    `sql` is the PostgreSQL type as written in DDL. `scale` belongs to DECIMAL, `form` to TIMESTAMP, `unit` to EPOCH
    (cocoa, webkit and julian travel the slow way), `width` (2, 4, 8 bytes) to INTEGER.
    `lossy` marks a mapping the operator declared lossy (`on_bad_value: replace`, dates with rounding).
    """

    kind: Kind
    sql: str
    scale: int | None = None
    precision: int | None = None
    form: DateForm | None = None
    unit: EpochUnit | None = None
    width: int = 8
    lossy: bool = False

    @property
    def unbounded(self) -> bool:
        """Whether it is `numeric` without limits: its `scale` says how most values travel, not what the column holds."""
        return self.kind is Kind.DECIMAL and self.sql.lower() in ("numeric", "decimal")

    @property
    def always_slow(self) -> bool:
        """Whether no value of this type may take the Arrow path."""
        return self.kind is Kind.OTHER or self.unit in (EpochUnit.COCOA, EpochUnit.WEBKIT, EpochUnit.JULIAN)
