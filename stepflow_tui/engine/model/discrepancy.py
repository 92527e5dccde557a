"""Row-by-row results: rejected rows, differing rows, the verdict on a table."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from stepflow_tui.engine.model.codec import PRIVATE

Scalar = int | float | str | bytes | None
"""A SQLite value. Bytes are written `{"$hex": …}` in JSON; invalid text arrives as bytes too."""


class DiffClass(StrEnum):
    """Classes of differences."""

    MISSING = "missing"
    EXTRA = "extra"
    CHANGED = "changed"
    TYPE = "type"
    PRECISION = "precision"
    ENCODING = "encoding"
    ORDER = "order"
    SEQUENCE = "sequence"


class Verified(StrEnum):
    """Verdict on a table."""

    EQUAL = "equal"
    DIFFERENT = "different"
    NOT_VERIFIED = "not_verified"


class ApartFrom(StrEnum):
    """What a verdict `equal` of a database that stays where it is says nothing about: a state between proven and different."""

    APPLICATION_WRITES = "application_writes"  # the table was written to since; the conversion's own writes are known
    UNREAD = "unread"  # it can't be read here; the conversion's own writes are known


SET_ASIDE = "_stepflow.poison"
"""The `file` of rows that no file keeps: the tail set them aside, this table of the target lists them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """A row the target can't hold, kept in `file` under the run's rejects/ folder (or `SET_ASIDE`). `key` names the row;
    `value` is the offending value as bytes (TEXT values their UTF-8 or raw bytes). Of sensitive columns both hold
    fingerprints."""

    table: str
    key: dict[str, Scalar]
    column: str | None
    reason: str
    value: bytes | None = None
    file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """Key and repair SQL of a difference with the true values of sensitive columns."""

    key: dict[str, Scalar] = field(repr=False)
    repair_sql: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Discrepancy:
    """One difference. `source` and `target` are printable values, None where the row is absent.

    All that is printed of sensitive columns are fingerprints; `truth` is for the repair, and is written nowhere.
    """

    table: str
    key: dict[str, Scalar]
    column: str | None
    cls: DiffClass
    source: str | None
    target: str | None
    cause: str = ""
    repair_sql: str = ""
    truth: Truth | None = field(default=None, repr=False, metadata=PRIVATE)

    @property
    def true_key(self) -> dict[str, Scalar]:
        """The key that finds the row."""
        return self.truth.key if self.truth is not None else self.key

    @property
    def true_sql(self) -> str:
        """The statement that repairs it."""
        return self.truth.repair_sql if self.truth is not None else self.repair_sql


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeDigest:
    """sha256 over the target side of one compared range; bounds as JSON, None = open."""

    n: int
    lo: str | None
    hi: str | None
    rows: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TableVerdict:
    """What a verification says about one table.

    `differences` counts all differing rows; `discrepancies` names at most a bounded number of them.
    `digest_source` equals `digest_target` exactly when the compared bytes are equal. `apart_from`: what `equal` leaves out.
    """

    table: str
    verified: Verified
    apart_from: ApartFrom | None = None
    reason: str = ""
    source_rows: int | None = None
    target_rows: int | None = None
    rejected_rows: int = 0
    differences: int = 0
    digest_source: str = ""
    digest_target: str = ""
    as_of_ms: int | None = None
    seconds: float = 0.0
    discrepancies: tuple[Discrepancy, ...] = ()
    ranges: tuple[RangeDigest, ...] = field(default=())
