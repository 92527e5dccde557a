"""Every value arrives exactly or is rejected by name; nothing changes in silence."""

from __future__ import annotations

import asyncio
import datetime as dt
import math
import random
import secrets
import sqlite3
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stepflow_tui.engine.bulk.outcome import WorkOrder
from stepflow_tui.engine.bulk.segment_job import copy_segment
from stepflow_tui.engine.bulk.session import SESSION
from stepflow_tui.engine.model.types import ColumnType, DateForm, EpochUnit, Kind
from stepflow_tui.engine.plan.declared import affinity
from stepflow_tui.engine.plan.kinds import term
from stepflow_tui.engine.postgres import ledger
from stepflow_tui.engine.postgres.connect import Target
from tests.copy_kit import RUN, copy_file, fetch, make_job, plan_table, prepare, rejects_of

DECLARATIONS = ("", "INTEGER", "TEXT", "REAL", "NUMERIC", "VARCHAR(20) COLLATE RTRIM")


class Raw(bytes):
    """Bytes stored as TEXT, whatever they are."""


def _type(kind: Kind, sql: str, **more: Any) -> ColumnType:
    return ColumnType(kind=kind, sql=sql, **more)


TYPES: dict[str, ColumnType] = {
    "int8": _type(Kind.INTEGER, "bigint"),
    "int4": _type(Kind.INTEGER, "integer", width=4),
    "int2": _type(Kind.INTEGER, "smallint", width=2),
    "bool": _type(Kind.BOOLEAN, "boolean"),
    "real": _type(Kind.REAL, "double precision"),
    "dec0": _type(Kind.DECIMAL, "numeric(15,0)", precision=15, scale=0),
    "dec2": _type(Kind.DECIMAL, "numeric(15,2)", precision=15, scale=2),
    "dec5": _type(Kind.DECIMAL, "numeric(15,5)", precision=15, scale=5),
    "bare": _type(Kind.DECIMAL, "numeric", scale=3),
    "text": _type(Kind.TEXT, "text"),
    "char5": _type(Kind.TEXT, "varchar(5)"),
    "pad3": _type(Kind.TEXT, "char(3)"),
    "json": _type(Kind.OTHER, "json"),
    "blob": _type(Kind.BLOB, "bytea"),
    "date": _type(Kind.DATE, "date"),
    "mtext": _type(Kind.MIXED_TEXT, "text"),
    "mbytea": _type(Kind.MIXED_BYTEA, "bytea"),
    "uuid": _type(Kind.OTHER, "uuid"),
    "tstz": _type(Kind.OTHER, "timestamptz"),
    "time": _type(Kind.OTHER, "time"),
    "float4": _type(Kind.OTHER, "real"),
    "num63": _type(Kind.OTHER, "numeric(6,3)"),
    **{f"ts{i}": _type(Kind.TIMESTAMP, "timestamp", form=form) for i, form in enumerate(DateForm)},
    **{unit.value: _type(Kind.EPOCH, "timestamp", unit=unit) for unit in EpochUnit},
}

