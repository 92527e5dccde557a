"""How a column is compared as Arrow: one expression per side, other converters than the copy's.

Equal buffers must prove equal values. What SQLite's reader would convert in silence (another storage class in a column)
is made NULL and marked in the extra column `odd`, so that such rows are looked at singly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stepflow_tui.engine.model.plan import ColumnPlan, TablePlan
from stepflow_tui.engine.model.types import DateForm, EpochUnit, Kind
from stepflow_tui.engine.plan.quote import lite_ident, pg_ident, pg_literal
from stepflow_tui.engine.verify.forms import kind_of, padded
from stepflow_tui.engine.verify.job import VerifyJob


@dataclass(frozen=True, slots=True)
class Pair:
    """One column on both sides: expression, Arrow format (l g u z tsu:) and a typed dummy; `odd` marks values that the
    expression leaves out."""

    lite: str
    lite_format: str
    pg: str
    pg_format: str
    odd: str | None = None


_DUMMY = {"l": ("0", "0::int8"), "g": ("0.5", "0.5::float8"), "u": ("'x'", "'x'::text"), "z": ("x'00'", "")}
_TIMESTAMP_DUMMY = "timestamp '1970-01-01'"
_DECIMAL_LIMIT = 10**15  # fewer than 16 digits: a double tells all decimals apart
_BEFORE_ALL = "timestamp '0002-01-01 BC'"
"""Stands for infinity, which Arrow can't hold: before every value that is compared."""
_YEARS = (-62_135_596_800_000_000, 253_402_300_799_999_999)  # 1 to 9999, in microseconds
_PER = {EpochUnit.SECONDS: 1_000_000, EpochUnit.MILLIS: 1_000, EpochUnit.MICROS: 1}
_MICROS = {EpochUnit.SECONDS: "*1000000", EpochUnit.MILLIS: "*1000", EpochUnit.MICROS: ""}


def pairs(job: VerifyJob, table: TablePlan, columns: Sequence[ColumnPlan]) -> tuple[Pair, ...] | None:
    """The columns as Arrow, or None where one of them has to be converted in Python for every row."""
    found = []
    for column in columns:
        pair = _pair(job, table, column)
        if pair is None:
            return None
        found.append(pair)
    return tuple(found)


def select_lists(found: Sequence[Pair]) -> tuple[str, str]:
    """SELECT lists of the source (with `odd` if any column needs it) and of the target."""
    odd = [p.odd for p in found if p.odd]
    lite = [p.lite for p in found] + ([_any(odd)] if odd else [])
    return ",".join(lite), ",".join(p.pg for p in found)


def dummies(found: Sequence[Pair]) -> tuple[str, str]:
    """The typed first rows: SQLite's reader takes a column's type from its first values."""
    lite = [_DUMMY[p.lite_format][0] for p in found] + (["0"] if any(p.odd for p in found) else [])
    return ",".join(lite), ",".join(_pg_dummy(p.pg_format) for p in found)


def _pg_dummy(arrow: str) -> str:
    if arrow == "tsu:":
        return _TIMESTAMP_DUMMY
    return _DUMMY[arrow][1] or f"{pg_literal(chr(92) + 'x00')}::bytea"


def _any(conditions: Sequence[str]) -> str:
    """1 where any condition holds; a balanced tree, because SQLite limits an expression's depth."""
    return f"ifnull({_tree(conditions)},1)"


def _tree(conditions: Sequence[str]) -> str:
    if len(conditions) == 1:
        return f"({conditions[0]})"
    middle = len(conditions) // 2
    return f"({_tree(conditions[:middle])} or {_tree(conditions[middle:])})"


def _guarded(x: str, allowed: str, lite: str, kinds: tuple[str, str], pg: str) -> Pair:
    """`lite` where the value is as `allowed` says, else NULL and odd."""
    return Pair(f"iif({allowed},{lite},null)", kinds[0], pg, kinds[1], f"{x} is not null and not ({allowed})")


