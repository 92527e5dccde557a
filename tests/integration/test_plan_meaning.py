"""The oracle of translation: random expressions over random rows give the same values in SQLite and PostgreSQL.

Expressions that the translator refuses don't count; enough must be left for the test to mean something.
"""

from __future__ import annotations

import random
import sqlite3
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from stepflow_tui.engine.model.plan import ColumnPlan
from stepflow_tui.engine.model.schema import Affinity, SourceColumn
from stepflow_tui.engine.model.types import ColumnType, DateForm, EpochUnit, Kind
from stepflow_tui.engine.plan.sqltext.expressions import parse_expression
from stepflow_tui.engine.plan.translate.expressions import Context, translate
from stepflow_tui.engine.plan.translate.scopes import Column, Relation, Scope, column_value
from stepflow_tui.engine.plan.translate.values import Sort, Untranslatable, Value, text

BIGINT, TEXT = ColumnType(kind=Kind.INTEGER, sql="bigint"), ColumnType(kind=Kind.TEXT, sql="text")
MIXED = ColumnType(kind=Kind.MIXED_TEXT, sql="text")
COLUMNS: dict[str, tuple[str, Affinity, ColumnType, str]] = {
    "i": ("INTEGER", Affinity.INTEGER, BIGINT, "BINARY"),
    "j": ("INT", Affinity.INTEGER, BIGINT, "BINARY"),
    "u": ("", Affinity.BLOB, BIGINT, "BINARY"),
    "b": ("BOOLEAN", Affinity.NUMERIC, ColumnType(kind=Kind.BOOLEAN, sql="boolean"), "BINARY"),
    "r": ("REAL", Affinity.REAL, ColumnType(kind=Kind.REAL, sql="double precision"), "BINARY"),
    "d": ("DECIMAL(10,2)", Affinity.NUMERIC, ColumnType(kind=Kind.DECIMAL, sql="numeric(10,2)", scale=2, precision=10), "BINARY"),
    "t": ("TEXT", Affinity.TEXT, TEXT, "BINARY"),
    "s": ("TEXT", Affinity.TEXT, TEXT, "BINARY"),
    "w": ("", Affinity.BLOB, TEXT, "BINARY"),
    "n": ("TEXT", Affinity.TEXT, TEXT, "NOCASE"),
    "p": ("TEXT", Affinity.TEXT, TEXT, "RTRIM"),
    "m": ("INTEGER_OR_TEXT", Affinity.INTEGER, MIXED, "BINARY"),
    "mm": ("INTEGER_OR_TEXT", Affinity.INTEGER, MIXED, "BINARY"),
    "x": ("BLOB", Affinity.BLOB, ColumnType(kind=Kind.BLOB, sql="bytea"), "BINARY"),
    "ts": ("DATETIME", Affinity.NUMERIC, ColumnType(kind=Kind.TIMESTAMP, sql="timestamp", form=DateForm.SPACE), "BINARY"),
    "t6": ("DATETIME", Affinity.NUMERIC, ColumnType(kind=Kind.TIMESTAMP, sql="timestamp", form=DateForm.T_US), "BINARY"),
    "dt": ("DATE", Affinity.NUMERIC, ColumnType(kind=Kind.DATE, sql="date"), "BINARY"),
    "e": ("INTEGER", Affinity.INTEGER, ColumnType(kind=Kind.EPOCH, sql="timestamp", unit=EpochUnit.MILLIS), "BINARY"),
}  # fmt: skip
TEXTS = ("", "a", "A", "abc", "ABC", "aBc", "äÄ", "ä", "Ä", "5", "05", "5.0", " 5", "a%", "a_b", "x ", "x", "x  ", "2020-01-01",
         "zz", "日本", "it's", "\\", "[a]", "1e3", "null", "-1")  # fmt: skip
INTEGERS = (0, 1, -1, 2, 5, 7, -7, 100, 2**40, 2**53 + 1, -(2**53) - 1)
VALUES: dict[str, tuple[Any, ...]] = {
    "i": INTEGERS, "j": INTEGERS, "u": INTEGERS, "b": (0, 1), "r": (0.0, -0.5, 0.1, 1.5, 2.0, 1e10, -3.25, float("inf"), 1e-5),
    "d": (0, 1.25, -1.25, 5, 100.1, 99999.99, 0.1, 2), "t": TEXTS, "s": TEXTS, "w": TEXTS, "n": TEXTS, "p": TEXTS,
    "m": (0, 1, 5, -1, 4461, "a", "WKT", "x", "", "äÄ"), "mm": (0, 1, 5, -1, 4461, "a", "WKT", "x", "", "äÄ"),
    "x": (b"", b"a", b"\x00\xff", b"abc"), "ts": ("2020-01-01 00:00:00", "2020-01-01 12:30:59", "1999-12-31 23:59:59", "0001-03-01 00:00:00"),
    "t6": ("2020-01-01T00:00:00.000000", "2021-02-03T04:05:06.123456"), "dt": ("2020-01-01", "2020-02-29", "1999-12-31"),
    "e": (0, 1577836800000, 1577836800123, -1),
}  # fmt: skip
LITERALS = ("0", "1", "5", "-1", "2", "1.5", "0.1", "5.0", "0.0", "'a'", "'A'", "'abc'", "''", "'5'", "'05'", "'WKT'", "'x'", "'2020-01-01'",
            "'2020-01-01 00:00:00'", "'2020-01-01 12:30:59'", "'2020-01-01T00:00:00.000000'", "'4461'", "'äÄ'", "null", "x'61'", "x''",
            "9007199254740993", "true", "'it''s'", "1577836800000", "'a '", "1e10", "'5.0'", "'ab%'")  # fmt: skip
