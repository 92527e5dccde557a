"""Any value that SQLite stores and the copy takes comes back as a value of which the copy makes the same."""

from __future__ import annotations

import sqlite3
import struct
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepflow_tui.engine.bulk.values import Refusal
from stepflow_tui.engine.live.reverse_values import inverse
from stepflow_tui.engine.model.plan import ColumnPlan
from stepflow_tui.engine.model.types import ColumnType, DateForm, EpochUnit, Kind

TYPES = [
    ColumnType(kind=Kind.INTEGER, sql="bigint"),
    ColumnType(kind=Kind.BOOLEAN, sql="boolean"),
    ColumnType(kind=Kind.REAL, sql="double precision"),
    ColumnType(kind=Kind.DECIMAL, sql="numeric"),
    ColumnType(kind=Kind.DECIMAL, sql="numeric(20,3)", scale=3, precision=20),
    ColumnType(kind=Kind.TEXT, sql="text"),
    ColumnType(kind=Kind.BLOB, sql="bytea"),
    ColumnType(kind=Kind.DATE, sql="date"),
    ColumnType(kind=Kind.MIXED_TEXT, sql="text"),
    ColumnType(kind=Kind.MIXED_BYTEA, sql="bytea"),
    *(ColumnType(kind=Kind.TIMESTAMP, sql="timestamp", form=form) for form in DateForm),
    *(ColumnType(kind=Kind.EPOCH, sql="timestamp", unit=unit) for unit in EpochUnit),
]
DECLARED = ["integer", "text", "blob", "real", "numeric", ""]

_TIMES = st.builds(
    lambda moment, form: moment.isoformat(sep="T" if form.with_t else " ", timespec=("seconds", "milliseconds", "microseconds")[form.digits // 3]),
    st.datetimes(),
    st.sampled_from(list(DateForm)),
)  # fmt: skip
_NUMBERS = (
    st.integers(-(2**63), 2**63 - 1)
    | st.integers(-5, 5)
    | st.floats(allow_nan=False)
    | st.integers(-(10**12), 10**12).map(lambda n: n / 1_000)
    | st.integers(-(10**6), 10**6).map(lambda n: f"{n / 1_000:.3f}")
)
_TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8)
_COUNTED = (
    st.integers(0, 2**41)
    | st.integers(0, 2**41).map(lambda n: n / 1_000)
    | st.integers(0, 2**41).map(lambda n: n / 86_400_000 + 2_440_587.5)
)
VALUES: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.INTEGER: _NUMBERS,
    Kind.BOOLEAN: st.sampled_from([0, 1, 1.0]),
    Kind.REAL: _NUMBERS,
    Kind.DECIMAL: _NUMBERS,
    Kind.TEXT: _TEXTS | _NUMBERS,
    Kind.BLOB: st.binary(max_size=8) | _TEXTS,
    Kind.DATE: st.dates().map(str),
    Kind.TIMESTAMP: _TIMES,
    Kind.EPOCH: _COUNTED,
    Kind.MIXED_TEXT: _TEXTS | _NUMBERS,
    Kind.MIXED_BYTEA: st.binary(max_size=8) | _TEXTS | _NUMBERS,
}


@cache
def _file() -> sqlite3.Connection:
    conn = sqlite3.connect(":memory:", isolation_level=None)
    for declared in DECLARED:
        conn.execute(f'create table "t{declared}"(v {declared})')
    return conn


def _stored(declared: str, value: Any) -> Any:
    return _file().execute(f'insert into "t{declared}" values (?) returning v', (value,)).fetchone()[0]


def _bits(value: Any) -> Any:
    return struct.pack(">d", value) if isinstance(value, float) else value


@pytest.mark.parametrize("declared", DECLARED)
@pytest.mark.parametrize("column", TYPES, ids=lambda t: f"{t.sql} {t.form or t.unit or t.kind}")
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_there_and_back(declared: str, column: ColumnType, data: st.DataObject) -> None:
    back = inverse(ColumnPlan(source="v", target="v", declared=declared, type=column), replace=False)
    value = _stored(declared, data.draw(VALUES[column.kind]))
    try:
        sent = back.sent(value)
    except Refusal:
        return  # the copy rejects it: it never was in the target
    assert back.same(value, sent)
    made = back.new(sent, None)
    stored = _stored(declared, made)
    assert back.same(stored, sent), f"{value!r} went as {sent!r} and came back as {stored!r}"
    # told its storage class, it is the very value again, where text is all the target keeps
    if column.kind is Kind.MIXED_TEXT:
        storage = {int: "integer", float: "real", str: "text"}[type(value)]
        told = _stored(declared, back.new(sent, storage))
        assert (type(told), _bits(told)) == (type(value), _bits(value))
    if column.kind is Kind.MIXED_BYTEA:
        assert (type(stored), _bits(stored)) == (type(value), _bits(value))


@pytest.mark.parametrize("kind", [Kind.DECIMAL, Kind.REAL])
@given(number=st.decimals(-(10**30), 10**30, allow_nan=False, places=5) | st.sampled_from(["NaN", "1e400"]))
def test_a_number_beyond_a_real_is_refused_or_exact(kind: Kind, number: Any) -> None:
    """The target can hold it, whatever SQLite can: what is not refused reads back as the same number."""
    sql = "numeric" if kind is Kind.DECIMAL else "double precision"
    back = inverse(
        ColumnPlan(source="v", target="v", declared="numeric", type=ColumnType(kind=kind, sql=sql)), replace=False
    )
    sent = str(number) if kind is Kind.DECIMAL else repr(float(number))
    try:
        made = back.new(sent, None)
    except Refusal:
        return
    assert back.same(_stored("numeric", made), sent)
