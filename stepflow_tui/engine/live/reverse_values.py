"""Values on their way back: PostgreSQL's text form → what SQLite is to store, or why it can't.

The opposite of the copy's conversion, and checked against it: a value is right when the copy would make the very target
value of it again. Of all values that do, the one that stood in the row before is kept; only new ones are made here.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

from stepflow_tui.engine.bulk.exact import Encode, char_limit, encoder
from stepflow_tui.engine.bulk.values import BadText, Refusal, Value
from stepflow_tui.engine.model.plan import ColumnPlan
from stepflow_tui.engine.model.schema import Affinity
from stepflow_tui.engine.model.types import ColumnType, DateForm, EpochUnit, Kind
from stepflow_tui.engine.plan.declared import affinity
from stepflow_tui.engine.postgres.reverse_rows import is_bytea

Sent = str | bytes
"""A value as it is read from the target: bytea as bytes, everything else in its text form."""

_TIMESTAMP = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[ T]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,6}))?")
_ZONED = re.compile(r"(.*[+-][0-9]{2})")
_EPOCH = datetime(1970, 1, 1)
_UNITS = {
    # microseconds per unit, and the origin in microseconds since 1970
    EpochUnit.SECONDS: (1_000_000, 0),
    EpochUnit.MILLIS: (1_000, 0),
    EpochUnit.MICROS: (1, 0),
    EpochUnit.COCOA: (1_000_000, 978_307_200_000_000),
    EpochUnit.WEBKIT: (1, -11_644_473_600_000_000),
    EpochUnit.JULIAN: (86_400_000_000, -210_866_760_000_000_000),
}
_NUMERIC = ("numeric", "decimal", "money")
_SINGLE = ("real", "float4")
_INT64 = range(-(1 << 63), 1 << 63)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inverse:
    """One column's way back.

    Args:
        column: its plan.
        form: of a value in the target, for comparing; equal values have equal forms.
        decode: the SQLite value of one in the target. Raises Refusal.
        encode: the copy's conversion.
        asks_server: only PostgreSQL can tell whether two texts are one value of the type.
        bytea: the target's column holds bytes.
    """

    column: ColumnPlan
    form: Callable[[Sent], Hashable]
    decode: Callable[[Sent], Value]
    encode: Encode
    asks_server: bool
    bytea: bool

    def sent(self, value: Value) -> Sent:
        """What the copy makes of a SQLite value. Raises Refusal."""
        field = self.encode(value)
        raw = field if isinstance(field, bytes) else b"".join(field.pieces())
        return bytes.fromhex(raw[2:].decode()) if self.bytea else raw.decode()

    def same(self, value: Value | None, sent: Sent | None) -> bool:
        """Whether the copy would make that target value of this SQLite value."""
        if value is None or sent is None:
            return value is None and sent is None
        if self._plainly(value, sent):
            return True
        try:
            return self.form(self.sent(value)) == self.form(sent)
        except (Refusal, ValueError, RecursionError):  # a text that is no JSON, or nested too deep to be read
            return False

    def _plainly(self, value: Value, sent: Sent) -> bool:
        """Nearly all values are their own text, or their own bytes."""
        kind = self.column.type.kind
        if isinstance(value, str):
            return value == sent
        if isinstance(value, bytes):
            return kind is Kind.BLOB and value == sent
        return kind is Kind.INTEGER and type(value) is int and str(value) == sent

    def new(self, sent: Sent | None, storage: str | None) -> Value | None:
        """The SQLite value of a target value that the row did not hold before.

        Args:
            storage: the storage class that was noted for it, where the target's column does not tell.

        Raises:
            Refusal: SQLite can't hold it, or not in a way the application would read as the same.
        """
        if sent is None:
            return None
        if storage is not None and isinstance(sent, str):
            kept = _as_stored(sent, storage)
            if self.same(kept, sent):
                return kept
        return self.decode(sent)


def inverse(column: ColumnPlan, *, replace: bool) -> Inverse:
    """The way back of one column. `replace`: `on_bad_value: replace`."""
    kind, sql = column.type.kind, " ".join(column.type.sql.lower().split())
    form: Callable[[Sent], Hashable] = _FORMS.get(kind, _as_is)
    decode = _decoder(column)
    asks = False
    if kind is Kind.OTHER:
        number, single = sql.startswith(_NUMERIC), sql in _SINGLE
        form = _decimal_form if number else _real_form if single else _as_is
        asks = not number and not single and sql != "bytea" and char_limit(sql) is None
    return Inverse(
        column=column,
        form=form,
        decode=decode,
        encode=encoder(column, replace=replace),
        asks_server=asks,
        bytea=is_bytea(column),
    )


def text_of_key(column: ColumnPlan, text: str) -> Sent:
    """A part of a logged key as a value that is read from the target has it."""
    return bytes.fromhex(text[2:]) if is_bytea(column) else text


def _decoder(column: ColumnPlan) -> Callable[[Sent], Value]:
    kind, sql = column.type.kind, " ".join(column.type.sql.lower().split())
    own = Affinity.BLOB if column.declared.strip().upper() == "ANY" else affinity(column.declared)
    if kind is Kind.DECIMAL or (kind is Kind.OTHER and sql.startswith(_NUMERIC)):
        return lambda sent: _number(_text(sent), own)
    if kind is Kind.TIMESTAMP:
        return lambda sent: _timestamp(_text(sent), column.type.form or DateForm.SPACE)
    if kind is Kind.EPOCH:
        return lambda sent: _counted(_micros(_text(sent)), column.type)
    if kind is Kind.OTHER and sql in _SINGLE:
        return _real
    if kind is Kind.OTHER and "with time zone" in sql:
        return lambda sent: _whole_zone(_text(sent))
    return _DECODERS.get(kind, _unchanged)


def _text(sent: Sent) -> str:
    assert isinstance(sent, str)
    return sent


def _unchanged(sent: Sent) -> Value:
    return sent


def _as_is(sent: Sent) -> Hashable:
    return sent


def _integer(sent: Sent) -> Value:
    return int(sent)


def _boolean(sent: Sent) -> Value:
    return 1 if sent in ("true", "t") else 0


def _real(sent: Sent) -> Value:
    number = float(sent)
    if math.isnan(number):
        raise Refusal("NaN, which SQLite stores as NULL")
    return number


def _number(text: str, own: Affinity) -> Value:
    """A number as SQLite would have stored it: whole ones as integers, unless the column turns them into reals anyway."""
    try:
        exact = Decimal(text)
    except InvalidOperation:
        raise Refusal("a number that SQLite has no form for") from None
    if not exact.is_finite():
        raise Refusal(f"{text}, which SQLite has no number for")
    if own is Affinity.TEXT:
        return text
    whole = exact == exact.to_integral_value() if exact.adjusted() < 30 else False
    if whole and own is not Affinity.REAL and int(exact) in _INT64:
        return int(exact)
    number = float(text)
    if not math.isfinite(number) or Fraction(Decimal(repr(number))) != Fraction(exact):
        raise Refusal("a number with more digits than SQLite's reals give back")
    return number


def _micros(text: str) -> int:
    """Microseconds since 1970 of PostgreSQL's `YYYY-MM-DD HH:MM:SS[.ffffff]`."""
    found = _TIMESTAMP.fullmatch(text)
    if found is None:
        raise Refusal("a time outside the years 1 to 9999")
    moment = datetime.fromisoformat(f"{found[1]} {found[2]}")
    return (moment - _EPOCH) // timedelta(microseconds=1) + int((found[3] or "").ljust(6, "0"))


