"""Exact conversion of times: ISO text, and numbers counted from an epoch. A value between two microseconds is refused."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import date as calendar_date
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from stepflow_tui.engine.bulk.values import BadText, Refusal, Value
from stepflow_tui.engine.model.types import ColumnType, EpochUnit

_DATE = r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})"
_CLOCK = r"(?P<clock>[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]{1,6})?"
_ZONE = r"(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)"
_TIMESTAMP = re.compile(rf"{_DATE}[ T]{_CLOCK}")
_TIMESTAMPTZ = re.compile(rf"{_DATE}[ T]{_CLOCK} ?{_ZONE}")
_TIME = re.compile(_CLOCK)
_TIMETZ = re.compile(rf"{_CLOCK} ?{_ZONE}")
_DAY = re.compile(_DATE)

_EPOCH = datetime(1970, 1, 1)
"""Naive, as the target's timestamp is."""

_MICROS: dict[EpochUnit, tuple[int, int]] = {
    # microseconds per unit, and the origin in microseconds since 1970
    EpochUnit.SECONDS: (1_000_000, 0),
    EpochUnit.MILLIS: (1_000, 0),
    EpochUnit.MICROS: (1, 0),
    EpochUnit.COCOA: (1_000_000, 978_307_200_000_000),
    EpochUnit.WEBKIT: (1, -11_644_473_600_000_000),
}
_JULIAN_DAY_MS = 86_400_000
_JULIAN_1970_MS = 210_866_760_000_000


def timestamp(value: Value) -> bytes:
    """ISO text without a zone, at most 6 decimals, a real calendar day, hours up to 23."""
    return _iso(value, _TIMESTAMP, "a timestamp").encode()


def date(value: Value) -> bytes:
    """`YYYY-MM-DD`, a real calendar day."""
    return _iso(value, _DAY, "a date").encode()


def check_for(sql: str) -> Callable[[str], None] | None:
    """The check of text for a type of time by its SQL name; None for every other type.

    PostgreSQL drops a zone where the type has none, takes the session's where the text has none, rounds the seventh
    decimal and moves 24:00:00 to the next day, all without a word.
    """
    name = re.sub(r"\s*\(\s*6\s*\)", "", sql)
    pattern = _PATTERNS.get(name)
    if pattern is None:
        if re.match(r"(timestamp|time|interval)\s*\(", sql):
            return _refuse_precision
        return None
    return lambda text: _check(text, pattern, sql)


_PATTERNS = {
    "timestamp": _TIMESTAMP,
    "timestamp without time zone": _TIMESTAMP,
    "timestamptz": _TIMESTAMPTZ,
    "timestamp with time zone": _TIMESTAMPTZ,
    "time": _TIME,
    "time without time zone": _TIME,
    "timetz": _TIMETZ,
    "time with time zone": _TIMETZ,
    "date": _DAY,
}


def _refuse_precision(text: str) -> None:
    """A reduced precision rounds: only whole seconds are sure to survive."""
    if "." in text:
        raise Refusal("a fraction of a second where the column's precision may round it")


def _check(text: str, pattern: re.Pattern[str], wanted: str) -> None:
    found = pattern.fullmatch(text)
    if found is None:
        raise Refusal(f"text that is not exactly a {wanted}")
    parts = found.groupdict()
    try:
        if parts.get("day"):
            calendar_date.fromisoformat(parts["day"])
        if parts.get("clock"):
            hours, minutes, seconds = (int(part) for part in parts["clock"].split(":"))
            if hours > 23 or minutes > 59 or seconds > 59:
                raise ValueError
    except ValueError:
        raise Refusal(f"no such {wanted} in the calendar") from None


def _iso(value: Value, pattern: re.Pattern[str], wanted: str) -> str:
    if not isinstance(value, str):
        raise Refusal(f"no text where {wanted} is needed", bad_text=isinstance(value, BadText))
    _check(value, pattern, wanted.removeprefix("a "))
    return value


def epoch_encoder(column: ColumnType) -> Callable[[Value], bytes]:
    """Numbers counted from the unit's origin, as a timestamp."""
    unit = column.unit or EpochUnit.SECONDS
    if unit is EpochUnit.JULIAN:
        return lambda value: _from_micros(_julian_micros(value, lossy=column.lossy))
    scale, origin = _MICROS[unit]
    return lambda value: _from_micros(_whole(_number(value) * scale, lossy=column.lossy) + origin)


def _number(value: Value) -> Fraction:
    if isinstance(value, int):
        return Fraction(value)
    if isinstance(value, float) and math.isfinite(value):
        # the shortest text that reads back as this double: 600000000.123456 means exactly these microseconds
        return Fraction(Decimal(repr(value)))
    raise Refusal("no finite number where a time is counted")


def _whole(micros: Fraction, *, lossy: bool) -> int:
    if micros.denominator != 1 and not lossy:
        raise Refusal("a time between two microseconds")
    return round(micros)


def _julian_micros(value: Value, *, lossy: bool) -> int:
    """Julian days. SQLite itself keeps them as whole milliseconds, so a double made by it reads back from those."""
    if isinstance(value, float) and math.isfinite(value):
        millis = round(Fraction(value) * _JULIAN_DAY_MS)
        if millis / _JULIAN_DAY_MS == value:
            return (millis - _JULIAN_1970_MS) * 1_000
    micros = _number(value) * _JULIAN_DAY_MS * 1_000
    return _whole(micros, lossy=lossy) - _JULIAN_1970_MS * 1_000


def _from_micros(micros: int) -> bytes:
    try:
        moment = _EPOCH + timedelta(microseconds=micros)
    except OverflowError:
        raise Refusal("a time outside the years 1 to 9999") from None
    return moment.strftime("%Y").rjust(4, "0").encode() + moment.strftime("-%m-%d %H:%M:%S.%f").encode()
