"""Which target value a source value must have become: own conversions, exact, in Python.

Shares nothing with the copy: where both sides of a comparison used one converter, a wrong converter would confirm itself.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import cast

from stepflow_tui.engine.model.config import BadValue
from stepflow_tui.engine.model.discrepancy import DiffClass
from stepflow_tui.engine.model.plan import ColumnPlan
from stepflow_tui.engine.model.types import EpochUnit, Kind
from stepflow_tui.engine.sqlite.connect import Text
from stepflow_tui.engine.verify.forms import kind_of, padded

Value = int | float | Text | bytes | None
"""A source value: TEXT as `Text` (UTF-8 bytes, invalid ones included), BLOB as plain bytes."""


class LoneText(Text):
    """TEXT of a UTF-16 file that does not decode (lone surrogates); `raw` are its stored bytes, `codec` their encoding."""

    raw: bytes
    codec: str


class Wrong:
    """No target value is right for this source value; the row should have been refused."""

    __slots__ = ("cls",)

    def __init__(self, cls: DiffClass) -> None:
        self.cls = cls


TYPE, PRECISION, ENCODING = Wrong(DiffClass.TYPE), Wrong(DiffClass.PRECISION), Wrong(DiffClass.ENCODING)

Expected = int | bytes | None | Wrong
"""In the column's `Form`: int, bytes (IEEE, text as UTF-8, bytea), NULL, or nothing that is right."""

_ISO = re.compile(rb"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)?")
_INTEGER_TEXT = re.compile(rb"0|-?[1-9][0-9]{0,18}")
_DECIMAL_TEXT = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
_TIMELY = re.compile(r"time|interval")
_INEXACT_TIME = re.compile(rb"\.\d{6}\d*[1-9]|(?:^|[ T])24:")
_DATE = re.compile(rb"\d{4}-\d\d-\d\d")
_MICROS = {EpochUnit.SECONDS: 1_000_000, EpochUnit.MILLIS: 1_000, EpochUnit.MICROS: 1}
_FIRST, _LAST = -62_135_596_800_000_000, 253_402_300_799_999_999  # years 1 to 9999 in microseconds


def converter(column: ColumnPlan, bad: BadValue = BadValue.REJECT) -> Callable[[Value], Expected]:
    """The conversion of one value of a column (NULL stays NULL).

    Args:
        column: the column's plan.
        bad: what the copy did with text PostgreSQL can't hold.
    """
    kind = kind_of(column)
    if padded(column):
        kind = Kind.TEXT
    if kind is Kind.DECIMAL:
        scale = None if column.type.unbounded else column.type.scale
        return lambda v: None if v is None else _decimal(v, scale)
    if kind is Kind.EPOCH:
        unit = column.type.unit or EpochUnit.SECONDS
        lossy = column.type.lossy
        return lambda v: None if v is None else _epoch(v, unit, lossy)
    if kind in (Kind.TEXT, Kind.MIXED_TEXT):
        return lambda v: None if v is None else _text(v, bad)
    if kind is Kind.INTEGER:
        bound = 1 << (8 * column.type.width - 1)
        return lambda v: None if v is None else _integer(v, bound)
    if kind is Kind.OTHER:
        return lambda v: None if v is None else _normal(v, bad=bad, timely=_TIMELY.match(column.type.sql.lower()))
    if kind is Kind.JSONB:
        return lambda v: None if v is None else _text(v, bad)
    plain = _PLAIN[kind]
    return lambda v: None if v is None else plain(v)


def expected_column(values: Sequence[Value], column: ColumnPlan, bad: BadValue = BadValue.REJECT) -> Sequence[Expected]:
    """The conversion of many values of one column; columns of one storage class are converted as a whole."""
    kind = kind_of(column)
    classes = set(map(type, values)) - {type(None)}
    if not classes:
        return cast(Sequence[Expected], values)
    own = _OWN_CLASS.get(kind)
    as_they_are = own is not None and classes == {own} and column.type.width == 8 and not padded(column)
    # ints, blobs and sound texts are their own expected form
    if as_they_are and (own is not Text or _sound(cast(Sequence[Text | None], values))):
        return cast(Sequence[Expected], values)
    if kind is Kind.BOOLEAN and classes == {int} and set(values) <= {0, 1, None}:
        return cast(Sequence[Expected], values)
    if kind is Kind.REAL and classes == {float}:
        return _packed(cast(Sequence[float | None], values))
    convert = converter(column, bad)
    return [convert(v) for v in values]


