"""The judge: what the histories acknowledge against what a database holds.

lost         acknowledged, and not there
duplicated   there more than once
stale        an older acknowledged version is there
resurrected  acknowledged as deleted, and there
phantom      there, although nobody acknowledged it: rolled back, refused, or of nobody
different    the acknowledged version is there with other values
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from tests.fleet.history import lines
from tests.fleet.schema import OWNED, SEEDER, Key, Row, seeds
from tests.fleet.values import common

Where = tuple[str, Key]


@dataclass
class Verdict:
    """Counts, with an example for each of the first findings."""

    acknowledged: int = 0
    refused: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def found(self, what: str, example: str, times: int = 1) -> None:
        """Note an anomaly."""
        self.counts[what] += times
        if len(self.examples) < 20:
            self.examples.append(f"{what}: {example}")

    @property
    def figures(self) -> str:
        """lost / duplicated / stale / resurrected."""
        return " / ".join(str(self.counts[k]) for k in ("lost", "duplicated", "stale", "resurrected"))

    @property
    def clean(self) -> bool:
        """Whether nothing at all was found."""
        return not self.counts


@dataclass
class Expected:
    """What the histories say."""

    rows: dict[Where, Row] = field(default_factory=dict)
    ever: set[Where] = field(default_factory=set)
    failed: set[tuple[int, int]] = field(default_factory=set)
    events: Counter[tuple[int, int]] = field(default_factory=Counter)
    audit: Counter[tuple[Any, ...]] = field(default_factory=Counter)
    counted: int = 0
    shared: dict[int, tuple[str, bool, int, int]] = field(default_factory=dict)  # revision → key, there, w, v
    refused: int = 0

    def take(self, line: dict[str, Any]) -> None:
        """A transaction that happened."""
        self.events[line["w"], line["v"]] += 1
        self.counted += line["counted"]
        for *entry, times in line["audit"]:
            self.audit[tuple(entry)] += times
        for table, key in line["dels"]:
            self.rows.pop((table, tuple(key)), None)
        for table, row in line["puts"]:
            self.put(table, row)
        if line["shared"]:
            k, revision, there = line["shared"]
            self.shared[revision] = (k, there, line["w"], line["v"])

    def put(self, table: str, row: Row) -> None:
        """A row that must be there."""
        where = (table, OWNED[table].key_of(row))
        self.rows[where] = row
        self.ever.add(where)


@dataclass
class Found:
    """What a database holds."""

    rows: dict[str, list[Row]]
    kinds: dict[str, dict[str, str]]  # {} for SQLite: its values are the model's own
    events: Counter[tuple[int, int]]
    audit: Counter[tuple[Any, ...]]
    counters: dict[str, int]
    shared: dict[str, tuple[int, int, int]]

    def plain(self, table: str, row: Row) -> Row:
        """A row in the form in which both are compared; on SQLite with the storage class of each value."""
        kinds = self.kinds.get(table)
        return {c: (type(v).__name__, v) if kinds is None else common(v, kinds[c]) for c, v in row.items()}


async def check(folder: Path, *, path: Path | None = None, dsn: str | None = None, seeded: int = 40) -> Verdict:
    """Judge SQLite at `path` or PostgreSQL at `dsn`. The writers must have stopped; `seeded`: rows made beforehand."""
    found = read_lite(path) if path is not None else await read_pg(str(dsn))
    expected = replay(folder, found.events)
    for table, row in seeds(seeded):
        if table in OWNED:
            expected.put(table, {c: row[c] for c in OWNED[table].columns})
            if table == "item":
                expected.audit[SEEDER, 0, row["id"], "new"] += 1
    verdict = Verdict(acknowledged=expected.events.total(), refused=expected.refused)
    _owned(expected, found, verdict)
    _many("event", expected.events, found.events, expected, verdict)
    _many("audit", expected.audit, found.audit, expected, verdict)
    _counters(expected, found, verdict)
    _shared(expected, found, verdict)
    return verdict


def replay(folder: Path, events: Counter[tuple[int, int]]) -> Expected:
    """The acknowledged state. What a writer could not find out is decided, as a whole, by the transaction's own row."""
    expected = Expected()
    open_: dict[int, dict[str, Any]] = {}
    for line in lines(folder):
        w, v = line["w"], line["v"]
        match line["event"]:
            case "invoke":
                open_[w] = line
            case "ok":
                expected.take(open_.pop(w))
            case "fail":
                open_.pop(w, None)
                expected.failed.add((w, v))
                expected.refused += 1
    for w, line in open_.items():
        if events[w, line["v"]]:
            expected.take(line)
        else:
            expected.failed.add((w, line["v"]))
    return expected


