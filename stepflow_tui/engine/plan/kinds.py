"""How each kind of column leaves SQLite: copy expression, census term, Arrow format.

Census and copy use the same terms, so they can't disagree about which rows take the slow way.
In comments `X` is the quoted column, `B` the same under BINARY collation.
Verification must not import this module: it converts in its own way, or a wrong converter would confirm itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from stepflow_tui.engine.model.schema import Affinity
from stepflow_tui.engine.model.types import ColumnType, DateForm, EpochUnit, Kind
from stepflow_tui.engine.plan.quote import lite_ident

PG_EPOCH = 946_684_800
"""2000-01-01 in Unix seconds: PostgreSQL's timestamp zero."""

_EPOCH_RANGE = {
    EpochUnit.SECONDS: (-62_135_596_800, 253_402_300_799),
    EpochUnit.MILLIS: (-62_135_596_800_000, 253_402_300_799_999),
    EpochUnit.MICROS: (-62_135_596_800_000_000, 253_402_300_799_999_999),
}


class Build(StrEnum):
    """What Python rebuilds after reading; everything else passes through untouched."""

    AS_IS = "as_is"
    DECIMAL = "decimal"  # two int64 columns → decimal128
    DATE32 = "date32"
    INT32 = "int32"
    INT16 = "int16"


@dataclass(frozen=True, slots=True)
class Wire:
    """How one target column is read: SQL expressions, the Arrow format each must have (l g u z), and what is built."""

    expressions: tuple[str, ...]
    format: str
    build: Build = Build.AS_IS


def wire(source: str, column: ColumnType) -> Wire:
    """The copy expression(s) of a column. Raises KeyError for kinds that always go the slow way."""
    x = lite_ident(source)
    kind = column.kind
    if kind is Kind.INTEGER:
        return Wire((x,), "l", {8: Build.AS_IS, 4: Build.INT32, 2: Build.INT16}[column.width])
    if kind is Kind.BOOLEAN:
        return Wire((f"iif({x},x'01',iif({x} is null,null,x'00'))",), "z")
    if kind is Kind.REAL:
        return Wire((f"cast({x} as real)",), "g")
    if kind is Kind.DECIMAL:
        p = 10 ** (column.scale or 0)
        return Wire((f"cast({x}*{p}+iif({x}<0,-.5,.5) as integer)", f"-({x}<0)"), "l", Build.DECIMAL)
    if kind is Kind.TEXT:
        return Wire((x,), "u")
    if kind is Kind.JSONB:
        return Wire((f"char(1)||{x}",), "u")
    if kind is Kind.BLOB:
        return Wire((x,), "z")
    if kind is Kind.TIMESTAMP:
        return Wire((_timestamp(x, column.form or DateForm.SPACE),), "l")
    if kind is Kind.DATE:
        return Wire((f"unixepoch({x})/86400",), "l", Build.DATE32)
    if kind is Kind.EPOCH:
        return Wire((_EPOCH_COPY[column.unit or EpochUnit.SECONDS].format(x=x),), "l")
    if kind is Kind.MIXED_TEXT:
        return Wire((f"cast({x} as text)",), "u")
    if kind is Kind.MIXED_BYTEA:
        return Wire((f"cast(iif({x} is null,null,substr(typeof({x}),1,1)||{x}) as blob)",), "z")
    raise KeyError(kind)


_EPOCH_COPY = {
    EpochUnit.SECONDS: f"({{x}}-{PG_EPOCH})*1000000",
    EpochUnit.MILLIS: f"({{x}}-{PG_EPOCH}000)*1000",
    EpochUnit.MICROS: f"{{x}}-{PG_EPOCH}000000",
}


def _timestamp(x: str, form: DateForm) -> str:
    if form.digits == 0:
        return f"(unixepoch({x})-{PG_EPOCH})*1000000"
    scale = "*1000" if form.digits == 3 else ""
    return f"(unixepoch(substr({x},1,19))-{PG_EPOCH})*1000000+cast(substr({x},21,{form.digits}) as integer){scale}"


