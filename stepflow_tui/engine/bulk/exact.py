"""Exact conversion of one SQLite value into PostgreSQL's text form, or a refusal with its reason. Rounds nothing.

The rule: a value is sent if what PostgreSQL will hold is the same number, instant, text or bytes; everything else is
refused by name. Types whose input rounds or cuts without a word (numeric, timestamp, varchar, real) are checked here.
"""

from __future__ import annotations

import binascii
import math
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from stepflow_tui.engine.bulk import instants
from stepflow_tui.engine.bulk.values import BadText, Refusal, Value
from stepflow_tui.engine.model.plan import ColumnPlan
from stepflow_tui.engine.model.types import Kind

LONG = 1 << 20
"""Bytes from which a blob is not rendered at once: its hexadecimal text alone would be twice its size."""


@dataclass(frozen=True, slots=True)
class LongBlob:
    """A blob whose text is made piece by piece while it is sent. `mark` is the class byte of mixed columns."""

    mark: bytes
    value: bytes

    def pieces(self) -> Iterator[bytes]:
        """The field's text, in parts."""
        yield b"\\x" + binascii.hexlify(self.mark)
        for start in range(0, len(self.value), LONG // 4):
            yield binascii.hexlify(self.value[start : start + LONG // 4])


Field = bytes | LongBlob
Encode = Callable[[Value], Field]
"""Takes a value that is not NULL; returns the field's text, unquoted."""

_WORDS = {int: "an integer", float: "a real", str: "a text", bytes: "a blob", BadText: "a text that does not decode"}
_TOO_LONG = 0x1FFF_FFF0  # two hexadecimal digits per byte must stay below PostgreSQL's limit of 1 GiB


def encoder(column: ColumnPlan, *, replace: bool) -> Encode:
    """The conversion of a column.

    Args:
        column: its plan.
        replace: `on_bad_value: replace`; NUL and undecodable bytes in text become U+FFFD.
    """
    kind = column.type.kind
    if kind is Kind.INTEGER:
        bound = 1 << (8 * column.type.width - 1)
        return lambda value: _integer(value, bound)
    if kind is Kind.DECIMAL:
        return _decimal_encoder(*numeric_limits(column.type.sql))
    if kind in _PLAIN:
        return _PLAIN[kind]
    if kind is Kind.EPOCH:
        return instants.epoch_encoder(column.type)
    if kind is Kind.MIXED_TEXT:
        return _checked_text(None, blob=False, replace=replace)
    return _other(column, replace=replace)


def _wrong(value: Value, wanted: str) -> Refusal:
    return Refusal(f"{_WORDS[type(value)]} where {wanted} is needed")


def _number(value: Value, wanted: str) -> Fraction:
    """The number a value is. Text counts where it is written as PostgreSQL would write that number back."""
    if isinstance(value, int):
        return Fraction(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Refusal(f"{value!r} where {wanted} is needed")
        if value == 0 and math.copysign(1, value) < 0:
            raise Refusal(f"negative zero where {wanted} is needed")
        # the shortest text that reads back as this double: what every tool shows and what was typed in
        return Fraction(Decimal(repr(value)))
    raise _wrong(value, wanted)


def _integer(value: Value, bound: int) -> bytes:
    if type(value) is int and -bound <= value < bound:  # nearly all of them
        return b"%d" % value
    if isinstance(value, str) and re.fullmatch(r"0|-?[1-9][0-9]{0,18}", value, re.ASCII):
        value = int(value)
    if isinstance(value, float) and math.isfinite(value) and abs(value) >= 2**53:
        exact = Fraction(value)
    else:
        exact = _number(value, "an integer")
    if exact.denominator != 1:
        raise Refusal("a fraction where an integer is needed")
    if not -bound <= exact.numerator < bound:
        raise Refusal(f"integer out of the range of {bound.bit_length() // 8} bytes")
    return b"%d" % exact.numerator


def _boolean(value: Value) -> bytes:
    if isinstance(value, (int, float)) and value in (0, 1) and math.copysign(1, value) > 0:
        return b"t" if value else b"f"
    if isinstance(value, (int, float)):
        raise Refusal("a number other than 0 and 1 where a boolean is needed")
    raise _wrong(value, "a boolean")


def _real(value: Value) -> bytes:
    if isinstance(value, int):
        try:
            same = int(float(value)) == value
        except OverflowError:
            same = False
        if not same:
            raise Refusal("an integer that a double can't hold")
        value = float(value)
    if isinstance(value, str) and _is_float_text(value):
        value = float(value)
    if not isinstance(value, float):
        raise _wrong(value, "a real")
    if math.isinf(value):
        return b"Infinity" if value > 0 else b"-Infinity"
    return repr(value).encode()


def _is_float_text(text: str) -> bool:
    try:
        return repr(float(text)) == text
    except ValueError:
        return False


def _decimal_encoder(precision: int | None, scale: int | None) -> Encode:
    def encode(value: Value) -> bytes:
        if isinstance(value, str) and re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?", value, re.ASCII):
            number = Decimal(value)
            if scale is not None and max(0, -_exponent(number)) != scale:
                raise Refusal(f"text that numeric with {scale} decimals would write differently")
            if value.startswith("-") and not number:
                raise Refusal("negative zero where a number is needed")
            if scale is None:
                return value.encode()  # bare numeric keeps the zeros at its end
            exact = Fraction(number)
        else:
            exact = _number(value, "a number")
        return decimal_text(exact, precision, scale)

    return encode


def _exponent(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    return exponent


def decimal_text(exact: Fraction, precision: int | None, scale: int | None) -> bytes:
    """A number in decimal, refused where numeric(precision, scale) would round it."""
    digits = scale if scale is not None else _needed_digits(exact)
    scaled = exact * 10**digits
    if scaled.denominator != 1:
        raise Refusal(f"more than {digits} decimals")
    if precision is not None and abs(scaled.numerator) >= 10**precision:
        raise Refusal(f"more digits than numeric({precision},{digits}) holds")
    sign = "-" if scaled < 0 else ""
    text = str(abs(scaled.numerator)).rjust(digits + 1, "0")
    return (sign + (f"{text[:-digits]}.{text[-digits:]}" if digits else text)).encode()


def _needed_digits(exact: Fraction) -> int:
    """Decimals of a number whose denominator divides a power of ten."""
    digits, denominator = 0, exact.denominator
    while (10**digits) % denominator:
        digits += 1
    return digits


def numeric_limits(sql: str) -> tuple[int | None, int | None]:
    """Precision and scale of `numeric(p,s)`; (None, None) for bare numeric, which holds any number."""
    found = re.search(r"\(\s*(\d+)\s*(?:,\s*(-?\d+)\s*)?\)", sql)
    return (int(found[1]), int(found[2] or 0)) if found else (None, None)


def _blob(value: Value) -> Field:
    if isinstance(value, str):
        value = value.encode("utf-8")
    elif isinstance(value, BadText):
        value = value.raw
    if not isinstance(value, bytes):
        raise _wrong(value, "a blob")
    return _hex(value)


def _hex(value: bytes, mark: bytes = b"") -> Field:
    if len(value) > _TOO_LONG:
        raise Refusal("longer than PostgreSQL takes beside values that need the slow way (512 MiB)")
    return LongBlob(mark, value) if len(value) > LONG else b"\\x" + binascii.hexlify(mark + value)


def _mixed_bytes(value: Value) -> Field:
    """A class byte (i, r, t, b), then integers and reals as Python writes them, text as UTF-8, blobs as they are."""
    if isinstance(value, int):
        return _hex(b"%d" % value, b"i")
    if isinstance(value, float):
        return _hex(repr(value).encode(), b"r")
    if isinstance(value, str):
        return _hex(value.encode("utf-8"), b"t")
    if isinstance(value, BadText):
        return _hex(value.raw, b"t")
    return _hex(value, b"b")


def text_of(value: Value, *, replace: bool) -> str:
    """A TEXT value that PostgreSQL can hold; refuses NUL and undecodable bytes unless they are to be replaced."""
    if isinstance(value, BadText):
        if not replace:
            raise Refusal("text is not valid Unicode", bad_text=True)
        value = value.replaced()
    if not isinstance(value, str):
        raise _wrong(value, "a text")
    if "\x00" in value:
        if not replace:
            raise Refusal("text contains a NUL character", bad_text=True)
        return value.replace("\x00", "\ufffd")
    return value


def _other(column: ColumnPlan, *, replace: bool) -> Encode:
    """A type without a kind of its own, whose text PostgreSQL parses. Numbers are never left to its parser: it takes
    `0x10` and ` 5`, and rounds."""
    sql = " ".join(column.type.sql.lower().split())
    if sql.startswith(("numeric", "decimal")):
        return _decimal_encoder(*numeric_limits(sql))
    if sql.startswith("money"):
        return _decimal_encoder(None, 2)
    if sql in ("real", "float4"):
        return _single
    sized = char_limit(sql)
    check = instants.check_for(sql) if sized is None else lambda text: _fits(text, *sized)
    return _checked_text(check, blob=sql == "bytea", replace=replace)


def _checked_text(check: Callable[[str], None] | None, *, blob: bool, replace: bool) -> Encode:
    def encode(value: Value) -> Field:
        if isinstance(value, bytes) and blob:
            return _hex(value)
        text = repr(value) if isinstance(value, (int, float)) else text_of(value, replace=replace)
        if check is not None:
            check(text)
        return text.encode("utf-8")

    return encode


def char_limit(sql: str) -> tuple[int, bool] | None:
    """`varchar(n)` and `char(n)` as (n, padded): both cut or add blanks at the end without a word."""
    found = re.fullmatch(
        r"(varchar|character varying|char|character|bpchar)\s*\(\s*(\d+)\s*\)", " ".join(sql.lower().split())
    )
    if not found:
        return (1, True) if sql.lower().strip() in ("char", "character") else None
    return int(found[2]), "var" not in found[1]


def _fits(text: str, limit: int, padded: bool) -> None:
    if len(text) > limit:
        raise Refusal(f"text longer than {limit} characters")
    if padded and len(text) < limit:
        raise Refusal(f"text shorter than {limit} characters, which the column pads with blanks")


def _single(value: Value) -> bytes:
    text = _real(value)
    number = float(text)
    try:
        same = struct.unpack("f", struct.pack("f", number))[0] == number
    except OverflowError:
        same = False
    if not same:
        raise Refusal("a number that 4 bytes (real) can't hold exactly")
    return text


_PLAIN: dict[Kind, Encode] = {
    Kind.BOOLEAN: _boolean,
    Kind.REAL: _real,
    Kind.BLOB: _blob,
    Kind.MIXED_BYTEA: _mixed_bytes,
    Kind.TIMESTAMP: instants.timestamp,
    Kind.DATE: instants.date,
}