def _owned(expected: Expected, found: Found, verdict: Verdict) -> None:
    seen: Counter[Where] = Counter()
    for table, rows in found.rows.items():
        for row in rows:
            where = (table, OWNED[table].key_of(row))
            seen[where] += 1
            _row(where, row, expected, found, verdict)
    for where, row in expected.rows.items():
        if not seen[where]:
            verdict.found("lost", f"{where} version {row['v']}")
        elif seen[where] > 1:
            verdict.found("duplicated", f"{where}: {seen[where]} times", seen[where] - 1)


def _row(where: Where, row: Row, expected: Expected, found: Found, verdict: Verdict) -> None:
    wanted = expected.rows.get(where)
    if wanted is None:
        kind = "resurrected" if where in expected.ever and (row["w"], row["v"]) not in expected.failed else "phantom"
        verdict.found(kind, f"{where} version {row['v']}")
    elif row["v"] != wanted["v"] or row["w"] != wanted["w"]:
        known = row["v"] < wanted["v"] and (row["w"], row["v"]) not in expected.failed
        verdict.found("stale" if known else "phantom", f"{where} version {row['v']} instead of {wanted['v']}")
    elif found.plain(where[0], row) != found.plain(where[0], wanted):
        verdict.found("different", f"{where}: {row} instead of {wanted}")


def _many(table: str, wanted: Counter[Any], seen: Counter[Any], expected: Expected, verdict: Verdict) -> None:
    for entry, times in (wanted - seen).items():
        verdict.found("lost", f"{table} {entry}", times)
    for entry, times in (seen - wanted).items():
        verdict.found("duplicated" if wanted[entry] else "phantom", f"{table} {entry}", times)


def _counters(expected: Expected, found: Found, verdict: Verdict) -> None:
    for name, wanted in (("total", expected.counted), ("revision", len(expected.shared))):
        number = found.counters.get(name, 0)
        if number != wanted:
            kind = "lost" if number < wanted else "phantom"
            verdict.found(kind, f"counter {name}: {number} instead of {wanted}", abs(number - wanted))


def _shared(expected: Expected, found: Found, verdict: Verdict) -> None:
    last: dict[str, tuple[int, bool, int, int]] = {}
    for revision, (k, there, w, v) in sorted(expected.shared.items()):
        last[k] = (revision, there, w, v)
    for k, (revision, there, w, v) in last.items():
        seen = found.shared.get(k)
        if seen is None:
            if there:
                verdict.found("lost", f"shared {k} revision {revision}")
        elif not there:
            verdict.found("resurrected", f"shared {k} revision {seen[0]}, deleted in {revision}")
        elif seen != (revision, w, v):
            verdict.found(
                "stale" if seen[0] < revision else "phantom", f"shared {k} {seen} instead of {(revision, w, v)}"
            )
    for k in found.shared.keys() - last.keys():
        verdict.found("phantom", f"shared {k} {found.shared[k]}")


def read_lite(path: Path) -> Found:
    """What SQLite holds."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        connection.execute("begin")
        return _found(lambda sql: connection.execute(sql).fetchall(), {})


async def read_pg(dsn: str, schema: str = "public") -> Found:
    """What PostgreSQL holds."""
    connection = await asyncpg.connect(dsn, server_settings={"search_path": f'"{schema}"'})
    try:
        kinds: dict[str, dict[str, str]] = defaultdict(dict)
        rows = await connection.fetch(
            "select c.relname, a.attname, format_type(a.atttypid, null) from pg_attribute a join pg_class c"
            " on c.oid = a.attrelid where c.relnamespace = $1::text::regnamespace and a.attnum > 0 and not a.attisdropped",
            f'"{schema}"',
        )
        for table, column, kind in rows:
            kinds[table][column] = kind
        asked = {sql: [tuple(r) for r in await connection.fetch(sql)] for sql in _questions()}
    finally:
        await connection.close()
    return _found(asked.__getitem__, kinds)


_EVENTS = "select w, v, count(*) from event group by w, v"
_AUDIT = "select w, v, item, action, count(*) from audit group by w, v, item, action"
_COUNTERS = "select name, n from counter"
_SHARED = "select k, rev, w, v from shared"


def _questions() -> list[str]:
    return [*(_of(t) for t in OWNED), _EVENTS, _AUDIT, _COUNTERS, _SHARED]


def _of(table: str) -> str:
    return f"select {', '.join(OWNED[table].columns)} from {table}"


def _found(ask: Callable[[str], list[tuple[Any, ...]]], kinds: dict[str, dict[str, str]]) -> Found:
    return Found(
        rows={t: [dict(zip(spec.columns, r, strict=True)) for r in ask(_of(t))] for t, spec in OWNED.items()},
        kinds=kinds,
        events=Counter({(w, v): n for w, v, n in ask(_EVENTS)}),
        audit=Counter({tuple(entry): n for *entry, n in ask(_AUDIT)}),
        counters=dict(ask(_COUNTERS)),  # type: ignore[arg-type]
        shared={k: (rev, w, v) for k, rev, w, v in ask(_SHARED)},
    )