def _sound(values: Sequence[Text | None]) -> bool:
    """Whether all texts decode and none has a NUL byte, looked at together."""
    joined = b"\n".join(v for v in values if v is not None)  # the separator keeps halves from joining to a character
    try:
        joined.decode()
    except UnicodeDecodeError:
        return False
    return b"\x00" not in joined


def _packed(values: Sequence[float | None]) -> Sequence[Expected]:
    """Doubles as IEEE bytes, all at once."""
    whole = struct.pack(f">{len(values)}d", *(0.0 if v is None else v for v in values))
    return [None if v is None else whole[8 * i : 8 * i + 8] for i, v in enumerate(values)]


_OWN_CLASS: dict[Kind, type] = {Kind.INTEGER: int, Kind.BLOB: bytes, Kind.TEXT: Text, Kind.MIXED_TEXT: Text}


def _integer(v: Value, bound: int) -> Expected:
    if isinstance(v, Text) and _INTEGER_TEXT.fullmatch(v):
        v = int(v)
    if isinstance(v, float) and v.is_integer():
        if v == 0 and math.copysign(1, v) < 0:
            return PRECISION
        v = int(v)
    if isinstance(v, int):
        return v if -bound <= v < bound else PRECISION
    return PRECISION if isinstance(v, float) and math.isfinite(v) else TYPE


def _boolean(v: Value) -> Expected:
    if isinstance(v, (int, float)):
        return int(v) if v in (0, 1) and math.copysign(1, v) > 0 else PRECISION
    return TYPE


def _real(v: Value) -> Expected:
    if isinstance(v, Text):
        v = _float_text(v)
    if isinstance(v, int):
        try:
            return struct.pack(">d", v) if int(float(v)) == v else PRECISION
        except OverflowError:
            return PRECISION
    return struct.pack(">d", v) if isinstance(v, float) else TYPE


def _float_text(v: Text) -> float | None:
    """The double a text shows exactly as Python would."""
    try:
        number = float(v)
    except ValueError:
        return None
    return number if repr(number).encode() == v else None


def _decimal(v: Value, scale: int | None) -> Expected:
    """Canonical decimal text: no exponent, no trailing zeros. Without a scale (bare numeric) any number of decimals."""
    if isinstance(v, int):
        return str(v).encode()
    if isinstance(v, float) and 1e-4 <= abs(v) < 1e15:  # the range where repr writes plain decimals
        whole, _, part = repr(v).partition(".")
        if part == "0":
            return whole.encode()
        return f"{whole}.{part}".encode() if scale is None or len(part) <= scale else PRECISION
    if isinstance(v, Text):
        number = Decimal(v.decode()) if _DECIMAL_TEXT.fullmatch(v) else None
    else:
        number = Decimal(repr(v)) if isinstance(v, float) and math.isfinite(v) else None
    if number is None:
        return TYPE
    return _canonical(number, scale)


def _canonical(number: Decimal, scale: int | None) -> Expected:
    """No exponent, no trailing zeros, `0` for every zero."""
    if not number:
        return b"0"
    # no context arithmetic: a Decimal context rounds at 28 digits
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)  # a finite number
    while digits[-1] == 0 and exponent < 0:
        digits, exponent = digits[:-1], exponent + 1
    if scale is not None and -exponent > scale:
        return PRECISION
    text = "".join(map(str, digits)) + "0" * max(exponent, 0)
    if exponent < 0:
        text = text.rjust(-exponent + 1, "0")
        text = f"{text[:exponent]}.{text[exponent:]}"
    return f"{'-' if sign else ''}{text}".encode()


def _text(v: Value, bad: BadValue) -> Expected:
    if isinstance(v, Text):
        return _storable(v, bad)
    return repr(v).encode() if isinstance(v, (int, float)) else TYPE