def _pair(job: VerifyJob, table: TablePlan, column: ColumnPlan) -> Pair | None:
    x, y = lite_ident(column.source), pg_ident(column.target)
    kind = kind_of(column)
    violated = bool(job.column_facts(table, column.source).violations) or column.generated is not None
    owned = table.rowid_column is None and not violated  # only real columns have an affinity to rely on
    declared = column.declared.upper()
    if padded(column):
        return None
    if kind is Kind.INTEGER or kind is Kind.BOOLEAN:
        pg = f"{y}::int::int8" if kind is Kind.BOOLEAN else f"{y}::int8"
        # an unguarded column with another class arrives in another format, which is noticed
        return _guarded(x, f"typeof({x})='integer'", x, ("l", "l"), pg) if violated else Pair(x, "l", pg, "l")
    if kind is Kind.REAL:
        plain = owned and _real_affinity(declared)
        return (
            Pair(x, "g", f"{y}::float8", "g")
            if plain
            else _guarded(x, f"typeof({x})='real'", x, ("g", "g"), f"{y}::float8")
        )
    if kind is Kind.DECIMAL:
        return _decimal(x, y, column.type.scale)
    if kind in (Kind.TEXT, Kind.OTHER):
        if kind is Kind.TEXT and owned and _text_affinity(declared) and not job.utf16:
            return Pair(x, "u", f"{y}::text", "u")
        return _guarded(x, _whole_text(x, job.utf16), x, ("u", "u"), f"{y}::text")
    if kind is Kind.MIXED_TEXT:
        allowed = f"case typeof({x}) when 'integer' then 1 when 'text' then {_whole_text(x, job.utf16)} else 0 end"
        return _guarded(x, allowed, f"{x}||''", ("u", "u"), f"{y}::text")
    if kind is Kind.BLOB:
        return _guarded(x, f"typeof({x})='blob'", x, ("z", "z"), y)
    if kind is Kind.MIXED_BYTEA:
        return None if job.utf16 else _mixed_bytea(x, y)
    return _time(x, y, kind, column, violated=violated)


def _whole_text(x: str, utf16: bool) -> str:
    plain = f"typeof({x})='text'"
    # lone surrogates don't survive the way through UTF-8
    return f"{plain} and cast(printf('%s',{x}) as blob) is cast({x} as blob)" if utf16 else plain


def _decimal(x: str, y: str, scale: int | None) -> Pair:
    """As doubles, which tell decimals of up to 15 digits apart; a target with more decimals than planned becomes NaN."""
    if scale is None:
        return Pair("null", "g", f"{y}::float8", "g", "1")
    bound = _DECIMAL_LIMIT // 10**scale
    allowed = f"typeof({x}) in ('integer','real') and abs({x})<{bound}"
    return _guarded(
        x, allowed, x, ("g", "g"), f"case when scale({y})<={scale} then {y}::float8 when {y} is not null then 'NaN' end"
    )


def _mixed_bytea(x: str, y: str) -> Pair:
    tags = f"case typeof({x}) when 'integer' then '69' when 'text' then '74' when 'blob' then '62' end"
    return Pair(f"{tags}||hex({x})", "u", f"upper(encode({y},'hex'))", "u", f"typeof({x})='real'")


def _time(x: str, y: str, kind: Kind, column: ColumnPlan, *, violated: bool) -> Pair | None:
    if kind is Kind.EPOCH:
        unit = column.type.unit or EpochUnit.SECONDS
        if unit not in _MICROS:
            return None
        low, high = _YEARS[0] // _PER[unit], _YEARS[1] // _PER[unit]
        finite = f"case when isfinite({y}) then {y}::timestamp when {y} is not null then {_BEFORE_ALL} end"
        allowed = f"typeof({x})='integer' and {x} between {low} and {high}"
        return _guarded(x, allowed, f"{x}{_MICROS[unit]}", ("l", "tsu:"), finite)
    if kind is Kind.DATE:
        pg, lite = f"{y}::text", x
    elif kind is Kind.TIMESTAMP:
        lite, pg = _iso(x, y, column.type.form or DateForm.SPACE)
    else:
        return None
    return _guarded(x, f"typeof({x})='text'", lite, ("u", "u"), pg) if violated else Pair(lite, "u", pg, "u")


def _iso(x: str, y: str, form: DateForm) -> tuple[str, str]:
    """The text itself; PostgreSQL writes microseconds always, so a ms form gets three zeros."""
    if form.digits == 0:
        return x, f"replace({y}::text,' ','T')" if form.with_t else f"{y}::text"
    joint = '"T"' if form.with_t else " "
    # to_char makes NULL of infinity
    pg = f"case when isfinite({y}) then to_char({y},'YYYY-MM-DD{joint}HH24:MI:SS.US') else {y}::text end"
    return (f"{x}||'000'" if form.digits == 3 else x), pg


def _real_affinity(declared: str) -> bool:
    return any(w in declared for w in ("REAL", "FLOA", "DOUB")) and not any(
        w in declared for w in ("INT", "CHAR", "CLOB", "TEXT")
    )


def _text_affinity(declared: str) -> bool:
    return any(w in declared for w in ("CHAR", "CLOB", "TEXT")) and "INT" not in declared
