"""Decides each column's PostgreSQL type, with the reason.

One rule: a type other than the storage class's own (bigint, double precision, text, bytea) is chosen by itself only if
the declared type asks for it and every value renders back to the same bytes and storage class. Everything else is a
proposal that a line under `types` accepts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from stepflow_tui.engine.model.census import TargetColumn
from stepflow_tui.engine.model.config import BadValue, DateUnit, Types
from stepflow_tui.engine.model.schema import SourceColumn
from stepflow_tui.engine.model.types import ColumnType, Kind
from stepflow_tui.engine.plan.declared import (
    BIGINT,
    BOOLEAN,
    BYTEA,
    DATE,
    DOUBLE,
    MAX_SCALE,
    MIXED_BYTEA,
    MIXED_TEXT,
    TEXT,
    Ask,
    affinity,
    empty_type,
    normalised,
    parse,
)
from stepflow_tui.engine.plan.profile import Profile, Value, profile_sample
from stepflow_tui.engine.plan.targets import Resolved, resolve

T = TypeVar("T")

__all__ = ["Decision", "Wish", "affinity", "decide", "hypothesis", "type_for_existing", "wish_for", "wish_for_made"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A type somebody asked for: by a line under `types`, or by a table `made` beforehand (its enums take text as it is)."""

    target: str
    unit: DateUnit | None = None
    enum: bool = False
    made: bool = False
    origin: str = "types"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A column's type. `sure`: the census must show no violation, else the storage class's own type is taken instead.

    `problem` is the code of a finding (a wish that can't be met), "" when there is none.
    """

    type: ColumnType
    reason: str
    sure: bool = False
    problem: str = ""


def wish_for(table: str, column: SourceColumn, types: Types) -> Wish | None:
    """What the config's `types` section asks for this column: by_column, then dates, then by_type."""
    target = _lookup(types.by_column, table, column.name)
    unit = _lookup(types.dates, table, column.name)
    if target is not None:
        return Wish(target=target, unit=unit, origin="types.by_column")
    if unit is not None:
        return Wish(target="timestamp", unit=unit, origin="types.dates")
    rules = {normalised(k): v for k, v in types.by_type.items()}
    declared = normalised(column.declared)
    found = rules.get(declared) or rules.get(parse(column.declared).base)
    return Wish(target=found, origin="types.by_type") if found else None


def _lookup(tables: dict[str, dict[str, T]], table: str, column: str) -> T | None:
    for name, columns in tables.items():
        if name.lower() == table.lower():
            for other, value in columns.items():
                if other.lower() == column.lower():
                    return value
    return None


def hypothesis(column: SourceColumn, sample: Sequence[Value], wish: Wish | None = None) -> ColumnType:
    """The type a sample suggests; the census then counts the rows that break it."""
    return decide(column, profile_sample(sample, declared_scale(column)), wish).type


def declared_scale(column: SourceColumn) -> int | None:
    """The scale of a declared DECIMAL(p,s) that the exact decimal path can take."""
    parsed = parse(column.declared)
    if parsed.ask is not Ask.DECIMAL or parsed.decimal is None or parsed.decimal[1] > MAX_SCALE:
        return None
    return parsed.decimal[1]


def decide(
    column: SourceColumn,
    profile: Profile,
    wish: Wish | None = None,
    *,
    on_bad_value: BadValue = BadValue.REJECT,
    plain: bool = False,
    growing: bool = False,
) -> Decision:
    """The type of a column and why.

    Args:
        column: the column as declared.
        profile: what its values are; all rows for a decision, a sample for a hypothesis.
        wish: a type somebody asked for; it wins.
        on_bad_value: `bytea` keeps text that PostgreSQL can't hold, by making the column bytea.
        plain: only the storage classes' own types (the declared type's wish was tried and failed).
        growing: the application goes on writing: no bound is taken from the values of now, only from the declaration.
    """
    if wish is not None:
        found = resolve(wish.target, profile, unit=wish.unit, enum=wish.enum)
        if found is not None:
            return _wished(wish, found)
        if wish.made:  # a name only PostgreSQL understands: it parses the text itself
            return _wished(wish, Resolved(type=ColumnType(kind=Kind.OTHER, sql=wish.target)))
        refused = decide(column, profile, None, on_bad_value=on_bad_value, plain=plain, growing=growing)
        return replace(refused, problem="type_unknown")
    if not profile.values:
        return Decision(type=empty_type(column.declared), reason=f"no values; {_says(column)}")
    asked = None if plain else _asked(column, profile, growing=growing)
    if asked is not None:
        return asked
    return _mixed(profile, on_bad_value) if profile.mixed else _own(profile, on_bad_value)


def _wished(wish: Wish, found: Resolved) -> Decision:
    unit = f", stored as {wish.unit.value}" if wish.unit else ""
    return Decision(type=found.type, reason=f"{wish.origin} asks for {wish.target}{unit}", problem=found.problem)


def _says(column: SourceColumn) -> str:
    return f"declared {column.declared}" if column.declared else "nothing declared"


def _asked(column: SourceColumn, profile: Profile, *, growing: bool) -> Decision | None:
    """The type the declaration asks for, if every value renders back exactly."""
    parsed = parse(column.declared)
    exact = f"{_says(column)}, and every value "
    if parsed.ask is Ask.BOOLEAN and profile.booleans == profile.values:
        return Decision(type=BOOLEAN, reason=exact + "is 0 or 1", sure=True)
    if parsed.ask is Ask.DECIMAL and profile.integers + profile.reals == profile.values:
        return _growing(profile, parsed.decimal, exact) if growing else _decimal(profile, parsed.decimal, exact)
    if parsed.ask is Ask.TIMESTAMP:
        for form, count in profile.forms.items():
            if count == profile.values:
                kind = ColumnType(kind=Kind.TIMESTAMP, sql="timestamp", form=form)
                return Decision(type=kind, reason=exact + f"has the form {form.value}", sure=True)
    if parsed.ask is Ask.DATE and profile.dates == profile.values:
        return Decision(type=DATE, reason=exact + "has the form YYYY-MM-DD", sure=True)
    return None


def _growing(profile: Profile, declared: tuple[int, int] | None, exact: str) -> Decision | None:
    """The declared precision and scale while all values fit them; else any number, for the next one may need more digits.

    Its scale is how most values travel; the others go the slow way, which holds every finite number exactly.
    """
    found = _decimal(profile, declared, exact)
    if found is not None and declared == (found.type.precision, found.type.scale):
        return found
    if any(v is not None and not math.isfinite(v) for v in (profile.low, profile.high)):
        return None
    kind = ColumnType(kind=Kind.DECIMAL, sql="numeric", scale=profile.scale or 0)
    return Decision(
        type=kind, reason=exact + "is a number; while the application writes, the next one may need more digits"
    )


def _decimal(profile: Profile, declared: tuple[int, int] | None, exact: str) -> Decision | None:
    if declared is not None and declared[1] <= MAX_SCALE and profile.declared_scale_fits:
        scale = declared[1]
    elif profile.scale is not None:
        scale = profile.scale
    else:
        return None
    precision = _precision(profile, declared, scale)
    kind = ColumnType(kind=Kind.DECIMAL, sql=f"numeric({precision},{scale})", scale=scale, precision=precision)
    return Decision(type=kind, reason=exact + f"is exact with {scale} decimals", sure=True)


def _precision(profile: Profile, declared: tuple[int, int] | None, scale: int) -> int:
    """The declared precision if all values fit, else the 15 digits that the exact path carries."""
    if declared is not None and declared[0] >= scale:
        bound = 10 ** (declared[0] - scale)
        if all(v is not None and abs(v) < bound for v in (profile.low, profile.high)):
            return declared[0]
    return MAX_SCALE


def _own(profile: Profile, on_bad_value: BadValue) -> Decision:
    if profile.integers:
        return Decision(type=BIGINT, reason="every value is an integer", sure=True)
    if profile.reals:
        return Decision(type=DOUBLE, reason="every value is a real", sure=True)
    if profile.blobs:
        return Decision(type=BYTEA, reason="every value is a blob", sure=True)
    if on_bad_value is BadValue.BYTEA and (profile.nul_values or profile.invalid):
        return Decision(type=MIXED_BYTEA, reason=_BAD_TEXT)
    return Decision(type=TEXT, reason="every value is a text")


_BAD_TEXT = "texts with NUL bytes or invalid UTF-8, which on_bad_value: bytea keeps"


def _mixed(profile: Profile, on_bad_value: BadValue) -> Decision:
    parts = (
        ("integers", profile.integers),
        ("reals", profile.reals),
        ("texts", profile.texts),
        ("blobs", profile.blobs),
    )
    counts = ", ".join(f"{n} {name}" for name, n in parts if n)
    if profile.blobs:
        return Decision(type=MIXED_BYTEA, reason=f"mixed storage classes: {counts}")
    if on_bad_value is BadValue.BYTEA and (profile.nul_values or profile.invalid):
        return Decision(type=MIXED_BYTEA, reason=f"mixed storage classes: {counts}; {_BAD_TEXT}")
    if profile.distinct is False:
        return Decision(
            type=MIXED_BYTEA, reason=f"mixed storage classes: {counts}; as text, different values would be equal"
        )
    return Decision(type=MIXED_TEXT, reason=f"mixed storage classes: {counts}")


def wish_for_made(table: str, column: SourceColumn, target: TargetColumn, types: Types) -> Wish:
    """What a column of a table made beforehand asks for; `types.dates` still says how the source stores times."""
    unit = _lookup(types.dates, table, column.name)
    return Wish(target=target.sql, unit=unit, enum=target.enum, made=True, origin="the table made beforehand")


def type_for_existing(
    column: SourceColumn, sql: str, profile: Profile, *, unit: DateUnit | None = None, enum: bool = False
) -> Decision:
    """How a column's values reach a column made beforehand.

    Args:
        column: the source column.
        sql: the target column's type as `format_type` writes it.
        profile: what the source's values are.
        unit: how the source stores times, where `types.dates` says so.
        enum: the target type is an enum.
    """
    return decide(
        column, profile, Wish(target=sql, unit=unit, enum=enum, made=True, origin="the table made beforehand")
    )