POOL: tuple[Any, ...] = (
    None, 0, 1, 2, -1, 5, 255, 32767, 32768, -32769, 2**31 - 1, 2**31, -(2**31) - 1, 2**53 + 1, 2**63 - 1, -(2**63),
    1_600_000_000, 1_600_000_000_000, 1_600_000_000_000_000, -62_135_596_800, -62_135_596_801, 253_402_300_799, 253_402_300_800,
    0.0, -0.0, 0.5, 1.0, 5.0, 1.005, 1.255, 0.1 + 0.2, 1.1, 12.3, 1e15, 1e16, 1e20, 9007199254740993.0, -1.5, 99999999.995, 1e300, -1e300,
    5e-324, 2.2250738585072014e-308, math.inf, -math.inf, 1.7976931348623157e308, 123456789012.12, 999999999999999.0, 0.00001,
    600000000.123456, 600000000.25, 2459000.5, 2459000.123456789, 2440587.5, 13_300_000_000_000_000, 1e-7, 3.4028235e38, 16777217.0,
    "", " ", "a", "abc", "abcd  ", "abcdef", "abcdef   ", "a\x00b", "\x00", "é", "日本", "𝄞", "\ufeffx", "\ufffe", "\U0010ffff", "e\u0301",
    '"', '""', "\\.", "\\N", "NULL", ",", "\n", "\r\n", "a,b\n\"c\"", "\t", "'", "\x1b]52;c;x\x07", "x" * 300, "0", "1", "5", "05", "+5", "5.0",
    "1.50", "1.5", "-0", "-0.00", "1e5", "0x10", "true", "t", "f", "yes", "nan", "inf", "Infinity", "12.345", "1_000", " 5", "5 ", "١",
    "2020-01-02 03:04:05", "2020-01-02T03:04:05", "2020-01-02 03:04:05.123", "2020-01-02T03:04:05.123", "2020-01-02 03:04:05.123456",
    "2020-01-02T03:04:05.123456", "2020-01-02 03:04:05.1234567", "2020-01-02 03:04:05.1", "2020-01-02", "2020-02-30", "2020-02-29", "2021-02-29",
    "0000-00-00", "0000-01-01", "0001-01-01", "9999-12-31", "10000-01-01", "2020-01-02 24:00:00", "2020-01-02 23:59:60", "2020-01-02 03:04",
    "2020-01-02 03:04:05Z", "2020-01-02 03:04:05+05", "2020-01-02T03:04:05.123Z", "2020-01-02 03:04:05 ", "2020-1-2", "now", "today", "infinity",
    "epoch", "-4712-01-01", "2020-01-02 00:00:00", "0001-01-01 00:00:00", "9999-12-31 23:59:59.999999", "2020-13-01", "12:34:56", "24:00:00",
    "12:34:56.1234567", "12:34", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "{}", '{"a": 1.10}',
    '{"a":"\\u0000"}', "[1,", "2459000.5", "1600000000", "J2459000", "2020-01-02 03:04:05.000000", "2020-01-02 -3:04:05", "２０２０-01-02",
    b"", b"a", b"\x00", b"\xff\xfe", b"abc", b"5", b"2020-01-02", bytes(range(256)), b"\x01", b'"', b"\\x41",
    Raw(b"\xff"), Raw(b"a\xc3"), Raw(b"\xed\xa0\x80"), Raw(b"\xc0\x80"), Raw(b"\xf4\x90\x80\x80"), Raw(b"ok"), Raw(b"a\x00b\xff"),
    Raw(b"\x00\xd8"), Raw(b"\x00\xd8a\x00"), Raw(b"\x00\xdc\x00\xd8"), Raw(b"a\x00\x00\xdcb\x00"), Raw(b"a"),
)  # fmt: skip


def _random_value(r: random.Random) -> Any:
    """A neighbour of what types are made for: decimals, doubles, moments, digits."""
    moment = dt.datetime(1, 1, 1) + dt.timedelta(microseconds=r.randrange(315_537_897_600_000_000))
    digits = r.choice(["seconds", "milliseconds", "microseconds"])
    planes = [(0, 128), (0, 0xD800), (0xE000, 0x11000)]
    return r.choice(
        [
            r.randrange(-(10**6), 10**6),
            r.randrange(-(2**63), 2**63),
            r.randrange(10**8) / 10 ** r.randrange(7),
            struct.unpack("d", r.randbytes(8))[0],
            r.random() * 10 ** r.randrange(20),
            moment.isoformat(" ", digits),
            moment.isoformat("T", digits),
            moment.date().isoformat(),
            str(r.randrange(10**6) / 100),
            "".join(chr(r.randrange(*r.choice(planes))) for _ in range(r.randrange(9))),
            r.randbytes(r.randrange(9)),
            Raw(r.randbytes(2 * r.randrange(5))),
            (moment - dt.datetime(2001, 1, 1)).total_seconds(),
            (moment - dt.datetime(1970, 1, 1)) // dt.timedelta(milliseconds=1),
        ]
    )


