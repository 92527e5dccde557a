"""The sample shop database of `stepflow demo`: a dozen small tables with every trait a migration meets.

Deterministic for a given row count, so that two demos can be compared.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SCHEMA = """
create table settings (key text primary key, value) without rowid;
create table categories (
  id integer primary key autoincrement, name text not null collate nocase unique,
  parent_id integer references categories(id) on delete set null deferrable initially deferred);
create table customers (
  id integer primary key autoincrement, email varchar(200) not null collate nocase, full_name text not null, vip boolean not null default 0,
  created_at datetime not null default current_timestamp, last_seen_ms integer, balance decimal(12,2) not null default 0,
  preferences json, avatar blob, referrer_id integer references customers(id), check (length(full_name) > 0));
create unique index customers_email on customers(email);
create index customers_vip on customers(created_at desc) where vip = 1;
create table products (
  sku text primary key, category_id integer not null references categories(id) on update cascade, title text not null,
  price decimal(10,2) not null check (price >= 0), weight_kg real, tags text default '[]', launched date,
  price_with_tax real generated always as (price * 1.19) stored, uuid char(36));
create index products_title on products(lower(title));
create table orders (
  id integer primary key autoincrement, customer_id integer not null references customers(id) on delete restrict,
  status text not null default 'new' check (status in ('new', 'paid', 'sent', 'returned')), placed_at datetime not null,
  placed_epoch integer not null, total decimal(12,2), gift boolean not null default 0, note text, updated_at datetime);
create index orders_customer on orders(customer_id, placed_at desc);
create index orders_open on orders(placed_epoch) where status = 'new';
create trigger orders_touch after update of status on orders begin
  update orders set updated_at = current_timestamp where id = new.id; end;
create table order_items (
  order_id integer not null references orders(id) on delete cascade, line integer not null, sku text not null references products(sku),
  quantity integer not null default 1 check (quantity > 0), unit_price decimal(10,2) not null, primary key (order_id, line)) without rowid;
create index order_items_sku on order_items(sku);
create table stock_moves (sku text, moved integer, cocoa_time real, webkit_time integer, julian_day real, micros integer);
create table measurements (id integer primary key, sensor text, value real, flag);
create table imports (id integer primary key, source text, raw, received_at text);
create table coupons (code text primary key collate nocase, percent numeric, valid_until text, max_uses integer);
create table "Order/Notes (old)" ("Note ID" integer primary key, "select" text, "Straße" text, "orders-id" integer references orders(id));
create table returns (id integer primary key autoincrement, order_id integer references orders(id), reason text);
create table audit_log (at integer not null, actor text, action text not null, details json);
create view open_orders as
  select o.id, c.full_name, o.total from orders o join customers c on c.id = o.customer_id where o.status = 'new';
create view revenue as select status, count(*) as orders, sum(total) as total from orders group by status;
create trigger orders_log after insert on returns begin
  insert into audit_log(at, actor, action, details) values (0, 'trigger', 'return', null); end;