LIKES = ("'a%'", "'A_c'", "'%B%'", "'a\\%'", "'%ä%'", "t", "'a%' escape '\\'")
GLOBS = ("'a*'", "'*[0-9]*'", "'[^a]*'", "'?'", "'a?c'", "'*.*'", "''")
SHIFTS = ("", ", '+1 day'", ", 'start of month'", ", '-3 hours'")
FORMATS = ("%Y", "%m/%d", "%H:%M:%S", "%Y-%m-%d", "%s", "%j", "%Y-%m-%d %H:%M:%S")


class Grammar:
    """Random expressions of SQLite's language."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def atom(self) -> str:
        return self.rng.choice(list(COLUMNS)) if self.rng.random() < 0.65 else self.rng.choice(LITERALS)

    def expression(self, depth: int) -> str:
        if depth <= 0 or self.rng.random() < 0.15:
            return self.atom()
        a, b, c = (self.expression(depth - 1) for _ in range(3))
        pick = self.rng.choice
        listed = ", ".join(self.atom() for _ in range(self.rng.randrange(4)))
        return pick([
            lambda: f"({a} {pick(['=', '==', '<>', '!=', '<', '<=', '>', '>='])} {b})",
            lambda: f"({a} {pick(['=', '<>', '<', '>='])} {b})",
            lambda: f"({a} {pick(['and', 'or'])} {b})",
            lambda: f"(not {a})",
            lambda: f"({a} {pick(['is', 'is not'])} {pick(['null', b, 'true'])})",
            lambda: f"({a} {pick(['in', 'not in'])} ({listed}))",
            lambda: f"({a} {pick(['', 'not'])} between {b} and {c})",
            lambda: f"({a} {pick(['+', '-', '*', '/', '%', '&', '|'])} {b})",
            lambda: f"({a} || {b})",
            lambda: f"({a} {pick(['like', 'not like'])} {pick(LIKES)})",
            lambda: f"({a} {pick(['glob', 'not glob'])} {pick(GLOBS)})",
            lambda: f"case when {a} then {b} else {c} end",
            lambda: f"case {a} when {b} then {c} when {c} then {b} end",
            lambda: f"cast({a} as {pick(['text', 'integer', 'real', 'numeric', 'boolean', 'blob'])})",
            lambda: f"({a} collate {pick(['nocase', 'binary', 'rtrim'])})",
            lambda: f"{pick(['length', 'lower', 'upper', 'abs', 'typeof', 'trim', 'hex', 'round', 'ltrim'])}({a})",
            lambda: f"substr({a}, {pick(['1', '2', '-2', '3', '2, 2'])})",
            lambda: f"{pick(['coalesce', 'ifnull', 'nullif', 'max', 'min', 'instr'])}({a}, {b})",
            lambda: f"replace({a}, {b}, {c})",
            lambda: f"iif({a}, {b}, {c})",
            lambda: f"{pick(['date', 'datetime', 'time', 'unixepoch', 'julianday'])}({pick(['ts', 't6', 'dt'])}{pick(SHIFTS)})",
            lambda: f"strftime('{pick(FORMATS)}', {pick(['ts', 't6', 'dt'])})",
            lambda: f"({pick(['-', '+', '~'])} {a})",
        ])()  # fmt: skip


def _pg_value(column: str, value: Any) -> Any:
    kind = COLUMNS[column][2].kind
    if value is None:
        return None
    convert = {
        Kind.BOOLEAN: bool, Kind.DECIMAL: lambda v: Decimal(repr(v)), Kind.MIXED_TEXT: str, Kind.TIMESTAMP: datetime.fromisoformat,
        Kind.DATE: date.fromisoformat, Kind.EPOCH: lambda v: datetime(1970, 1, 1) + timedelta(milliseconds=v),
    }.get(kind)  # fmt: skip
    return convert(value) if convert else value


def _relation() -> Relation:
    columns = []
    for name, (declared, affinity, type_, collation) in COLUMNS.items():
        source = SourceColumn(name=name, declared=declared, affinity=affinity, collation=collation)
        value = column_value(source, ColumnPlan(source=name, target=name, declared=declared, type=type_))
        columns.append(Column(name=name, target=name, value=value))
    return Relation(name="tab", columns=tuple(columns))


def _alike(value: Value, lite: Any, pg: Any) -> bool:
    if pg is None or lite is None:
        return pg is lite
    pg = int(pg) if isinstance(pg, bool) or value.sort is Sort.EPOCH else pg
    if value.sort is Sort.DECIMAL:
        # an integer or a real in SQLite, and rounded along the way where it was computed
        return not isinstance(lite, str | bytes) and abs(float(lite) - float(pg)) <= 1e-12 * max(1.0, abs(float(lite)))
    return (str(lite) if value.sort is Sort.MIXED else lite, type(lite) if value.sort is not Sort.MIXED else str) == (
        pg,
        type(pg),
    )


@pytest.mark.parametrize("seed", range(4))
async def test_expressions_keep_their_values(seed: int, pg_dsn: str) -> None:
    rng = random.Random(seed)
    rows = [[None if rng.random() < 0.15 else rng.choice(VALUES[c]) for c in COLUMNS] for _ in range(40)]
    lite = sqlite3.connect(":memory:")
    lite.execute("create table tab(" + ", ".join(f"{n} {c[0]} collate {c[3]}" for n, c in COLUMNS.items()) + ")")
    lite.executemany(f"insert into tab values ({', '.join('?' * len(COLUMNS))})", rows)
    pg = await asyncpg.connect(pg_dsn)
    try:
        await pg.execute("set timezone = 'America/New_York'")
        await pg.execute("create temp table tab(" + ", ".join(f"{n} {c[2].sql}" for n, c in COLUMNS.items()) + ")")
        records = [[_pg_value(c, v) for c, v in zip(COLUMNS, row, strict=True)] for row in rows]
        await pg.copy_records_to_table("tab", records=records)
        compared = await _compare(Grammar(rng), lite, pg, 1500)
    finally:
        await pg.close()
        lite.close()
    assert compared > 400


async def _compare(grammar: Grammar, lite: sqlite3.Connection, pg: asyncpg.Connection, count: int) -> int:
    relation, compared = _relation(), 0
    for _ in range(count):
        written = grammar.expression(grammar.rng.choice([1, 2, 2, 3]))
        try:
            value = translate(parse_expression(written), Context(scope=Scope(relations=[relation])))
        except Untranslatable:
            continue
        shown = text(value).sql if value.sort in (Sort.TIMESTAMP, Sort.DATE, Sort.EPOCH) else value.sql
        try:
            made = [r[0] for r in await pg.fetch(f"select {shown} from tab order by ctid")]
        except asyncpg.NumericValueOutOfRangeError:
            continue  # PostgreSQL refuses where SQLite goes on with a real: loud, not wrong
        expected = [r[0] for r in lite.execute(f"select {written} from tab order by tab.rowid")]
        wrong = [(a, b) for a, b in zip(expected, made, strict=True) if not _alike(value, a, b)]
        assert wrong == [], (written, shown)
        compared += 1
    return compared


@pytest.mark.parametrize("written", [
    "round(r, 2)", "printf('%d', i)", "i < r", "d / 2", "u = '5'", "m < 3", "t regexp 'a'", "date(t)", "datetime(i, 'unixepoch')", "t + 1", "t and 1",
    "x = t", "n = t collate odd", "i -> '$.a'", "lower(n collate nocase) = 'a'", "(i, j) < (1, 2)", "typeof(m)", "r || ''", "ts = '2020-01-01'",
    "char(i)", "nope", "max(m, 1)", "group_concat(t)", "exists (select 1)", "raise(ignore)",
])  # fmt: skip
def test_what_is_not_sure_is_refused(written: str) -> None:
    with pytest.raises(Untranslatable):
        translate(parse_expression(written), Context(scope=Scope(relations=[_relation()])))


@pytest.mark.parametrize(("written", "sql"), [
    ("b = 1", '"b"'), ("b in (0, 1)", '("b"::int in (0, 1))'), ('t = "not a column"', "(\"t\" = 'not a column')"), ("t <> n", '("t" <> "n")'),
    ("n = t", '(lower("n" collate "C") = lower("t" collate "C"))'), ("ts > '2020-01-01'", "(\"ts\" >= '2020-01-01'::timestamp)"),
    ("i == 5 or t is null", '(("i" = 5) or ("t" is null))'), ("m in ('WKT', '04461')", "(\"m\" in ('WKT', '4461'))"),
    ("length(t) between 1 and 3", '((length("t") >= 1) and (length("t") <= 3))'), ("i / j", '("i" / nullif("j", 0))'),
    ("t like 'A\\_%'", "(lower(\"t\" collate \"C\") like E'a\\\\_%' escape '')"), ("r > 0.5", "(\"r\" > '0.5'::float8)"), ("i > 0.5", '("i" > 0.5)'),
    ("i in ()", "false"), ("null or b", '(null::boolean or "b")'), ("t glob 'a[0-9].*'", "(\"t\" collate \"C\" ~ E'^a[0-9]\\\\..*$')"),
])  # fmt: skip
def test_forms(written: str, sql: str) -> None:
    assert translate(parse_expression(written), Context(scope=Scope(relations=[_relation()]))).sql == sql