def _timestamp(text: str, form: DateForm) -> Value:
    """In the column's form, with as many more decimals (3 or 6) as the instant needs: nothing is cut off."""
    micros = _micros(text)
    fraction = micros % 1_000_000
    digits = max(form.digits, 0 if not fraction else 3 if fraction % 1_000 == 0 else 6)
    whole = (_EPOCH + timedelta(microseconds=micros - fraction)).isoformat(sep="T" if form.with_t else " ")
    return whole + (f".{fraction:06d}"[: digits + 1] if digits else "")


def _date(sent: Sent) -> Value:
    try:
        return date.fromisoformat(_text(sent)).isoformat()
    except ValueError:
        raise Refusal("a date outside the years 1 to 9999") from None


def _counted(micros: int, column: ColumnType) -> Value:
    """A time as the column counts it. Units that are usually reals stay reals."""
    unit = column.unit or EpochUnit.SECONDS
    scale, origin = _UNITS[unit]
    exact = Fraction(micros - origin, scale)
    if exact.denominator == 1 and unit not in (EpochUnit.COCOA, EpochUnit.JULIAN):
        return int(exact)
    return float(exact)


def _whole_zone(text: str) -> Value:
    """`+00` as `+00:00`: SQLite's functions of time read no shorter zone."""
    return f"{text}:00" if _ZONED.fullmatch(text) and text.count(":") == 2 else text