"""

FULL_TEXT = "create virtual table product_search using fts5(title, body)"

_STATUS = ("new", "paid", "sent", "sent", "sent", "returned")
_WORDS = (
    "amber",
    "birch",
    "cedar",
    "delta",
    "ember",
    "flint",
    "grove",
    "häuser",
    "indigo",
    "jasper",
    "日本",
    "linen",
    "O'Neill",
    'quo"te',
)


def make_shop(path: Path, rows: int = 200_000, *, wal: bool = False) -> int:
    """Create the shop database at `path` (which must not exist) with about `rows` rows; returns the exact number of rows.

    `wal`: in WAL mode, so that an application can read and write it while it is copied.
    """
    rng = random.Random(20_26)
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("pragma journal_mode=delete")
        connection.execute("pragma synchronous=off")
        connection.executescript(SCHEMA)
        connection.execute("begin")
        for table, values in _tables(rng, max(rows, 400)):
            _fill(connection, table, values)
        _oddities(connection)
        total = _full_text(connection)
        connection.execute("commit")
        if wal:
            connection.execute("pragma journal_mode=wal")
        names = [
            n
            for (n,) in connection.execute(
                "select name from sqlite_schema where type='table' and sql like 'create table%' and name not like 'sqlite_%' and name not like 'product_search%'"
            )
        ]
        return total + sum(int(connection.execute(f'select count(*) from "{n}"').fetchone()[0]) for n in names)
    finally:
        connection.close()


def _fill(connection: sqlite3.Connection, table: str, rows: Iterator[tuple[Any, ...]]) -> None:
    first = next(rows)
    marks = ",".join("?" * len(first))
    columns = {"products": "(sku,category_id,title,price,weight_kg,tags,launched,uuid)"}.get(table, "")
    statement = f'insert into "{table}"{columns} values ({marks})'
    connection.execute(statement, first)
    connection.executemany(statement, rows)


def _tables(rng: random.Random, rows: int) -> Iterator[tuple[str, Iterator[tuple[Any, ...]]]]:
    customers, products, orders = rows // 20, max(rows // 100, 20), rows // 5
    yield (
        "settings",
        iter([("currency", "EUR"), ("tax", 0.19), ("schema", 7), ("logo", b"\x89PNG\r\n\x00\xff"), ("empty", None)]),
    )
    yield "categories", ((i, f"Category {i}", None if i < 4 else i // 4) for i in range(1, 13))
    yield "customers", _customers(rng, customers)
    yield "products", _products(rng, products)
    yield "orders", _orders(rng, orders, customers)
    yield "order_items", _items(rng, orders, products)
    yield (
        "stock_moves",
        (
            (
                f"SKU-{rng.randrange(products):05}",
                rng.randint(-9, 9),
                7.0e8 + i + 0.5,
                13_300_000_000_000_000 + i * 7,
                2_460_000.5 + i,
                1_700_000_000_000_000 + i,
            )
            for i in range(rows // 20)
        ),
    )
    yield (
        "measurements",
        (
            (i, rng.choice(("t1", "t2", None)), _measure(rng, i), rng.choice((0, 1, "yes", "no", 2.5, None)))
            for i in range(rows // 20)
        ),
    )
    yield (
        "imports",
        (
            (i, "csv", rng.choice((i, f"{i} apples", i / 4, b"raw\x00")), f"2024-0{1 + i % 9}-11T10:00:00")
            for i in range(rows // 40)
        ),
    )
    yield "coupons", ((f"SAVE{i}", rng.choice((5, 7.5, 10)), "2026-12-31", None if i % 3 else i) for i in range(200))
    yield "Order/Notes (old)", ((i, rng.choice(_WORDS), f"Weg {i}", 1 + i % orders) for i in range(1, 101))
    yield (
        "audit_log",
        ((1_700_000_000 + i, rng.choice(_WORDS), "login", '{"ok": true, "n": %d}' % i) for i in range(rows // 10)),
    )


def _customers(rng: random.Random, count: int) -> Iterator[tuple[Any, ...]]:
    for i in range(1, count + 1):
        seen = None if i % 5 == 0 else 1_690_000_000_000 + i * 977
        avatar = rng.randbytes(120) if i % 3 == 0 else None
        yield (i, f"User{i}@example.org", f"{rng.choice(_WORDS)} {i}", i % 7 == 0, f"2023-{1 + i % 12:02}-{1 + i % 28:02} 08:{i % 60:02}:00",
               seen, round(rng.uniform(-50, 5000), 2), '{"newsletter": %s}' % ("true" if i % 2 else "false"), avatar, i // 2 or None)  # fmt: skip


def _products(rng: random.Random, count: int) -> Iterator[tuple[Any, ...]]:
    for i in range(count):
        yield (f"SKU-{i:05}", 1 + i % 12, f"{rng.choice(_WORDS).title()} {i}", round(rng.uniform(1, 900), 2), rng.choice((None, rng.random() * 40)),
               '["a","b"]', f"202{i % 5}-03-{1 + i % 28:02}", f"{rng.getrandbits(32):08x}-{i:04x}-4000-8000-{rng.getrandbits(48):012x}")  # fmt: skip


def _orders(rng: random.Random, count: int, customers: int) -> Iterator[tuple[Any, ...]]:
    for i in range(1, count + 1):
        yield (i, rng.randrange(customers) + 1, rng.choice(_STATUS), f"2024-{1 + i % 12:02}-{1 + i % 28:02} {i % 24:02}:{i % 60:02}:{i * 7 % 60:02}",
               1_704_000_000 + i * 60, round(rng.uniform(5, 2000), 2), i % 11 == 0, rng.choice((None, "", "leave at the door\nring twice", 'say "hi", ok')), None)  # fmt: skip


def _items(rng: random.Random, orders: int, products: int) -> Iterator[tuple[Any, ...]]:
    for order in range(1, orders + 1):
        for line in range(1, 2 + order % 4):
            yield order, line, f"SKU-{rng.randrange(products):05}", rng.randint(1, 5), round(rng.uniform(1, 900), 2)


def _measure(rng: random.Random, i: int) -> float | None:
    special = {0: float("inf"), 1: float("-inf"), 2: -0.0, 3: 5e-324, 4: 1.7976931348623157e308, 5: None, 6: 0.1 + 0.2}
    return special[i] if i in special else rng.gauss(20, 5)


def _oddities(connection: sqlite3.Connection) -> None:
    """Values PostgreSQL's text can't hold, a sequence ahead of its empty table, and orphans of a foreign key."""
    connection.execute("insert into audit_log values (1, cast(x'6e756c00' as text), 'nul', null)")
    connection.execute("insert into audit_log values (2, cast(x'c328' as text), 'invalid utf-8', null)")
    connection.execute("insert into sqlite_sequence(name, seq) values ('returns', 4711)")
    connection.execute("insert into \"Order/Notes (old)\" values (9001, 'lost', 'Gasse', 99999999)")


def _full_text(connection: sqlite3.Connection) -> int:
    """The full-text table, where this SQLite was built with FTS5; returns its rows."""
    if not connection.execute("select sqlite_compileoption_used('ENABLE_FTS5')").fetchone()[0]:
        return 0
    connection.execute(FULL_TEXT)
    connection.execute(
        "insert into product_search(rowid, title, body) select rowid, title, title || ' in stock' from products"
    )
    return int(connection.execute("select count(*) from product_search").fetchone()[0])
