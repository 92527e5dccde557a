"""An independent comparison of source and target: every row, every value, by the mapping the plan declares.

Shares no code with the product: the standard library's sqlite3 on one side, asyncpg on the other, and a mapping from the
plan's JSON to values written down here once more. Rows are compared as multisets, so a row that arrived twice is seen.
"""

from __future__ import annotations

import contextlib
import sqlite3
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.acceptance.harness import Stand

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Text:
    """A TEXT value as its bytes: sqlite3 would give blobs and texts of `bytes` the same type."""

    raw: bytes


class Mismatch(AssertionError):
    """A value that its declared mapping can't explain."""


def lite(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def pg(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def compare(stand: Stand, report: Json, *, replaced: bool = False) -> None:
    """Every table of the source is equal in the target, or the report says by name why not.

    Args:
        stand: the finished run's world.
        report: its report.json.
        replaced: `on_bad_value: replace` was asked for.
    """
    plan = stand.plan()
    told = {t["source"]: t for t in report["tables"]}
    objects = {o["name"] for o in report["objects"]}
    with contextlib.closing(_open(stand)) as source:
        rows = source.execute(
            "select type, name, sql from sqlite_schema where name not like 'sqlite\\_%' escape '\\'"
        ).fetchall()
        for kind, raw_name, sql in rows:
            name = raw_name.raw.decode("utf-8", "surrogateescape")
            if kind.raw == b"table":
                assert name in told or name in objects, f"table {name!r} is not named"
            elif sql is not None:
                assert name in objects, f"{kind.raw.decode()} {name!r} is not named"
        for table in plan["tables"]:
            row = told[table["source"]]
            if table["impossible"] is None:
                _compare_table(stand, source, table, row, _rejected(report, table["source"]), replaced=replaced)
            else:
                assert row["verified"] != "equal", row
                assert row["reason"], row


def differing(stand: Stand) -> list[str]:
    """A live run, both sides at rest: one line per table whose rows are not the same on both. No report is asked."""
    found = []
    with contextlib.closing(_open(stand)) as source:
        for table in stand.plan()["tables"]:
            expected, there = _source_rows(source, table, [], replaced=False), _target_rows(stand, table)
            missing, extra = expected - there, there - expected
            if missing or extra:
                found.append(
                    f"{table['source']}: {missing.total()} missing {_shown(missing)}, {extra.total()} too many {_shown(extra)}"
                )
    return found


def _open(stand: Stand) -> sqlite3.Connection:
    connection = sqlite3.connect(f"file:{_escaped(str(stand.source))}?mode=ro", uri=True)
    connection.text_factory = Text
    return connection


def _escaped(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _rejected(report: Json, table: str) -> list[Json]:
    return [r["key"] for r in report["rejects"] if r["table"] == table]


def _compare_table(
    stand: Stand, source: sqlite3.Connection, table: Json, told: Json, rejected: list[Json], *, replaced: bool
) -> None:
    columns = table["columns"]
    expected = _source_rows(source, table, rejected, replaced=replaced)
    found = _target_rows(stand, table)
    missing, extra = expected - found, found - expected
    names = [c["source"] for c in columns]
    assert not missing, (
        f"{table['source']}: {missing.total()} rows missing or different, such as {_shown(missing)}; extra {_shown(extra)}; columns {names}"
    )
    assert not extra, f"{table['source']}: {extra.total()} rows too many, such as {_shown(extra)}"
    assert told["target_rows"] == found.total(), told
    assert told["source_rows"] == expected.total() + len(rejected), told
    assert told["rejected_rows"] == len(rejected), told
    assert told["verified"] == ("different" if rejected else "equal"), told


def _shown(rows: Counter[tuple[Any, ...]]) -> str:
    return repr(list(rows)[:2])[:600]


def _source_rows(
    source: sqlite3.Connection, table: Json, rejected: list[Json], *, replaced: bool
) -> Counter[tuple[Any, ...]]:
    columns = table["columns"]
    carried = [c for c in columns if c["source"]]
    wanted = [lite(c["source"]) for c in carried]
    keys = sorted({name for key in rejected for name in key})
    extra = [lite(name) for name in keys]
    rowid = [table["rowid_name"] or "rowid"] if table["rowid_column"] else []
    sql = f"select {', '.join([*rowid, *wanted, *extra])} from {lite(table['source'])}"
    refused = Counter(tuple(_plain(key[name]) for name in keys) for key in rejected)
    rows: Counter[tuple[Any, ...]] = Counter()
    for row in source.execute(sql):
        key = tuple(_plain(v) for v in row[len(rowid) + len(wanted) :])
        if keys and refused[key]:
            refused[key] -= 1
            continue
        values = row[len(rowid) : len(rowid) + len(wanted)]
        rows[
            (
                *row[: len(rowid)],
                *(expected_value(c, v, replaced=replaced) for c, v in zip(carried, values, strict=True)),
            )
        ] += 1
    assert not +refused, f"{table['source']}: rejected rows that the source doesn't have: {refused}"
    return rows


def _plain(value: Any) -> Any:
    if isinstance(value, Text):
        return value.raw
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if isinstance(value, Mapping):
        return bytes.fromhex(value["$hex"])
    return value


_ASK = {
    "timestamp": "to_char({c}, 'YYYY-MM-DD HH24:MI:SS.US')",
    "date": "to_char({c}, 'YYYY-MM-DD')",
    "epoch": "(extract(epoch from {c}) * 1000000)::bigint",
    "text": "{c}::text",
    "other": "{c}::text",
    "mixed_text": "{c}::text",
}


def _target_rows(stand: Stand, table: Json) -> Counter[tuple[Any, ...]]:
    names = [(pg(table["rowid_column"]), "integer")] if table["rowid_column"] else []
    names += [(pg(c["target"]), c["type"]["kind"]) for c in table["columns"] if c["source"]]
    listed = ", ".join(_ASK.get(kind, "{c}").format(c=name) for name, kind in names)
    sql = f"select {listed or 'null'} from only {pg(table['schema'])}.{pg(table['name'])}"

    async def read(conn: Any) -> Counter[tuple[Any, ...]]:
        rows: Counter[tuple[Any, ...]] = Counter()
        async with conn.transaction(isolation="repeatable_read", readonly=True):
            async for record in conn.cursor(sql, prefetch=500):
                rows[tuple(_comparable(v) for v in record) if listed else ()] += 1
        return rows

    found: Counter[tuple[Any, ...]] = stand.target(read)
    return found


def _comparable(value: Any) -> Any:
    if isinstance(value, float):
        return _double(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    return value


def _double(value: float) -> bytes:
    return b"double " + struct.pack(">d", value)


def expected_value(column: Json, value: Any, *, replaced: bool = False) -> Any:
    """What the target must hold for a value of the source, in the form `_target_rows` gives.

    Raises:
        Mismatch: the column's declared mapping has no place for such a value.
    """
    if value is None:
        return None
    kind = column["type"]["kind"]
    if kind == "integer" and isinstance(value, int):
        return value
    if kind == "boolean" and value in (0, 1) and isinstance(value, int):
        return bool(value)
    if kind == "real" and isinstance(value, float):
        return _double(value)
    if kind == "real" and isinstance(value, int) and _comes_back(column["declared"], float(value)) == value:
        return _double(float(value))
    if kind == "decimal" and isinstance(value, (int, float)):
        return _decimal(column, value)
    if kind in ("text", "other") and isinstance(value, Text):
        return _unicode(value, replaced=replaced)
    if kind == "blob" and isinstance(value, bytes):
        return value
    if kind == "blob" and isinstance(value, Text):  # `on_bad_value: bytea` keeps the bytes
        return value.raw
    if kind == "timestamp" and isinstance(value, Text):
        return _instant(column, value)
    if kind == "date" and isinstance(value, Text) and len(value.raw) == 10:
        return value.raw.decode()
    if kind == "epoch" and isinstance(value, int):
        return value * {"epoch_s": 1_000_000, "epoch_ms": 1000, "epoch_us": 1}[column["type"]["unit"]]
    if kind == "mixed_text" and isinstance(value, (int, float, Text)):
        return _unicode(value, replaced=replaced) if isinstance(value, Text) else repr(value)
    if kind == "mixed_bytea":
        return _classed(value)
    raise Mismatch(f"{column['source']}: {value!r} in a column of kind {kind} ({column['type']['sql']})")


def _unicode(value: Text, *, replaced: bool) -> str:
    text = value.raw.decode("utf-8", "replace" if replaced else "strict")
    return text.replace("\x00", "\ufffd") if replaced else text


def _decimal(column: Json, value: float) -> str:
    scale = column["type"]["scale"] or 0
    text = format(Decimal(repr(value)), "f")
    shown = format(Decimal(text).quantize(Decimal(1).scaleb(-scale)), "f")
    if _comes_back(column["declared"], shown) != value or type(_comes_back(column["declared"], shown)) is not type(
        value
    ):
        raise Mismatch(f"{column['source']}: {value!r} does not come back from {shown}")
    return shown


def _instant(column: Json, value: Text) -> str:
    text = value.raw.decode()
    form = column["type"]["form"]
    if len(text) != len(form) or text[10] != form[10]:
        raise Mismatch(f"{column['source']}: {text!r} has not the form {form}")
    whole, _, fraction = text.replace("T", " ").partition(".")
    return f"{whole}.{fraction.ljust(6, '0')}"


def _classed(value: Any) -> bytes:
    if isinstance(value, Text):
        return b"t" + value.raw
    if isinstance(value, bytes):
        return b"b" + value
    return (b"i" if isinstance(value, int) else b"r") + repr(value).encode()


@cache
def _comes_back(declared: str, value: float | str) -> Any:
    """What SQLite makes of a value that is written into a column of that declared type."""
    with contextlib.closing(sqlite3.connect(":memory:")) as memory:
        memory.execute(f"create table t(c {declared})")
        return memory.execute("insert into t values(?) returning c", (value,)).fetchone()[0]
