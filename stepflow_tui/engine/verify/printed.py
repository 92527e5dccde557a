"""Values as people and SQL read them."""

from __future__ import annotations

import math
import struct
from datetime import date, datetime, timedelta
from typing import Any, cast

from stepflow_tui.engine.model.discrepancy import Scalar
from stepflow_tui.engine.model.plan import ColumnPlan
from stepflow_tui.engine.model.types import Kind
from stepflow_tui.engine.sqlite.connect import Text
from stepflow_tui.engine.verify.expected import LoneText, Value, Wrong
from stepflow_tui.engine.verify.forms import OUT_OF_RANGE, Form, form_of, kind_of, padded

_LONGEST = 300
"""Characters of a value that a report shows."""


def shorten(text: str) -> str:
    """A value cut for a report, with its length."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters)"


def source_text(value: Value) -> str:
    """A source value, in full."""
    if value is None:
        return "NULL"
    if isinstance(value, LoneText):
        return "\\x" + value.raw.hex()
    if isinstance(value, Text):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return "\\x" + value.hex()
    return "\\x" + value.hex() if isinstance(value, bytes) else repr(value)


def source_scalar(value: Any) -> Scalar:
    """A source value as keys show it: undecodable text as its stored bytes, infinities as text."""
    if isinstance(value, LoneText):
        return value.raw
    if isinstance(value, float) and math.isinf(value):
        return repr(value)
    if isinstance(value, Text):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return bytes(value)
    return cast(Scalar, value)


def target_scalar(value: int | bytes | None, column: ColumnPlan) -> Scalar:
    """A value in its column's form as the source value of that storage class it most likely was."""
    kind = kind_of(column)
    if isinstance(value, int) and kind in (Kind.INTEGER, Kind.BOOLEAN):
        return value
    if isinstance(value, bytes):
        if form_of(column) is Form.FLOAT8:
            return source_scalar(struct.unpack(">d", value)[0])
        if kind in (Kind.BLOB, Kind.MIXED_BYTEA):
            return bytes(value)
    return target_text(value, column)


def target_text(value: int | bytes | Wrong | None, column: ColumnPlan) -> str | None:
    """A value in its column's form as PostgreSQL's text, in full; None for NULL and for values nothing is right for."""
    if value is None or isinstance(value, Wrong):
        return None
    kind = kind_of(column)
    if isinstance(value, int):
        return _integer_text(value, kind)
    if form_of(column) is Form.FLOAT8:
        return repr(struct.unpack(">d", value)[0]).replace("inf", "Infinity")
    if kind in (Kind.BLOB, Kind.MIXED_BYTEA) and not padded(column):
        return "\\x" + value.hex()
    return value.decode("utf-8", "backslashreplace")


def _integer_text(value: int, kind: Kind) -> str:
    if kind is Kind.BOOLEAN and value in (0, 1):
        return "true" if value else "false"
    if kind not in (Kind.TIMESTAMP, Kind.EPOCH, Kind.DATE):
        return str(value)
    if value == OUT_OF_RANGE:
        return "infinity"
    try:
        if kind is Kind.DATE:
            return (date(1970, 1, 1) + timedelta(days=value)).isoformat()
        return (datetime(1970, 1, 1) + timedelta(microseconds=value)).isoformat(" ")
    except OverflowError:
        return f"{value} {'days' if kind is Kind.DATE else 'microseconds'} since 1970"
