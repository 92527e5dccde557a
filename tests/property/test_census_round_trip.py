"""Whatever a column holds: what the census calls fitting survives PostgreSQL, by a model of PostgreSQL made apart."""

from __future__ import annotations

import asyncio
import sqlite3
import struct
import tempfile
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stepflow_tui.engine.model.census import Census
from stepflow_tui.engine.model.config import BadValue
from stepflow_tui.engine.model.schema import SourceSchema
from stepflow_tui.engine.model.types import ColumnType, DateForm, Kind
from stepflow_tui.engine.plan.kinds import term
from stepflow_tui.engine.sqlite import census_lane, census_sample
from stepflow_tui.engine.sqlite.catalog import read_schema
from stepflow_tui.engine.sqlite.census import take_census
from stepflow_tui.engine.sqlite.connect import Text, open_frozen

DECLARED = [
    "", "INTEGER", "INT NOT NULL DEFAULT 0", "BIGINT", "TEXT", "VARCHAR(3)", "BLOB", "REAL", "DOUBLE PRECISION", "FLOAT",
    "NUMERIC", "NUMERIC(10,2)", "DECIMAL(5,1)", "DECIMAL(18,9)", "BOOLEAN", "DATETIME", "TIMESTAMP", "DATE", "TIME", "STRING",
    "INTEGER_OR_TEXT", "FLOATING POINT", "JSON", "UUID", "DECIMAL(30,20)", "weird(1,x",
]  # fmt: skip

INTEGERS = st.one_of(
    st.sampled_from(
        [0, 1, 1, 0, 2, -1, 5, 2**31, -(2**63), 2**63 - 1, 10**15, 999_999_999_999_999, 1_700_000_000, 2**53 + 1]
    ),
    st.integers(-(2**63), 2**63 - 1),
)
REALS = st.one_of(
    st.sampled_from(
        [
            0.0,
            -0.0,
            1.0,
            0.5,
            12.34,
            1.005,
            0.1 + 0.2,
            5e-324,
            1e300,
            float("inf"),
            float("-inf"),
            9.99,
            1e20,
            1e15,
            123456.789,
        ]
    ),
    st.floats(allow_nan=False),
    st.decimals(-10_000, 10_000, places=2).map(float),
)
DATES = [
    "2024-02-29 23:59:59", "2024-01-01T00:00:00", "1970-01-01 00:00:00.123", "2024-01-01T10:00:00.000001", "2024-02-29", "0001-01-01",
    "0000-12-31", "2024-02-30", "2023-02-29 00:00:00", "2024-01-01 24:00:00", "2024-01-01 00:00:60", "9999-12-31 23:59:59", "2024-01-01 10:00",
    "2024-01-01 00:00:00Z", "2024-01-01 00:00:00+05:00", "2024-1-1", "24-01-01", " 2024-01-01", "2024-01-01 ", "now", "-0001-01-01", "2024-01-01  10:00:00",
    "2024-01-01 00:00:00.12", "2024-01-01 00:00:00.-12", "2024-01-01 00:00:00.1 2", "٢٠٢٤-01-01", "2024-13-01", "12:00:00", "2460000.5",
]  # fmt: skip
TEXTS = st.one_of(
    st.sampled_from(
        [
            "",
            "5",
            "5.0",
            "-0",
            "0",
            "1",
            "1e20",
            "1e+20",
            "inf",
            "-inf",
            "0.5",
            "abc",
            "äöü",
            "𝄞",
            "true",
            "{}",
            "A ",
            "  ",
            "12.34",
            "00123",
        ]
    ),
    st.sampled_from(DATES),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=6),
)
BROKEN = [b"a\x00b", b"\x00", b"\xc3\x28", b"\xff", b"ok\xe2\x82", b"\xed\xa0\x80"]
BROKEN_UTF16 = [b"a\x00\x00\x00b\x00", b"\x00\xd8", b"a\x00\x00\xdc"]
VALUES = st.one_of(st.none(), INTEGERS, REALS, TEXTS, st.binary(max_size=4).map(bytearray))
"""Blobs are bytearrays here, texts `str`; undecodable texts `bytes`, cast to text on insert."""


def column_values(broken: list[bytes]) -> st.SearchStrategy[list[Any]]:
    few = st.one_of(INTEGERS, REALS, TEXTS)
    return st.one_of(
        st.lists(st.one_of(st.none(), INTEGERS), max_size=8),
        st.lists(st.one_of(st.none(), st.decimals(-999, 999, places=2).map(float)), max_size=8),
        st.lists(st.sampled_from([0, 1, None]), max_size=8),
        st.lists(st.one_of(TEXTS, st.sampled_from(broken)), max_size=8),
        st.lists(
            st.datetimes(datetime(1, 1, 1)).map(lambda d: f"{d:%m-%d %H:%M:%S}").map(lambda t: f"2024-{t}"), max_size=8
        ),
        st.lists(st.dates().map(lambda d: d.isoformat()), max_size=8),
        st.lists(few, max_size=8),
        st.lists(VALUES, max_size=8),
    )