def write_file(path: Path, tables: dict[str, tuple[str, list[Any]]], encoding: str) -> None:
    """Tables `name → (declaration, values)`, each `(id integer primary key, x declaration)`."""
    connection = sqlite3.connect(path)
    connection.execute(f"pragma encoding='{encoding}'")
    for name, (declared, values) in tables.items():
        connection.execute(f'create table "{name}"(id integer primary key, x {declared})')
        for i, value in enumerate(values):
            # a literal's bytes are taken in the file's encoding, a bound blob's would be converted from UTF-8
            mark, bound = (f"cast(x'{value.hex()}' as text)", ()) if isinstance(value, Raw) else ("?", (value,))
            connection.execute(f'insert into "{name}" values (?, {mark})', (i, *bound))
    connection.commit()
    connection.close()


def stored(path: Path, table: str, column: ColumnType, declared: str, utf16: bool) -> dict[int, tuple[str, Any, bool]]:
    """What the file really holds: class, value (TEXT as str, or bytes where it does not decode), and whether it keeps the term."""
    text = term("x", column, affinity=affinity(declared), utf16=utf16, nullable=True) or "1"
    connection = sqlite3.connect(path)
    rows = connection.execute(
        f"select id, typeof(x), iif(typeof(x)='text', cast(x as blob), x), ({text}) is 1 from \"{table}\""
    ).fetchall()
    connection.close()
    found = {}
    for key, kind, value, keeps in rows:
        found[key] = (*_text(kind, value, utf16), bool(keeps))
    return found


def _text(kind: str, value: Any, utf16: bool) -> tuple[str, Any]:
    try:
        return kind, value.decode("utf-16-le" if utf16 else "utf-8") if kind == "text" else value
    except UnicodeDecodeError:
        return "badtext", value


def _decimal(kind: str, value: Any, got: Any) -> bool:
    if kind == "integer":
        return bool(got == value)
    if kind == "real":
        return bool(
            float(got) == value and Decimal(repr(value)) == got and not (value == 0 and math.copysign(1, value) < 0)
        )
    return kind == "text" and format(got, "f") == value


def _real(kind: str, value: Any, got: Any) -> bool:
    if kind == "real":
        return struct.pack("d", value) == struct.pack("d", got)
    return (kind == "integer" and math.isfinite(got) and int(got) == value) or (kind == "text" and repr(got) == value)


def _moment(kind: str, value: Any, got: Any) -> bool:
    if kind != "text" or "Z" in value or "+" in value or len(value) not in (19, 21, 22, 23, 24, 25, 26):
        return False
    whole, _, fraction = value.partition(".")
    try:
        expected = dt.datetime.strptime(whole.replace("T", " "), "%Y-%m-%d %H:%M:%S")
    except ValueError:
        return False
    return value.isascii() and bool(got == expected.replace(microsecond=int(fraction.ljust(6, "0") or 0)))


def _counted(unit: EpochUnit) -> Callable[[str, Any, Any], bool]:
    origin = {EpochUnit.COCOA: dt.datetime(2001, 1, 1), EpochUnit.WEBKIT: dt.datetime(1601, 1, 1)}.get(
        unit, dt.datetime(1970, 1, 1)
    )
    per = {
        EpochUnit.SECONDS: 10**6,
        EpochUnit.MILLIS: 1000,
        EpochUnit.MICROS: 1,
        EpochUnit.COCOA: 10**6,
        EpochUnit.WEBKIT: 1,
    }

    def check(kind: str, value: Any, got: Any) -> bool:
        if kind not in ("integer", "real"):
            return False
        micros = (got - origin) // dt.timedelta(microseconds=1)
        if unit is EpochUnit.JULIAN:
            days = Fraction(micros, 86_400_000_000) + Fraction(4881175, 2)
            return float(days) == value
        return Fraction(micros, per[unit]) == (Fraction(value) if kind == "integer" else Fraction(Decimal(repr(value))))

    return check


def _as_text(kind: str, value: Any, got: Any) -> bool:
    expected = {"text": lambda: value, "integer": lambda: str(value), "real": lambda: repr(value)}.get(kind)
    return expected is not None and got == expected()


def _classed(kind: str, value: Any, got: Any) -> bool:
    body = {
        "integer": lambda: str(value).encode(),
        "real": lambda: repr(value).encode(),
        "text": lambda: str.encode(value),
    }
    return bool(
        got[:1] == {"badtext": b"t"}.get(kind, kind[:1].encode()) and got[1:] == body.get(kind, lambda: value)()
    )


