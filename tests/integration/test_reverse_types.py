"""Values there and back: storage classes and bytes in SQLite are what they were, new values are what SQLite would store."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.model.types import ColumnType, DateForm, EpochUnit, Kind
from stepflow_tui.engine.postgres.connect import Target
from tests.copy_kit import BLOB, BOOLEAN, INTEGER, REAL, TEXT
from tests.reverse_kit import Pair, cut_over, live_table, new_file

MIXED_TEXT = ColumnType(kind=Kind.MIXED_TEXT, sql="text")
MIXED_BYTEA = ColumnType(kind=Kind.MIXED_BYTEA, sql="bytea")
DECIMAL = ColumnType(kind=Kind.DECIMAL, sql="numeric(15,2)", scale=2, precision=15)
BARE = ColumnType(kind=Kind.DECIMAL, sql="numeric")
JSONB = ColumnType(kind=Kind.JSONB, sql="jsonb")
JSON = ColumnType(kind=Kind.TEXT, sql="json")
CHAR = ColumnType(kind=Kind.TEXT, sql="char(4)", precision=4)
UUID = ColumnType(kind=Kind.OTHER, sql="uuid")
ZONED = ColumnType(kind=Kind.OTHER, sql="timestamp with time zone")
SINGLE = ColumnType(kind=Kind.OTHER, sql="real")
MONEY = ColumnType(kind=Kind.OTHER, sql="money")
SMALL = ColumnType(kind=Kind.INTEGER, sql="smallint", width=2)


def stamp(form: DateForm) -> ColumnType:
    return ColumnType(kind=Kind.TIMESTAMP, sql="timestamp", form=form)


def epoch(unit: EpochUnit) -> ColumnType:
    return ColumnType(kind=Kind.EPOCH, sql="timestamp", unit=unit)


DATE = ColumnType(kind=Kind.DATE, sql="date")

# name, declared type, type of the target, values whose form the reverse rules must give back without the old row,
# values that only the old row can tell
CASES: list[tuple[str, str, ColumnType, list[Any], list[Any]]] = [
    ("i", "integer", INTEGER, [0, -5, 2**63 - 1, -(2**63)], []),
    ("i_untyped", "", INTEGER, [1, 7], ["12", 3.0]),
    ("small", "smallint", SMALL, [-32768, 32767], []),
    ("b", "boolean", BOOLEAN, [0, 1], []),
    ("b_untyped", "", BOOLEAN, [1, 0], [1.0]),
    ("r", "real", REAL, [0.1 + 0.2, 1e308, 5e-324, float("inf"), float("-inf"), 3.0], []),
    ("r_untyped", "", REAL, [1.5, -0.0], [4, "2.5"]),
    ("d", "decimal(15,2)", DECIMAL, [12, 12.5, -0.01, 9999999999999.99], []),
    ("d_real", "real", DECIMAL, [12.0, 0.25], []),
    ("d_text", "text", DECIMAL, ["12.50", "0.00"], []),
    ("d_bare", "numeric", BARE, [1, 2.25, 123456789012345678], []),
    ("d_bare_text", "text", BARE, ["1.500", "12345678901234567890.123"], []),
    ("t", "text", TEXT, ["", "ünï \U0001f600", "'quoted\\'\n"], []),
    ("t_nocase", "text collate nocase", TEXT, ["A", "b"], []),
    ("c", "char(4)", CHAR, ["ab  ", "abcd"], []),
    ("j", "text", JSON, ['{"b":1,  "a":[1.0,1e2]}'], []),
    ("jb", "text", JSONB, ['{"a": 1}', "[]"], ['{"b":1,  "a":[1.0,1e2,true,null]}', ' "x" ']),
    ("x", "blob", BLOB, [b"", b"\x00\xff", b"text"], ["a text", sqlite3.Binary(b"\\x00")]),
    ("ts", "datetime", stamp(DateForm.SPACE), ["2024-02-29 23:59:59"], ["2024-02-29T23:59:59", "2024-02-29 23:59:59.50"]),
    ("ts_t", "datetime", stamp(DateForm.T), ["0001-01-01T00:00:00"], ["2024-02-29 23:59:59"]),
    ("ts_ms", "datetime", stamp(DateForm.T_MS), ["9999-12-31T23:59:59.120"], []),
    ("ts_us", "datetime", stamp(DateForm.SPACE_US), ["2024-02-29 00:00:00.000001"], []),
    ("date", "date", DATE, ["2024-02-29", "0001-01-01", "9999-12-31"], []),
    ("e_s", "integer", epoch(EpochUnit.SECONDS), [0, -1, 1_700_000_000], []),
    ("e_ms", "integer", epoch(EpochUnit.MILLIS), [1_700_000_000_123], []),
    ("e_us", "integer", epoch(EpochUnit.MICROS), [1_700_000_000_123_456], []),
    ("e_frac", "real", epoch(EpochUnit.SECONDS), [1_700_000_000.25], []),
    ("e_cocoa", "real", epoch(EpochUnit.COCOA), [600000000.123456, 5.0], []),
    ("e_webkit", "integer", epoch(EpochUnit.WEBKIT), [13_300_000_000_000_001], []),
    ("e_julian", "real", epoch(EpochUnit.JULIAN), [2460000.5, 2460310.123456794], []),
    ("m_none", "", MIXED_TEXT, [5, "x", 1.5, "007", "1e5"], ["6", "2.5"]),
    ("m_text", "text", MIXED_TEXT, ["5", "x"], []),
    ("m_num", "numeric", MIXED_TEXT, [5, "x", 2.5], []),
    ("mb", "", MIXED_BYTEA, [5, 1.5, "x", b"\x00\xff", "a\x00b", "5"], []),
    ("uuid", "text", UUID, ["6f1c1b52-5d3c-4a8e-9a26-0b6a5f8e0f11"], ["6F1C1B52-5D3C-4A8E-9A26-0B6A5F8E0F12"]),
    ("tz", "text", ZONED, ["2024-02-29 12:00:00+00:00"], ["2024-02-29T14:00:00+02", "2024-02-29T12:00:00Z"]),
    ("single", "real", SINGLE, [0.5, 1.0], []),
    ("money", "numeric", MONEY, [5, 5.25], []),
]  # fmt: skip


def _table(tmp_path: Path, case: tuple[str, str, ColumnType, list[Any], list[Any]]) -> Path:
    name, declared, _, told, untold = case
    values = [*told, *untold, None]
    return new_file(
        tmp_path,
        f'create table t(id integer primary key, "{name}" {declared})',
        {"t": [(i, v) for i, v in enumerate(values)]},
    )


def _stored(path: Path, name: str, where: str = "1") -> list[tuple[Any, ...]]:
    """Storage class and bytes; for reals the bits, which SQL does not show."""
    with closing(sqlite3.connect(path)) as conn:
        rows = conn.execute(
            f'select id % 1000, typeof("{name}"), hex(cast("{name}" as blob)), iif(typeof("{name}")=\'real\', "{name}", 0)'
            f" from t where {where} order by 1"
        ).fetchall()
    return [(i, kind, raw, repr(real)) for i, kind, raw, real in rows]


@pytest.mark.parametrize("case", CASES, ids=[c[0] for c in CASES])
async def test_every_kind_keeps_class_and_bytes(
    tmp_path: Path, pg_target: Target, case: tuple[str, str, ColumnType, list[Any], list[Any]]
) -> None:
    name, _, column, told, untold = case
    path = _table(tmp_path, case)
    before = _stored(path, name)
    assert len({(kind, raw, real) for _, kind, raw, real in before}) == len(told) + len(untold) + 1
    async with cut_over(path, pg_target, live_table(path, "t", {"id": INTEGER, name: column})) as pair:
        await pair.pg("update t set id = id")  # every row is written anew, none has changed
        assert (await pair.reverse.step()).whole
        assert _stored(path, name) == before
        # rows that SQLite has never had: made by the column's rules alone
        await pair.pg(f'insert into t select id + 1000, "{name}" from t')
        assert (await pair.reverse.step()).whole
        assert await pair.blockers() == []
        assert _stored(path, name, f"id % 1000 < {len(told)} and id >= 1000") == before[: len(told)]
        assert await pair.differences() == []


async def _blocked(pair: Pair) -> list[tuple[Any, ...]]:
    await pair.reverse.step()
    return [(b.key, b.column, b.reason) for b in await pair.blockers()]


# declared type, type of the target, what row 1 holds, what PostgreSQL gets, why SQLite can't hold it
BLOCKED: list[tuple[str, ColumnType, Any, str, str]] = [
    ("numeric", BARE, 1.5, "12345678901234567890.5", "more digits"),
    ("numeric", BARE, 1.5, "'NaN'::numeric", "no number"),
    ("real", REAL, 1.5, "'NaN'", "NaN"),
    ("real", REAL, 1.5, "'-0'::float8", "another value"),
    ("datetime", stamp(DateForm.SPACE), None, "'infinity'", "years 1 to 9999"),
    ("datetime", stamp(DateForm.SPACE), None, "'10000-01-01'", "years 1 to 9999"),
    ("datetime", stamp(DateForm.SPACE), None, "'0044-03-15 BC'", "years 1 to 9999"),
    ("date", DATE, None, "'infinity'", "years 1 to 9999"),
    ("numeric", TEXT, "ok", "'0012'", "another value"),  # SQLite would make the number 12 of it
    ("integer", MIXED_TEXT, "ok", "'1e2'", "another value"),
    ("", MIXED_BYTEA, "ok", "'\\x7a7a'", "class byte"),
    ("", MIXED_BYTEA, "ok", "'\\x'", "class byte"),
    ("text not null", TEXT, "ok", "null", "NOT NULL"),
    ("text check (length(v) < 3)", TEXT, "ok", "'long'", "CHECK"),
    ("text unique collate nocase", TEXT, "kept", "'KEPT'", "UNIQUE"),
    ("text unique on conflict replace", TEXT, "kept", "'kept'", "UNIQUE"),
    ("text unique on conflict ignore", TEXT, "kept", "'kept'", "UNIQUE"),
    ("real", epoch(EpochUnit.JULIAN), 2460000.5, "'2024-01-01 00:00:00.000001'", "another value"),
]


@pytest.mark.parametrize("case", BLOCKED, ids=lambda c: f"{c[0]} {c[3]}")
async def test_what_sqlite_cannot_hold_is_listed_and_the_rest_goes_on(
    tmp_path: Path, pg_target: Target, case: tuple[str, ColumnType, Any, str, str]
) -> None:
    declared, column, held, value, why = case
    path = new_file(tmp_path, f"create table t(id integer primary key, v {declared})", {"t": [(1, held)]})
    async with cut_over(path, pg_target, live_table(path, "t", {"id": INTEGER, "v": column})) as pair:
        await pair.pg(f"insert into t values (3, {value})")
        await pair.pg("update t set id = 2 where id = 1")
        found = await _blocked(pair)
        assert [key for key, _, _ in found] == [("3",)]
        assert why in found[0][2]
        assert pair.lite("select id, v from t") == [(2, held)]
        assert len(await pair.differences()) == 1
        await pair.pg("delete from t where id = 3")
        assert await _blocked(pair) == []
        assert await pair.differences() == []
