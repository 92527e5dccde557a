"""PostgreSQL type names as people, configs and catalogs write them → kinds of columns.

Owns which names are understood, and what a wanted type means for a column with given values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from stepflow_tui.engine.model.config import DateUnit
from stepflow_tui.engine.model.types import ColumnType, DateForm, EpochUnit, Kind
from stepflow_tui.engine.plan.declared import MAX_SCALE
from stepflow_tui.engine.plan.profile import Profile, epoch_unit

_ALIASES = {
    "int2": "smallint", "int4": "integer", "int": "integer", "int8": "bigint", "bool": "boolean",
    "float8": "double precision", "float": "double precision", "double": "double precision", "float4": "real",
    "decimal": "numeric", "dec": "numeric", "character varying": "varchar", "character": "char", "bpchar": "char",
    "timestamp without time zone": "timestamp", "timestamp with time zone": "timestamptz",
    "time without time zone": "time", "time with time zone": "timetz",
}  # fmt: skip

_WRITTEN = {"timestamptz": "timestamp with time zone"}
_WIDTH = {"smallint": 2, "integer": 4, "bigint": 8}
_TEXTS = frozenset({"text", "varchar", "citext", "json"})

_NAME = re.compile(
    r"""(?P<base>(?:"[^"\x00]+"|[^\W\d][\w$]*)(?:[ .](?:"[^"\x00]+"|[^\W\d][\w$]*))*)
        \s*(?:\((?P<args>[\w\s,]*)\))?(?P<tail>(?:\s+\w+)*)(?P<array>(?:\[\])*)""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PgType:
    """A type name in parts: `base` is the usual lower-case name, `args` its modifiers, `sql` what DDL gets."""

    base: str
    args: tuple[int, ...]
    sql: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What a wanted type means for a column. `problem` is the code of a finding, "" when there is none."""

    type: ColumnType
    problem: str = ""


def parse_pg(text: str) -> PgType | None:
    """A PostgreSQL type name in parts, None for text that isn't one (nothing else may reach the DDL).

    Args:
        text: such as `numeric(12,2)`, `timestamp(3) without time zone`, `public."Mood"`, `int[]`.
    """
    match = _NAME.fullmatch(text.strip())
    if match is None:
        return None
    quoted = '"' in match["base"]
    words = f"{match['base']}{match['tail']}"
    base = words if quoted else " ".join(words.lower().split())
    base = _ALIASES.get(base, base) + match["array"]
    numbers = [a.strip() for a in (match["args"] or "").split(",") if a.strip()]
    args = tuple(int(n) for n in numbers if n.isdecimal())
    known = base in _WRITTEN or base in _ALIASES.values() or base in _TEXTS
    if not known or len(args) != len(numbers):
        return PgType(base=base, args=args, sql=text.strip())
    modifier = f"({','.join(map(str, args))})" if args else ""
    written = _WRITTEN.get(base, base)
    head, _, tail = written.partition(" ") if base == "timestamptz" else (written, "", "")
    return PgType(base=base, args=args, sql=f"{head}{modifier}{' ' + tail if tail else ''}")


def resolve(wanted: str, profile: Profile, *, unit: DateUnit | None = None, enum: bool = False) -> Resolved | None:
    """The kind in which a column's values reach a wanted type; None if that is no type name.

    Args:
        wanted: PostgreSQL's type name.
        profile: what is known of the values; decides between forms, units and mixed texts.
        unit: how the column stores times, where the config says so.
        enum: the name belongs to an enum, which takes text as it is.
    """
    pg = parse_pg(wanted)
    if pg is None:
        return None
    if enum:
        return Resolved(type=ColumnType(kind=Kind.TEXT, sql=pg.sql))
    if pg.base in ("timestamp", "timestamptz"):
        return _moment(pg, profile, unit)
    if unit not in (None, DateUnit.ISO):
        return Resolved(type=ColumnType(kind=Kind.OTHER, sql=pg.sql), problem="type_unit_without_time")
    return Resolved(type=_plain(pg, profile), problem=_lossy(pg, profile))


def _plain(pg: PgType, profile: Profile) -> ColumnType:
    if pg.base in _WIDTH:
        return ColumnType(kind=Kind.INTEGER, sql=pg.sql, width=_WIDTH[pg.base])
    if pg.base == "boolean":
        return ColumnType(kind=Kind.BOOLEAN, sql=pg.sql)
    if pg.base == "double precision":
        return ColumnType(kind=Kind.REAL, sql=pg.sql)
    if pg.base == "numeric":
        return _numeric(pg, profile)
    if pg.base in _TEXTS or pg.base == "char":
        # A text made of numbers travels as mixed text; JSON keeps its own form, which numbers have too.
        kind = Kind.MIXED_TEXT if profile.integers or profile.reals else Kind.TEXT
        return ColumnType(kind=kind, sql=pg.sql, precision=pg.args[0] if pg.args else 1 if pg.base == "char" else None)
    if pg.base == "jsonb":
        return ColumnType(kind=Kind.JSONB, sql=pg.sql)
    if pg.base == "bytea":
        return ColumnType(kind=Kind.BLOB, sql=pg.sql)
    if pg.base == "date":
        return ColumnType(kind=Kind.DATE, sql=pg.sql)
    return ColumnType(kind=Kind.OTHER, sql=pg.sql)


def _numeric(pg: PgType, profile: Profile) -> ColumnType:
    if not pg.args:
        if profile.scale is None and profile.integers + profile.reals:
            return ColumnType(kind=Kind.OTHER, sql=pg.sql)
        return ColumnType(kind=Kind.DECIMAL, sql=pg.sql, scale=profile.scale or 0)
    scale = pg.args[1] if len(pg.args) > 1 else 0
    if scale > MAX_SCALE:  # beyond the 15 digits of the exact path
        return ColumnType(kind=Kind.OTHER, sql=pg.sql)
    return ColumnType(kind=Kind.DECIMAL, sql=pg.sql, scale=scale, precision=pg.args[0])


def _moment(pg: PgType, profile: Profile, unit: DateUnit | None) -> Resolved:
    digits = pg.args[0] if pg.args else None
    numbers = profile.integers + profile.reals
    if unit is not None and unit is not DateUnit.ISO:
        # Reals between two microseconds are rounded: saying the unit accepts that.
        rounded = unit in (DateUnit.COCOA, DateUnit.JULIAN)
        stored = EpochUnit(unit.value)
        return Resolved(type=ColumnType(kind=Kind.EPOCH, sql=pg.sql, unit=stored, precision=digits, lossy=rounded))
    if unit is DateUnit.ISO or profile.texts >= numbers:
        form = profile.form or DateForm.SPACE
        return Resolved(type=ColumnType(kind=Kind.TIMESTAMP, sql=pg.sql, form=form, precision=digits))
    guess = epoch_unit(profile.low, profile.high)
    if guess is None or profile.reals:
        return Resolved(type=ColumnType(kind=Kind.OTHER, sql=pg.sql), problem="type_needs_unit")
    return Resolved(type=ColumnType(kind=Kind.EPOCH, sql=pg.sql, unit=guess, precision=digits))


def _lossy(pg: PgType, profile: Profile) -> str:
    """`real` has 24 bits of precision: values would change without an error."""
    return "type_too_narrow" if pg.base == "real" and profile.values else ""


def misfit(x: str, column: ColumnType) -> str | None:
    """The SQLite condition under which a value meets the kind's term but would be changed or refused by the type's modifier.

    Args:
        x: quoted column.
    """
    n = column.precision
    if column.kind is Kind.DECIMAL and n is not None and n < MAX_SCALE:
        bound = 10 ** max(0, n - (column.scale or 0))
        return f"{x}+0>={bound} or {x}+0<=-{bound}"  # +0: a number stored as text would be compared as text
    if column.kind in (Kind.TEXT, Kind.MIXED_TEXT) and n is not None:
        # char(n) pads shorter texts with blanks, so they would change
        return f"length({x})<>{n}" if column.sql.startswith("char") else f"length({x})>{n}"
    if column.kind is Kind.TIMESTAMP and n is not None and column.form is not None and column.form.digits > n:
        return f"rtrim(substr({x},{21 + n}),'0')<>''"
    if column.kind is Kind.EPOCH and n is not None:
        have = {EpochUnit.MILLIS: 3, EpochUnit.MICROS: 6}.get(column.unit or EpochUnit.SECONDS, 0)
        return f"{x}%{10 ** (have - n)}<>0" if have > n else None
    return None


_SPAN = {  # years 1 to 9999 in each unit
    EpochUnit.COCOA: (-63_113_904_000, 252_423_993_599),
    EpochUnit.WEBKIT: (-50_491_123_200_000_000, 265_046_774_399_999_999),
    EpochUnit.JULIAN: (1_721_425.5, 5_373_484.499_999_9),
}


def impossible(x: str, column: ColumnType) -> str | None:
    """The SQLite condition under which a value of a type that always goes the slow way can't become one; None: unknown."""
    span = _SPAN.get(column.unit) if column.unit is not None else None
    if span is None:
        return None
    return f"{x} is not null and not (typeof({x}) in ('integer','real') and {x} between {span[0]} and {span[1]})"