def faithful(name: str, kind: str, value: Any, got: Any) -> bool:
    """Whether the target's value is the source's, judged without the copy's converters."""
    if value is None or got is None:
        return value is None and got is None
    column = TYPES[name]
    if column.kind is Kind.INTEGER:
        return bool(got == value) if kind in ("integer", "real") else kind == "text" and str(got) == value
    if column.kind is Kind.BOOLEAN:
        return kind in ("integer", "real") and int(got) == value
    if column.kind is Kind.EPOCH:
        return _counted(column.unit or EpochUnit.SECONDS)(kind, value, got)
    special: dict[str, Callable[[str, Any, Any], bool]] = {
        "real": _real,
        "mtext": _as_text, "text": _as_text, "char5": _as_text, "pad3": _as_text, "json": _as_text,
        "mbytea": _classed,
        "blob": lambda k, v, g: g == (v.encode() if k == "text" else v) and k in ("text", "blob", "badtext"),
        "date": lambda k, v, g: k == "text" and g.isoformat() == v,
        "uuid": lambda k, v, g: k == "text" and str(g) == v.lower(),
        "tstz": lambda k, v, g: k == "text" and len(v) >= 20 and g == dt.datetime.fromisoformat(v),
        "time": lambda k, v, g: k == "text" and g == dt.time.fromisoformat(v) and len(v) in (8, *range(10, 16)),
        "float4": lambda k, v, g: (repr(float(v)) == v if k == "text" else float(v) == v) and float(v) == g,
        "num63": _decimal,
    }  # fmt: skip
    if column.kind is Kind.DECIMAL:
        return _decimal(kind, value, got)
    if column.kind is Kind.TIMESTAMP:
        return _moment(kind, value, got)
    return special[name](kind, value, got)


def judge(
    name: str, source: dict[int, tuple[str, Any, bool]], target: dict[int, Any], rejected: set[int]
) -> Counter[str]:
    """Count what became of each row; `changed` and `lost` must be 0, `needless` rejects too."""
    tally: Counter[str] = Counter()
    for key, (kind, value, keeps) in source.items():
        if key in target:
            fine = faithful(name, None if value is None else kind, value, target[key])  # type: ignore[arg-type]
            tally["exact" if fine else f"changed {name} {kind} {value!r} -> {target[key]!r}"] += 1
            if key in rejected:
                tally[f"both {name} {value!r}"] += 1
        elif key in rejected:
            blameless = (
                keeps
                and kind != "badtext"
                and not TYPES[name].always_slow
                and TYPES[name].sql not in ("varchar(5)", "char(3)")
            )
            tally[f"needless {name} {kind} {value!r}" if blameless else "rejected"] += 1
        else:
            tally[f"lost {name} {kind} {value!r}"] += 1
    if extra := set(target) - set(source):
        tally[f"extra {extra}"] += 1
    return tally


async def _arrived(target: Target, tables: list[str]) -> tuple[dict[str, dict[int, Any]], dict[str, set[int]]]:
    rows = {name: dict(await fetch(target, f'select id, x from public."{name}"')) for name in tables}
    rejected: dict[str, set[int]] = {name: set() for name in tables}
    for reject in await rejects_of(target):
        rejected[reject.table].add(int(reject.key["id"]))  # type: ignore[arg-type]
    return rows, rejected


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le"])
async def test_adversarial_values_arrive_exactly_or_are_rejected(
    tmp_path: Path, pg_target: Target, encoding: str
) -> None:
    names = {f"{kind} {declared}": (kind, declared) for kind in TYPES for declared in DECLARATIONS}
    r = random.Random(7)
    values = [*POOL, *(_random_value(r) for _ in range(60))]
    path = tmp_path / "all.db"
    write_file(path, {name: (declared, values) for name, (_, declared) in names.items()}, encoding)
    int8 = TYPES["int8"]
    plans = [plan_table(path, name, {"id": int8, "x": TYPES[kind]}) for name, (kind, _) in names.items()]
    result = await copy_file(path, pg_target, *plans, encoding=encoding, streams=2)
    assert result.errors == ()
    assert [t for t in result.tables.values() if t.fallbacks] == []
    rows, rejected = await _arrived(pg_target, list(names))
    total: Counter[str] = Counter()
    for name, (kind, declared) in names.items():
        source = stored(path, name, TYPES[kind], declared, encoding != "UTF-8")
        total += judge(kind, source, rows[name], rejected[name])
        assert result.tables[name].rows == len(rows[name])
        assert result.tables[name].rejected == len(rejected[name])
    assert set(total) == {"exact", "rejected"}
    assert total["exact"] > 10_000