def term(
    source: str, column: ColumnType, *, affinity: Affinity, utf16: bool, nullable: bool, rowid_alias: bool = False
) -> str | None:
    """The condition under which a row's value may take the fast way; None: always. A term may be NULL: test `is not 1`.

    Args:
        source: raw column name.
        affinity: the column's affinity (decimal terms depend on it).
        utf16: the file stores UTF-16, where lone surrogates must be excluded.
        nullable: NULLs may occur and pass.
        rowid_alias: the INTEGER PRIMARY KEY, which can hold nothing but integers.
    """
    if column.always_slow:
        return "0"
    if rowid_alias and column.kind is Kind.INTEGER:
        return None if column.width == 8 else _width_term(lite_ident(source), column.width)
    x = lite_ident(source)
    text = _kind_term(x, column, affinity=affinity, utf16=utf16)
    return f"({x} is null or ({text}))" if nullable else text


def _width_term(x: str, width: int) -> str:
    bound = 2 ** (8 * width - 1)
    return f"typeof({x})='integer' and {x} between {-bound} and {bound - 1}"


def _kind_term(x: str, column: ColumnType, *, affinity: Affinity, utf16: bool) -> str:
    b = f"({x} collate binary)"
    kind = column.kind
    if kind is Kind.INTEGER:
        return f"typeof({x})='integer'" if column.width == 8 else _width_term(x, column.width)
    if kind is Kind.BOOLEAN:
        return f"typeof({x})='integer' and {x} in (0,1)"
    if kind is Kind.REAL:
        return f"typeof({x})='real'"
    if kind is Kind.DECIMAL:
        return _decimal_term(x, b, column.scale or 0, affinity)
    if kind in (Kind.TEXT, Kind.JSONB):
        return _text_term(x, utf16)
    if kind is Kind.BLOB:
        return f"typeof({x})='blob'"
    if kind is Kind.TIMESTAMP:
        return _timestamp_term(x, b, column.form or DateForm.SPACE)
    if kind is Kind.DATE:
        return f"{b} is date({x},'+0 days') and {b}>='0001-01-01'"
    if kind is Kind.EPOCH:
        low, high = _EPOCH_RANGE[column.unit or EpochUnit.SECONDS]
        return f"typeof({x})='integer' and {x} between {low} and {high}"
    if kind is Kind.MIXED_TEXT:
        return f"case typeof({x}) when 'integer' then 1 when 'text' then {_text_term(x, utf16)} else 0 end"
    # MIXED_BYTEA: a UTF-16 file's text casts to UTF-16 bytes, so all its rows go the slow way
    return "0" if utf16 else f"typeof({x})<>'real'"


def _text_term(x: str, utf16: bool) -> str:
    plain = f"typeof({x})='text' and not instr({x},char(0))"
    return f"{plain} and cast(printf('%s',{x}) as blob) is cast({x} as blob)" if utf16 else plain


def _decimal_term(x: str, b: str, scale: int, affinity: Affinity) -> str:
    p = 10**scale
    text = (
        f"{b}<'' and {x}*{p} between -999999999999999 and 999999999999999"
        f" and cast({x}*{p}+iif({x}<0,-.5,.5) as integer)/{p}.0={x}"
    )
    if affinity is Affinity.BLOB:  # no affinity: 5 and 5.0, 0.0 and -0.0 are different values there
        text += f" and typeof({x})='real' and {x}<>0"
    return text


def _timestamp_term(x: str, b: str, form: DateForm) -> str:
    low = f"{b}>='0001-01-01'"
    whole = "strftime('%Y-%m-%dT%H:%M:%S',{},'+0 days')" if form.with_t else "datetime({},'+0 days')"
    if form.digits == 0:
        return f"{b} is {whole.format(x)} and {low}"
    head = whole.format(f"substr({x},1,19)")
    return f"{b} is {head}||printf('.%0{form.digits}d',substr({x},21,{form.digits})) and {low}"


def conjunction(terms: list[str]) -> str:
    """The terms joined by `and` as a balanced tree of parentheses (SQLite's depth limit is 1,000)."""
    if len(terms) == 1:
        return terms[0]
    middle = len(terms) // 2
    return f"({conjunction(terms[:middle])}) and ({conjunction(terms[middle:])})"
