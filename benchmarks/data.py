"""The benchmark database: `events` 2 M × 8 mixed columns, `narrow` 2 M × 2 integers, `docs` 100 k × 5, times a scale."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

SCHEMA = """
create table events (
  id integer primary key, user_id integer not null, name varchar(40) not null, amount numeric(12,2), score real,
  active boolean not null, created_at datetime not null, note text);
create table narrow (a integer not null, b integer not null, primary key (a, b));
create table docs (slug text primary key, title text not null, body text not null, meta json, thumb blob);
"""


def make(path: Path, scale: float) -> int:
    """Make the database at `path` unless it is there; returns the number of rows. `scale` 1.0 is 4.1 million rows."""
    events, docs = int(2_000_000 * scale), int(100_000 * scale)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.unlink(missing_ok=True)
        connection = sqlite3.connect(part, isolation_level=None)
        connection.execute("pragma synchronous=off")
        connection.executescript(SCHEMA)
        connection.execute("begin")
        rng = random.Random(7)
        connection.executemany("insert into events values (?,?,?,?,?,?,?,?)", _events(rng, events))
        connection.executemany("insert into narrow values (?,?)", ((i, i * 7 % 1_000_003) for i in range(events)))
        connection.executemany("insert into docs values (?,?,?,?,?)", _docs(rng, docs))
        connection.execute("commit")
        connection.execute("create index events_user on events(user_id, created_at);")
        connection.close()
        part.rename(path)
    return 2 * events + docs


def _events(rng: random.Random, count: int) -> Iterator[tuple[object, ...]]:
    for i in range(1, count + 1):
        day = f"20{20 + i % 5}-{1 + i % 12:02}-{1 + i % 28:02} {i % 24:02}:{i % 60:02}:{i * 7 % 60:02}"
        note = None if i % 3 else f"note {i}, with a comma"
        yield i, i % 50_000, f"event-{i % 1000}", rng.randrange(1_000_000) / 100, rng.random() * 1e6, i & 1, day, note


def _docs(rng: random.Random, count: int) -> Iterator[tuple[object, ...]]:
    body = 'line one\nline\\two\twith tabs, commas and "quotes"\n' * 12
    for i in range(count):
        yield (
            f"doc-{i:08}",
            f'He said "{i}"\tand left',
            f"{i} {body}",
            '{"n": %d, "tags": ["a", "b"]}' % i,
            rng.randbytes(200),
        )