def _storable(v: Text, bad: BadValue) -> Expected:
    try:
        decoded = v.decode()
    except UnicodeDecodeError:
        if bad is not BadValue.REPLACE:
            return ENCODING
        decoded = v.raw.decode(v.codec, "replace") if isinstance(v, LoneText) else v.decode("utf-8", "replace")
    if "\x00" in decoded:
        if bad is not BadValue.REPLACE:
            return ENCODING
        decoded = decoded.replace("\x00", "\ufffd")
    return decoded.encode()


def _normal(v: Value, *, bad: BadValue, timely: object) -> Expected:
    """Text that PostgreSQL will cast to the type: what the source shows, without interpretation."""
    text = _text(v, bad)
    # seven decimals are rounded, 24:00 moves to the next day
    return PRECISION if timely and isinstance(text, bytes) and _INEXACT_TIME.search(text) else text


def _blob(v: Value) -> Expected:
    return _stored_bytes(v) if isinstance(v, bytes) else TYPE


def _stored_bytes(v: bytes) -> bytes:
    return v.raw if isinstance(v, LoneText) else bytes(v)


def _mixed_bytea(v: Value) -> Expected:
    if isinstance(v, Text):
        return b"t" + _stored_bytes(v)
    if isinstance(v, bytes):
        return b"b" + v
    return (b"r" if isinstance(v, float) else b"i") + repr(v).encode()


def _timestamp(v: Value) -> Expected:
    if not isinstance(v, Text) or not _ISO.fullmatch(v):
        return TYPE
    days = _day(v[:10])
    if days is None:
        return TYPE
    # pieces of HH:MM[:SS[.f…]], each absent piece 0
    hours, minutes, seconds = int(v[11:13] or 0), int(v[14:16] or 0), int(v[17:19] or 0)
    if hours > 23 or minutes > 59 or seconds > 59:
        return TYPE
    fraction = int(v[20:].ljust(6, b"0") or 0) if len(v) > 20 else 0
    return ((days * 24 + hours) * 60 + minutes) * 60_000_000 + seconds * 1_000_000 + fraction


@lru_cache(maxsize=4096)
def _day(text: bytes) -> int | None:
    """Days since 1970 of `YYYY-MM-DD`, None where the calendar has no such day."""
    try:
        return date.fromisoformat(bytes(text).decode()).toordinal() - 719_163
    except ValueError:
        return None


def _date(v: Value) -> Expected:
    if not isinstance(v, Text) or not _DATE.fullmatch(v):
        return TYPE
    days = _day(v[:10])
    return TYPE if days is None else days


def _epoch(v: Value, unit: EpochUnit, lossy: bool) -> Expected:
    if isinstance(v, int) and unit in _MICROS:
        return _in_years(v * _MICROS[unit])
    if not isinstance(v, (int, float)) or not math.isfinite(v):
        return TYPE
    if unit is EpochUnit.JULIAN and isinstance(v, float):
        # SQLite makes Julian days from whole milliseconds: the double nearest to such a count means that count
        millis = round(Fraction(v) * 86_400_000)
        if millis / 86_400_000 == v:
            return _in_years((millis - 210_866_760_000_000) * 1_000)
    number = Fraction(Decimal(repr(v))) if isinstance(v, float) else Fraction(v)
    micros = _since_1970(number, unit)
    return _in_years(round(micros)) if lossy or micros.denominator == 1 else PRECISION


def _since_1970(number: Fraction, unit: EpochUnit) -> Fraction:
    if unit is EpochUnit.COCOA:
        return (number + 978_307_200) * 1_000_000
    if unit is EpochUnit.WEBKIT:
        return number - 11_644_473_600_000_000
    if unit is EpochUnit.JULIAN:
        return (number - Fraction(4_881_175, 2)) * 86_400_000_000
    return number * _MICROS[unit]


def _in_years(micros: int) -> Expected:
    return micros if _FIRST <= micros <= _LAST else PRECISION


_PLAIN: dict[Kind, Callable[[Value], Expected]] = {
    Kind.BOOLEAN: _boolean,
    Kind.REAL: _real,
    Kind.BLOB: _blob,
    Kind.MIXED_BYTEA: _mixed_bytea,
    Kind.TIMESTAMP: _timestamp,
    Kind.DATE: _date,
}