def _mixed_text(sent: Sent) -> Value:
    """A value nobody noted a class for: numbers written as numbers are written are numbers."""
    text = _text(sent)
    for storage in ("integer", "real"):
        value = _as_stored(text, storage)
        if value is not None and repr(value) == text:
            return value
    return text


def _as_stored(text: str, storage: str) -> Value | None:
    """The text as a value of a storage class, None where it is not the form of one."""
    try:
        if storage == "integer":
            return number if (number := int(text)) in _INT64 else None
        if storage == "real":
            real = float(text)
            return None if math.isnan(real) else real
    except ValueError:
        return None
    return text if storage == "text" else text.encode()


def _mixed_bytes(sent: Sent) -> Value:
    assert isinstance(sent, bytes)
    mark, rest = sent[:1], sent[1:]
    try:
        if mark == b"i" and (number := int(rest)) in _INT64:
            return number
        if mark == b"r":
            return _real(rest.decode())
        if mark == b"b":
            return rest
        if mark == b"t":
            return rest.decode()
    except UnicodeDecodeError:
        return BadText(rest, "utf-8")
    except ValueError:
        pass
    raise Refusal("bytes that do not begin with the class byte of this column")


def _real_form(sent: Sent) -> Hashable:
    return struct.pack(">d", float(sent))


def _decimal_form(sent: Sent) -> Hashable:
    number = Decimal(_text(sent))
    return Fraction(number) if number.is_finite() else str(number)


def _boolean_form(sent: Sent) -> Hashable:
    return _boolean(sent)


def _micros_form(sent: Sent) -> Hashable:
    try:
        return _micros(_text(sent))
    except Refusal:
        return sent


def _json_form(sent: Sent) -> Hashable:
    """JSON as jsonb compares it: order and doubles of keys do not count, 1 and 1.0 are equal, 1 and true are not."""
    return _frozen(json.loads(_text(sent), parse_int=Decimal, parse_float=Decimal))


def _frozen(value: Any) -> Hashable:
    if isinstance(value, dict):
        return "object", frozenset((k, _frozen(v)) for k, v in value.items())
    if isinstance(value, list):
        return "array", tuple(_frozen(v) for v in value)
    return type(value).__name__, value


_FORMS: dict[Kind, Callable[[Sent], Hashable]] = {
    Kind.BOOLEAN: _boolean_form,
    Kind.REAL: _real_form,
    Kind.DECIMAL: _decimal_form,
    Kind.TIMESTAMP: _micros_form,
    Kind.EPOCH: _micros_form,
    Kind.JSONB: _json_form,
}
_DECODERS: dict[Kind, Callable[[Sent], Value]] = {
    Kind.INTEGER: _integer,
    Kind.BOOLEAN: _boolean,
    Kind.REAL: _real,
    Kind.DATE: _date,
    Kind.MIXED_TEXT: _mixed_text,
    Kind.MIXED_BYTEA: _mixed_bytes,
}