async def test_without_the_terms_values_change_in_silence(tmp_path: Path, pg_target: Target) -> None:
    """The control: the conditions are what protects, and the judge of the test above sees a changed value."""
    names = {kind: kind for kind in ("ts0", "dec2", "bool", "date", "epoch_s")}
    path = tmp_path / "blind.db"
    numbers = [0, 1, 1.255, 99.995, 5]
    moments = ["2020-01-02 24:00:00", "2020-02-30 00:00:00", "2020-01-02"]
    write_file(
        path, {name: ("NUMERIC", numbers if name != "ts0" and name != "date" else moments) for name in names}, "UTF-8"
    )
    plans = [plan_table(path, name, {"id": TYPES["int8"], "x": TYPES[kind]}) for name, kind in names.items()]
    await copy_file(path, pg_target, *plans, honest=False)
    rows, rejected = await _arrived(pg_target, list(names))
    changed = {
        name: sum(n for what, n in judge(kind, stored(path, name, TYPES[kind], "NUMERIC", False), rows[name], rejected[name]).items()
                  if what.startswith("changed"))
        for name, kind in names.items()
    }  # fmt: skip
    assert changed["ts0"] == 3
    assert changed["dec2"] == 2
    assert changed["bool"] >= 2
    assert changed["date"] == 2


SIMPLE = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-1000, 1000),
    st.floats(allow_nan=False),
    st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**9), max_value=10**9).map(float),
    st.text(max_size=12),
    st.datetimes(min_value=dt.datetime(1, 1, 1)).map(str),
    st.dates().map(str),
    st.binary(max_size=8),
    st.binary(max_size=8).map(Raw),
)


@pytest.fixture
def in_process() -> Iterator[None]:
    """Segments are copied in this process; its connections are dropped afterwards."""
    yield
    SESSION.drop_targets()


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    values=st.lists(SIMPLE, min_size=1, max_size=25),
    kind=st.sampled_from(sorted(TYPES)),
    declared=st.sampled_from(DECLARATIONS),
    encoding=st.sampled_from(["UTF-8", "UTF-16le"]),
)
def test_any_value_arrives_exactly_or_is_rejected(
    tmp_path: Path, pg_target: Target, in_process: None, values: list[Any], kind: str, declared: str, encoding: str
) -> None:
    path = Path(tmp_path, f"{secrets.token_hex(8)}.db")
    write_file(path, {"t": (declared, values)}, encoding)
    plan = plan_table(path, "t", {"id": TYPES["int8"], "x": TYPES[kind]})
    job = make_job(path, pg_target, plan, encoding=encoding)

    async def begin() -> tuple[int, list[ledger.Segment]]:
        await fetch(pg_target, "drop table if exists public.t")
        await fetch(pg_target, "drop schema if exists _stepflow cascade")
        epoch = (await prepare(job)).epoch
        connection = await pg_target.connect()
        found = await ledger.open_segments(connection, RUN)
        await connection.close()
        return epoch, found

    epoch, segments = asyncio.run(begin())
    for segment in segments:
        copy_segment(
            WorkOrder(
                run=RUN,
                epoch=epoch,
                frozen=path,
                target=pg_target,
                spec=job.spec(plan),
                segment=segment,
                refusal_limit=99,
            )
        )
    rows, rejected = asyncio.run(_arrived(pg_target, ["t"]))
    tally = judge(kind, stored(path, "t", TYPES[kind], declared, encoding != "UTF-8"), rows["t"], rejected["t"])
    assert set(tally) <= {"exact", "rejected"}
