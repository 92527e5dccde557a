"""The census' SQL: violations of chosen types over all rows, and full counts of columns that have some.

The terms are the copy's own, so census and copy can't disagree about which rows take the slow way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stepflow_tui.engine.model.schema import SourceColumn
from stepflow_tui.engine.model.types import ColumnType, DateForm, Kind
from stepflow_tui.engine.plan.declared import Ask, parse
from stepflow_tui.engine.plan.kinds import term
from stepflow_tui.engine.plan.profile import SCALES, Profile
from stepflow_tui.engine.plan.quote import lite_ident
from stepflow_tui.engine.plan.targets import impossible, misfit
from stepflow_tui.engine.plan.types import Wish, declared_scale
from stepflow_tui.engine.sqlite.census_lane import Aggregate
from stepflow_tui.engine.sqlite.connect import Text

COUNTED = 7
"""Aggregates per column in phase 2."""

SHORT_BYTES = 64
"""A column whose sampled values stay below, and whose declaration promises nothing longer, isn't measured."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What phase 2 counted in one column. `None`: not asked."""

    violations: int
    values: int | None
    max_bytes: int | None
    misfits: int = 0
    impossible: int = 0
    low: int | float | None = None
    high: int | float | None = None


class ColumnSql:
    """The aggregates for one column of a table."""

    def __init__(self, column: SourceColumn, *, alias: bool, utf16: bool) -> None:
        self.column = column
        self.alias = alias
        self.utf16 = utf16
        self.x = lite_ident(column.name)
        self.b = f"({self.x} collate binary)"
        self.nullable = not column.not_null and not alias

    def term(self, chosen: ColumnType, *, nullable: bool) -> str | None:
        """The copy's condition for the fast way."""
        return term(
            self.column.name,
            chosen,
            affinity=self.column.affinity,
            utf16=self.utf16,
            nullable=nullable,
            rowid_alias=self.alias,
        )

    def violations(self, chosen: ColumnType, *, measure: bool) -> list[Aggregate]:
        """Phase 2: rows that break the term, values, longest value, values the type's modifier changes, impossible ones, bounds."""
        condition = self.term(chosen, nullable=self.nullable)
        slow = "count(*)" if chosen.always_slow else "0" if condition is None else f"count(iif({condition},null,1))"
        size = self.x if chosen.kind is Kind.BLOB else f"cast({self.x} as blob)"
        bounded = chosen.kind is Kind.DECIMAL  # its precision depends on them
        changed, lost = misfit(self.x, chosen), impossible(self.x, chosen)
        return [
            Aggregate(slow),
            Aggregate(f"count({self.x})" if self.nullable else "0"),
            Aggregate(f"max(length({size}))" if measure else "null", "max"),
            Aggregate(f"count(iif({changed},1,null))" if changed else "0"),
            Aggregate(f"count(iif({lost},1,null))" if lost else "0"),
            Aggregate(f"min({self.x})" if bounded else "null", "min"),
            Aggregate(f"max({self.x})" if bounded else "null", "max"),
        ]

    def counted(self, row: Sequence[Any], *, measured: bool) -> Counted:
        """The results of `violations`."""
        return Counted(
            violations=row[0],
            values=row[1] if self.nullable else None,
            max_bytes=(row[2] or 0) if measured else None,
            misfits=row[3],
            impossible=row[4],
            low=row[5] if isinstance(row[5], (int, float)) else None,
            high=row[6] if isinstance(row[6], (int, float)) else None,
        )

    def everything(self, wish: Wish | None) -> list[Aggregate]:
        """Phase 3: storage classes, bounds, and how many values have each form that the declaration or a wish asks about."""
        x, b = self.x, self.b
        text = f"typeof({x})='text'"
        number = f"iif({b}<'',{x},null)"
        broken = f"{text} and not instr({x},char(0)) and cast(printf('%s',{x}) as blob) is not cast({x} as blob)"
        return [
            Aggregate(f"count({x})"),
            Aggregate(f"count(iif(typeof({x})='integer',1,null))"),
            Aggregate(f"count(iif(typeof({x})='real',1,null))"),
            Aggregate(f"count(iif(typeof({x})='blob',1,null))"),
            Aggregate(f"count(iif(typeof({x})='integer' and {b} in (0,1),1,null))"),
            Aggregate(f"count(iif({text} and instr({x},char(0)),1,null))"),
            Aggregate(f"count(iif({broken},1,null))" if self.utf16 else "0"),
            Aggregate(f"min({number})", "min"),
            Aggregate(f"max({number})", "max"),
            Aggregate(f"min({b})", "min"),
            Aggregate(f"max({b})", "max"),
            Aggregate(f"max(length(cast({x} as blob)))", "max"),
            *self._decimals(wish),
            *self._moments(wish),
        ]

    def _decimals(self, wish: Wish | None) -> list[Aggregate]:
        asked = parse(self.column.declared).ask is Ask.DECIMAL or (
            wish is not None and wish.target.lower().startswith(("numeric", "dec"))
        )
        if not asked:
            return [Aggregate("null", "max"), Aggregate("1")]
        fits = " ".join(f"when {self._decimal(s)} then {s}" for s in SCALES)
        needed = f"max(case when {self.b}<'' then case {fits} else {len(SCALES)} end end)"
        scale = declared_scale(self.column)
        declared = "1" if scale is None else f"count(iif({self.b}<'' and ({self._decimal(scale)}) is not 1,1,null))"
        return [Aggregate(needed, "max"), Aggregate(declared)]

    def _decimal(self, scale: int) -> str:
        return self.term(ColumnType(kind=Kind.DECIMAL, sql="numeric", scale=scale), nullable=False) or "1"

    def _moments(self, wish: Wish | None) -> list[Aggregate]:
        asked = parse(self.column.declared).ask in (Ask.TIMESTAMP, Ask.DATE)
        if not asked and not (wish is not None and wish.target.lower().startswith(("timestamp", "date"))):
            return [Aggregate("0")] * (len(DateForm) + 1)
        kinds = [ColumnType(kind=Kind.TIMESTAMP, sql="timestamp", form=f) for f in DateForm]
        kinds.append(ColumnType(kind=Kind.DATE, sql="date"))
        # NULL IS datetime(NULL), so NULLs have to be kept out.
        return [Aggregate(f"count(iif({self.x} is not null and {self.term(k, nullable=False)},1,null))") for k in kinds]

    def profile(self, row: Sequence[Any], rows: int) -> Profile:
        """The results of `everything`."""
        (
            values,
            integers,
            reals,
            blobs,
            booleans,
            nul,
            broken,
            low,
            high,
            minimum,
            maximum,
            longest,
            scale,
            misses,
            *forms,
        ) = row
        return Profile(
            rows=rows,
            nulls=rows - values,
            integers=integers,
            reals=reals,
            texts=values - integers - reals - blobs,
            blobs=blobs,
            booleans=booleans,
            scale=scale if scale in SCALES else None,
            declared_scale_fits=declared_scale(self.column) is not None and misses == 0,
            forms={f: n for f, n in zip(DateForm, forms, strict=False) if n},
            dates=forms[-1],
            nul_values=nul,
            invalid=broken,
            low=low,
            high=high,
            minimum=printable(minimum),
            maximum=printable(maximum),
            max_bytes=longest or 0,
            exact=True,
        )


def may_be_long(column: SourceColumn, sample: Profile) -> bool:
    """Whether a column's longest value has to be measured: the cutting into segments depends on it."""
    if sample.max_bytes > SHORT_BYTES:
        return True
    parsed = parse(column.declared)
    if parsed.ask in (Ask.BLOB, Ask.JSON, Ask.JSONB):
        return True
    texts_or_blobs = bool(sample.texts or sample.blobs)
    return (parsed.ask is Ask.TEXT and not parsed.args) or (parsed.ask is Ask.NOTHING and texts_or_blobs)


def printable(value: Any) -> str | None:
    """A value as findings and reports show it, at most 80 characters."""
    if value is None:
        return None
    if isinstance(value, Text):
        shown = value[:400].decode("utf-8", "backslashreplace")
    else:
        shown = f"x'{value[:100].hex()}'" if isinstance(value, bytes) else repr(value)
    return shown if len(shown) <= 80 else shown[:79] + "…"