def build(path: Path, declared: str, values: list[Any], encoding: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(f"pragma encoding='{encoding}'")
        connection.execute(f"create table t(id integer primary key, v {_type(declared)})")
        for value in values:
            expression = "cast(? as text)" if isinstance(value, bytes) else "?"
            connection.execute(f"insert or replace into t(v) values({expression})", (value,))
    connection.close()


def _type(declared: str) -> str:
    return f'"{declared}"' if declared.startswith("weird") else declared


def count_all(path: Path, **settings_: Any) -> tuple[SourceSchema, Census]:
    connection = open_frozen(path)
    schema = read_schema(connection)
    connection.close()
    return schema, asyncio.run(take_census(path, schema, frozen=True, **settings_))


def rows(path: Path, schema: SourceSchema, kind: ColumnType) -> list[tuple[bool, Any]]:
    """Every value, with the copy's own word on whether it takes the fast way."""
    connection = open_frozen(path, exact_rows=True)
    column = schema.table("t").column("v")
    condition = term("v", kind, affinity=column.affinity, utf16=schema.utf16, nullable=not column.not_null) or "1"
    found = [(bool(fits), v) for fits, v in connection.execute(f"select ({condition}) is 1, v from t")]
    connection.close()
    return found


def held(value: Any, kind: ColumnType) -> Any:
    """What PostgreSQL would hold, or an AssertionError where it could not hold that exactly."""
    if value is None:
        return None
    if kind.kind is Kind.INTEGER:
        assert isinstance(value, int)
        return value
    if kind.kind is Kind.BOOLEAN:
        assert isinstance(value, int)
        assert value in (0, 1)
        return value == 1
    if kind.kind is Kind.REAL:
        assert isinstance(value, float)
        return struct.unpack(">d", struct.pack(">d", value))[0]
    if kind.kind is Kind.DECIMAL:
        return _decimal(value, kind)
    if kind.kind is Kind.BLOB:
        assert not isinstance(value, Text)
        return bytes(value)
    if kind.kind is Kind.MIXED_BYTEA:
        return _tagged(value)
    if kind.kind is Kind.MIXED_TEXT and isinstance(value, (int, float)):
        return repr(value)
    assert isinstance(value, Text)
    text = value.decode("utf-8")
    assert "\x00" not in text
    if kind.kind is Kind.TIMESTAMP:
        return _moment(text, kind.form)
    return date.fromisoformat(text) if kind.kind is Kind.DATE else text


def _decimal(value: Any, kind: ColumnType) -> Decimal:
    assert isinstance(value, (int, float))
    exact = Decimal(repr(value))
    assert kind.scale is not None
    assert kind.precision is not None
    held_value = exact.quantize(Decimal(1).scaleb(-kind.scale))
    assert held_value == exact
    assert abs(held_value) < 10 ** (kind.precision - kind.scale)
    return held_value


def _moment(text: str, form: DateForm | None) -> datetime:
    assert form is not None
    moment = datetime.fromisoformat(text)
    assert moment.tzinfo is None
    assert len(text) == len(form.value)
    return moment


def _tagged(value: Any) -> bytes:
    if isinstance(value, Text):
        return b"t" + bytes(value)
    if isinstance(value, bytes):
        return b"b" + value
    return (b"i%d" % value) if isinstance(value, int) else b"r" + repr(value).encode()


def back(value: Any, kind: ColumnType) -> Any:
    """What the way back would bind for SQLite."""
    if kind.kind is Kind.TIMESTAMP and value is not None:
        assert kind.form is not None
        fraction = f".{value.microsecond:06}"[: kind.form.digits + 1] if kind.form.digits else ""
        return (
            value.strftime("%Y").rjust(4, "0")
            + value.strftime(f"-%m-%d{'T' if kind.form.with_t else ' '}%H:%M:%S")
            + fraction
        )
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value) if value % 1 else int(value)
    return int(value) if isinstance(value, bool) else value


def stored(declared: str, values: list[Any], encoding: str) -> list[tuple[str, Any]]:
    """Class and value as SQLite stores them in a column so declared."""
    connection = sqlite3.connect(":memory:")
    connection.execute(f"pragma encoding='{encoding}'")
    connection.execute(f"create table t(id integer primary key, v {_type(declared).replace('NOT NULL DEFAULT 0', '')})")
    connection.executemany("insert into t(v) values(?)", [(v,) for v in values])
    found = [(c, repr(v)) for c, v in connection.execute("select typeof(v), v from t order by id")]
    connection.close()
    return found


SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@SETTINGS
@given(declared=st.sampled_from(DECLARED), values=column_values(BROKEN), sampled=st.sampled_from([1, 2, 500]))
def test_every_fitting_value_survives(declared: str, values: list[Any], sampled: int) -> None:
    _check(declared, values, sampled, "UTF-8")


@SETTINGS
@given(declared=st.sampled_from(DECLARED), values=column_values(BROKEN_UTF16), sampled=st.sampled_from([1, 500]))
def test_every_fitting_value_of_a_utf16_file_survives(declared: str, values: list[Any], sampled: int) -> None:
    _check(declared, values, sampled, "UTF-16le")


def _check(declared: str, values: list[Any], sampled: int, encoding: str) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(census_sample, "FIRST", sampled),
        patch.object(census_sample, "RANDOM", 1),
    ):
        path = Path(folder) / "source.db"
        build(path, declared, values, encoding)
        schema, census = count_all(path)
        kind, reason = census.types["t"]["v"]
        facts = census.facts["t"].columns["v"]
        found = rows(path, schema, kind)
    bad = {i + 1 for i, (_, v) in enumerate(found) if isinstance(v, Text) and not _decodes(v)}
    assert reason
    assert census.facts["t"].rows == len(found)
    assert facts.nulls == sum(v is None for _, v in found)
    assert facts.violations == sum(not fits for fits, _ in found)
    texts_sent = encoding == "UTF-8" and kind.kind in (Kind.TEXT, Kind.MIXED_TEXT)
    assert set(census.facts["t"].bad_rowids) == (bad if texts_sent else set())
    sent = [v for i, (fits, v) in enumerate(found) if fits and i + 1 not in bad]
    targets = [held(v, kind) for v in sent]
    if kind.kind not in (Kind.MIXED_TEXT, Kind.MIXED_BYTEA):
        originals = [v.decode() if isinstance(v, Text) else v for v in sent]
        assert stored(declared, [back(t, kind) for t in targets], encoding) == stored(declared, originals, encoding)
    else:
        everything = [
            v
            for _, v in found
            if v is not None and (kind.kind is Kind.MIXED_BYTEA or not isinstance(v, Text) or _whole(v))
        ]
        rendered = {held(v, kind) for v in everything}
        assert len(rendered) == len({(type(v), repr(v)) for v in everything})
    # Only what PostgreSQL can't hold as text, or what is rendered by Python, may miss the fast way.
    for fits, value in found:
        if not fits:
            slow_class = isinstance(value, float) or (encoding != "UTF-8" and kind.kind is Kind.MIXED_BYTEA)
            assert slow_class or (isinstance(value, Text) and not _whole(value))


def _decodes(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _whole(value: bytes) -> bool:
    return _decodes(value) and b"\x00" not in value


@settings(max_examples=60, deadline=None)
@given(values=st.lists(st.one_of(TEXTS, st.sampled_from(BROKEN), INTEGERS), min_size=1, max_size=8))
def test_bytea_policy_leaves_no_row_behind(values: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "source.db"
        build(path, "", values, "UTF-8")
        _, census = count_all(path, on_bad_value=BadValue.BYTEA)
    facts = census.facts["t"]
    assert facts.bad_rowids == ()
    assert facts.columns["v"].violations == 0


@settings(max_examples=60, deadline=None)
@given(
    numbers=st.lists(st.one_of(INTEGERS, REALS), min_size=1, max_size=6),
    texts=st.lists(TEXTS, min_size=1, max_size=6),
    echo=st.booleans(),
)
def test_mixed_columns_become_text_only_if_all_stay_different(numbers: list[Any], texts: list[str], echo: bool) -> None:
    values = [*numbers, *texts, *([repr(numbers[0])] if echo else [])]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "source.db"
        build(path, "", values, "UTF-8")
        _, census = count_all(path)
    collides = bool({repr(n) for n in numbers} & {v for v in values if isinstance(v, str)})
    assert census.types["t"]["v"][0].kind is (Kind.MIXED_BYTEA if collides else Kind.MIXED_TEXT)
    assert any(f.code == "mixed_storage" for f in census.findings)


@pytest.mark.parametrize("rows_per_slice", [1, 7, 1000])
def test_slices_count_every_row_once(rows_per_slice: int, tmp_path: Path) -> None:
    path = tmp_path / "source.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table t(id integer primary key, v integer)")
        keys = [-(2**63), -5, 0, 3, 2**40, 2**63 - 1, *range(10, 300)]
        connection.executemany("insert into t values(?,?)", [(k, i) for i, k in enumerate(keys)])
    connection.close()
    with patch.object(census_lane, "FIRST_ROWS", rows_per_slice):
        _, census = count_all(path)
    assert census.facts["t"].rows == len(keys)
    assert census.types["t"]["v"][0].kind is Kind.INTEGER
